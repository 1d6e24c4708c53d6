"""Where programs come from: what one architecture's index lacks is no matter of the others."""

from pathlib import Path

import pytest

from setup import apt, origins, sources, tool
from setup.place import Place
from setup.tool import Tool

NAMES = [tool.MICROPYTHON, tool.MICROPYTHON32, tool.MOSQUITTO]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The architectures that a machine's archive was asked for, whose index of i386 cannot be had."""
    asked: list[list[str]] = []

    class Archive:
        def __init__(self, _directory, _archives, architectures) -> None:
            self.architectures = architectures
            asked.append(architectures)

        def __enter__(self):
            if self.architectures == ["i386"]:
                raise apt.NotThere("File has unexpected size")
            return self

        def __exit__(self, *_) -> None:
            pass

    def unpacked(_place, archive, name, arch):
        assert arch in archive.architectures
        return Tool(name=name, path=name, version="9.9", origin="packages", bits=64)

    monkeypatch.setattr(apt, "native_architecture", lambda: "amd64")
    monkeypatch.setattr(apt, "Archive", Archive)
    monkeypatch.setattr(origins, "_unpacked", unpacked)
    monkeypatch.setattr(sources, "code_name", lambda _text: "trixie")
    monkeypatch.setattr(sources, "read_machine", list)
    monkeypatch.setattr(Path, "read_text", lambda *_args, **_options: "")
    return asked


def test_an_index_that_does_not_fit_its_signature_takes_only_its_own_architecture_away(
    asked: list[list[str]], tmp_path: Path
) -> None:
    found, why = origins.from_packages(Place(tmp_path)).find(NAMES)
    assert asked == [["amd64"], ["i386"]]
    assert sorted(found) == [tool.MICROPYTHON, tool.MOSQUITTO]
    assert why == {tool.MICROPYTHON32: "File has unexpected size"}


@pytest.mark.usefixtures("asked")
def test_what_an_earlier_set_up_unpacked_is_kept_while_the_archive_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = Place(tmp_path)
    tree = place.runtime / "packages" / "micropython-i386"
    library = tree / "usr" / "lib" / "i386-linux-gnu"
    for file in (library / "ld-linux.so.2", tree / "usr" / "bin" / "micropython"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    place.bin.mkdir(parents=True)
    monkeypatch.setattr(tool, "examine", lambda name, path, origin: Tool(name, path, "1.25.0", origin, 32))
    found, why = origins.from_packages(place).find(NAMES)
    assert (found[tool.MICROPYTHON32].path, why) == (place.bin / "micropython32", {})
    assert str(library / "ld-linux.so.2") in (place.bin / "micropython32").read_bytes().decode()


@pytest.mark.usefixtures("asked")
def test_what_was_unpacked_and_does_not_run_is_no_help(tmp_path: Path) -> None:
    (tmp_path / ".runtime" / "packages" / "micropython-i386" / "usr" / "bin").mkdir(parents=True)
    _, why = origins.from_packages(Place(tmp_path)).find(NAMES)
    assert why == {tool.MICROPYTHON32: "File has unexpected size"}
