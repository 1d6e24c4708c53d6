"""The node's clock: how far the borders of its intervals are from UTC, measured with pulses of known moments."""

from __future__ import annotations

import pytest

from hil_tests.account import closed_intervals
from hil_tests.interface import Rig, Start, until
from hil_tests.needing import needs
from hil_tests.programme import S_US, Line
from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.status import Status

PULSE = [{"class": "bicycle", "sensor": "pulse"}]
HERTZ = 50
BOUND_S = 0.25
"""30 ms of the answer, 20 ppm over an hour, a reading that waits for its turn, and the rig's own 100 ms."""


def errors_s(rig: Rig, line: Line) -> list[float]:
    """By how much each border was late: pulses too many or too few, over their rate."""
    moments = [rig.begun_ns // 1000 + at for at, level in line.edges if level]
    now = int(rig.begun_ns / 1e9 + rig.seconds) // 60
    found = []
    for one in closed_intervals(rig.air.frames(Counts)):
        border_us = (now - ((now - one.index) & 0xFFFF) + 1) * 60 * S_US
        if moments[0] < border_us < moments[-1]:
            expected = sum(at < border_us for at in moments) & 0xFFFF
            error = (one.totals[0] - expected + 0x8000 & 0xFFFF) - 0x8000
            found.append(error / HERTZ)
    return found


@pytest.mark.fast
@needs("pulse_generator", "gateway")
async def test_the_first_answer_sets_the_clock_within_its_bound(rig: Rig) -> None:
    line = Line().burst(HERTZ * 600, S_US // HERTZ)
    await rig.begin(Start(PULSE, [line]))
    await until(rig, lambda: len(rig.air.frames(Counts)) > 8, 900, "counts")
    errors = errors_s(rig, line)
    assert len(errors) > 7
    assert max(map(abs, errors)) <= BOUND_S
    assert rig.air.frames(Status)[-1].health.clock_error_ms <= 1000


@needs("pulse_generator", "gateway")
async def test_it_stays_within_its_bound_for_hours(rig: Rig) -> None:
    # The pulses come just before the third answer: the second one was nearly six hours ago.
    begin_s = round(6.4 * 3600)
    line = Line(start_us=begin_s * S_US).burst(HERTZ * 600, S_US // HERTZ)
    await rig.begin(Start(PULSE, [line]))
    await rig.wait(begin_s + 900)
    errors = errors_s(rig, line)
    assert len(errors) > 7
    assert max(map(abs, errors)) <= BOUND_S
