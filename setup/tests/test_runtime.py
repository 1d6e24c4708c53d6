"""Which program is taken from where, what is said about it, and what happens when nothing works."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from setup import origins, runtime
from setup.console import Problem
from setup.origins import Origin
from setup.tool import Tool

EVERYTHING = ("micropython", "micropython32", "mosquitto", "redis-server")


class Fake:
    """An origin that has the given tools and notes what it was asked for."""

    def __init__(self, name: str, *has: str) -> None:
        self.asked: list[list[str]] = []
        self._has = has
        self.origin = Origin(name, self._find)

    def _find(self, names: Sequence[str]) -> tuple[dict[str, Tool], dict[str, str]]:
        self.asked.append(list(names))
        origin = self.origin.name
        found = {name: Tool(name, Path("/", name), "9.9", origin, 0) for name in names if name in self._has}
        return found, {name: f"{origin} lacks it" for name in names if name not in found}


def settle(*fakes: Fake) -> dict[str, Tool]:
    return runtime.settle([fake.origin for fake in fakes], lambda _: None)


def test_what_is_on_the_path_is_not_fetched() -> None:
    path, packages = Fake("path", *EVERYTHING), Fake("packages")
    assert {tool.origin for tool in settle(path, packages).values()} == {"path"}
    assert packages.asked == []


def test_each_origin_is_asked_only_for_what_is_still_missing() -> None:
    path = Fake("path", "mosquitto", "redis-server")
    packages = Fake("packages", *EVERYTHING)
    wheel = Fake("wheel", "micropython", "iotcore")
    found = settle(path, packages, wheel)
    assert {name: tool.origin for name, tool in found.items()} == {
        "mosquitto": "path",
        "redis-server": "path",
        "micropython": "packages",
        "micropython32": "packages",
    }
    assert packages.asked == [["micropython", "micropython32"]]
    assert wheel.asked == []


def test_wheels_are_the_last_resort_and_announced() -> None:
    found = settle(Fake("path"), Fake("packages"), Fake("wheel", "micropython", "iotcore", "redis-server"))
    assert set(found) == {"micropython", "iotcore", "redis-server"}
    text = "\n".join(runtime.remarks(found))
    assert "fallback: MicroPython 9.9 from a wheel" in text
    assert "fallback: iotcore 9.9 from a wheel" in text
    assert "fallback: Redis 9.9 from a wheel; it is Valkey" in text
    assert "memory budgets are not measured" in text


def test_a_missing_32_bit_micropython_or_redis_stops_nothing_and_is_said() -> None:
    found = settle(Fake("path", "micropython", "mosquitto"), Fake("packages"), Fake("wheel"))
    assert set(found) == {"micropython", "mosquitto"}
    assert runtime.remarks(found) == [
        "no 32-bit MicroPython for this machine: memory budgets are not measured",
        "no Redis for this machine: the tests of the bridge's source `redis` fail",
    ]


def test_with_everything_there_is_nothing_to_remark() -> None:
    assert runtime.remarks(settle(Fake("packages", *EVERYTHING))) == []


def test_where_nothing_works_the_message_says_what_to_install_and_what_was_tried() -> None:
    with pytest.raises(Problem) as caught:
        settle(Fake("path"), Fake("packages"), Fake("wheel"))
    text = str(caught.value)
    assert text.startswith("Please install MicroPython 1.25 or newer")
    assert "Mosquitto 2.0 or newer" in text
    assert "  MicroPython, packages: packages lacks it" in text
    assert "  iotcore, wheel: wheel lacks it" in text


def test_the_message_names_only_what_is_missing() -> None:
    with pytest.raises(Problem) as caught:
        settle(Fake("path", "micropython"), Fake("wheel"))
    assert str(caught.value).startswith("Please install Mosquitto 2.0")


def test_the_table_names_every_tool_and_null_for_what_is_missing(tmp_path) -> None:
    table = tmp_path / "tools.json"
    program = tmp_path / "micropython"
    program.touch()
    runtime.write_table(table, {"micropython": Tool("micropython", program, "1.25.0", "packages", 64)})
    assert json.loads(table.read_text()) == {
        "micropython": {"path": str(program), "version": "1.25.0", "origin": "packages", "bits": 64},
        "micropython32": None,
        "mosquitto": None,
        "iotcore": None,
        "redis-server": None,
    }
    assert runtime.is_whole(table)
    program.unlink()
    assert not runtime.is_whole(table)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"micropython": {}}', '{"micropython": "x"}'])
def test_a_broken_table_is_not_whole(tmp_path, text: str) -> None:
    (tmp_path / "tools.json").write_text(text)
    assert not runtime.is_whole(tmp_path / "tools.json")


def test_origins_can_be_restricted_but_not_reordered() -> None:
    known = [Fake(name).origin for name in ("path", "packages", "wheel")]
    assert [origin.name for origin in origins.named(["wheel", "path"], known)] == ["path", "wheel"]
    with pytest.raises(ValueError, match="no such origin: moon"):
        origins.named(["moon"], known)
