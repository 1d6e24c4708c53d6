"""What checkpoints cover, remembered: most messages need no new one, and to see that nothing has to be read."""

from collections.abc import Sequence
from typing import NamedTuple

from zaehlwerk_bridge.database import Database
from zaehlwerk_bridge.ledger.memory import Memory
from zaehlwerk_bridge.ledger.record import read_id
from zaehlwerk_bridge.messages import Message
from zaehlwerk_bridge.reserves import Reserves

REVISION = "SELECT revision FROM reserve WHERE station = ?"
LINES = "SELECT epoch, unsynced, first, last FROM reserve_line WHERE station = ?"


class _Reserve(NamedTuple):
    revision: int
    intervals: dict[tuple[int, bool], tuple[int, int]]
    """First and last, by epoch and numbering."""
    by_name: dict[str, tuple[int, int]]
    """The same of UTC's numbering, by what stands before the number in a record's id."""


class Coverage:
    """Puts checkpoints before messages as `reserves` does, in the transaction of `database`."""

    def __init__(self, database: Database, reserves: Reserves, memory: Memory) -> None:
        self._database = database
        self._reserves = reserves
        self._memory = memory
        self._known: dict[str, _Reserve] = memory.kind()

    def covered(self, messages: Sequence[Message]) -> Sequence[Message]:
        """The messages, with the checkpoints that they need before them."""
        told = [message for message in messages if message.records]
        if not told:
            return messages
        if self._memory.trusted:
            for message in told:
                if not self._covers(message):
                    break
            else:
                return messages
        for message in told:
            self._known.pop(message.station, None)
        self._memory.flush("record", "outbox")  # reserves read these themselves
        return self._reserves.covered(messages)

    def _covers(self, message: Message) -> bool:
        """Whether all that the message tells are intervals that the newest checkpoint of its station covers."""
        reserve = self._known.get(message.station) or self._read(message.station)
        if reserve is None:
            return False
        for record in message.records:
            line, _, number = record.id.rpartition(".")
            if not number.isdecimal():  # a span, or of the node's own numbering
                return self._covers_any(message, reserve)
            first, last = reserve.by_name.get(line, (1, 0))
            if not (record.revision <= reserve.revision and first <= int(number) <= last):
                return False
        return True

    @staticmethod
    def _covers_any(message: Message, reserve: _Reserve) -> bool:
        for record in message.records:
            name = read_id(record.id)
            first, last = reserve.intervals.get((name.epoch, name.unsynced), (1, 0))
            if not (name.single and record.revision <= reserve.revision and first <= name.last <= last):
                return False
        return True

    def _read(self, station: str) -> _Reserve | None:
        row = self._database.execute(REVISION, (station,)).fetchone()
        if row is None:
            return None
        lines = self._database.execute(LINES, (station,))
        intervals = {(epoch, bool(unsynced)): (first, last) for epoch, unsynced, first, last in lines}
        by_name = {
            f"{station}.{epoch:08x}": reach for (epoch, unsynced), reach in intervals.items() if not unsynced
        }
        found = self._known[station] = _Reserve(int(row[0]), intervals, by_name)
        return found
