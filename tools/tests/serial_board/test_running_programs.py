"""Programs on the board: interrupted, reading, printing, resetting, watched by the watchdog."""

from __future__ import annotations

import pytest

from tools.tests.serial_board.conftest import Boards
from tools.tests.serial_board.open_port import open_port, raw_port
from zaehlwerk_tools.serial_board.virtual_board import Options

STOPPED = b"KeyboardInterrupt: \r\n\x04>"


@pytest.mark.parametrize(
    "program",
    [
        b"while True:\n    pass",
        b"import time\ntime.sleep(1000)",
        b"import time\nwhile True:\n    time.ticks_ms()",
        b"import sys\nsys.stdin.read(1)",
        b"import asyncio\nasync def f():\n    await asyncio.sleep(1000)\nasyncio.run(f())",
        b"import machine\np = machine.Pin(4, machine.Pin.IN)\nwhile not p.value():\n    pass",
        b"while True:\n    with open('x', 'wb') as f:\n        f.write(b'1' * 5000)",
        b"while True:\n    print('printed')",
    ],
    ids=["loop", "sleep", "clock", "stdin", "asyncio", "pin", "flash", "print"],
)
async def test_ctrl_c_stops_whatever_runs_and_the_board_goes_on(plugged_in: Boards, program: bytes) -> None:
    async with plugged_in() as board, raw_port(board.port.name) as port:
        port.send(b"print('begun')\n" + program + b"\x04")
        await port.until(b"begun\r\n")
        port.send(b"\x03")
        shown = await port.until(STOPPED)
        assert shown.count(b"Traceback (most recent call last):") == 1
        assert b"virtual_" not in shown
        assert b"real_time" not in shown
        port.send(b"import os; print(6 * 7, 'boot.py' in os.listdir())\x04")
        assert await port.until(b"\x04\x04>") == b"OK42 True\r\n\x04\x04>"


async def test_a_program_may_catch_the_interrupt_and_be_interrupted_again(plugged_in: Boards) -> None:
    program = b"import time\nfor i in (1, 2):\n try:\n  print('at', i)\n  time.sleep(99)\n except KeyboardInterrupt:\n  print('caught', i)\n\x04"
    async with plugged_in() as board, raw_port(board.port.name) as port:
        port.send(program)
        for i in (b"1", b"2"):
            await port.until(b"at " + i + b"\r\n")
            port.send(b"\x03")
            await port.until(b"caught " + i + b"\r\n")
        assert await port.until(b"\x04\x04>") == b"\x04\x04>"


async def test_what_is_typed_goes_to_the_program_that_reads(plugged_in: Boards) -> None:
    async with plugged_in() as board, open_port(board.port.name) as port:
        port.send(b"name = input('who? ')\r")
        await port.until(b"who? ")
        port.send(b"Mia\x7fx\r")
        await port.until(b">>> ")
        port.send(b"name\r")
        assert (await port.until(b">>> ")).endswith(b"'Mix'\r\n>>> ")


async def test_polling_stdin_wakes_when_something_is_typed(plugged_in: Boards) -> None:
    program = b"import select, sys\np = select.poll()\np.register(sys.stdin, select.POLLIN)\nprint('ready')\nprint(len(p.poll(60000)), sys.stdin.read(1))\x04"
    async with plugged_in() as board, raw_port(board.port.name) as port:
        port.send(program)
        await port.until(b"ready\r\n")
        port.send(b"k")
        assert await port.until(b"\x04\x04>") == b"1 k\r\n\x04\x04>"


async def test_text_gets_a_terminals_line_ends_and_bytes_stay_as_they_are_in_order(
    plugged_in: Boards,
) -> None:
    program = (
        b"import sys\nprint('a')\nsys.stdout.buffer.write(b'\\n\\x00\\xff')\nsys.stdout.write('b\\n')\x04"
    )
    async with plugged_in() as board, raw_port(board.port.name) as port:
        port.send(program)
        assert await port.until(b"\x04\x04>") == b"OKa\r\n\n\x00\xffb\r\n\x04\x04>"


async def test_ten_thousand_lines_arrive_whole_and_in_order(plugged_in: Boards) -> None:
    async with plugged_in() as board, raw_port(board.port.name) as port:
        port.send(b"for i in range(10000): print(i)\x04")
        shown = await port.until(b"\x04\x04>")
        assert shown[2:-3].split() == [b"%d" % i for i in range(10000)]


async def test_sys_exit_ends_a_program_without_a_word(plugged_in: Boards) -> None:
    async with plugged_in() as board, raw_port(board.port.name) as port:
        port.send(b"import sys\nprint(1)\nsys.exit(2)\x04")
        assert await port.until(b"\x04\x04>") == b"OK1\r\n\x04\x04>"


async def test_machine_soft_reset_is_said_as_an_esp32_says_it(plugged_in: Boards) -> None:
    async with plugged_in() as board, raw_port(board.port.name) as port:
        port.send(b"import machine\nmachine.soft_reset()\x04")
        shown = await port.until(b"CTRL-B to exit\r\n>")
        assert shown == b"OK\x04\x04MPY: soft reboot\r\nraw REPL; CTRL-B to exit\r\n>"


async def test_time_on_the_board_is_the_laptops(plugged_in: Boards) -> None:
    program = b"import time\nt = time.ticks_ms()\ntime.sleep_ms(300)\nprint(299 <= time.ticks_diff(time.ticks_ms(), t) < 5000)\x04"
    async with plugged_in() as board, raw_port(board.port.name) as port:
        before = board.scheduler.now_ns
        port.send(program)
        assert await port.until(b"\x04\x04>") == b"OKTrue\r\n\x04\x04>"
        assert board.scheduler.now_ns - before >= 299_000_000


async def test_the_watchdog_bites_at_the_prompt_and_over_a_soft_reset(plugged_in: Boards) -> None:
    async with plugged_in() as board, raw_port(board.port.name) as port:
        port.send(b"import machine\nmachine.WDT(timeout=600)\x04")
        await port.until(b"\x04\x04>")
        port.send(b"\x04")
        await port.until(b"soft reboot\r\n")
        await port.until(b"more information.\r\n>>> ")
        assert [reset.cause for reset in board.board.resets] == ["SOFT", "WATCHDOG"]
        port.send(b"machine = __import__('machine'); machine.reset_cause() == machine.WDT_RESET\r")
        await port.until(b"True\r\n")


async def test_a_board_without_raw_paste_serves_the_plain_raw_repl(plugged_in: Boards) -> None:
    options = Options(slow_flash=False, raw_paste=False)
    async with plugged_in(options=options) as board, raw_port(board.port.name) as port:
        port.send(b"\x05A\x01")
        assert await port.until(b">") == b"R\x00>"
