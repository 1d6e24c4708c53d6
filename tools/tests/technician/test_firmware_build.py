from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tools.tests.serial_board.conftest import ROOT
from zaehlwerk_protocol import VERSION
from zaehlwerk_tools.cli import app
from zaehlwerk_tools.technician.firmware_build import build_firmware
from zaehlwerk_tools.technician.manifest import read_build
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


def test_the_command_says_what_it_built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app(["firmware", "build", "--out", str(tmp_path / "fw"), "--json"], standalone_mode=False) in (
        0,
        None,
    )
    document = json.loads(capsys.readouterr().out)
    assert document["directory"] == str(tmp_path / "fw")
    assert read_build(tmp_path / "fw")[0].firmware == document["firmware"]
