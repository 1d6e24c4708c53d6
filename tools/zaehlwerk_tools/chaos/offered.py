"""What is offered: uplinks of many stations of which the air loses some and the server tells some twice, late or in another order."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass

from chirpstack_api import gw, integration

from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.status import Status

INTERVAL_S = 900
STATIONS = 40
NAMES = ("in", "out")
CHANNELS = len(NAMES)
HISTORY = 2
"""Intervals before its own that a frame tells; those of every second station tell none: there is nothing that heals a frame."""
MODULUS = 65536
EPOCH = 0x0C4A0500
PREFIX = "Chaos"
RATE_MOST = 60
"""Uplinks a second, at most; the load changes every few seconds between nothing and this."""
RATE_EVERY_S = (1.0, 6.0)
LOST = 0.08
"""Frames that no gateway hears."""
TWICE = 0.06
"""Entries that the server writes twice, word for word."""
COPIED = 0.05
"""Frames that come once more by another way, intervals later, as an uplink of its own."""
LATE = 0.05
"""Frames that come only after later ones."""
LATER_MOST = 3
SAID_LAST = 2
"""Last frames of each station, which the air does not lose: they tell the totals."""
HEADROOM = 20
"""Intervals between the newest that is offered and the present: a grace that a gap is given is over when it is heard."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of ChirpStack's stream, to be written at `at_s` of the run. `copy`: of one that was offered before.

    `station` and `totals`: what is known by it, by channel; `dev_eui`: the node that sent it.
    """

    at_s: float
    id: str
    value: bytes
    copy: bool
    station: str
    totals: Sequence[int]
    dev_eui: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """All entries of a run, ids rising, and what has to be known in the end, by station's slug and channel.

    `by_interval`: the sum of the intervals that follow, each for itself, from the frames that were heard.
    """

    entries: Sequence[Entry]
    totals: dict[tuple[str, str], int]
    by_interval: dict[tuple[str, str], int]

    @property
    def uplinks(self) -> int:
        """Without copies."""
        return sum(not entry.copy for entry in self.entries)


@dataclass(slots=True)
class _Uplink:
    """A frame on its way: due when the interval `due` is over."""

    due: int
    number: int
    """The interval that it closes."""
    station: int
    f_cnt: int
    port: int
    payload: bytes
    totals: Sequence[int]
    heard: str
    """What its deduplication id is made of: the same for a copy that the server writes twice."""
    copy: bool = False
    told: Sequence[int] = ()
    """Intervals whose counts it lists."""


class _Station:
    """One node: counts, and makes its frames."""

    def __init__(self, number: int, dice: random.Random, first: int) -> None:
        self.number = number
        self._dice = dice
        self.totals = [dice.randrange(1, 100_000) for _ in range(CHANNELS)]
        self._past: list[tuple[int, ...]] = []
        self._f_cnt = 0
        self._first = first
        self._history = 0 if number % 2 else HISTORY
        self._counts: dict[int, tuple[int, ...]] = {}

    def by_interval(self, heard: Sequence[_Uplink]) -> list[int]:
        """By channel, the sum of the intervals that follow from what was heard: from a list of counts, or from the totals
        before and after it, which may follow themselves."""
        totals, counts = {self._first - 1}, set[int]()
        for uplink in heard:
            totals.add(uplink.number)
            counts.update(uplink.told)
        while True:
            before = len(totals) + len(counts)
            counts |= {n for n in self._counts if {n - 1, n} <= totals}
            totals |= {n for n in counts if n - 1 in totals} | {n - 1 for n in counts if n in totals}
            if before == len(totals) + len(counts):
                return [sum(self._counts[n][channel] for n in counts) for channel in range(CHANNELS)]

    def greeting(self) -> _Uplink:
        """A status frame that names the epoch and anchors the totals."""
        anchor = (self._first - 1) % MODULUS
        return self._sent(
            self._first - 1, Status(1, 0, EPOCH + self.number, INTERVAL_S, (anchor, list(self.totals)))
        )

    def count(self, number: int) -> _Uplink:
        """The frame that closes interval `number`."""
        counts = tuple(self._dice.randrange(60) for _ in range(CHANNELS))
        self.totals = [total + count for total, count in zip(self.totals, counts, strict=True)]
        past = self._past[: self._history]
        frame = Counts(number % MODULUS, 0, [total % MODULUS for total in self.totals], past)
        self._past = [counts, *self._past[: HISTORY - 1]]
        self._counts[number] = counts
        return dataclasses.replace(self._sent(number, frame), told=range(number - len(past), number))

    def _sent(self, number: int, frame: Counts | Status) -> _Uplink:
        self._f_cnt += 1
        return _Uplink(
            number,
            number,
            self.number,
            self._f_cnt,
            frame.PORT,
            frame.encode(),
            tuple(self.totals),
            f"{self.number:04x}-{self._f_cnt:08x}",
        )


def offer(seed: int, seconds: float, now_s: int) -> Offer:
    """What a run of `seconds` that begins at `now_s`, Unix seconds, is offered: by the seed, except for the dates."""
    dice = random.Random(f"load {seed}")
    moments = _moments(dice, seconds)
    intervals = max(SAID_LAST + 1, len(moments) // STATIONS)
    first = now_s // INTERVAL_S - intervals - HEADROOM
    stations = [_Station(number, dice, first) for number in range(STATIONS)]
    greeted = [station.greeting() for station in stations]
    sent = [*greeted, *_heard(dice, stations, first, intervals)]
    sent.sort(key=lambda uplink: uplink.due)  # stable: within an interval as they were made
    entries: list[Entry] = []
    last_ms = 0
    for place, uplink in enumerate(sent):
        at_s = moments[place * len(moments) // len(sent)] if uplink not in greeted else 0.0
        last_ms = max(last_ms + 1, (uplink.due + 1) * INTERVAL_S * 1000)
        value = _event(uplink, last_ms)
        entry = Entry(
            at_s,
            f"{last_ms}-0",
            value,
            uplink.copy,
            slug(uplink.station),
            uplink.totals,
            dev_eui(uplink.station),
        )
        entries.append(entry)
        if dice.random() < TWICE:
            last_ms += 1
            entries.append(dataclasses.replace(entry, id=f"{last_ms}-0", copy=True))
    totals: dict[tuple[str, str], int] = {}
    by_interval: dict[tuple[str, str], int] = {}
    for station in stations:
        heard = [uplink for uplink in sent if uplink.station == station.number]
        places = [(slug(station.number), name) for name in NAMES]
        totals.update(zip(places, station.totals, strict=True))
        by_interval.update(zip(places, station.by_interval(heard), strict=True))
    return Offer(entries, totals, by_interval)


def slug(station: int) -> str:
    """The name of a station in topics."""
    return f"{PREFIX.lower()}-{station}"


def dev_eui(station: int) -> str:
    """The DevEUI of a station's node."""
    return f"{0x70B3D57ED0C00000 + station:016x}"


def clock_stepped(offered: Offer, steps: Sequence[tuple[float, float, float]]) -> Offer:
    """The same as the server tells it whose clock is off: `steps` are (from, until, seconds off), seconds of the run.

    Ids are Redis' own (`XADD … *`): where its clock went back they stay at the last millisecond and count on.
    """
    entries: list[Entry] = []
    last = (0, 0)
    for entry in offered.entries:
        off_s = sum(off for begin, end, off in steps if begin <= entry.at_s < end)
        at_ms = int(entry.id.partition("-")[0]) + round(1000 * off_s)
        last = (at_ms, 0) if at_ms > last[0] else (last[0], last[1] + 1)
        value = _at_another_time(entry.value, off_s) if off_s else entry.value
        entries.append(dataclasses.replace(entry, id=f"{last[0]}-{last[1]}", value=value))
    return dataclasses.replace(offered, entries=entries)


def _at_another_time(value: bytes, off_s: float) -> bytes:
    event = integration.UplinkEvent.FromString(value)
    for moment in (event.time, *(reception.ns_time for reception in event.rx_info)):
        moment.FromNanoseconds(moment.ToNanoseconds() + round(off_s * 1e9))
    written: bytes = event.SerializeToString()
    return written


def _moments(dice: random.Random, seconds: float) -> list[float]:
    """When uplinks come, seconds of the run: in bursts and lulls."""
    moments: list[float] = []
    at_s = 0.0
    while at_s < seconds:
        lasting_s, rate = dice.uniform(*RATE_EVERY_S), RATE_MOST * dice.random() ** 2
        end_s = min(seconds, at_s + lasting_s)
        while rate and (at_s := at_s + dice.expovariate(rate)) < end_s:
            moments.append(at_s)
        at_s = end_s
    return moments or [0.0]


def _heard(dice: random.Random, stations: Sequence[_Station], first: int, intervals: int) -> list[_Uplink]:
    heard: list[_Uplink] = []
    for number in range(first, first + intervals):
        for station in dice.sample(stations, len(stations)):
            uplink = station.count(number)
            if number >= first + intervals - SAID_LAST:
                heard.append(uplink)
                continue
            if dice.random() < LOST:
                continue
            if dice.random() < LATE:
                uplink.due += dice.randrange(1, LATER_MOST + 1)
            heard.append(uplink)
            if dice.random() < COPIED:
                later = uplink.due + dice.randrange(1, LATER_MOST + 1)
                heard.append(dataclasses.replace(uplink, due=later, heard=f"{uplink.heard}-again", copy=True))
    return heard


def _event(uplink: _Uplink, at_ms: int) -> bytes:
    """The protobuf of an UplinkEvent with what the bridge reads of it (ChirpStack 4, integration.proto)."""
    event = integration.UplinkEvent()
    event.deduplication_id = uplink.heard
    event.time.FromMilliseconds(at_ms)
    info = event.device_info
    info.device_name, info.dev_eui = f"{PREFIX} {uplink.station}", dev_eui(uplink.station)
    info.tags["station"] = f"{PREFIX} {uplink.station}"
    info.tags["channels"], info.tags["directions"], info.tags["classes"] = "in,out", "in,out", "bicycle"
    event.adr, event.dr, event.f_cnt, event.f_port, event.data = (
        True,
        5,
        uplink.f_cnt,
        uplink.port,
        uplink.payload,
    )
    reception = event.rx_info.add()
    reception.gateway_id, reception.uplink_id = "0016c001ff000000", at_ms % 2**32
    reception.ns_time.FromMilliseconds(at_ms)
    reception.rssi, reception.snr, reception.crc_status = -80, 7.5, gw.CRC_OK
    written: bytes = event.SerializeToString()
    return written
