"""Which kind of sensor counts at a station, and what of a table's quarter-hours it then sees: passages, trains, lines.

Where a kind does not fit a station - too few pins or channels, more passages than its limits allow, channels of a pair that
were not observed alike - contacts take its place, and pulses theirs; `equip` says so in words.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import cycle
from typing import Any

from zaehlwerk_tools.channel_names import Channel
from zaehlwerk_tools.city_table import Station
from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.local_time import NS, SLOT_S
from zaehlwerk_tools.pulses import GUARD_S, Level, ok_levels
from zaehlwerk_tools.simulator.inputs import EdgeTrain, PulseInputs, SerialLine
from zaehlwerk_tools.simulator.passages import (
    BICYCLE,
    MS,
    Bounces,
    Crossing,
    Radar,
    Sighting,
    Stay,
    Vehicle,
    contact,
    tubes,
    two_contacts,
)

MIX = "mix"
CHANNELS_MOST, RADARS_MOST = 8, 2
"""Of a node: channels of a settings file, UARTs for radars."""
WINDOW_MS = 300
"""Of the direction sensors: longer than anybody here needs from one contact to the other."""
DISTANCE_MM = 1000
"""From tube to tube."""


class Kind(StrEnum):
    """A kind of sensor, as the firmware's settings call it."""

    PULSE = "pulse"
    CONTACT = "contact"
    PRESENCE = "presence"
    DIRECTION = "direction"
    TUBE = "tube"
    RADAR = "radar"


CHOICES = (*Kind, MIX)


@dataclass(frozen=True, slots=True)
class Limits:
    """How passages are chosen so that a sensor can see each of them.

    gap_s: from the begin of one to the begin of the next, of one sensor, or of one direction of a radar. settle_s: after a
    passage's begin its sensor has counted it; kept free at both edges of a quarter-hour, besides `GUARD_S`.
    """

    gap_s: float
    settle_s: float


LIMITS = {
    # At most 150 ms closed, 8 ms of bounces, 100 ms of gap.
    Kind.CONTACT: Limits(0.28, 0.5),
    # At most 600 ms there.
    Kind.PRESENCE: Limits(0.75, 1.0),
    # At most 200 ms to the second contact, then the window and a stall of 50 ms; and 64 a minute are all there is room for.
    Kind.DIRECTION: Limits(0.95, 1.5),
    # At 18 km/h 0.41 s on the tubes; what follows within 1.7 s could be taken for a part of one that a stall has spoilt.
    Kind.TUBE: Limits(2.2, 4.5),
    # At most six detections 80 ms apart, then 600 ms of quiet.
    Kind.RADAR: Limits(1.2, 2.5),
}

Settings = list[dict[str, Any]]
Times = list[list[int]]


def equip(
    stations: Iterable[Station], slots: range, wanted: str
) -> tuple[tuple[Station, ...], Mapping[str, Kind], tuple[str, ...]]:
    """The stations as these sensors count them, the kind at each by its id, and what a person should know of it.

    A direction sensor has a third channel, of those whose direction it cannot tell: nobody here. Tubes count both
    directions in one channel, without a class: a stall of the interrupts costs a vehicle its class, never the vehicle.
    Raises ZaehlwerkError if there is no such kind.
    """
    if wanted not in CHOICES:
        raise ZaehlwerkError(f"--sensors {wanted}: expected one of {', '.join(CHOICES)}")
    if wanted == Kind.PULSE:
        return tuple(stations), {}, ()
    turns = cycle(Kind) if wanted == MIX else cycle([Kind(wanted)])
    equipped, kinds, notes = [], {}, []
    for station, kind in zip(stations, turns, strict=False):
        there = kind
        for replacement in (Kind.CONTACT, Kind.PULSE):
            if _fits(there, station, slots):
                break
            there = replacement
        if there != kind:
            notes.append(
                f"{station.name}: no {kind} sensor fits its counts or its channels; {there} sensors there"
            )
        if there != Kind.PULSE:
            kinds[station.id] = there
        equipped.append(_as_counted(station, there))
    return tuple(equipped), kinds, tuple(notes)


def _as_counted(station: Station, kind: Kind) -> Station:
    if kind == Kind.TUBE:
        return _both_ways(station)
    if kind == Kind.DIRECTION:
        return _with_unknown(station)
    return station


def _with_unknown(station: Station) -> Station:
    channels: list[Channel] = []
    for first in range(0, len(station.channels), 2):
        a, b = station.channels[first : first + 2]
        name = f"unknown-{first // 2 + 1}" if len(station.channels) > 2 else "unknown"
        heading = f"{a.heading} / {b.heading}"
        channels += [a, b, Channel(name, heading, a.traffic_class, "unknown", "")]
    counts = {
        slot: tuple(
            count
            for first in range(0, len(row), 2)
            for count in (row[first], row[first + 1], None if row[first] is None else 0)
        )
        for slot, row in station.counts.items()
    }
    return replace(station, channels=tuple(channels), counts=counts)


def _both_ways(station: Station) -> Station:
    pairs = range(0, len(station.channels), 2)
    channels = tuple(
        Channel(
            f"both-{first // 2 + 1}" if len(pairs) > 1 else "both",
            " / ".join(channel.heading for channel in station.channels[first : first + 2]),
            "unknown",
            "both",
            "",
        )
        for first in pairs
    )
    counts = {
        slot: tuple(
            None if row[first] is None else (row[first] or 0) + (row[first + 1] or 0) for first in pairs
        )
        for slot, row in station.counts.items()
    }
    return replace(station, channels=channels, counts=counts)


def _fits(kind: Kind, station: Station, slots: range) -> bool:
    if kind == Kind.PULSE:
        return True
    channels, rows = station.channels, [station.row(slot) for slot in slots]
    limits = LIMITS[kind]
    most = (SLOT_S - 2 * (GUARD_S + limits.settle_s)) / limits.gap_s
    if kind in {Kind.CONTACT, Kind.PRESENCE}:
        return len(channels) <= CHANNELS_MOST and all((count or 0) <= most for row in rows for count in row)
    pairs = range(0, len(channels), 2)
    alike = all((row[first] is None) == (row[first + 1] is None) for row in rows for first in pairs)
    if len(channels) % 2 or not alike:
        return False
    if kind == Kind.RADAR:
        dense = any((count or 0) > most for row in rows for count in row)
        return len(pairs) <= RADARS_MOST and not dense and _opposite(channels)
    dense = any((row[first] or 0) + (row[first + 1] or 0) > most for row in rows for first in pairs)
    if kind == Kind.DIRECTION:
        return 3 * len(pairs) <= CHANNELS_MOST and not dense and _opposite(channels)
    return len(pairs) <= CHANNELS_MOST and not dense


def _opposite(channels: Sequence[Channel]) -> bool:
    ways = [tuple(channel.direction for channel in channels[n : n + 2]) for n in range(0, len(channels), 2)]
    return all(way in {("in", "out"), ("out", "in"), ("unknown", "unknown")} for way in ways)


@dataclass(frozen=True, slots=True)
class Equipment:
    """The sensors of one station over `slots`; the same seed gives the same passages."""

    kind: Kind
    station: Station
    slots: range
    seed: int

    @property
    def _size(self) -> int:
        """Channels of one sensor."""
        return {Kind.DIRECTION: 3, Kind.RADAR: 2}.get(self.kind, 1)

    @property
    def _sensors(self) -> range:
        """The first channel of each."""
        return range(0, len(self.station.channels), self._size)

    @property
    def pins(self) -> int:
        """How many it needs."""
        each = 2 if self.kind in {Kind.DIRECTION, Kind.TUBE} else 1
        return sum(each + (self._ok(first) is not None) for first in self._sensors)

    def _ok(self, channel: int) -> tuple[Level, ...] | None:
        return ok_levels((slot, self.station.row(slot)[channel] is not None) for slot in self.slots)

    def wired(self, free: Sequence[int]) -> tuple[Settings, PulseInputs]:
        """The channels of the settings, and what is at the pins. IndexError if there are too few of them."""
        pins = iter(free)
        channels: Settings = []
        trains: dict[int, EdgeTrain] = {}
        serial: dict[int, SerialLine] = {}
        levels: dict[int, Sequence[Level]] = {}
        for number, first in enumerate(self._sensors):
            sensor: dict[str, Any] = {"sensor": str(self.kind), "pin": next(pins)}
            if self.kind in {Kind.DIRECTION, Kind.TUBE}:
                sensor["pin_b"] = next(pins)
            ok = self._ok(first)
            if ok is not None:
                sensor["ok_pin"] = next(pins)
                levels[sensor["ok_pin"]] = ok
            randoms = random.Random(f"{self.seed}/{self.station.id}/{self.kind}/{first}")
            if self.kind == Kind.RADAR:
                sensor["uart"] = number + 1
                serial[sensor["pin"]] = self._radar(randoms, first)
            else:
                for name, train in zip(
                    ("pin", "pin_b"), _TRAINS[self.kind](self, randoms, first), strict=False
                ):
                    trains[sensor[name]] = train
            channels += self._described(first, sensor)
        return channels, PulseInputs(levels=levels, trains=trains, serial=serial)

    def _described(self, first: int, sensor: dict[str, Any]) -> Settings:
        own = self.station.channels[first : first + self._size]
        outputs = {Kind.DIRECTION: ("ab", "ba", "unknown"), Kind.RADAR: ("towards", "away")}.get(
            self.kind, ()
        )
        described: Settings = [
            {"class": channel.traffic_class, "direction": channel.direction} for channel in own
        ]
        for entry, output in zip(described, outputs, strict=False):
            entry |= {"output": output, "shares": first}
        described[0].pop("shares", None)
        described[0] |= sensor
        if self.kind == Kind.DIRECTION:
            described[0]["window_ms"] = WINDOW_MS
        if self.kind == Kind.TUBE:
            described[0]["distance_mm"] = DISTANCE_MM
        return described

    def _begins(self, channels: Sequence[int]) -> Iterator[tuple[int, int]]:
        """(ns, which of the channels) of all passages of channels that share their time, at least the gap apart."""
        limits = LIMITS[self.kind]
        guard, gap = round((GUARD_S + limits.settle_s) * NS), round(limits.gap_s * NS)
        for slot in self.slots:
            row = self.station.row(slot)
            which = [n for n, channel in enumerate(channels) for _ in range(row[channel] or 0)]
            # A generator per quarter-hour: a day's passages are the same whether one day is played or seven.
            randoms = random.Random(f"{self.seed}/{self.station.id}/{self.kind}/{channels[0]}/{slot}")
            randoms.shuffle(which)
            room = SLOT_S * NS - 2 * guard - gap * len(which)
            offsets = sorted(randoms.randrange(room) for _ in which)
            for n, (offset, channel) in enumerate(zip(offsets, which, strict=True)):
                yield slot * SLOT_S * NS + guard + gap * n + offset, channel

    def _contacts(self, randoms: random.Random, first: int) -> tuple[EdgeTrain, ...]:
        low, high = (80, 150) if self.kind == Kind.CONTACT else (150, 600)
        stays = (Stay(at, at + randoms.randint(low, high) * MS) for at, _ in self._begins([first]))
        return (contact(randoms, stays, Bounces(2)),)

    def _directions(self, randoms: random.Random, first: int) -> tuple[EdgeTrain, ...]:
        crossings = [
            Crossing(at, randoms.randint(100, 250) * MS, randoms.randint(70, 200) * MS, bool(back))
            for at, back in self._begins([first, first + 1])
        ]
        return two_contacts(randoms, crossings, Bounces(1))

    def _tubes(self, randoms: random.Random, first: int) -> tuple[EdgeTrain, ...]:
        vehicles = (
            Vehicle(at, BICYCLE, randoms.randint(180, 280), randoms.random() < 0.5)
            for at, _ in self._begins([first])
        )
        return tubes(randoms, vehicles, DISTANCE_MM, Bounces(2, 6 * MS))

    def _radar(self, randoms: random.Random, first: int) -> SerialLine:
        seen = [
            Sighting(at, randoms.randint(120, 300), bool(away), randoms.randint(4, 6))
            for away in (0, 1)
            for at, _ in self._begins([first + away])
        ]
        seen.sort(key=lambda sighting: sighting.at_ns)
        return Radar().sent(Radar().lines(randoms, seen))


_Made = Callable[[Equipment, random.Random, int], tuple[EdgeTrain, ...]]
_TRAINS: dict[Kind, _Made] = {
    Kind.CONTACT: Equipment._contacts,
    Kind.PRESENCE: Equipment._contacts,
    Kind.DIRECTION: Equipment._directions,
    Kind.TUBE: Equipment._tubes,
}
