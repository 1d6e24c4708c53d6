"""`zaehlwerk provision` and `register` as commands: a virtual board, its record, and the stand-in for ChirpStack."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tools.tests.serial_board.conftest import Boards
from tools.tests.serial_board.programs import Ended, run_program
from tools.tests.serial_board.real_mpremote import told
from tools.tests.technician.chirpstack import Chirpstack, chirpstack
from tools.tests.technician.test_provision import NODE, ONE, board, image, on_board
from zaehlwerk_tools.serial_board.virtual_board import VirtualBoard
from zaehlwerk_tools.technician.troubles import Status

__all__ = ["board", "image"]
PLACED = {**NODE, "station": {"name": "Hafenstraße", "position": [51.95, 7.63]}}


async def zaehlwerk(*words: str, cwd: Path) -> Ended:
    return await run_program("zaehlwerk", *words, cwd=cwd)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Chirpstack]:
    async with chirpstack(tmp_path) as running:
        yield running


def settings(folder: Path, **other: Any) -> str:
    (folder / "node.json").write_text(json.dumps({**PLACED, **other}))
    return "node.json"


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "records" / f"{ONE}.json").read_text())
    return found


def at(server: Chirpstack) -> tuple[str, ...]:
    return ("--api-url", server.url, "--api-key-file", str(server.key_file()))


async def test_one_command_makes_tests_and_registers_a_node_and_sees_it_join(
    board: VirtualBoard, server: Chirpstack, tmp_path: Path
) -> None:
    server.hears(board)
    words = ("provision", board.port.name, "--settings", settings(tmp_path), *at(server), "--json")
    first = await zaehlwerk(*words, "--wait", "60", cwd=tmp_path)
    assert (first.status, first.err) == (0, "")
    kept = record(tmp_path)
    assert json.loads(first.out) == kept
    assert kept["result"] == "provisioned"
    assert all(check["passed"] for check in kept["self_test"])
    assert kept["registration"]["result"] == "registered"
    assert kept["heard"]["heard"] == "join"
    assert len(kept["heard"]["dev_addr"]) == 8
    key = (tmp_path / "keys" / f"{ONE}.key").read_text().strip()
    assert await server.key(ONE) == key
    assert key not in first.out + first.err + (tmp_path / "records" / f"{ONE}.json").read_text()
    there = await on_board(board)
    assert there == {**NODE, "app_key": key}
    second = await zaehlwerk(*words, cwd=tmp_path)
    assert (second.status, second.err) == (0, "")
    again = json.loads(second.out)
    assert (again["result"], again["registration"]["result"]) == ("unchanged", "unchanged")
    assert again["heard"] == kept["heard"]


def everything_written(folder: Path) -> dict[str, bytes]:
    """By everybody, but for key files and the boards' flash, which are where keys belong."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in files
        if path.parent.name != "keys" and path.suffix != ".flash"
    }


async def test_a_key_is_in_its_file_on_the_board_and_at_the_server_and_nowhere_else(
    board: VirtualBoard, server: Chirpstack, tmp_path: Path
) -> None:
    words = ("provision", board.port.name, "--settings", settings(tmp_path), *at(server))
    said = [await zaehlwerk(*words, "--offline", cwd=tmp_path)]
    said += [await zaehlwerk("register", f"records/{ONE}.json", *at(server), cwd=tmp_path)]
    said += [await zaehlwerk(*words, "--json", cwd=tmp_path)]
    said += [await zaehlwerk("label", f"records/{ONE}.json", "--pdf", cwd=tmp_path)]
    assert [ended.status for ended in said] == [0, 0, 0, 0]
    key = (tmp_path / "keys" / f"{ONE}.key").read_text().strip()
    assert await server.key(ONE) == key
    written = everything_written(tmp_path)
    assert {"node.json", f"records/{ONE}.json", f"labels/{ONE}.svg", "labels/sheets.pdf"} <= set(written)
    assert any(name.endswith(".log") for name in written), "what the board said over its line"
    written |= {f"said {number}": (one.out + one.err).encode() for number, one in enumerate(said)}
    secret = bytes.fromhex(key)
    forms = (key.encode(), secret, base64.b64encode(secret).rstrip(b"="), repr(secret)[2:-1].encode())
    for name, text in written.items():
        assert not any(form in text or form in text.lower() for form in forms), name


async def test_one_command_makes_an_empty_board_a_node_and_again_it_changes_nothing(
    plugged_in: Boards, built: Path, tmp_path: Path
) -> None:
    async with plugged_in() as empty:
        words = (
            "provision",
            empty.port.name,
            "--build",
            str(built),
            "--settings",
            settings(tmp_path),
            "--offline",
        )
        dry = await zaehlwerk(*words, "--dry-run", cwd=tmp_path)
        assert (dry.status, dry.err) == (0, "")
        assert "would get firmware" in dry.out
        assert not (tmp_path / "keys").exists()
        first = await zaehlwerk(*words, cwd=tmp_path)
        assert (first.status, first.err) == (0, "")
        assert ", verified by hash; has its settings, verified by hash" in first.out
        key = (tmp_path / "keys" / f"{ONE}.key").read_text().strip()
        assert await on_board(empty) == {**NODE, "app_key": key}
        assert record(tmp_path)["flash"]["result"] == "flashed"
        second = await zaehlwerk(*words, cwd=tmp_path)
        assert (second.status, second.err) == (0, "")
        assert "has these settings already, nothing written" in second.out
        assert (record(tmp_path)["flash"]["result"], record(tmp_path)["flash"]["bytes"]) == ("unchanged", 0)


async def test_another_node_is_not_flashed_either(
    board: VirtualBoard, small_build: Path, tmp_path: Path
) -> None:
    words = ("provision", board.port.name, "--settings", settings(tmp_path), "--offline")
    assert (await zaehlwerk(*words, cwd=tmp_path)).status == 0
    before = await told(board.port.name, "sha256sum", "main.py")
    settings(tmp_path, dev_eui="70b3d57ed0000002")
    ended = await zaehlwerk(*words, "--build", str(small_build), cwd=tmp_path)
    assert ended.status == Status.ANOTHER_IDENTITY
    assert f"this board is the node {ONE}, and not 70b3d57ed0000002" in ended.err
    assert not (tmp_path / "keys" / "70b3d57ed0000002.key").exists()
    assert await told(board.port.name, "sha256sum", "main.py") == before


async def test_without_the_server_the_boards_part_is_done_and_the_same_command_goes_on_later(
    board: VirtualBoard, server: Chirpstack, tmp_path: Path
) -> None:
    words = ("provision", board.port.name, "--settings", settings(tmp_path), *at(server))
    server.server.outage(True)
    first = await zaehlwerk(*words, cwd=tmp_path)
    assert first.status == Status.NOT_REGISTERED
    assert "has its settings, verified by hash" in first.out
    assert first.err.startswith("zaehlwerk: not registered: ")
    assert first.err.count("\n") == 1
    assert record(tmp_path)["status"] == Status.NOT_REGISTERED
    before = await on_board(board)
    assert before is not None
    server.server.outage(False)
    second = await zaehlwerk(*words, cwd=tmp_path)
    assert second.status == 0
    assert "has these settings already, nothing written" in second.out
    assert ": registered" in second.out
    assert await server.key(ONE) == before["app_key"]
    assert (record(tmp_path)["status"], "error" in record(tmp_path)) == (0, False)


async def test_offline_it_is_registered_later_from_the_record(
    board: VirtualBoard, server: Chirpstack, tmp_path: Path
) -> None:
    offline = await zaehlwerk(
        "provision", board.port.name, "--settings", settings(tmp_path), "--offline", cwd=tmp_path
    )
    assert (offline.status, "registration" in record(tmp_path)) == (0, False)
    words = ("register", f"records/{ONE}.json", *at(server))
    first = await zaehlwerk(*words, cwd=tmp_path)
    assert (first.status, first.err) == (0, "")
    assert first.out.endswith(": registered\n")
    assert (await zaehlwerk(*words, cwd=tmp_path)).out.endswith(": registered already, nothing changed\n")
    server.server.outage(True)
    failed = await zaehlwerk(*words, cwd=tmp_path)
    assert failed.status == Status.NOT_REGISTERED


async def test_a_node_with_a_fault_is_not_registered(
    board: VirtualBoard, server: Chirpstack, tmp_path: Path
) -> None:
    words = ("provision", board.port.name, "--settings", settings(tmp_path, board="t3_s3"), *at(server))
    ended = await zaehlwerk(*words, cwd=tmp_path)
    assert ended.status == Status.SELF_TEST
    assert ended.err.startswith("zaehlwerk: self-test: radio, ")
    assert "registration" not in record(tmp_path)
    assert not server.server._network.registry.devices


async def test_neither_a_server_nor_offline_is_refused_before_the_board_is_touched(tmp_path: Path) -> None:
    ended = await zaehlwerk("provision", "nowhere", "--settings", settings(tmp_path), cwd=tmp_path)
    assert ended.status == Status.REFUSED
    assert "or say --offline" in ended.err


async def test_settings_without_a_station_are_for_offline_alone(server: Chirpstack, tmp_path: Path) -> None:
    (tmp_path / "node.json").write_text(json.dumps(NODE))
    words = ("provision", "nowhere", "--settings", "node.json")
    ended = await zaehlwerk(*words, *at(server), cwd=tmp_path)
    assert ended.status == Status.REFUSED
    assert "name no station" in ended.err
    assert (await zaehlwerk(*words, "--offline", cwd=tmp_path)).status == Status.NO_BOARD
