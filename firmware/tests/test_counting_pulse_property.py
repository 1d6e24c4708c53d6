"""Pulses counted by hardware: all that pass its filter, wherever the counter begins again; beyond the stated rate flagged.

The counter is modelled as MicroPython's `machine.Counter` drives the ESP32's: a unit that begins again at a fixed number
of pulses and then sets a flag that knows of one such round only, until the program serves its interrupt or reads it.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import machine
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counting import CHATTER, TICKS
from counting.counter import FILTER_NS
from counting.inputs import Inputs
from counting.pulse import PulseSensor

ROUND = 32_000
# The filter's clock, and the most periods of it that a unit can filter (ESP-IDF, "Pulse Counter").
CLOCK_MHZ, MOST_PERIODS = 80, 1023
LONGEST_NS = MOST_PERIODS * 1000 / CLOCK_MHZ
# The fastest that passes this filter, and how long its interrupt may wait until a second round would be full.
FASTEST_HZ = int(1e9 / (2 * LONGEST_NS))
SERVED_MS = ROUND * 1000 // FASTEST_HZ
MINUTE_MS = 60_000
# Between two readings; docs/sensors/pulse.md. From there on it is a fault.
LIMIT = 32_000


class Unit:
    """`machine.Counter` on a hardware unit of 16 bits; `pulses` are edges that it is set to count."""

    RISING, FALLING = 1, 2
    last: Unit

    def __init__(self, unit: int, src: machine.Pin, edge: int, filter_ns: int) -> None:
        self.edge = edge
        self.filter_ns = min(filter_ns * CLOCK_MHZ // 1000, MOST_PERIODS) * 1000 / CLOCK_MHZ
        self._raw = self._rounds = 0
        self._sticky = False
        Unit.last = self

    def pulses(self, count: int) -> None:
        self._raw += count
        while self._raw >= ROUND:
            self._raw -= ROUND
            self._sticky = True

    def serve(self) -> None:
        self._rounds += self._sticky
        self._sticky = False

    def value(self) -> int:
        self.serve()
        return self._rounds * ROUND + self._raw

    def signal(self, lengths_ns: list[int]) -> None:
        """Levels of such lengths, high and low in turn, behind the filter."""
        behind = 0
        for number, length in enumerate(lengths_ns):
            level = 1 - number % 2
            if length > self.filter_ns and level != behind:
                behind = level
                self.pulses(bool(self.edge & (self.RISING if level else self.FALLING)))


class Clock:
    """`time.ticks_ms` of a node that reads its sensors once a minute."""

    ms = 0


@pytest.fixture(autouse=True, scope="module")
def _chip() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "Counter", Unit, raising=False)
        patch.setattr(time, "ticks_ms", lambda: Clock.ms & TICKS, raising=False)
        patch.setattr(time, "ticks_add", lambda a, b: (a + b) & TICKS, raising=False)
        patch.setattr(time, "ticks_diff", lambda a, b: (a - b) & TICKS, raising=False)
        yield


def entry(edge: str = "rising") -> dict[str, object]:
    return {"pin": 4, "pull": "none", "edge": edge, "sensor": "pulse", "ok_pin": None, "class": "kfz"}


class Minutes:
    """A node's one sensor, which has seen `before` pulses and the first passage."""

    def __init__(self, before: int) -> None:
        self.inputs = Inputs([entry()], 1)
        self.inputs.start()
        self.unit = Unit.last
        self.unit.pulses(before + 1)
        self.read([])

    def read(self, stretches: list[int], looks: bool = False) -> tuple[int, int, int]:
        """(counted, codes, observed ms) of a minute; `looks`: as for the RTC's memory, after each stretch."""
        for count in stretches:
            self.unit.pulses(count)
            if looks:
                self.inputs.so_far()
            self.unit.serve()
        Clock.ms += MINUTE_MS
        (count,), (observed,) = self.inputs.read()
        return count, self.inputs.health[0], observed


# What passes between two readings, in stretches after each of which the interrupt is served: never later than stated.
STRETCH = st.integers(0, FASTEST_HZ * SERVED_MS // 1000)
TRAFFIC = st.lists(st.lists(STRETCH, max_size=4), min_size=1, max_size=12)
BEFORE = st.integers(0, ROUND - 1)


def within(minutes: list[list[int]]) -> list[list[int]]:
    """The same, with no more between two readings than is stated."""
    kept = []
    for stretches in minutes:
        room, shorter = LIMIT - 1, []
        for count in stretches:
            shorter.append(min(count, room))
            room -= shorter[-1]
        kept.append(shorter)
    return kept


@given(TRAFFIC.map(within), BEFORE, st.booleans())
@settings(deadline=None)
def test_every_pulse_within_the_limits_is_counted_once_wherever_the_counter_begins_again(
    minutes: list[list[int]], before: int, looks: bool
) -> None:
    node = Minutes(before)
    for stretches in minutes:
        assert node.read(stretches, looks) == (sum(stretches), 0, MINUTE_MS)


@given(st.lists(st.integers(0, LIMIT - 1), min_size=1, max_size=12), BEFORE)
@settings(deadline=None)
def test_within_the_limits_the_interrupt_may_wait_for_the_reading(minutes: list[int], before: int) -> None:
    node = Minutes(before)
    for count in minutes:
        node.unit.pulses(count)
        assert node.read([]) == (count, 0, MINUTE_MS)


@given(TRAFFIC, BEFORE, st.booleans())
@settings(deadline=None)
def test_beyond_the_stated_rate_it_is_counted_flagged_and_not_observed(
    minutes: list[list[int]], before: int, looks: bool
) -> None:
    node = Minutes(before)
    for stretches in minutes:
        beyond = sum(stretches) >= LIMIT
        told = node.read(stretches, looks)
        assert told == (sum(stretches), CHATTER if beyond else 0, 0 if beyond else MINUTE_MS)
        assert node.inputs.faulty == beyond


@given(st.integers(1, FASTEST_HZ) | st.integers(500, 600), st.booleans())
@settings(deadline=None)
def test_any_steady_rate_is_exact_and_flagged_from_the_stated_one_on(per_second: int, looks: bool) -> None:
    node = Minutes(0)
    ends = [*range(SERVED_MS, MINUTE_MS, SERVED_MS), MINUTE_MS]
    passed = [per_second * ms // 1000 for ms in ends]
    stretches = [b - a for a, b in itertools.pairwise([0, *passed])]
    count, codes, _ = node.read(stretches, looks)
    assert count == per_second * MINUTE_MS // 1000
    assert codes == (CHATTER if per_second > 533 else 0)


def sensor(edge: str = "rising") -> tuple[PulseSensor, Unit]:
    made = PulseSensor(entry(edge), 0)
    made.start()
    return made, Unit.last


LONG_NS = st.integers(int(LONGEST_NS) + 1, 50_000_000)
GLITCH_NS = st.integers(1, int(LONGEST_NS))


@given(st.lists(st.tuples(LONG_NS, LONG_NS), max_size=20), st.sampled_from(["rising", "falling"]))
@settings(deadline=None)
def test_pulses_and_pauses_longer_than_the_stated_filter_are_counted(
    train: list[tuple[int, int]], edge: str
) -> None:
    pulses, unit = sensor(edge)
    assert unit.filter_ns == LONGEST_NS < FILTER_NS
    unit.signal([length for both in train for length in both])
    assert pulses.take() == (len(train),)
    assert pulses.health == 0


@given(st.lists(st.tuples(LONG_NS, st.lists(GLITCH_NS, max_size=6)), min_size=1, max_size=20))
@settings(deadline=None)
def test_glitches_in_a_pulse_or_beside_it_neither_add_a_pulse_nor_cost_one(
    levels: list[tuple[int, list[int]]],
) -> None:
    """At the end of a level, in pairs, so that it changes as it would have."""
    pulses, unit = sensor()
    lengths = [n for long, glitches in levels for n in (long, *glitches[: len(glitches) // 2 * 2])]
    unit.signal(lengths)
    assert pulses.take() == ((len(levels) + 1) // 2,)


@given(st.lists(st.integers(1, 10), min_size=1, max_size=10))
@settings(deadline=None)
def test_of_bounces_longer_than_the_filter_nothing_tells_as_stated_and_each_adds_one(
    bounces: list[int],
) -> None:
    """A limit of the kind: docs/sensors/pulse.md."""
    pulses, unit = sensor()
    for count in bounces:
        unit.signal([1_000_000] * (2 * count))
    assert pulses.take() == (sum(bounces),)
    assert pulses.health == 0
