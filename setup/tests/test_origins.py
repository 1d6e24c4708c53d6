"""Where programs come from: what one architecture's index lacks is no matter of the others."""

from pathlib import Path

import pytest

from setup import apt, origins, sources, tool
from setup.place import Place
from setup.tool import Tool


def test_an_index_that_does_not_fit_its_signature_takes_only_its_own_architecture_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

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
    names = [tool.MICROPYTHON, tool.MICROPYTHON32, tool.MOSQUITTO]
    found, why = origins.from_packages(Place(tmp_path)).find(names)
    assert asked == [["amd64"], ["i386"]]
    assert sorted(found) == [tool.MICROPYTHON, tool.MOSQUITTO]
    assert why == {tool.MICROPYTHON32: "File has unexpected size"}
