"""What was counted stays counted: over watchdog, soft reset, power cuts at any moment and brown-outs."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from hil_tests.account import WHOLE, broken_history, closed_intervals
from hil_tests.interface import Ending, Rig, Start, until
from hil_tests.needing import needs
from hil_tests.programme import S_US, Line
from zaehlwerk_protocol.command import REBOOT
from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.status import Status

PULSE = {"class": "bicycle", "sensor": "pulse"}
LOSS_S = 72
"""What a power cut takes at most: firmware/README.md, Storage."""
HERTZ = 5


def pulses_before(rig: Rig, line: Line, utc_s: float) -> int:
    """How many had come by then."""
    since_us = utc_s * S_US - rig.begun_ns / 1000
    return sum(level for at, level in line.edges if at <= since_us)


def latest(rig: Rig) -> Counts:
    frame: Counts = rig.air.frames(Counts)[-1]
    return frame


def end_of(rig: Rig, frame: Counts) -> float:
    """UTC in s of the end of the interval that a frame closes, near the present."""
    now = (rig.begun_ns / 1e9 + rig.seconds) // 60
    index = now - ((int(now) - frame.index) & 0xFFFF)
    return (index + 1) * 60


async def more_counts(rig: Rig, number: int) -> None:
    """Wait for as many count frames."""
    told = len(rig.air.frames(Counts)) + number
    await until(rig, lambda: len(rig.air.frames(Counts)) >= told, 400, "counts")


@pytest.mark.fast
@needs("pulse_generator", "gateway")
async def test_a_program_that_stands_still_is_started_by_its_watchdog_and_goes_on_from_its_totals(
    rig: Rig,
) -> None:
    line = Line().burst(HERTZ * 1100, S_US // HERTZ)
    await rig.begin(Start([PULSE], [line], ending=(Ending.HANG, 300)))
    await rig.wait(300)
    before = rig.air.totals()
    await until(rig, lambda: "watchdog" in rig.starts(), 240, "a start by the watchdog")
    begun_s = rig.seconds
    await rig.wait(1300 - begun_s)
    after = rig.air.totals()
    assert before is not None
    assert after is not None
    assert after[0] >= before[0]
    stood_s = begun_s - 300
    lost = line.count - after[0]
    assert HERTZ * (stood_s - 5) <= lost <= HERTZ * (stood_s + LOSS_S)
    assert rig.starts() == ["power", "watchdog"]


@pytest.mark.fast
@needs("pulse_generator", "gateway")
async def test_a_soft_reset_takes_what_was_not_stored_and_no_more(rig: Rig) -> None:
    line = Line().burst(HERTZ * 800, S_US // HERTZ)
    await rig.begin(Start([PULSE], [line], ending=(Ending.SOFT_RESET, 290)))
    await rig.wait(1000)
    totals = rig.air.totals()
    assert totals is not None
    assert 0 <= line.count - totals[0] <= HERTZ * LOSS_S
    assert rig.starts() == ["power", "soft"]


@pytest.mark.fast
@needs("pulse_generator", "gateway")
async def test_a_restart_by_command_takes_a_second_at_most(rig: Rig) -> None:
    line = Line().burst(HERTZ * 800, S_US // HERTZ)
    await rig.begin(Start([PULSE], [line]))
    await rig.wait(200)
    rig.air.command(REBOOT)
    await until(rig, lambda: "hard" in rig.starts(), 200, "a restart")
    await rig.wait(1000 - rig.seconds)
    totals = rig.air.totals()
    assert totals is not None
    assert 0 <= line.count - totals[0] <= 2 * HERTZ


@pytest.mark.fast
@needs("pulse_generator", "power_switch", "gateway")
async def test_power_cuts_at_random_moments_take_what_is_stated_and_are_told(rig: Rig) -> None:
    randoms = random.Random(7)
    line = Line().burst(HERTZ * 4000, S_US // HERTZ)
    await rig.begin(Start([PULSE], [line]))
    await until(rig, lambda: len(rig.air.frames(Counts)) > 1, 300, "counts")
    cut = set()
    for _ in range(12):
        await rig.wait(randoms.uniform(60, 260))
        frame = latest(rig)
        lost_before = pulses_before(rig, line, end_of(rig, frame)) - frame.totals[0]
        went_s = rig.begun_ns / 1e9 + rig.seconds
        off_s = randoms.uniform(0.3, 20)
        await rig.cut_power(off_s)
        back_s = rig.begun_ns / 1e9 + rig.seconds
        cut |= {int(at // 60) & 0xFFFF for at in (went_s, back_s)}
        await more_counts(rig, 2)
        frame = latest(rig)
        lost = pulses_before(rig, line, end_of(rig, frame)) - frame.totals[0] - lost_before
        assert -HERTZ <= lost <= HERTZ * (LOSS_S + off_s + 4)
    closed = closed_intervals(rig.air.frames(Counts))
    assert [one.index for one in closed] == sorted({one.index for one in closed})
    whole = {one.index for one in closed if one.shares == (WHOLE,)}
    counted = {after.index: after.totals[0] - before.totals[0] for before, after in pairwise(closed)}
    adjacent = {b.index for a, b in pairwise(closed) if b.index == a.index + 1}
    assert {counted[index] for index in whole & adjacent} <= {60 * HERTZ - 1, 60 * HERTZ, 60 * HERTZ + 1}
    assert len(whole & adjacent) > 10
    assert any(one.shares[0] < WHOLE and one.index in cut for one in closed)
    assert broken_history(rig.air.frames(Counts)) == []


@pytest.mark.fast
@needs("pulse_generator", "power_switch", "gateway")
async def test_a_power_cut_late_in_a_long_interval_takes_no_more_than_one_early_in_it(rig: Rig) -> None:
    line = Line().burst(HERTZ * 900, S_US // HERTZ)
    await rig.begin(Start([PULSE], [line], settings={"interval_s": 300}))
    await rig.wait(560 - (rig.begun_ns // 10**9) % 300)
    await rig.cut_power(1)
    await rig.wait(1300 - rig.seconds)
    totals = rig.air.totals()
    assert totals is not None
    assert 0 <= line.count - totals[0] <= HERTZ * (LOSS_S + 6)


@pytest.mark.fast
@needs("pulse_generator", "power_switch", "gateway")
async def test_a_brown_out_is_a_power_cut_like_any_other(rig: Rig) -> None:
    line = Line().burst(HERTZ * 900, S_US // HERTZ)
    await rig.begin(Start([PULSE], [line]))
    await rig.wait(200)
    for _ in range(4):
        await rig.cut_power(0.02)
        await rig.wait(100)
    await rig.wait(1100 - rig.seconds)
    totals = rig.air.totals()
    assert totals is not None
    assert 0 <= line.count - totals[0] <= 4 * HERTZ * LOSS_S
    assert rig.starts() == ["power"] * 5
    assert rig.air.frames(Status)[-1].health.boots == 5


@needs("power_switch", "gateway")
async def test_a_record_that_was_damaged_in_flash_is_not_sent(rig: Rig) -> None:
    await rig.begin(Start([PULSE], [Line().burst(2000, S_US // 4)]))
    await rig.wait(400)
    before = [frame.totals[0] for frame in rig.air.frames(Counts)]
    assert before

    def spoilt(content: bytes) -> bytes:
        # The third byte from the end of the newest record's counts: its length stays what it says.
        at = len(content) - 8
        return content[:at] + bytes([content[at] ^ 0x40]) + content[at + 1 :]

    await rig.change_file("state/ring/00000000", spoilt)
    told = len(rig.air.frames(Counts))
    await more_counts(rig, 3)
    for frame in rig.air.frames(Counts)[told:]:
        assert all(row[0] <= 60 * 5 for row in frame.history)
    assert broken_history(rig.air.frames(Counts)) == []
