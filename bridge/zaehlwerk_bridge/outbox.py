"""The outbox: messages that are stored and not yet acknowledged by the broker, in the order of their making."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from json.encoder import encode_basestring_ascii as _quoted
from operator import attrgetter

from zaehlwerk_bridge.database import ROWS_AT_ONCE, Database, Values, of_many_rows
from zaehlwerk_bridge.ledger.memory import Memory
from zaehlwerk_bridge.messages import Message
from zaehlwerk_bridge.turns import READ, WRITE, Turns


@dataclass(slots=True)  # and not frozen, which takes four times as long to make; nobody changes one
class OutboxRow:
    """A stored message. `seq` rises; a row is deleted on a non-error PUBACK only."""

    seq: int
    station: str
    topic: str
    payload: bytes
    retain: bool
    properties: Mapping[str, str]
    made_ns: int = 0
    """When it was stored, nanoseconds UTC; 0: not known."""
    waits: bool = False
    """Whether another bridge has to publish an older one of its station first."""

    def __reduce__(self) -> tuple[type["OutboxRow"], tuple[object, ...]]:
        """Its fields in order, which is less work than to pickle their names as well."""
        return OutboxRow, _IN_ORDER(self)


_IN_ORDER = attrgetter(*(one.name for one in fields(OutboxRow)))


_COLUMNS = "bridge, station, topic, payload, properties, retain, made_ns"
_MARKS = "(?, ?, ?, ?, ?, ?, ?)"
_INSERT = f"INSERT INTO outbox ({_COLUMNS}) VALUES {_MARKS}"  # noqa: S608 - columns and question marks
_INSERT_MANY = f"{of_many_rows(_INSERT)} RETURNING seq"
_DELETE_MANY = f"DELETE FROM outbox WHERE seq IN ({', '.join(['?'] * ROWS_AT_ONCE)})"  # noqa: S608 - question marks

_RENEW = "UPDATE outbox SET payload = ?, properties = ? WHERE topic = ? AND retain = 1 AND bridge = ?"

_READ = (
    "SELECT seq, station, topic, payload, retain, properties, made_ns FROM outbox"
    " WHERE bridge = ? AND seq > ? ORDER BY seq LIMIT ?"
)


class Outbox:
    """The table in the transaction of `database`. Of a store that several bridges share it is the part of `bridge`."""

    def __init__(self, database: Database, memory: Memory, bridge: str = "") -> None:
        self._database = database
        self._memory = memory
        self._bridge = bridge
        self.turns = Turns(database, bridge)
        self._added: dict[int, tuple[OutboxRow, Values]] = memory.kind()  # not stored yet, in order
        memory.on_commit("outbox", self._write)
        self.now_ns = 0
        """What messages that are added get as the time of their making, nanoseconds UTC."""

    def add(self, message: Message) -> OutboxRow:
        """Store a message; returns it as it is there, with its seq when the transaction is over. Of a retained topic only
        the newest is of use: it replaces what waits, unless what follows in the outbox relies on each of them. Then all of
        them say the newest, for one that the broker has had already may be sent again after what follows it."""
        pairs = [f"{_quoted(name)}:{_quoted(value)}" for name, value in message.properties.items()]
        properties = f"{{{','.join(pairs)}}}"
        if message.retain:
            self._write()
            if message.in_turn:
                self._database.execute(_RENEW, (message.payload, properties, message.topic, self._bridge))
            else:
                self._database.execute(
                    "DELETE FROM outbox WHERE topic = ? AND retain = 1 AND bridge = ?",
                    (message.topic, self._bridge),
                )
        station, topic, payload, retain = message.station, message.topic, message.payload, message.retain
        row = OutboxRow(0, station, topic, payload, retain, message.properties, self.now_ns)
        values = (self._bridge, station, topic, payload, properties, retain, self.now_ns)
        self._added[len(self._added)] = row, values
        if not self._memory.trusted:
            self._write()
        return row

    def _write(self) -> None:
        """Store what was added, in the order in which that was done."""
        added = list(self._added.values())
        self._added.clear()
        if self._database.shared:
            self._write_shared(added)
            return
        whole = len(added) - len(added) % ROWS_AT_ONCE
        for at in range(0, whole, ROWS_AT_ONCE):
            some = added[at : at + ROWS_AT_ONCE]
            found = self._database.execute(_INSERT_MANY, [value for _, values in some for value in values])
            for (row, _), (seq,) in zip(some, sorted(found.fetchall()), strict=True):
                row.seq = seq
        for row, values in added[whole:]:
            row.seq = self._database.insert(_INSERT, values, "seq")

    def _write_shared(self, added: list[tuple[OutboxRow, Values]]) -> None:
        if not added:
            return
        columns = [list(column) for column in zip(*(values for _, values in added), strict=True)]
        found = self._database.execute(WRITE, columns)
        for (row, _), (seq, other) in zip(added, sorted(found.fetchall()), strict=True):
            row.seq = seq
            row.waits = self.turns.wrote(row.station, seq, other)

    def rows(self, after_seq: int, limit: int) -> list[OutboxRow]:
        """At most `limit` rows behind `after_seq` whose turn it is, oldest first."""
        self._write()
        if self._database.shared:
            without = self.turns.unreadable(after_seq)
            rows = self._database.execute(READ, (self._bridge, after_seq, without, limit))
        else:
            rows = self._database.execute(_READ, (self._bridge, after_seq, limit))
        return [
            OutboxRow(seq, s, topic, payload, bool(r), json.loads(p), made_ns)
            for seq, s, topic, payload, r, p, made_ns in rows
        ]

    def delete(self, seqs: Iterable[int]) -> None:
        """Forget acknowledged rows."""
        gone = list(seqs)
        whole = len(gone) - len(gone) % ROWS_AT_ONCE
        for at in range(0, whole, ROWS_AT_ONCE):
            self._database.execute(_DELETE_MANY, gone[at : at + ROWS_AT_ONCE])
        self._database.executemany("DELETE FROM outbox WHERE seq = ?", [(seq,) for seq in gone[whole:]])

    def has_topic(self, topic: str) -> bool:
        """Whether a retained message of `topic` waits."""
        self._write()
        row = self._database.execute(
            "SELECT EXISTS (SELECT 1 FROM outbox WHERE topic = ? AND retain = 1)", (topic,)
        ).fetchone()
        return bool(row[0])

    def size(self) -> int:
        """Rows waiting."""
        row = self._database.execute(
            "SELECT count(*) FROM outbox WHERE bridge = ?", (self._bridge,)
        ).fetchone()
        return int(row[0])
