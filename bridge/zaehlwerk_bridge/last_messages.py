"""`last`, the retained message with a station's newest interval: it follows what was told of the station, and is never stored.

What it says is read from the ledger when it is sent, so however much was told meanwhile, it is sent once. The message that
it follows stays in the outbox until it is answered: a bridge that dies before sends both after its next start.
"""

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from zaehlwerk_bridge.messages import Message
from zaehlwerk_bridge.outbox import OutboxRow

READ_MOST = 200
"""Stations whose newest interval is read at once: another read of the outbox, or a commit, need not wait long."""


class NewestReader(Protocol):
    """What is asked of the store."""

    async def newest(self, stations: Collection[str]) -> Mapping[str, Message]:
        """Return the retained messages with the newest interval of stations; of one without any there is none."""
        ...


@dataclass(slots=True)
class _Sent:
    station: str
    row: OutboxRow | None
    payload: bytes


class LastMessages:
    """Which stations' `last` is to be sent, and what waits for its answer.

    `shared`: other bridges tell of the same stations, and what one of them says may come before something older that was
    sent here. So the ledger is asked once more after each answer, and what it says by then is sent if it is something else.
    """

    def __init__(self, store: NewestReader, *, shared: bool = False) -> None:
        self._store = store
        self._shared = shared
        self._said: dict[str, bytes] = {}  # what the broker has taken, until it was compared with the ledger
        self._due: dict[str, OutboxRow | None] = {}
        self._reading: dict[str, OutboxRow | None] = {}
        self._ready: deque[tuple[_Sent, Message]] = deque()
        self._in_flight: dict[int, _Sent] = {}
        self._in_doubt: set[str] = set()
        self._end = 0  # counts ends of connections: what is being read then is not sent any more

    def __len__(self) -> int:
        """Stations whose `last` is to be sent, or is not answered."""
        return len(self._due) + len(self._reading) + len(self._ready) + len(self._in_flight)

    @property
    def in_flight(self) -> int:
        """Messages that were sent and are not answered."""
        return len(self._in_flight)

    @property
    def to_read(self) -> bool:
        """Whether the ledger should be asked for some, and is not being asked."""
        return bool(self._due) and not self._reading and len(self._ready) < READ_MOST

    @property
    def one_by_one(self) -> bool:
        """Whether messages should go out alone: one of these may have ended the connection."""
        return bool(self._in_doubt)

    @property
    def rows(self) -> list[OutboxRow]:
        """What stays in the outbox until its station's `last` is answered."""
        sent = [*self._in_flight.values(), *(one for one, _ in self._ready)]
        rows = [*self._due.values(), *self._reading.values(), *(one.row for one in sent)]
        return [row for row in rows if row is not None]

    def follows(self, row: OutboxRow) -> OutboxRow | None:
        """The broker took `row`, and its station's `last` is to follow; returns a row that need not stay for it any more."""
        before = self._due.get(row.station)
        self._due[row.station] = row
        return before

    async def read(self) -> list[OutboxRow]:
        """Ask the ledger for some of those that are due; returns rows that need not stay, for there is nothing to say."""
        stations = [station for station, _ in zip(self._due, range(READ_MOST), strict=False)]
        self._reading = {station: self._due.pop(station) for station in stations}
        end = self._end
        try:
            messages = await self._store.newest(stations)
        except BaseException:
            self._put_back()
            raise
        reading, self._reading = self._reading, {}
        if end != self._end:
            return []  # they are due again
        said = {
            station for station, message in messages.items() if self._said.get(station) == message.payload
        }
        for station in stations:
            self._said.pop(station, None)
        for station, message in messages.items():
            if station not in said:
                self._ready.append((_Sent(station, reading[station], message.payload), message))
        silent = reading.keys() - (messages.keys() - said)
        return [row for station, row in reading.items() if row is not None and station in silent]

    @property
    def next(self) -> Message | None:
        """What is to be sent next; None: nothing is ready."""
        return self._ready[0][1] if self._ready else None

    def sent(self, mid: int) -> None:
        """`next` was sent with this packet identifier."""
        self._in_flight[mid] = self._ready.popleft()[0]

    def answered(self, mid: int) -> _Sent | None:
        """The broker answered to a packet; returns what it was, with the row that need not stay any more. None: none of these."""
        sent = self._in_flight.pop(mid, None)
        if sent is not None:
            self._in_doubt.discard(sent.station)
            if self._shared:
                self._said[sent.station] = sent.payload
                self._due.setdefault(sent.station, None)
        return sent

    def ended(self, others_in_flight: int) -> list[OutboxRow]:
        """The connection ended: all is due on the next one. Returns the rows: the broker has taken them, they can leave.

        One that was alone in flight may be what ended the connection, and waits until its station has something new.
        """
        self._end += 1
        rows = self.rows
        alone = others_in_flight + len(self._in_flight) == 1
        stations = {one.station for one, _ in self._ready}
        for one in self._in_flight.values():
            if alone:
                self._in_doubt.discard(one.station)
            else:
                self._in_doubt.add(one.station)
                stations.add(one.station)
        self._put_back()
        self._ready.clear()
        self._in_flight.clear()
        self._due = dict.fromkeys([*self._due, *sorted(stations)])
        return rows

    def _put_back(self) -> None:
        reading, self._reading = self._reading, {}
        self._due = {**reading, **self._due}
