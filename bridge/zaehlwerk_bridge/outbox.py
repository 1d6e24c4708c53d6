"""The outbox: messages that are stored and not yet acknowledged by the broker, in the order of their making."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from zaehlwerk_bridge.messages import Message

_ENCODE = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
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


class Outbox:
    """The table in the transaction of `database`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.now_ns = 0
        """What messages that are added get as the time of their making, nanoseconds UTC."""

    def add(self, message: Message) -> int:
        """Store a message; returns its seq. Of a retained topic only the newest is of use: it replaces what waits,
        unless what follows in the outbox relies on each of them."""
        if message.retain and not message.in_turn:
            self._database.execute("DELETE FROM outbox WHERE topic = ? AND retain = 1", (message.topic,))
        properties = _ENCODE(dict(message.properties))
        cursor = self._database.execute(
            "INSERT INTO outbox (station, topic, payload, properties, retain, made_ns) VALUES (?, ?, ?, ?, ?, ?)",
            (message.station, message.topic, message.payload, properties, message.retain, self.now_ns),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def rows(self, after_seq: int, limit: int) -> list[OutboxRow]:
        """At most `limit` rows behind `after_seq`, oldest first."""
        rows = self._database.execute(
            "SELECT seq, station, topic, payload, retain, properties, made_ns FROM outbox WHERE seq > ?"
            " ORDER BY seq LIMIT ?",
            (after_seq, limit),
        )
        return [
            OutboxRow(seq, s, topic, payload, bool(r), json.loads(p), made_ns)
            for seq, s, topic, payload, r, p, made_ns in rows
        ]

    def delete(self, seqs: Iterable[int]) -> None:
        """Forget acknowledged rows."""
        self._database.executemany("DELETE FROM outbox WHERE seq = ?", [(seq,) for seq in seqs])

    def has_topic(self, topic: str) -> bool:
        """Whether a retained message of `topic` waits."""
        row = self._database.execute(
            "SELECT EXISTS (SELECT 1 FROM outbox WHERE topic = ? AND retain = 1)", (topic,)
        ).fetchone()
        return bool(row[0])

    def size(self) -> int:
        """Rows waiting."""
        return int(self._database.execute("SELECT count(*) FROM outbox").fetchone()[0])
