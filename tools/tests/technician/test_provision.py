"""`zaehlwerk provision` on virtual boards with the real firmware."""

from __future__ import annotations

import asyncio
import json
import shutil
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tools.tests.serial_board.conftest import ROOT, Boards
from tools.tests.serial_board.programs import run_program
from tools.tests.serial_board.real_mpremote import told
from zaehlwerk_tools.micropython_program import find_micropython
from zaehlwerk_tools.serial_board.pty_port import PtyPort
from zaehlwerk_tools.serial_board.virtual_board import Options, VirtualBoard
from zaehlwerk_tools.simulator.firmware_tree import NodeTree
from zaehlwerk_tools.simulator.flash_image import write_files
from zaehlwerk_tools.technician import board_transport
from zaehlwerk_tools.technician.manifest import read_build
from zaehlwerk_tools.technician.node_key import NodeKey, NodeKeyError, given_key, kept_key, new_key
from zaehlwerk_tools.technician.provision import Provisioned, SettingsFileError, provision, read_settings
from zaehlwerk_tools.technician.troubles import AnotherIdentityError, CutOffError, Status, UnsuitableError

COMMAND = str(Path(sys.executable).with_name("zaehlwerk"))
ONE, OTHER = "70b3d57ed0000001", "70b3d57ed0000002"
NODE: dict[str, Any] = {
    "dev_eui": ONE,
    "join_eui": "70b3d57ed0000000",
    "board": "heltec_v3",
    "channels": [{"class": "bicycle", "direction": "in", "sensor": "pulse", "pin": 4}],
}


@pytest.fixture(scope="session")
def image(built: Path, stub: NodeTree, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flash with the firmware on it."""
    path = tmp_path_factory.mktemp("image") / "flash"
    write_files(find_micropython(ROOT, 64).path, stub.stub, path, read_build(built)[1])
    return path


@pytest.fixture
async def board(
    plugged_in: Boards, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[VirtualBoard]:
    """A board with the firmware and without settings. Its clock is tested for longer in test_self_test.py."""
    monkeypatch.setattr("zaehlwerk_tools.technician.self_test.CLOCK_S", 0.1)
    (tmp_path / "boards").mkdir()
    shutil.copyfile(image, tmp_path / "boards" / "board-001.flash")
    async with plugged_in(PtyPort(tmp_path / "board")) as made:
        yield made


async def provisioned(
    board: VirtualBoard,
    keys: Path,
    document: dict[str, Any] | None = None,
    *,
    app_key_file: str | None = None,
    replace: str | None = None,
    dry_run: bool = False,
) -> Provisioned:
    return await asyncio.to_thread(
        provision,
        board.port.name,
        dict(NODE if document is None else document),
        app_key_file=app_key_file,
        keys=keys,
        replace=replace,
        dry_run=dry_run,
    )


async def on_board(board: VirtualBoard) -> dict[str, Any] | None:
    shown = await told(
        board.port.name,
        "exec",
        "import os\nprint(open('settings.json').read() if 'settings.json' in os.listdir() else None)",
    )
    return None if shown.strip() == "None" else json.loads(shown)


async def test_a_node_gets_its_settings_and_a_random_key_of_its_own_and_starts(
    board: VirtualBoard, tmp_path: Path
) -> None:
    done = await provisioned(board, tmp_path / "keys")
    key = (tmp_path / "keys" / f"{ONE}.key").read_text().strip()
    assert done.result == "provisioned"
    assert await on_board(board) == {**NODE, "app_key": key}
    assert len(bytes.fromhex(key)) == 16
    assert len(set(key)) > 2
    await told(board.port.name, "reset")
    names = await told(board.port.name, "sleep", "3", "ls")
    assert "state/" in names
    assert "settings.json.new" not in names


async def test_a_second_run_changes_nothing_and_says_so(board: VirtualBoard, tmp_path: Path) -> None:
    await provisioned(board, tmp_path / "keys")
    key = (tmp_path / "keys" / f"{ONE}.key").read_text()
    assert (await provisioned(board, tmp_path / "keys")).result == "unchanged"
    assert (tmp_path / "keys" / f"{ONE}.key").read_text() == key


async def test_other_settings_keep_the_key(board: VirtualBoard, tmp_path: Path) -> None:
    await provisioned(board, tmp_path / "keys")
    before = await on_board(board)
    assert before is not None
    await provisioned(board, tmp_path / "keys", {**NODE, "interval_s": 300})
    assert await on_board(board) == {**before, "interval_s": 300}


async def test_a_dry_run_makes_neither_key_nor_settings(board: VirtualBoard, tmp_path: Path) -> None:
    assert (await provisioned(board, tmp_path / "keys", dry_run=True)).result == "would provision"
    assert not (tmp_path / "keys").exists()
    assert await on_board(board) is None


async def test_another_node_is_not_overwritten_unless_it_is_named(
    board: VirtualBoard, tmp_path: Path
) -> None:
    await provisioned(board, tmp_path / "keys")
    before = await on_board(board)
    other = {**NODE, "dev_eui": OTHER}
    for replace in (None, OTHER):
        with pytest.raises(AnotherIdentityError, match=f"this board is the node {ONE}, and not {OTHER}"):
            await provisioned(board, tmp_path / "keys", other, replace=replace)
    assert await on_board(board) == before
    assert not (tmp_path / "keys" / f"{OTHER}.key").exists()
    await provisioned(board, tmp_path / "keys", other, replace=ONE.upper())
    after = await on_board(board)
    assert after is not None
    assert after["dev_eui"] == OTHER


async def test_a_key_is_not_overwritten_unless_the_node_is_named(board: VirtualBoard, tmp_path: Path) -> None:
    await provisioned(board, tmp_path / "keys")
    before = await on_board(board)
    with pytest.raises(
        AnotherIdentityError, match="has an AppKey already, and there is no key file for it here"
    ):
        await provisioned(board, tmp_path / "elsewhere")
    (tmp_path / "given").write_text("0123456789abcdef0123456789abcdef\n")
    with pytest.raises(AnotherIdentityError, match="has an AppKey already, and not the one of its key file"):
        await provisioned(board, tmp_path / "keys", app_key_file=str(tmp_path / "given"))
    assert await on_board(board) == before
    assert not (tmp_path / "elsewhere").exists()
    await provisioned(board, tmp_path / "keys", app_key_file=str(tmp_path / "given"), replace=ONE)
    after = await on_board(board)
    assert after is not None
    assert after["app_key"] == "0123456789abcdef0123456789abcdef"


async def test_what_the_node_has_stored_stays_nonces_above_all(board: VirtualBoard, tmp_path: Path) -> None:
    write = "import os\nif 'state' not in os.listdir(): os.mkdir('state')\nwith open('state/kept', 'w') as f: f.write('17')"
    await told(board.port.name, "exec", write)
    await provisioned(board, tmp_path / "keys")
    assert await told(board.port.name, "cat", "state/kept") == "17"


@pytest.mark.parametrize(
    ("beside", "stays"), [((), False), (("nonces",), True)], ids=["alone", "beside nonces"]
)
async def test_a_new_node_does_not_report_that_it_had_no_settings(
    board: VirtualBoard,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    beside: tuple[str, ...],
    stays: bool,
) -> None:
    note = b"settings.json: is missing"
    files = dict.fromkeys(beside, b"x") | {"boot": b"\x01\x03\x00\x00\x03" + note}
    program = ["import os", "try: os.mkdir('state')", "except OSError: pass"]
    program += [f"with open('state/{name}', 'wb') as f: f.write({data!r})" for name, data in files.items()]
    await told(board.port.name, "exec", "\n".join(program))
    # Not started: it would begin a note of its own.
    monkeypatch.setattr(board_transport.BoardTransport, "reset", lambda self: None)
    await provisioned(board, tmp_path / "keys")
    there = await told(board.port.name, "exec", "import os\nprint(os.listdir('state'))")
    assert ("boot" in there) is stays
    for name in beside:
        assert await told(board.port.name, "cat", f"state/{name}") == "x"


@pytest.mark.parametrize("at", range(6))
async def test_wherever_the_cable_is_pulled_no_key_is_lost_and_the_next_run_ends_the_same(
    board: VirtualBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    loop = asyncio.get_running_loop()
    run, calls = board_transport.BoardTransport.run, 0

    def pulled(self: board_transport.BoardTransport, program: str) -> str:
        nonlocal calls
        if calls == at + 2:  # after chip and settings were asked for
            asyncio.run_coroutine_threadsafe(board.unplug(), loop).result()
        calls += 1
        return run(self, program)

    monkeypatch.setattr(board_transport.BoardTransport, "run", pulled)
    with pytest.raises(CutOffError):
        await provisioned(board, tmp_path / "keys")
    monkeypatch.undo()
    made = {path.name: path.read_text() for path in (tmp_path / "keys").glob("*")}
    await board.replug()
    await provisioned(board, tmp_path / "keys")
    after = await on_board(board)
    key = (tmp_path / "keys" / f"{ONE}.key").read_text()
    assert after == {**NODE, "app_key": key.strip()}
    assert not made or made == {f"{ONE}.key": key}


async def test_settings_that_the_node_refuses_do_not_come_into_force(
    board: VirtualBoard, tmp_path: Path
) -> None:
    await provisioned(board, tmp_path / "keys")
    before = await on_board(board)
    with pytest.raises(SettingsFileError, match="the node refuses the settings: interval_s"):
        await provisioned(board, tmp_path / "keys", {**NODE, "interval_s": 7})
    assert await on_board(board) == before
    assert "settings.json.new" not in await told(board.port.name, "ls")


async def test_settings_of_another_chips_board_are_refused(board: VirtualBoard, tmp_path: Path) -> None:
    with pytest.raises(
        UnsuitableError, match="the settings are for the board t_beam, and this one has a chip ESP32S3"
    ):
        await provisioned(board, tmp_path / "keys", {**NODE, "board": "t_beam"})
    assert not (tmp_path / "keys").exists()


async def test_a_board_without_firmware_is_told_to_be_flashed_first(
    plugged_in: Boards, tmp_path: Path
) -> None:
    async with plugged_in(options=Options(slow_flash=False)) as empty:
        with pytest.raises(UnsuitableError, match="run `zaehlwerk flash` first"):
            await provisioned(empty, tmp_path / "keys")
        assert await on_board(empty) is None


async def test_the_command_takes_the_key_from_standard_input_and_shows_it_nowhere(
    board: VirtualBoard, tmp_path: Path
) -> None:
    (tmp_path / "node.json").write_text(json.dumps(NODE))
    key = "8d41c0ffee8d41c0ffee8d41c0ffee8d"
    words = (
        "provision",
        board.port.name,
        "--settings",
        "node.json",
        "--offline",
        "--app-key-file",
        "-",
        "--json",
    )
    ended = await run_program("zaehlwerk", *words, cwd=tmp_path, given=f"{key}\n".encode())
    assert (ended.status, ended.err) == (0, "")
    assert json.loads(ended.out)["result"] == "provisioned"
    assert key not in ended.out
    after = await on_board(board)
    assert after is not None
    assert after["app_key"] == key
    assert key not in board.board.log.read_text()
    assert not (tmp_path / "keys").exists()


async def test_the_command_ends_with_a_status_of_its_own_for_another_node(
    board: VirtualBoard, tmp_path: Path
) -> None:
    await provisioned(board, tmp_path / "keys")
    (tmp_path / "node.json").write_text(json.dumps({**NODE, "dev_eui": OTHER}))
    words = ("provision", board.port.name, "--settings", "node.json", "--offline")
    ended = await run_program("zaehlwerk", *words, cwd=tmp_path)
    assert (ended.status, ended.out) == (Status.ANOTHER_IDENTITY, "")
    assert ended.err.endswith(f"take the right board, or say --replace {ONE}\n")


def test_key_files_are_their_owners_alone_and_never_overwritten(tmp_path: Path) -> None:
    made = new_key(tmp_path / "keys", ONE)
    assert made.kept_in is not None
    assert stat.S_IMODE(made.kept_in.stat().st_mode) == 0o600
    assert kept_key(tmp_path / "keys", ONE) == NodeKey(made.hex, made.kept_in)
    with pytest.raises(NodeKeyError, match="cannot be written"):
        new_key(tmp_path / "keys", ONE)
    assert made.kept_in.read_text().strip() == made.hex
    assert kept_key(tmp_path / "keys", OTHER) is None
    assert new_key(tmp_path / "keys", OTHER).hex != made.hex


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    made = new_key(tmp_path, ONE)
    assert made.kept_in is not None
    made.kept_in.chmod(0o644)
    with pytest.raises(NodeKeyError, match="can be read by others"):
        kept_key(tmp_path, ONE)


@pytest.mark.parametrize("text", ["", "abc", "zz" * 16, "00" * 16, "ab" * 16 + " more"])
def test_what_is_no_key_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(text)
    with pytest.raises(NodeKeyError) as refused:
        given_key(str(tmp_path / "key"))
    assert not text or text not in str(refused.value).replace(str(tmp_path), "")


def test_a_key_does_not_show_in_a_repr() -> None:
    assert "0123" not in repr(NodeKey("0123" * 8))


@pytest.mark.parametrize(
    ("text", "told_so"),
    [
        ("{", "is not JSON"),
        ("[]", "expected an object"),
        (json.dumps({**NODE, "app_key": "ab" * 16}), "keys are in files of their own"),
        (json.dumps({**NODE, "dev_eui": "12"}), "dev_eui: 16 hex digits are expected"),
        (json.dumps({"dev_eui": ONE}), "join_eui: 16 hex digits are expected"),
    ],
)
def test_settings_that_do_not_do_are_refused_before_the_board_is_touched(
    tmp_path: Path, text: str, told_so: str
) -> None:
    (tmp_path / "node.json").write_text(text)
    with pytest.raises(SettingsFileError, match=told_so) as refused:
        read_settings(tmp_path / "node.json")
    assert "ab" * 16 not in str(refused.value)
