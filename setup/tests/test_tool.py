"""A program is taken for what it says when it is run, not for its name."""

from collections.abc import Callable
from pathlib import Path

import pytest

from setup import origins, tool
from setup.place import Place
from setup.tool import Unfit


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Path]:
    """Writes a program that prints the given lines."""

    def write(name: str, *lines: str, status: int = 0) -> Path:
        path = tmp_path / "some where" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines) + f"exit {status}\n")
        path.chmod(0o755)
        return path

    return write


def test_micropython(program) -> None:
    assert tool.probe_micropython(program("m", "probe 1.25.0 64")) == ("1.25.0", 64)


@pytest.mark.parametrize(
    ("lines", "status", "why"),
    [
        (["probe 1.24.9 64"], 0, "1.24.9, 1.25 or newer"),
        (["ImportError: no module named cryptolib"], 1, "lacks something.*\n.*cryptolib"),
        (["hello"], 0, "is no MicroPython"),
        ([], 127, "status 127"),
    ],
)
def test_unfit_micropython(program, lines: list[str], status: int, why: str) -> None:
    with pytest.raises(Unfit, match=why):
        tool.probe_micropython(program("m", *lines, status=status))


def test_a_64_bit_build_does_not_pass_for_a_32_bit_one(program) -> None:
    with pytest.raises(Unfit, match="64-bit build"):
        tool.examine("micropython32", program("m", "probe 1.26.0 64"), "path")
    assert tool.examine("micropython32", program("m", "probe 1.26.0 32"), "path").bits == 32


def test_mosquitto(program) -> None:
    assert tool.probe_mosquitto(program("q", "mosquitto version 2.0.21", status=3)) == ("2.0.21", 0)
    with pytest.raises(Unfit, match=r"1\.6\.9, 2\.0 or newer"):
        tool.probe_mosquitto(program("q", "mosquitto version 1.6.9", status=3))
    with pytest.raises(Unfit, match="is no Mosquitto"):
        tool.probe_mosquitto(program("q", "something else"))


@pytest.mark.parametrize("name", ["Redis", "Valkey"])
def test_redis(program, name: str) -> None:
    assert tool.probe_redis(program("r", f"{name} server v=8.0.2 sha=00000000:0 malloc=jemalloc-5.3.0")) == (
        "8.0.2",
        0,
    )
    with pytest.raises(Unfit, match=r"6\.2\.14, 7\.0 or newer"):
        tool.probe_redis(program("r", f"{name} server v=6.2.14 sha=0"))
    with pytest.raises(Unfit, match="is no Redis"):
        tool.probe_redis(program("r", "something else"))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("1.25.0+ds-1", (1, 25, 0)), ("1:2.0.21-1", (2, 0, 21)), ("2.1", (2, 1)), ("none", ())],
)
def test_versions(text: str, numbers: tuple[int, ...]) -> None:
    assert tool.version_tuple(text) == numbers


def test_the_path_is_searched_without_our_own_wrappers(program, tmp_path) -> None:
    place = Place(tmp_path)
    place.bin.mkdir(parents=True)
    (place.bin / "mosquitto").symlink_to(program("other", "mosquitto version 2.0.1", status=3))
    theirs = program("mosquitto", "mosquitto version 2.0.18", status=3)
    environ = {"PATH": f"{place.bin}:{theirs.parent}"}
    found, why = origins.from_path(place, environ).find(["mosquitto", "micropython32"])
    assert found["mosquitto"].version == "2.0.18"
    assert found["mosquitto"].path == place.bin / "mosquitto"
    assert why["micropython32"]


def test_an_old_program_on_the_path_is_named_as_the_reason(program, tmp_path) -> None:
    old = program("micropython", "probe 1.19.1 64")
    found, why = origins.from_path(Place(tmp_path), {"PATH": str(old.parent)}).find(["micropython"])
    assert found == {}
    assert "1.19.1, 1.25 or newer is needed" in why["micropython"]
