from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from tools.tests.serial_board.conftest import ROOT
from zaehlwerk_protocol import VERSION
from zaehlwerk_tools.cli import app
from zaehlwerk_tools.technician.firmware_build import build_firmware, pack
from zaehlwerk_tools.technician.manifest import build_files, read_build
from zaehlwerk_tools.technician.node_observer import read_observer
from zaehlwerk_tools.technician.troubles import BuildError

FIRMWARE, PROTOCOL = ROOT / "firmware", ROOT / "protocol" / "zaehlwerk_protocol"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_two_builds_are_byte_identical_wherever_the_sources_lie(built: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "a folder of its own"
    shutil.copytree(FIRMWARE, elsewhere / "firmware", ignore=shutil.ignore_patterns("tests", "__pycache__"))
    shutil.copytree(PROTOCOL, elsewhere / "zaehlwerk_protocol")
    build_firmware(elsewhere / "firmware", elsewhere / "zaehlwerk_protocol", tmp_path / "again")
    assert contents(tmp_path / "again") == contents(built)


def test_a_build_holds_what_a_node_needs_and_no_stand_ins(built: Path) -> None:
    manifest, files = read_build(built)
    assert files["main.py"].startswith(b'"""')
    assert {path.split("/")[0] for path in files} == {
        *("app", "boards", "counting", "lorawan", "main.py", "radio", "zaehlwerk_protocol")
    }
    assert all(path.endswith(".mpy") for path in files if path != "main.py")
    assert "esp32.mpy" not in files
    assert manifest.size == sum(len(data) for data in files.values())


def test_the_manifest_says_versions_and_format(built: Path) -> None:
    document = json.loads((built / "manifest.json").read_text())
    assert document["protocol"] == VERSION
    assert document["firmware"].count(".") == 2
    assert document["mpy"] == 6
    assert document["micropython"] == [1, 26]
    assert document["chips"] == ["ESP32", "ESP32S3"]
    assert {tuple(sorted(file)) for file in document["files"]} == {("path", "sha256", "size")}


def damage_content(build: Path) -> None:
    path = build / "node" / "app" / "__init__.mpy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")


def cut_short(build: Path) -> None:
    path = build / "node" / "main.py"
    path.write_bytes(path.read_bytes()[:-1])


def lose_file(build: Path) -> None:
    (build / "node" / "main.py").unlink()


def add_file(build: Path) -> None:
    (build / "node" / "app" / "more.py").write_text("")


def lose_manifest(build: Path) -> None:
    (build / "manifest.json").unlink()


def break_manifest(build: Path) -> None:
    (build / "manifest.json").write_text("{")


def climb_out(build: Path) -> None:
    path = build / "manifest.json"
    path.write_text(path.read_text().replace('"main.py"', '"../main.py"'))


def newer_format(build: Path) -> None:
    path = build / "manifest.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (damage_content, "app/__init__.mpy is not what manifest.json says"),
        (cut_short, "main.py is not what manifest.json says"),
        (lose_file, "main.py is missing: build the firmware again"),
        (add_file, "app/more.py is not in manifest.json"),
        (lose_manifest, "not a firmware build; make one with"),
        (break_manifest, "manifest.json cannot be read"),
        (climb_out, "manifest.json is damaged"),
        (newer_format, "manifest.json is damaged"),
    ],
)
def test_a_changed_build_is_refused(built: Path, tmp_path: Path, damage: object, told: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(built, copy)
    read_build(copy)
    assert callable(damage)
    damage(copy)
    with pytest.raises(BuildError, match=told.replace(".", r"\.")):
        read_build(copy)


def test_a_build_replaces_a_build_and_nothing_else(built: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "out")
    build_firmware(FIRMWARE, PROTOCOL, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(built)
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(BuildError, match="holds something else"):
        build_firmware(FIRMWARE, PROTOCOL, tmp_path / "out")
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_a_source_that_does_not_compile_is_named_and_leaves_the_old_build(
    built: Path, tmp_path: Path
) -> None:
    sources = tmp_path / "firmware"
    shutil.copytree(FIRMWARE, sources, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    (sources / "app" / "broken.py").write_text("def f(:\n")
    shutil.copytree(built, tmp_path / "out")
    with pytest.raises(BuildError, match="broken"):
        build_firmware(sources, PROTOCOL, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(built)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_packed_build_is_the_same_bytes_again_and_is_read_as_its_folder(
    built: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(built, copy)
    (copy / "manifest.json").touch()
    for folder, name in ((built, "one.zip"), (copy, "two.zip")):
        pack(folder, tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert read_build(tmp_path / "one.zip") == read_build(built)
    assert read_observer(tmp_path / "one.zip").names == read_observer(built).names


def test_a_packed_build_that_was_changed_is_refused(built: Path, tmp_path: Path) -> None:
    files, path = build_files(built), tmp_path / "changed.zip"
    for change, told in (
        ({"node/main.py": b"x"}, "node/main.py is not what manifest.json says"),
        ({"node/../../more.py": b"x"}, "more.py is not in manifest.json"),
        ({"manifest.json": b"{"}, "manifest.json cannot be read"),
    ):
        with ZipFile(path, "w") as packed:
            for name, content in {**files, **change}.items():
                packed.writestr(name, content)
        with pytest.raises(BuildError, match=re.escape(told)):
            read_build(path)
    path.write_bytes(b"no ZIP file")
    with pytest.raises(BuildError, match=r"changed\.zip cannot be read: File is not a zip file"):
        read_build(path)


def test_a_file_that_swells_is_no_build(tmp_path: Path) -> None:
    path = tmp_path / "swelling.zip"
    with ZipFile(path, "w", ZIP_DEFLATED) as packed:
        packed.writestr("manifest.json", bytes(17 * 1024 * 1024))
    with pytest.raises(BuildError, match="too large for a firmware build"):
        read_build(path)


def test_the_command_says_what_it_built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["firmware", "build", "--out", str(tmp_path / "fw"), "--zip", str(tmp_path / "fw.zip"), "--json"]
    assert app(words, standalone_mode=False) in (0, None)
    document = json.loads(capsys.readouterr().out)
    assert document["zip"]["sha256"] == hashlib.sha256((tmp_path / "fw.zip").read_bytes()).hexdigest()
    assert read_build(tmp_path / "fw.zip") == read_build(tmp_path / "fw")
    assert document["directory"] == str(tmp_path / "fw")
    assert read_build(tmp_path / "fw")[0].firmware == document["firmware"]
