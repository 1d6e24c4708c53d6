"""The pulse generator's program: on MicroPython, and on a virtual board at a port."""

from __future__ import annotations

import asyncio
import json
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from hil_tests.generator_link import PROGRAM, GeneratorLink, install
from hil_tests.interface import RigError
from hil_tests.programme import Line
from hil_tests.pulse_generator import player
from hil_tests.virtual_rig import CHECKOUT
from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.micropython_program import find_micropython
from zaehlwerk_tools.serial_board.pty_port import PtyPort
from zaehlwerk_tools.serial_board.virtual_board import Options, build_stub, virtual_board

LINES = [
    Line(1000).burst(3, 10_000, width_us=100).pause(5_000).burst(2, 4_000),
    Line(1000).bouncing(2, 20_000, closed_us=3_000, bounce_us=200, bounces=2),
]

ON_MICROPYTHON = """
import json, sys
sys.path.insert(0, {folder!r})
import player
order = json.loads({order!r})
now = [(1 << 30) - 5000]
def ticks():
    now[0] = (now[0] + 7) & 0x3FFFFFFF
    return now[0]
def diff(a, b):
    return (a - b + 0x20000000 & 0x3FFFFFFF) - 0x20000000
def sleep_us(us):
    now[0] = (now[0] + us + 900) & 0x3FFFFFFF
played = []
begun = now[0] + 7
told = player.play(order, lambda number, level: played.append((diff(now[0], begun), number, level)), ticks, diff, sleep_us)
print(json.dumps([told, played]))
"""


@pytest.mark.parametrize("bits", [64, 32])
def test_on_micropython_every_edge_comes_in_its_order_and_hardly_late_over_the_wrap_of_the_ticks(
    bits: int,
) -> None:
    try:
        micropython = find_micropython(CHECKOUT, bits).path
    except ZaehlwerkError:
        pytest.skip(f"this machine has no {bits}-bit MicroPython")
    order = json.dumps([line.document() for line in LINES])
    program = ON_MICROPYTHON.format(folder=str(PROGRAM), order=order)
    done = subprocess.run([micropython, "-c", program], capture_output=True, text=True, check=True)
    (count, latest), played = json.loads(done.stdout)
    wanted = list(player.merged([(line.start_us, line.segments) for line in LINES]))
    assert count == len(wanted) == len(played)
    assert [(number, level) for _, number, level in played] == [
        (number, level) for _, number, level in wanted
    ]
    late = [at - planned for (at, *_), (planned, *_) in zip(played, wanted, strict=True)]
    assert min(late) >= 0
    assert max(late) == latest <= 14


def test_the_number_of_passages_is_the_number_of_beginnings() -> None:
    assert [line.count for line in LINES] == [5, 2]
    assert sum(level for _, level in LINES[0].edges) == 5
    assert sum(level for _, level in LINES[1].edges) == 2 * (1 + 2 * 2)


@pytest.mark.parametrize("line", LINES)
def test_levels_alternate_and_a_line_ends_inactive(line: Line) -> None:
    levels = [level for _, level in line.edges]
    assert levels == [1, 0] * (len(levels) // 2)
    assert all(a < b for (a, _), (b, _) in pairwise(line.edges))
    assert line.edges[-1][0] < line.end_us


def test_a_pulse_that_does_not_fit_its_period_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Line().burst(1, 1000, width_us=1000)
    with pytest.raises(ValueError, match="too short for this contact"):
        Line().bouncing(1, 10_000, closed_us=9_000, bounce_us=200, bounces=5)


async def test_on_a_board_it_plays_what_it_is_told_and_refuses_what_it_cannot(tmp_path: Path) -> None:
    port = PtyPort()
    async with virtual_board(
        Options(slow_flash=False), port, tmp_path / "boards", build_stub(tmp_path / "cache")
    ) as board:
        await asyncio.to_thread(install, port.name)
        link = await asyncio.to_thread(GeneratorLink, port.name)
        try:
            lines = [Line(50_000).burst(5, 40_000), Line(60_000).burst(3, 100_000, width_us=20_000)]
            await asyncio.to_thread(link.arm, [4, 5], lines)
            await asyncio.to_thread(link.go)
            played, _ = await asyncio.to_thread(link.finished, 10.0)
            assert played == sum(len(line.edges) for line in lines)
            for pin, line in zip((4, 5), lines, strict=True):
                levels = [level for _, which, level in board.board.outputs if which == pin]
                assert levels[-len(line.edges) :] == [level for _, level in line.edges]
            with pytest.raises(RigError, match=r"refuses: .*1 pins for 2 lines"):
                await asyncio.to_thread(link.arm, [4], lines)
            await asyncio.to_thread(link.arm, [4, 5], lines)
        finally:
            link.close()


async def test_a_board_without_the_program_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil_tests.generator_link.ANSWER_S", 0.5)
    port = PtyPort()
    async with virtual_board(
        Options(slow_flash=False), port, tmp_path / "boards", build_stub(tmp_path / "cache")
    ):
        link = await asyncio.to_thread(GeneratorLink, port.name)
        try:
            with pytest.raises(RigError, match="is its program on it"):
                await asyncio.to_thread(link.arm, [4], [Line()])
        finally:
            link.close()
