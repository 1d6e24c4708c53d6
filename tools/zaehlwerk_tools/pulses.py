"""From a table's quarter-hours to single pulses, and to the times at which a sensor does not observe.

Each quarter-hour gets exactly as many pulses as the table counts, at random times that follow from the seed alone.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zaehlwerk_tools.city_table import Station
from zaehlwerk_tools.local_time import NS, SLOT_S
from zaehlwerk_tools.simulator.inputs import PulseInputs

GUARD_S = 3.0
"""Seconds kept free of pulses at both edges of a quarter-hour. A node closes its interval by its own clock, which
is within this of UTC; a pulse nearer to the edge could rightly fall into either, and an exact comparison would then
compare clocks and not counting."""

MIN_GAP_S = 0.15
"""Seconds between two pulses of a channel, if as many fit: an inductive loop's relay holds its contact about
100 ms, and two bicycles in one direction follow no closer."""

MARGIN_S = 1.5
"""Seconds by which "not observed" begins late and ends early. The neighbouring intervals then stay whole although
the node's clock is not exact, and what remains observed of the interval, 3 of 900 s, rounds down to no coverage
(protocol, counts frame: share x 255 rounded down)."""

OBSERVING, BLIND = 1, 0

Level = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ChannelInput:
    """What one channel's two pins see."""

    pulses: array[int]  # UTC Unix nanoseconds, rising
    ok: (
        tuple[Level, ...] | None
    )  # (UTC Unix nanoseconds, level) from the first on; None: no such pin is needed


def channel_inputs(
    station: Station,
    slots: range,
    seed: int,
    *,
    guard_s: float = GUARD_S,
    min_gap_s: float = MIN_GAP_S,
) -> tuple[ChannelInput, ...]:
    """The inputs of all channels of `station` over `slots`. Same station, slots and seed: same inputs.

    Raises ValueError if the guards leave nothing of a quarter-hour or the gap is negative.
    """
    if not 0 <= guard_s < SLOT_S / 2 or min_gap_s < 0:
        raise ValueError(f"guard {guard_s} s and gap {min_gap_s} s do not fit a quarter-hour of {SLOT_S} s")
    rows = [(slot, station.row(slot)) for slot in slots]
    inputs = []
    for number in range(len(station.channels)):
        times: array[int] = array("q")
        for slot, row in rows:
            # A generator per quarter-hour: a day's pulses are the same whether one day is played or seven.
            randoms = random.Random(f"{seed}/{station.id}/{number}/{slot}")
            times.extend(_spread(randoms, slot, row[number] or 0, guard_s, min_gap_s))
        inputs.append(ChannelInput(times, ok_levels((slot, row[number] is not None) for slot, row in rows)))
    return tuple(inputs)


def _spread(randoms: random.Random, slot: int, count: int, guard_s: float, min_gap_s: float) -> list[int]:
    """`count` rising times inside the slot's guards, at least `min_gap_s` apart or evenly closer if that does not fit."""
    if not count:
        return []
    begin = slot * SLOT_S * NS + round(guard_s * NS)
    length = (SLOT_S * NS) - 2 * round(guard_s * NS)
    # At most half of the time is spent on gaps, so that a busy quarter-hour stays random.
    gap = min(round(min_gap_s * NS), length // (2 * count))
    room = length - gap * count
    draw = randoms.random
    return [
        begin + gap * number + offset
        for number, offset in enumerate(sorted(int(draw() * room) for _ in range(count)))
    ]


def ok_levels(observed: Iterable[tuple[int, bool]]) -> tuple[Level, ...] | None:
    """The changes of a sensor's own "I am working", for slots and whether it was observed; None: it always was."""
    levels: list[Level] = [(0, OBSERVING)]
    was = True
    end_s = 0
    margin = round(MARGIN_S * NS)
    for slot, now in observed:
        if was and not now:
            levels.append((slot * SLOT_S * NS + margin, BLIND))
        elif now and not was:
            levels.append((slot * SLOT_S * NS - margin, OBSERVING))
        was = now
        end_s = (slot + 1) * SLOT_S
    if not was:
        levels.append((end_s * NS - margin, OBSERVING))
    return tuple(levels) if len(levels) > 1 else None


def wire(inputs: Sequence[ChannelInput], pins: Sequence[tuple[int, int | None]]) -> PulseInputs:
    """The board's inputs, each channel at its (pulse pin, ok pin). Raises ValueError if a needed ok pin is missing."""
    pulses: dict[int, Sequence[int]] = {}
    levels: dict[int, Sequence[Level]] = {}
    for number, (channel, (pin, ok_pin)) in enumerate(zip(inputs, pins, strict=True)):
        pulses[pin] = channel.pulses
        if ok_pin is not None:
            levels[ok_pin] = channel.ok or ((0, OBSERVING),)
        elif channel.ok is not None:
            raise ValueError(f"channel {number} is not observed at times and needs an ok pin to say so")
    return PulseInputs(pulses, levels)
