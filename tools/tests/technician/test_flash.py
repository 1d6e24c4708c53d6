"""`zaehlwerk flash` on virtual boards, through the real protocol."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tools.tests.serial_board.conftest import Boards
from tools.tests.serial_board.open_port import open_port, raw_port
from tools.tests.serial_board.programs import run_program
from tools.tests.serial_board.real_mpremote import told
from tools.tests.technician.conftest import SMALL, write_build
from zaehlwerk_tools.serial_board.pty_port import PtyPort
from zaehlwerk_tools.serial_board.socket_port import SocketPort
from zaehlwerk_tools.serial_board.virtual_board import Options, VirtualBoard
from zaehlwerk_tools.technician.flash import Flashed, flash
from zaehlwerk_tools.technician.manifest import read_build, sha256
from zaehlwerk_tools.technician.troubles import (
    CutOffError,
    FullError,
    NoBoardError,
    NotVerifiedError,
    Status,
    TechnicianError,
    UnsuitableError,
)

HASHES = """
import os, hashlib, binascii
def walk(d):
    for e in os.ilistdir(d or '/'):
        if e[1] & 0x4000:
            walk(d + e[0] + '/')
        else:
            print(d + e[0], binascii.hexlify(hashlib.sha256(open(d + e[0], 'rb').read()).digest()).decode())
walk('')
"""


async def flashed(board: VirtualBoard, build: Path, *, dry_run: bool = False) -> Flashed:
    manifest, contents = read_build(build)
    return await asyncio.to_thread(
        flash, board.port.name, manifest, contents, dry_run=dry_run, progress=lambda path, done, total: None
    )


async def on_board(board: VirtualBoard) -> dict[str, str]:
    """SHA-256 of every file of the board, asked without any code of `flash`."""
    lines = (await told(board.port.name, "exec", HASHES)).splitlines()
    return {path: digest for path, digest in (line.split() for line in lines) if path != "boot.py"}


async def command(*words: str) -> tuple[int, str, str]:
    ended = await run_program("zaehlwerk", *words)
    return ended.status, ended.out, ended.err


def hashes(files: dict[str, bytes]) -> dict[str, str]:
    return {path: sha256(data) for path, data in files.items()}


async def test_the_firmware_comes_onto_an_empty_board_and_starts(
    plugged_in: Boards, built: Path, tmp_path: Path
) -> None:
    manifest, contents = read_build(built)
    async with plugged_in() as board:
        status, out, err = await command("flash", board.port.name, "--build", str(built), "--json")
        assert (status, err) == (0, "")
        record = json.loads(out)
        assert record["result"] == "flashed"
        assert record["board"]["chip"] == "ESP32S3"
        assert record["bytes"] == manifest.size
        assert record["written"][-1] == "main.py"
        there = await on_board(board)
        there.pop("state/boot", None)  # it has started, and may have noted already that it found no settings
        assert there == hashes(contents)
        assert "HARD" in [reset.cause for reset in board.board.resets]


async def test_a_second_run_changes_nothing_and_says_so(plugged_in: Boards, small_build: Path) -> None:
    async with plugged_in() as board:
        await flashed(board, small_build)
        before = board.board.flash.read_bytes()
        status, out, _ = await command("flash", board.port.name, "--build", str(small_build))
        assert status == 0
        assert out.rstrip().endswith("has firmware 9.9.9 already, nothing written")
        assert board.board.flash.read_bytes() == before


async def test_a_dry_run_says_what_it_would_do_and_does_nothing(
    plugged_in: Boards, small_build: Path
) -> None:
    async with plugged_in() as board:
        done = await flashed(board, small_build, dry_run=True)
        assert done.result == "would flash"
        assert [file.path for file in done.plan.write] == sorted(
            SMALL, key=lambda path: (path == "main.py", path)
        )
        assert await on_board(board) == {}


async def test_only_what_differs_is_written_and_the_nodes_own_files_stay(
    plugged_in: Boards, small_build: Path, tmp_path: Path
) -> None:
    async with plugged_in() as board:
        await flashed(board, small_build)
        own = "import os\nos.mkdir('state')\nfor n in ('settings.json', 'state/totals', 'app/old.py'):\n with open(n, 'w') as f: f.write('1')"
        await told(board.port.name, "exec", own)
        newer = {**SMALL, "app/node.py": b"print('newer')\n"}
        done = await flashed(board, write_build(tmp_path / "newer", newer))
        assert [file.path for file in done.plan.write] == ["app/node.py", "main.py"]
        assert done.plan.remove == ("main.py", "app/old.py")
        one = sha256(b"1")
        assert await on_board(board) == {**hashes(newer), "settings.json": one, "state/totals": one}


async def test_a_file_that_was_damaged_on_the_board_is_written_again(
    plugged_in: Boards, small_build: Path
) -> None:
    async with plugged_in() as board:
        await flashed(board, small_build)
        await told(board.port.name, "exec", "with open('app/node.py', 'r+b') as f: f.write(b'P')")
        done = await flashed(board, small_build)
        assert [file.path for file in done.plan.write] == ["app/node.py", "main.py"]
        assert await on_board(board) == hashes(SMALL)


@pytest.mark.parametrize("power", [True, False], ids=["power goes too", "power stays"])
@pytest.mark.parametrize("at", range(len(SMALL)))
async def test_wherever_the_cable_is_pulled_the_next_run_ends_in_the_same_state(
    plugged_in: Boards, small_build: Path, tmp_path: Path, at: int, power: bool
) -> None:
    manifest, contents = read_build(small_build)
    loop = asyncio.get_running_loop()
    begun = 0
    async with plugged_in(PtyPort(tmp_path / "board")) as board:
        old = {**SMALL, "main.py": b"print('old')\n", "app/__init__.py": b"VERSION = (1, 0, 0)\n"}
        await flashed(
            board, write_build(tmp_path / "old", {**old, "app/node.py": b"", "app/deep/inside.py": b""})
        )

        def pull(path: str, done: int, total: int) -> None:
            nonlocal begun
            if begun == at:
                asyncio.run_coroutine_threadsafe(board.unplug(power=power), loop).result()
            begun += 1

        with pytest.raises(CutOffError, match="run the same command again"):
            await asyncio.to_thread(flash, board.port.name, manifest, contents, dry_run=False, progress=pull)
        await board.replug()
        if power:
            await board.board.prompt.wait()
        there = await on_board(board)
        assert "main.py" not in there
        await flashed(board, small_build)
        assert await on_board(board) == hashes(SMALL)


@pytest.mark.parametrize("at", range(len(SMALL)))
async def test_wherever_the_command_is_killed_the_next_run_ends_in_the_same_state(
    plugged_in: Boards, small_build: Path, at: int
) -> None:
    program = f"""
import os, signal, sys
from pathlib import Path
from zaehlwerk_tools.technician.flash import flash
from zaehlwerk_tools.technician.manifest import read_build
begun = 0
def kill(path, done, total):
    global begun
    if begun == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
    begun += 1
flash(sys.argv[1], *read_build(Path(sys.argv[2])), dry_run=False, progress=kill)
"""
    async with plugged_in() as board:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, board.port.name, str(small_build)
        )
        assert await process.wait() == -9
        assert "main.py" not in await on_board(board)
        await flashed(board, small_build)
        assert await on_board(board) == hashes(SMALL)


async def test_a_file_that_arrives_otherwise_than_it_was_sent_is_noticed_and_main_does_not_start(
    plugged_in: Boards, small_build: Path
) -> None:
    manifest, contents = read_build(small_build)
    contents["app/node.py"] = b"PRINT('node')\n"
    async with plugged_in() as board:
        with pytest.raises(NotVerifiedError, match=r"app/node\.py on the board is not what was written"):
            await asyncio.to_thread(
                flash,
                board.port.name,
                manifest,
                contents,
                dry_run=False,
                progress=lambda path, done, total: None,
            )
        assert "main.py" not in await on_board(board)


async def test_a_half_written_file_is_not_taken_for_a_whole_one(
    plugged_in: Boards, small_build: Path
) -> None:
    async with plugged_in() as board:
        half = "import os\nos.mkdir('app')\nfor n in ('app/node.py.new', 'main.py.new'):\n with open(n, 'w') as f: f.write('print(')"
        await told(board.port.name, "exec", half)
        await flashed(board, small_build)
        assert await on_board(board) == hashes(SMALL)


async def test_a_running_node_whose_watchdog_runs_is_flashed_without_being_reset_in_the_middle(
    plugged_in: Boards, small_build: Path
) -> None:
    main = b"import time, machine\ndog = machine.WDT(timeout=1500)\nprint('watched')\nwhile True:\n    time.sleep_ms(100)\n    dog.feed()\n"
    async with plugged_in(options=Options(baud=57600)) as board:
        # Slow flash and line: the whole takes longer than the watchdog would wait.
        await told(board.port.name, "exec", f"with open('main.py', 'wb') as f: f.write({main!r})")
        async with open_port(board.port.name) as port:
            port.send(b"\x04")
            await port.until(b"watched\r\n")
        begun = board.scheduler.now_ns
        await flashed(board, small_build)
        assert board.scheduler.now_ns - begun > 1_500_000_000
        assert "WATCHDOG" not in [reset.cause for reset in board.board.resets]
        assert await on_board(board) == hashes(SMALL)


async def test_it_works_over_a_socket(plugged_in: Boards, small_build: Path) -> None:
    async with plugged_in(SocketPort()) as board:
        assert (await flashed(board, small_build)).result == "flashed"
        assert await on_board(board) == hashes(SMALL)


async def pretend(board: VirtualBoard, program: str) -> None:
    """A boot.py that makes the board say that it is another one."""
    await told(board.port.name, "exec", f"with open('boot.py', 'w') as f: f.write({program!r})")


IMPLEMENTATION = "import sys\nfrom collections import namedtuple\ni = sys.implementation\nsys.implementation = namedtuple('i', ('name', 'version', '_machine', '_mpy'))"


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        (
            "import sys\nsys.platform = 'rp2'\n"
            + IMPLEMENTATION
            + "('micropython', (1, 28, 0), 'Raspberry Pi Pico with RP2040', 6)",
            "this is a Raspberry Pi Pico with RP2040 (rp2), and the node runs on ESP32 or ESP32-S3: take another board",
        ),
        (
            IMPLEMENTATION + "('micropython', (1, 28, 0), 'Generic ESP32C3 module with ESP32C3', 6)",
            "this board has a chip ESP32C3, and the node runs on ESP32 or ESP32-S3: take another board",
        ),
        (
            IMPLEMENTATION + "('micropython', (1, 25, 0), i._machine, i._mpy)",
            "MicroPython 1.25.0 is too old, the firmware needs 1.26 or newer: put a newer one on the board by `",
        ),
        (
            IMPLEMENTATION + "('micropython', (1, 30, 0), i._machine, 7)",
            "MicroPython 1.30.0 reads .mpy version 7 and this build is version 6: build the firmware with the mpy-cross",
        ),
        (
            "with open('settings.json', 'w') as f: f.write('{\"board\": \"t_beam\"}')",
            "settings.json on it names the board t_beam, which has an ESP32, and this one has an ESP32-S3: the settings",
        ),
    ],
    ids=["another maker's", "another chip", "too old", "another format", "another board's settings"],
)
async def test_a_board_that_does_not_do_is_left_as_it_is(
    plugged_in: Boards, small_build: Path, program: str, sentence: str
) -> None:
    async with plugged_in() as board:
        await pretend(board, program)
        with pytest.raises(UnsuitableError) as refused:
            await flashed(board, small_build)
        assert str(refused.value).startswith(sentence)
        assert "main.py" not in await on_board(board)


FILL = """
import os
n = 0
while os.statvfs('/')[3] > 4:
    with open('fill%d' % n, 'wb') as f:
        f.write(bytes(4096 * min(64, os.statvfs('/')[3] - 3)))
    n += 1
"""


async def test_a_full_board_is_told_before_anything_is_written(plugged_in: Boards, small_build: Path) -> None:
    async with plugged_in() as board:
        await told(board.port.name, "exec", FILL)
        before = await on_board(board)
        status, out, err = await command("flash", board.port.name, "--build", str(small_build), "--json")
        assert status == Status.FULL
        assert "kB free and the firmware needs" in err
        assert "mpremote rm" in err
        record = {"port": board.port.name, "result": "failed", "status": 5, "error": err[11:].rstrip()}
        assert json.loads(out) == record
        assert await on_board(board) == before


async def test_a_board_that_is_full_after_all_is_told_in_a_sentence_too(
    plugged_in: Boards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = write_build(tmp_path / "big", {**SMALL, "app/big.bin": bytes(400_000)})
    monkeypatch.setattr("zaehlwerk_tools.technician.flash.blocks_needed", lambda plan, sizes: 0)
    async with plugged_in() as board:
        await told(board.port.name, "exec", FILL)
        with pytest.raises(FullError, match="file system is full at app/deep: "):
            await flashed(board, big)
        await told(board.port.name, "exec", "import os\nos.remove('fill0')")
        with pytest.raises(FullError, match=r"file system is full at app/big\.bin: "):
            await flashed(board, big)


async def test_a_port_that_is_not_there_is_told_with_those_that_are(
    tmp_path: Path, small_build: Path
) -> None:
    status, out, err = await command("flash", str(tmp_path / "nothing"), "--build", str(small_build))
    assert status == Status.NO_BOARD
    assert out == ""
    assert err.count("\n") == 1
    assert f"{tmp_path}/nothing cannot be opened" in err


async def test_a_port_that_another_program_has_open_is_told(plugged_in: Boards, small_build: Path) -> None:
    import fcntl

    async with plugged_in() as board:
        device = os.open(board.port.name, os.O_RDWR | os.O_NOCTTY)
        fcntl.flock(device, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            with pytest.raises(NoBoardError, match="is in use by another program"):
                await flashed(board, small_build)
        finally:
            os.close(device)


async def test_a_port_where_something_else_answers_is_told(
    small_build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zaehlwerk_tools.technician.board_transport.ANSWER_S", 0.3)
    port = PtyPort()
    await port.start()
    port.heard = lambda data: port.write(b"$GPGGA,no MicroPython\r\n")
    try:
        manifest, contents = read_build(small_build)
        with pytest.raises(NoBoardError, match="no MicroPython answers there"):
            await asyncio.to_thread(
                flash, port.name, manifest, contents, dry_run=True, progress=lambda path, done, total: None
            )
    finally:
        await port.stop()


async def test_a_changed_build_is_refused_before_the_port_is_opened(small_build: Path) -> None:
    (small_build / "node" / "main.py").write_bytes(b"other")
    status, _, err = await command("flash", "/dev/null", "--build", str(small_build))
    assert status == Status.REFUSED
    assert "main.py is not what manifest.json says" in err


async def test_the_board_runs_again_after_a_look(plugged_in: Boards, small_build: Path) -> None:
    async with plugged_in() as board:
        await flashed(board, small_build)
        async with raw_port(board.port.name) as port:
            port.send(b"import sys; print('app.node' in sys.modules)\x04")
            assert b"True" in await port.until(b"\x04\x04>")


def test_every_trouble_has_a_status_of_its_own() -> None:
    statuses = [
        trouble.status for trouble in TechnicianError.__subclasses__() if trouble.status != Status.REFUSED
    ]
    assert len(set(statuses)) == len(statuses) == len(Status) - 2
    assert FullError.status == 5
