"""Pulses are counted exactly: from one in ten seconds to the stated maximum, bouncing, at all inputs at once, while it sends."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from hil_tests.account import WHOLE, broken_history, closed_intervals
from hil_tests.interface import Rig, Start, until
from hil_tests.needing import needs
from hil_tests.programme import S_US, Line
from zaehlwerk_protocol.command import STATUS
from zaehlwerk_protocol.counts import Counts

PULSE = {"class": "bicycle", "sensor": "pulse"}
CONTACT = {"class": "bicycle", "sensor": "contact"}
STATED_HZ = 533
"""firmware/README.md: 32,000 and more between two readings, a minute apart, are no traffic."""


async def all_told(rig: Rig, lines: list[Line], within_s: float) -> None:
    """The interval in which the last pulse came, or a later one, was told."""
    ended_ns = rig.begun_ns + max(line.end_us for line in lines) * 1000
    last = ended_ns // 60_000_000_000
    await until(
        rig,
        lambda: any((frame.index - last) & 0xFFFF < 0x8000 for frame in rig.air.frames(Counts)),
        within_s,
        "the interval in which the last pulse came",
    )


async def counted(
    rig: Rig, lines: list[Line], kind: Mapping[str, object] = PULSE, **settings: object
) -> tuple[int, ...]:
    """The totals when all has been played and reported."""
    await rig.begin(Start([kind] * len(lines), lines, settings=settings))
    await rig.wait(max(line.end_us for line in lines) / S_US)
    await all_told(rig, lines, 300)
    totals = rig.air.totals()
    assert totals is not None
    return totals


@pytest.mark.fast
@needs("pulse_generator", "gateway")
async def test_a_pulse_in_ten_seconds(rig: Rig) -> None:
    assert await counted(rig, [Line().burst(60, 10 * S_US)]) == (60,)
    assert broken_history(rig.air.frames(Counts)) == []


@pytest.mark.fast
@needs("pulse_generator", "gateway")
async def test_bursts_with_pauses_between_them(rig: Rig) -> None:
    line = Line()
    for hertz in (1, 7, 40, 200):
        line.burst(50 * hertz, S_US // hertz).pause(13 * S_US)
    assert await counted(rig, [line]) == (line.count,)


@pytest.mark.fast
@needs("pulse_generator", "gateway")
async def test_the_stated_maximum_for_two_minutes(rig: Rig) -> None:
    line = Line().burst(120 * (STATED_HZ - 3), S_US // (STATED_HZ - 3) + 1)
    assert await counted(rig, [line]) == (line.count & 0xFFFF,)
    assert all(one.shares == (WHOLE,) for one in closed_intervals(rig.air.frames(Counts))[1:])


@needs("pulse_generator", "gateway")
async def test_pulses_as_short_as_the_sensors_give_them(rig: Rig) -> None:
    assert await counted(rig, [Line().burst(2000, 20_000, width_us=100)]) == (2000,)


@pytest.mark.fast
@needs("pulse_generator", "gateway")
async def test_a_bouncing_contact_is_one_passage_each(rig: Rig) -> None:
    line = Line().bouncing(200, 500_000, closed_us=100_000, bounce_us=400, bounces=5)
    assert await counted(rig, [line], CONTACT) == (200,)


@needs("pulse_generator", "gateway")
async def test_two_bouncing_contacts_at_the_same_moments(rig: Rig) -> None:
    lines = [Line().bouncing(300, 400_000, closed_us=90_000, bounce_us=300, bounces=4) for _ in range(2)]
    assert await counted(rig, lines, CONTACT) == (300, 300)


@pytest.mark.fast
@needs("pulse_generator", "gateway")
async def test_all_inputs_at_the_same_moments(rig: Rig) -> None:
    lines = [Line().burst(3000, 20_000) for _ in range(4)]
    assert await counted(rig, lines) == (3000,) * 4


@needs("pulse_generator", "gateway")
async def test_while_it_sends_receives_and_collects_garbage(rig: Rig) -> None:
    """Slow frames with downlinks in both windows: a quarter of the time the radio is at work."""
    line = Line().burst(20 * 1500, 50_000)
    rig.air.ask_data_rate(0)

    await rig.begin(Start([PULSE], [line]))
    await until(rig, lambda: rig.air.is_joined, 180, "the node joins")
    for _ in range(6):
        rig.air.command(STATUS, confirmed=True)
        await rig.wait(240)
    assert sum(one.data_rate == 0 for one in rig.air.data) > 5
    await all_told(rig, [line], 900)
    assert rig.air.totals() == (line.count,)
    assert broken_history(rig.air.frames(Counts)) == []
