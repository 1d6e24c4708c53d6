"""An oracle: a node with true counts, what it sends of them, and what of that arrives, when and how often."""

import random
from dataclasses import dataclass, field

from zaehlwerk_bridge.event import Event
from zaehlwerk_protocol.backfill import Backfill
from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.frame import Frame
from zaehlwerk_protocol.state import UNSYNCED
from zaehlwerk_protocol.status import Status

NS = 1_000_000_000
INTERVAL_S = 900
SLOT = 1_979_000
CHANNELS = 2
MAX_RATE = 40_000
"""Pulses per hour: from seven intervals without a total on, it may have gone round."""
MAX_COUNT = MAX_RATE * INTERVAL_S // 3600
TAGS = {"channels": "a,b", "classes": "bicycle", "directions": "in,out", "max_rate": str(MAX_RATE)}

Key = tuple[int, bool, int]
"""Epoch, whether in the node's own numbering, interval."""


@dataclass
class Totals:
    """One numbering of one epoch: the last closed interval and the totals at its end."""

    number: int
    totals: list[int]
    closed: dict[int, tuple[tuple[int, ...], tuple[int, int]]] = field(default_factory=dict)


class Node:
    """Draws its life from `dice`; `events` is what the server received, in order of time."""

    def __init__(self, dice: random.Random, *, loss: float, stations: tuple[str, ...] = ("Neutor",)) -> None:
        self.dice = dice
        self.loss = loss
        self.station = stations[0]
        self.stations = stations[1:]
        self.time_s = SLOT * INTERVAL_S
        self.epochs: list[int] = []
        self.truth: dict[Key, tuple[int, ...]] = {}
        self.cover: dict[Key, tuple[int, int]] = {}
        self.base: dict[Key, tuple[int, ...]] = {}
        self.events: list[Event] = []
        self._sent = 0
        self._own = 0  # next interval of the node's own numbering
        self._slots = Totals(SLOT - 1, [dice.choice([0, 7, 65_530, 200_000]) for _ in range(CHANNELS)])
        self._unsynced = Totals(-1, [0] * CHANNELS)
        self._new_epoch()
        self._since_epoch = 0

    @property
    def epoch(self) -> int:
        """The one in force."""
        return self.epochs[-1]

    def live(self, steps: int) -> None:
        """So many things happen, and in the end all totals are anchored."""
        for _ in range(steps):
            what = self.dice.choices(
                [
                    self.interval,
                    self.silence,
                    self.status,
                    self.backfill,
                    self.off,
                    self.without_time,
                    self.swap,
                ],
                [20, 2, 2, 3, 1, 1, 1],
            )[0]
            what()
        self.interval(lost=False)
        self.status(lost=False)
        self.events.sort(key=lambda event: event.received_ns)
        for number, event in enumerate(self.events):
            # The server numbers items in the order in which it received them.
            object.__setattr__(event, "cursor", f"{event.received_ns // 1_000_000}-{number}")

    def interval(self, *, lost: bool | None = None) -> None:
        """A slot is closed and its frame sent."""
        self.time_s += INTERVAL_S
        self._since_epoch += 1
        self._close(self._slots, self.time_s // INTERVAL_S - 1, unsynced=False)
        self._send(self._counts(self._slots, unsynced=False), lost)

    def silence(self) -> None:
        """Nothing is heard for long, and much is counted."""
        for _ in range(self.dice.choice([2, 3, 8, 12])):
            self.interval(lost=True)

    def off(self) -> None:
        """No power for some slots: the node has no record of them."""
        self.time_s += INTERVAL_S * self.dice.randrange(1, 12)

    def status(self, *, lost: bool | None = None) -> None:
        """Totals in full at the last closed slot."""
        newest = self._slots
        anchor = None if not newest.closed else (newest.number % 65_536, tuple(newest.totals))
        self._send(self._status(anchor=anchor), lost)

    def backfill(self) -> None:
        """Some rows of the past, with and without a record."""
        line, unsynced = self.dice.choice([(self._slots, False), (self._unsynced, True)])
        if not line.closed:
            return
        first = max(min(line.closed), line.number - self.dice.randrange(20))
        numbers = range(first, min(first + self.dice.randrange(1, 12), line.number + 1))
        rows = [line.closed[n][0] if n in line.closed else None for n in numbers]
        cover = [line.closed[n][1] if n in line.closed else (0, 0) for n in numbers]
        self._send(Backfill(first % 65_536, self._state(unsynced), CHANNELS, rows, cover).fit(51))

    def without_time(self) -> None:
        """Some intervals in the node's own numbering after a start, before the clock is known again."""
        self.off()
        began = self.time_s + self.dice.randrange(800)
        first = self._own
        self.time_s = began
        for _ in range(self.dice.randrange(1, 10)):
            self.time_s += INTERVAL_S
            self._close(self._unsynced, self._own, unsynced=True)
            self._own += 1
            self._send(self._counts(self._unsynced, unsynced=True))
        anchor = (self._unsynced.number % 65_536, tuple(self._unsynced.totals))
        self._send(self._status(anchor=anchor, unsynced=True), lost=False)
        self.time_s = (self.time_s // INTERVAL_S + 1) * INTERVAL_S
        self._send(self._status(mapping=(first, began)), lost=self.dice.random() < 0.3)

    def swap(self) -> None:
        """Installers' work: the totals begin anew, or the device serves another station."""
        if self._since_epoch < 6 or len(self.epochs) > 3:
            return
        if self.stations and self.dice.random() < 0.5:
            self.station, self.stations = self.stations[0], self.stations[1:]
            return
        self.interval(lost=False)
        self.status(lost=False)
        self._slots = Totals(self._slots.number, [0] * CHANNELS)
        self._unsynced = Totals(self._own - 1, [0] * CHANNELS)
        self._new_epoch()
        self._since_epoch = 0
        early = self.dice.randrange(3)
        for _ in range(early):
            self.interval()
        self.status(lost=False)

    def _new_epoch(self) -> None:
        self.epochs.append(self.dice.getrandbits(32))
        for unsynced, line in ((False, self._slots), (True, self._unsynced)):
            self.base[self.epoch, unsynced, line.number] = tuple(line.totals)

    def _close(self, line: Totals, number: int, *, unsynced: bool) -> None:
        counts = tuple(self.dice.choice([0, 0, 1, 5, 200, MAX_COUNT]) for _ in range(CHANNELS))
        cover = self.dice.choice([(0, 0), (0, 0), (0, 0), (1, 100), (2, 0), (3, 0)])
        if cover[1] == 0:
            counts = tuple(0 if cover[0] >> channel & 1 else count for channel, count in enumerate(counts))
        line.number = number
        line.totals = [total + count for total, count in zip(line.totals, counts, strict=True)]
        line.closed[number] = (counts, cover)
        self.truth[self.epoch, unsynced, number] = counts
        self.cover[self.epoch, unsynced, number] = cover

    def _counts(self, line: Totals, *, unsynced: bool) -> Counts:
        rows, cover = [], [line.closed[line.number][1]]
        number = line.number - 1
        while number in line.closed and len(rows) < self.dice.randrange(1, 5):
            rows.append(line.closed[number][0])
            cover.append(line.closed[number][1])
            number -= 1
        totals = [total % 65_536 for total in line.totals]
        return Counts(line.number % 65_536, self._state(unsynced), totals, rows, cover).fit(36)

    def _status(
        self,
        *,
        anchor: tuple[int, tuple[int, ...]] | None = None,
        mapping: tuple[int, int] | None = None,
        unsynced: bool = False,
    ) -> Status:
        return Status(1, self._state(unsynced), self.epoch, INTERVAL_S, anchor, mapping)

    def _state(self, unsynced: bool) -> int:
        return (len(self.epochs) - 1) % 4 | (UNSYNCED if unsynced else 0)

    def _send(self, frame: Frame, lost: bool | None = None) -> None:
        if self.dice.random() < self.loss if lost is None else lost:
            return
        received_ns = self.time_s * NS + self.dice.randrange(5 * NS, 90 * NS)
        self._receive(frame, received_ns)
        if self.dice.random() < 0.1:  # by another way, as a frame of its own
            self._receive(frame, received_ns + self.dice.randrange(3 * INTERVAL_S * NS))

    def _receive(self, frame: Frame, received_ns: int) -> None:
        self._sent += 1
        tags = {**TAGS, "station": self.station}
        self.events.append(
            Event(
                "grpc",
                "0102030405060708",
                "up",
                f"id-{self._sent}",
                "",
                received_ns,
                frame.PORT,
                self._sent,
                frame.encode(),
                "node-1",
                tags,
            )
        )
