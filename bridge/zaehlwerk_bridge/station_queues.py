"""Which message of the outbox is next: stations beside each other, the messages of one station after each other.

Pure: no I/O and no clock. In memory are at most `most` messages and one for each station that is held.
"""

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from zaehlwerk_bridge.outbox import OutboxRow


@dataclass(slots=True)
class _Station:
    rows: deque[OutboxRow] = field(default_factory=deque)
    in_flight: bool = False
    held: bool = False
    retrying: bool = False
    resume_after: int | None = None
    """The outbox holds rows of this station behind this seq that are not in memory."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What to read of the outbox: at most `limit` rows behind `after_seq`."""

    after_seq: int
    limit: int
    way: int
    news: int


class StationQueues:
    """The messages in memory. Never two of a station are out at once, so a refused one is never overtaken."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._stations: dict[str, _Station] = {}
        self._ready: list[tuple[int, str]] = []  # heap of (seq of the first message, station)
        self._known: set[int] = set()
        self._waiting = 0
        self._after_seq = 0
        self._exhausted = False
        self._way = (
            0  # counts how often what was read has to be read again: a reading under way is out of date
        )
        self._news = 0  # counts what a reading that is under way may not have seen
        # What has left the outbox since a reading was begun; None: none is.
        self._left: set[int] | None = None

    def __len__(self) -> int:
        """Messages in memory, those in flight and those not yet forgotten included."""
        return len(self._known)

    @property
    def filled(self) -> float:
        """Which share of what may be in memory waits there."""
        return self._waiting / self._most

    @property
    def held(self) -> list[str]:
        """Stations that are held, by name."""
        return sorted(name for name, station in self._stations.items() if station.held)

    @property
    def wants_more(self) -> bool:
        """Whether the outbox has to be read now: it may hold something, and there is room in memory."""
        return not self._exhausted and 2 * (self._most - self._waiting) >= self._most

    def reading(self) -> Reading | None:
        """Begin to read the outbox: what to read of it, for `refill`; None if nothing is to be read. One at a time."""
        if not self.wants_more:
            return None
        self._left = set()
        return Reading(self._after_seq, self._most - self._waiting, self._way, self._news)

    def refill(self, reading: Reading, rows: Sequence[OutboxRow]) -> None:
        """Take what the outbox gave for `reading`."""
        left, self._left = self._left or (), None
        if reading.way != self._way:
            return  # what is known is read once more
        self._exhausted = len(rows) < reading.limit and reading.news == self._news
        for row in rows:
            # What was offered meanwhile is in memory, or has left the outbox since it was read.
            if row.seq > self._after_seq:
                self._after_seq = row.seq
                if row.seq not in left:
                    self._add(row)

    def offer(self, rows: Sequence[OutboxRow]) -> bool:
        """Take `rows`, not none, which one transaction just put into the outbox, without reading it; whether they were taken.

        Not if it may hold others that come before them, nor if there is no room: they are read in their turn.
        """
        rows = [row for row in rows if row.seq > self._after_seq]  # the others were read already
        if not rows:
            return True
        room = self._waiting + len(rows) <= self._most
        # Numbers follow each other, so nothing is between those that do.
        if not room or rows[0].seq != self._after_seq + 1:
            self.more()
            return False
        for row in rows:
            self._add(row)
        self._after_seq = rows[-1].seq
        return True

    def _add(self, row: OutboxRow) -> None:
        if row.seq in self._known:
            return
        station = self._stations.get(row.station)
        if station is None:
            station = self._stations[row.station] = _Station()
        if station.held:
            # It stays in the outbox: a station that nobody takes must not fill the memory.
            self._resume(station, row.seq - 1)
            return
        self._known.add(row.seq)
        self._waiting += 1
        station.rows.append(row)
        if len(station.rows) == 1 and not station.in_flight:
            heapq.heappush(self._ready, (row.seq, row.station))

    def more(self) -> None:
        """The outbox got new messages behind what was read of it."""
        self._exhausted = False
        self._news += 1

    def reload(self, after_seq: int = 0) -> None:
        """The outbox got messages that may be anywhere in it behind `after_seq`."""
        self._back_to(after_seq)

    def _back_to(self, after_seq: int) -> None:
        self._after_seq = min(self._after_seq, after_seq)
        self._way += 1
        self.more()

    def next(self) -> OutboxRow | None:
        """Return the oldest message that may be sent now; it is in flight from here on."""
        if not self._ready:
            return None
        _, name = heapq.heappop(self._ready)
        station = self._stations[name]
        row = station.rows.popleft()
        if not station.held:
            self._waiting -= 1
        station.retrying = False
        station.in_flight = True
        return row

    def done(self, row: OutboxRow) -> bool:
        """`row` was in flight and will leave the outbox; `forget` it when it has left.

        Returns whether another of its station is in memory.
        """
        station = self._stations[row.station]
        station.in_flight = False
        station.held = False
        if station.resume_after is not None:
            self._back_to(station.resume_after)
            station.resume_after = None
        if station.rows:
            heapq.heappush(self._ready, (station.rows[0].seq, row.station))
            return True
        del self._stations[row.station]
        return False

    def forget(self, row: OutboxRow) -> None:
        """`row` has left the outbox."""
        self._known.discard(row.seq)
        if self._left is not None:
            self._left.add(row.seq)

    def hold(self, row: OutboxRow) -> None:
        """`row` was in flight and was refused: keep it, and all that follows of its station, until `retry`."""
        station = self._stations[row.station]
        station.in_flight = False
        station.held = True
        if station.rows:
            self._resume(station, station.rows[0].seq - 1)
            self._waiting -= len(station.rows)
            self._known.difference_update(left.seq for left in station.rows)
            station.rows.clear()
        station.rows.append(row)

    def first(self, name: str) -> OutboxRow | None:
        """The message that a held station waits with."""
        station = self._stations.get(name)
        return station.rows[0] if station is not None and station.held and station.rows else None

    def again(self, name: str) -> None:
        """Read all of a station of which nothing is in flight again: what the outbox holds of it is not what it was."""
        station = self._stations.pop(name, None)
        if station is not None:
            assert not station.in_flight
            first = station.rows[0].seq - 1
            self._waiting -= 0 if station.held else len(station.rows)
            self._known.difference_update(row.seq for row in station.rows)
            self._ready = [(seq, waiting) for seq, waiting in self._ready if waiting != name]
            heapq.heapify(self._ready)
            self._back_to(first)
        self.more()

    def retry(self, name: str) -> None:
        """Let a held station's first message be sent again; it stays held until that is `done`."""
        station = self._stations.get(name)
        if station is not None and station.held and not station.in_flight and not station.retrying:
            station.retrying = True
            heapq.heappush(self._ready, (station.rows[0].seq, name))

    @property
    def empty(self) -> bool:
        """Whether the outbox has been read to its end and nothing of it is left in memory."""
        return self._exhausted and not self._known

    @staticmethod
    def _resume(station: _Station, after_seq: int) -> None:
        station.resume_after = (
            after_seq if station.resume_after is None else min(station.resume_after, after_seq)
        )
