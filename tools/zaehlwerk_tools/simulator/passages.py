"""What passes a sensor, and what the sensor's pins make of it: passages in, trains of edges or serial lines out.

Pure and seeded: the same randoms give the same train. All times are UTC Unix nanoseconds, distances mm, speeds 0.1 km/h as
in the firmware's settings. The passages are the ground truth; what a sensor has to tell of them follows from them alone.
"""

from __future__ import annotations

import heapq
import random
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zaehlwerk_tools.simulator.serial_line import SerialLine
from zaehlwerk_tools.simulator.trains import EdgeTrain

US, MS = 1_000, 1_000_000
MM_PER_KMH10 = 36_000
"""1 mm per us in 0.1 km/h."""


@dataclass(frozen=True, slots=True)
class Bounces:
    """How a contact comes to rest: up to `pairs` times it lets go and closes again, within `span_ns` of the change.

    `always`: as often as it may, evenly over the whole span.
    """

    pairs: int = 0
    span_ns: int = 8 * MS
    always: bool = False

    def edges(self, randoms: random.Random, at_ns: int) -> list[int]:
        """The edges of one change at `at_ns`, an odd number of them."""
        count = 2 * (self.pairs if self.always else randoms.randint(0, self.pairs))
        if not count:
            return [at_ns]
        # Steps of 10 us are far enough apart for a train and never fall together.
        steps = self.span_ns // (10 * US)
        if self.always:
            chosen = [steps * (n + 1) // count for n in range(count)]
        else:
            chosen = sorted(randoms.sample(range(1, steps + 1), count))
        return [at_ns, *(at_ns + step * 10 * US for step in chosen)]


CLEAN = Bounces()
WORST = Bounces(pairs=10)
"""21 edges within 8 ms."""


@dataclass(frozen=True, slots=True)
class Stay:
    """Somebody is at a contact, a beam or a loop from `begin_ns` to `end_ns`."""

    begin_ns: int
    end_ns: int


def contact(
    randoms: random.Random, stays: Iterable[Stay], bounces: Bounces = CLEAN, idle: int = 0
) -> EdgeTrain:
    """The pin of a reed contact, a relay, a beam or a loop detector. ValueError for stays that overlap in their bounces."""
    times: array[int] = array("q")
    for stay in stays:
        times.extend(bounces.edges(randoms, stay.begin_ns))
        times.extend(bounces.edges(randoms, stay.end_ns))
    return EdgeTrain(times, idle)


def occupancy(stays: Iterable[Stay], from_ns: int, to_ns: int) -> float:
    """The share of the time in per mille in which somebody was there."""
    there = sum(max(0, min(stay.end_ns, to_ns) - max(stay.begin_ns, from_ns)) for stay in stays)
    return 1000 * there / (to_ns - from_ns)


@dataclass(frozen=True, slots=True)
class Crossing:
    """Somebody passes two sensors: at the first from `begin_ns` for `stay_ns`, at the other `delay_ns` later.

    back: B first.
    """

    begin_ns: int
    stay_ns: int
    delay_ns: int
    back: bool


def two_contacts(
    randoms: random.Random, crossings: Sequence[Crossing], bounces: Bounces = CLEAN, idle: int = 0
) -> tuple[EdgeTrain, EdgeTrain]:
    """The pins of sensors A and B."""
    stays: tuple[list[Stay], list[Stay]] = ([], [])
    for crossing in crossings:
        for side in (0, 1):
            begin = crossing.begin_ns + (side ^ crossing.back) * crossing.delay_ns
            stays[side].append(Stay(begin, begin + crossing.stay_ns))
    a, b = [contact(randoms, side, bounces, idle) for side in stays]
    return a, b


BICYCLE = (0, 1050)
TRAILER = (0, 1050, 2650)
CAR = (0, 2600)
LORRY = (0, 3800, 9200, 10_500, 11_800)
"""Axles behind the first one: of a bicycle, one with a trailer, a car, and an articulated lorry with a tridem."""


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A vehicle whose first axle hits its first tube at `at_ns`; back: tube B first. Bicycles are `bicycle`."""

    at_ns: int
    axles: tuple[int, ...]
    speed: int
    back: bool = False

    @property
    def bicycle(self) -> bool:
        """Whether its first two axles are those of a bicycle."""
        return self.axles[1] <= 1300

    @property
    def output(self) -> str:
        """The output of the firmware's tube sensor that it belongs to."""
        return f"{'bicycle' if self.bicycle else 'motor'}_{'ba' if self.back else 'ab'}"

    def hits(self, distance_mm: int) -> tuple[list[int], list[int]]:
        """When its axles hit tube A, and tube B."""
        near = [self.at_ns + mm * MM_PER_KMH10 * US // self.speed for mm in self.axles]
        far = [self.at_ns + (mm + distance_mm) * MM_PER_KMH10 * US // self.speed for mm in self.axles]
        return (far, near) if self.back else (near, far)

    def gone_ns(self, distance_mm: int) -> int:
        """When its last axle has hit its last tube."""
        return self.hits(distance_mm)[1 - self.back][-1]


def tubes(
    randoms: random.Random,
    vehicles: Iterable[Vehicle],
    distance_mm: int,
    bounces: Bounces = CLEAN,
    pulse_ns: int = 9 * MS,
    idle: int = 0,
) -> tuple[EdgeTrain, EdgeTrain]:
    """The pressure switches of tubes A and B: closed for `pulse_ns` after a hit. Hits that fall into one are one."""
    hits: tuple[list[int], list[int]] = ([], [])
    for vehicle in vehicles:
        for tube, own in zip(hits, vehicle.hits(distance_mm), strict=True):
            tube.extend(own)
    trains = []
    for tube in hits:
        times: array[int] = array("q")
        for at in sorted(tube):
            if not times or at > times[-1] + US:
                times.extend(bounces.edges(randoms, at))
                times.extend(bounces.edges(randoms, max(at + pulse_ns, times[-1] + 10 * US)))
        trains.append(EdgeTrain(times, idle))
    return trains[0], trains[1]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A radar sees somebody from `at_ns` on `hits` times, every `step_ns`, at `speed`."""

    at_ns: int
    speed: int
    away: bool
    hits: int = 5
    step_ns: int = 80 * MS


class Radar:
    """What an OPS243-A writes: a line of JSON per detection, with the speed in km/h; times are quantised by the line.

    idle_step_ns: while it sees nothing it says so every so often ("Blank Data Reporting"); None: it is silent then.
    """

    def __init__(self, baud: int = 19_200, idle_step_ns: int | None = None) -> None:
        self._baud = baud
        self._idle_step_ns = idle_step_ns

    def line(self, speed: int, away: bool) -> bytes:
        """One detection."""
        way = "outbound" if away else "inbound"
        return f'{{"speed":{speed // 10}.{speed % 10}, "direction":"{way}"}}\r\n'.encode()

    def lines(self, randoms: random.Random, sightings: Sequence[Sighting]) -> list[tuple[int, bytes]]:
        """(wanted time, line) of all detections, in order. The speed varies by some tenths and one outlier is slow."""
        wanted: list[tuple[int, int, bytes]] = []
        for number, sighting in enumerate(sightings):
            for hit in range(sighting.hits):
                # The second highest is the speed that is told.
                speed = sighting.speed if hit in (1, 2) else sighting.speed - randoms.randint(1, 15)
                at = sighting.at_ns + hit * sighting.step_ns
                heapq.heappush(wanted, (at, number, self.line(speed, sighting.away)))
        return [(at, line) for at, _, line in (heapq.heappop(wanted) for _ in range(len(wanted)))]

    def sent(self, lines: Iterable[tuple[int, bytes]], from_ns: int = 0, to_ns: int = 0) -> SerialLine:
        """The serial line: each line at its time, or when the one before is over; zeros between from_ns and to_ns."""
        pieces: list[tuple[int, bytes]] = []
        character_ns = -(-10 * 1_000_000_000 // self._baud)
        free_ns = from_ns
        for wanted_ns, line in lines:
            free_ns = self._blank(pieces, free_ns, wanted_ns, character_ns)
            at = max(wanted_ns, free_ns)
            pieces.append((at, line))
            free_ns = at + (len(line) + 1) * character_ns
        self._blank(pieces, free_ns, to_ns, character_ns)
        return SerialLine(pieces, self._baud)

    def _blank(self, pieces: list[tuple[int, bytes]], free_ns: int, until_ns: int, character_ns: int) -> int:
        if self._idle_step_ns is None:
            return free_ns
        line = b'{"speed":0.0}\r\n'
        length = (len(line) + 1) * character_ns
        while free_ns + self._idle_step_ns + length < until_ns:
            free_ns += self._idle_step_ns
            pieces.append((free_ns, line))
            free_ns += length
        return free_ns


def spoiled(
    randoms: random.Random, lines: Sequence[tuple[int, bytes]], *, garbage: float, cut: float
) -> list[tuple[int, bytes]]:
    """The lines with noise before a share `garbage` of them, and a share `cut` without their beginning or end."""
    told = []
    for at, whole in lines:
        line = whole
        if randoms.random() < cut:
            where = randoms.randrange(1, len(whole) - 2)
            line = whole[where:] if randoms.random() < 0.5 else whole[:where]
        if randoms.random() < garbage:
            # No line end, so that what it stands before is lost with it.
            noise = bytes(randoms.choice(b"\x00\x07\x80\xfe?{") for _ in range(randoms.randint(1, 12)))
            line = noise + line
        told.append((at, line))
    return told
