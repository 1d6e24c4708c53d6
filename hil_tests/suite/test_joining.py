"""A node without a network, and a network that forgot the node."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hil_tests.account import closed_intervals, nonces_not_rising
from hil_tests.interface import Rig, Start, until
from hil_tests.needing import needs
from hil_tests.programme import S_US, Line
from zaehlwerk_protocol.counts import Counts

PULSE = [{"class": "bicycle", "sensor": "pulse"}]
HOUR_S = 3600
FIRST_HOUR_S = 36.0
"""Airtime of join requests in the first hour: 1 % (LoRaWAN 1.0.4 chapter 7)."""
LATER_S = 3.6
"""In each hour of the next ten, so that it is 36 s in all of them: a tenth of what the sub-band's duty cycle would let through."""


@pytest.mark.fast
@needs("pulse_generator", "gateway")
async def test_without_a_gateway_it_asks_at_all_data_rates_within_the_back_off_and_counts(rig: Rig) -> None:
    rig.air.is_deaf = True
    line = Line().burst(1500, S_US)
    await rig.begin(Start(PULSE, [line]))
    await rig.wait(HOUR_S)
    joins = rig.air.joins
    assert {one.data_rate for one in joins} == set(range(6))
    assert sum(one.airtime_ns for one in joins) / 1e9 <= FIRST_HOUR_S
    assert len(joins) > 20
    assert nonces_not_rising(joins) == []
    rig.air.is_deaf = False
    await until(rig, lambda: rig.air.is_joined, HOUR_S, "the node joins when there is a network")
    await until(rig, lambda: len(rig.air.frames(Counts)) > 1, 900, "counts")
    assert rig.air.totals() == (line.count,)


@needs("gateway")
async def test_after_the_first_hour_it_asks_for_a_tenth_as_much(rig: Rig) -> None:
    rig.air.is_deaf = True
    await rig.begin(Start(PULSE))
    await rig.wait(3 * HOUR_S)
    joins = rig.air.joins
    begun = joins[0].begin_ns
    later = [one for one in joins if one.begin_ns - begun >= HOUR_S * 1e9]
    assert later
    # One more may begin just before the end of the first hour and rest for the share of that.
    longest = max(one.airtime_ns for one in joins)
    assert sum(one.airtime_ns for one in later) / 1e9 <= 2 * LATER_S + longest / 1e9
    assert nonces_not_rising(joins) == []


@needs("pulse_generator", "gateway")
async def test_a_network_that_lost_the_session_is_joined_anew_and_nothing_is_lost(rig: Rig) -> None:
    line = Line().burst(15_000, S_US)
    await rig.begin(Start(PULSE, [line]))
    await until(rig, lambda: len(rig.air.frames(Counts)) > 3, 600, "counts")
    first = rig.air.data[-1].address
    rig.air.forget_sessions()
    begun = rig.seconds
    await until(rig, lambda: len(rig.air.joins) > 1 and rig.air.is_joined, 4 * HOUR_S, "another join")
    assert rig.seconds - begun > 1.5 * HOUR_S
    await until(rig, lambda: rig.air.data[-1].address != first, 300, "a frame of the new session")
    await rig.wait(max(0.0, line.end_us / S_US - rig.seconds) + 300)
    assert rig.air.totals() == (line.count,)
    assert nonces_not_rising(rig.air.joins) == []
    indices = [one.index for one in closed_intervals(rig.air.frames(Counts))]
    assert all(a < b for a, b in pairwise(indices))
