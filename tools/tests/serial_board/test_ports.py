"""Ports, cables, power, and the board as a command."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tools.tests.serial_board.conftest import Boards
from tools.tests.serial_board.open_port import open_port, raw_port
from tools.tests.serial_board.real_mpremote import mpremote, told
from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.serial_board.command import make_port
from zaehlwerk_tools.serial_board.line import BITS_PER_BYTE, PacedQueue
from zaehlwerk_tools.serial_board.port import PortError
from zaehlwerk_tools.serial_board.pty_port import PtyPort
from zaehlwerk_tools.serial_board.socket_port import SocketPort
from zaehlwerk_tools.serial_board.virtual_board import Options
from zaehlwerk_tools.simulator.known_boards import KNOWN_BOARDS


async def test_mpremote_works_over_a_socket_too(plugged_in: Boards, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(range(256)) * 4)
    async with plugged_in(SocketPort()) as board:
        assert board.port.name.startswith("socket://127.0.0.1:")
        await told(board.port.name, "cp", str(tmp_path / "data"), ":data")
        await told(board.port.name, "cp", ":data", str(tmp_path / "back"))
        assert (tmp_path / "back").read_bytes() == (tmp_path / "data").read_bytes()
        assert await told(board.port.name, "exec", "print('over TCP')") == "over TCP\n"


async def test_a_socket_has_one_listener_at_a_time(plugged_in: Boards) -> None:
    port = SocketPort()
    async with plugged_in(port):
        host, number = port.name.removeprefix("socket://").split(":")
        first = await asyncio.open_connection(host, int(number))
        second = await asyncio.open_connection(host, int(number))
        assert await second[0].read(1) == b""
        first[1].write(b"\r\x02")
        assert b"MicroPython" in await first[0].readuntil(b"information")
        for _, writer in (first, second):
            writer.close()


async def test_a_socket_that_is_taken_is_refused_in_a_sentence() -> None:
    one = SocketPort()
    await one.start()
    try:
        with pytest.raises(PortError, match=r"socket://127\.0\.0\.1:\d+: "):
            await SocketPort(port=int(one.name.rsplit(":", 1)[1])).start()
    finally:
        await one.stop()


async def test_a_link_keeps_its_name_over_a_pulled_cable_and_goes_with_the_board(
    plugged_in: Boards, tmp_path: Path
) -> None:
    link = tmp_path / "board"
    async with plugged_in(PtyPort(link)) as board:
        assert await told(str(link), "exec", "print(1)") == "1\n"
        await board.unplug()
        assert not link.is_symlink()
        await board.replug()
        await board.board.prompt.wait()
        assert await told(str(link), "exec", "print(2)") == "2\n"
    assert not link.is_symlink()


async def test_a_link_does_not_replace_a_file(plugged_in: Boards, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(PortError, match="name a path that does not exist"):
        async with plugged_in(PtyPort(tmp_path / "kept")):
            pass
    assert (tmp_path / "kept").read_text() == "mine"


async def test_whoever_has_the_port_open_is_told_that_the_cable_is_out(plugged_in: Boards) -> None:
    async with plugged_in() as board, open_port(board.port.name) as port:
        await board.unplug()
        async with asyncio.timeout(20):
            await port.closed.wait()
        assert not board.board.has_power


async def test_files_survive_power_cuts_and_programs_do_not(plugged_in: Boards) -> None:
    async with plugged_in() as board:
        await told(board.port.name, "exec", "kept = 1\nwith open('note', 'w') as f: f.write('kept')")
        await board.unplug()
        await board.replug()
        await board.board.prompt.wait()
        assert await told(board.port.name, "cat", "note") == "kept"
        ended = await mpremote(board.port.name, "resume", "exec", "print(kept)")
        assert "NameError" in ended.out


async def test_files_survive_the_end_of_the_command(plugged_in: Boards) -> None:
    async with plugged_in() as board:
        await told(board.port.name, "exec", "with open('note', 'w') as f: f.write('kept')")
    async with plugged_in() as board:
        assert await told(board.port.name, "cat", "note") == "kept"


async def test_a_board_with_power_of_its_own_runs_on_without_the_cable(plugged_in: Boards) -> None:
    async with plugged_in() as board:
        await told(board.port.name, "exec", "kept = 1")
        await board.unplug(power=False)
        await board.replug()
        assert await told(board.port.name, "resume", "exec", "print(kept)") == "1\n"


async def test_what_a_board_prints_while_nobody_listens_is_lost_and_it_goes_on(plugged_in: Boards) -> None:
    async with plugged_in() as board:
        await told(board.port.name, "exec", "--no-follow", "for i in range(50000): print(i)\nprinted = i")
        await board.board.prompt.wait()
        assert await told(board.port.name, "resume", "exec", "print(printed)") == "49999\n"


async def test_a_board_that_crashes_starts_again(plugged_in: Boards) -> None:
    async with plugged_in() as board, raw_port(board.port.name) as port:
        port.send(b"import board_link; board_link._in.close(); board_link.ask(66, 0, 1)\x04")
        await port.until(b"more information.\r\n>>> ")
        assert board.board.resets[-1].cause == "HARD"


def test_a_paced_line_carries_no_more_than_its_speed_and_loses_nothing() -> None:
    got: list[tuple[float, bytes]] = []
    baud, data = 115200, bytes(range(256)) * 20

    async def carry() -> float:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def deliver(part: bytes) -> None:
            got.append((loop.time(), part))
            if sum(len(part) for _, part in got) == len(data):
                done.set()

        queue = PacedQueue(deliver, baud)
        began = loop.time()
        queue.put(data[:100])
        queue.put(data[100:])
        await done.wait()
        return loop.time() - began

    took = asyncio.run(carry())
    assert b"".join(part for _, part in got) == data
    least = len(data) * BITS_PER_BYTE / baud
    assert took >= least * 0.95
    first = got[0][0]
    for at, _ in got:
        carried = sum(len(part) for when, part in got if when <= at)
        assert carried <= (at - first + 0.012) * baud / BITS_PER_BYTE


async def test_mpremote_works_at_115200_baud(plugged_in: Boards, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(3000))
    async with plugged_in(options=Options(baud=115200, slow_flash=False)) as board:
        began = time.monotonic()
        await told(board.port.name, "cp", str(tmp_path / "data"), ":data")
        # Each byte goes over the line as \x00.
        assert time.monotonic() - began > 3000 * 4 * BITS_PER_BYTE / 115200
        assert (await told(board.port.name, "ls")).splitlines()[-1].split() == ["3000", "data"]


@pytest.mark.parametrize("name", list(KNOWN_BOARDS))
async def test_each_board_says_which_chip_it_has(plugged_in: Boards, name: str) -> None:
    chip = "ESP32S3" if KNOWN_BOARDS[name].hardware.mcu == "esp32s3" else "ESP32"
    async with plugged_in(options=Options(board=name, slow_flash=False)) as board:
        shown = await told(board.port.name, "exec", "import os; print(os.uname().machine)")
        assert shown == f"Generic {chip} module with {chip}\n"


def test_wrong_words_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ZaehlwerkError, match="--port usb: pty or socket"):
        make_port("usb", None, 0)
    with pytest.raises(ZaehlwerkError, match="--link is for --port pty"):
        make_port("socket", tmp_path / "x", 0)


async def test_the_command_serves_a_board_until_it_is_stopped_and_signals_pull_the_cable(
    tmp_path: Path,
) -> None:
    link = tmp_path / "board"
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("zaehlwerk")), "board", "--link", str(link)),
        *("--directory", str(tmp_path / "flash"), "--fast-flash"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == f"heltec_v3 on {link}\n".encode()
        assert await told(str(link), "exec", "print(1)") == "1\n"
        os.kill(process.pid, signal.SIGUSR1)
        assert await process.stdout.readline() == b"cable out\n"
        os.kill(process.pid, signal.SIGUSR1)
        assert await process.stdout.readline() == f"cable in: {link}\n".encode()
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (tmp_path / "flash" / "board-001.flash").stat().st_size == 2 * 1024 * 1024


async def test_the_firmware_runs_on_it_in_real_time_with_its_radio(
    plugged_in: Boards, built: Path, tmp_path: Path
) -> None:
    settings = {
        "dev_eui": "70b3d57ed0000001",
        "join_eui": "70b3d57ed0000000",
        "app_key": "00" * 16,
        "board": "heltec_v3",
        "channels": [{"class": "bicycle", "direction": "in", "sensor": "pulse", "pin": 4}],
    }
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    async with plugged_in() as board:
        parts = [str(path) for path in sorted((built / "node").iterdir())]
        await told(board.port.name, "cp", "-r", *parts, str(tmp_path / "settings.json"), ":")
        began = board.scheduler.now_ns
        await told(board.port.name, "reset")
        heard = asyncio.Event()
        board.on_uplink = lambda at_ns, payload, receptions: heard.set()
        async with asyncio.timeout(60):
            await heard.wait()
        assert board.air.log[0]["sender"] == 1
        assert board.scheduler.now_ns - began < 60_000_000_000
        assert not board.board.radio.violations
        assert await told(board.port.name, "ls", ":state") != ""
