"""The table of what was rejected: events that could not be taken, and messages that no broker can take, with the reason."""

import enum
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.outbox import OutboxRow

_COLUMNS = (
    "id, cause, reason, rejected_ns, source, dev_eui, kind, received_ns, f_port, payload, device, tags,"
    " station, topic, properties, retain"
)


class Cause(enum.StrEnum):
    """Why something was rejected, in a word that does not change; the reason beside it is for people."""

    UNREADABLE = "unreadable"
    """The source could not read the server's item."""
    UNDECODABLE = "undecodable"
    """The payload is no frame of the protocol."""
    NO_STATION = "no_station"
    """The device's tags describe no station."""
    CONTRADICTION = "contradiction"
    """A frame that can be read and cannot be true."""
    INTERNAL = "internal"
    """The bridge itself could not take it: a mistake in the program."""
    UNPUBLISHABLE = "unpublishable"
    """A message that the broker can never take."""
    UNKNOWN = "unknown"
    """Rejected by an earlier version, which did not note it."""


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """One of them: `event` (without deduplication id and cursor), or `message`; the other is None."""

    id: int
    cause: Cause
    reason: str
    rejected_ns: int
    event: Event | None
    message: OutboxRow | None


class Rejected:
    """The table in the transaction of `database`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def add_event(self, event: Event, cause: Cause, reason: str, now_ns: int) -> int:
        """Keep an event; returns its id."""
        row = self._database.execute(
            f"INSERT INTO rejected ({_COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', '{{}}', 0)",  # noqa: S608 - columns
            (
                cause,
                reason,
                now_ns,
                event.source,
                event.dev_eui,
                event.kind,
                event.received_ns,
                event.f_port,
                event.payload,
                event.device_name,
                json.dumps(dict(event.tags), ensure_ascii=False, sort_keys=True),
            ),
        )
        assert row.lastrowid is not None
        return row.lastrowid

    def add_message(self, message: OutboxRow, reason: str, now_ns: int) -> int:
        """Keep a message; returns its id."""
        row = self._database.execute(
            f"INSERT INTO rejected ({_COLUMNS}) VALUES (NULL, ?, ?, ?, '', '', '', ?, 0, ?, '', '{{}}', ?, ?, ?, ?)",  # noqa: S608 - columns
            (
                Cause.UNPUBLISHABLE,
                reason,
                now_ns,
                now_ns,
                message.payload,
                message.station,
                message.topic,
                json.dumps(dict(message.properties), separators=(",", ":")),
                message.retain,
            ),
        )
        assert row.lastrowid is not None
        return row.lastrowid

    def rows(
        self, cause: Cause | None = None, ids: Sequence[int] | None = None, limit: int = -1
    ) -> list[RejectedRow]:
        """The rows of `cause` (None: of all), or those of `ids`; oldest first, at most `limit` (-1: all)."""
        wanted = "WHERE (? IS NULL OR cause = ?)"
        values: list[object] = [cause, cause]
        if ids is not None:
            wanted += " AND id IN (SELECT value FROM json_each(?))"
            values.append(json.dumps(list(ids)))
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM rejected {wanted} ORDER BY id LIMIT ?",  # noqa: S608 - columns
            [*values, limit],
        )
        return [_row(*row) for row in rows]

    def still(self, row: int, cause: Cause, reason: str) -> None:
        """A row was tried again and is rejected as before, or for another reason."""
        self._database.execute("UPDATE rejected SET cause = ?, reason = ? WHERE id = ?", (cause, reason, row))

    def drop(self, row: int) -> bool:
        """Delete a row; whether it was there."""
        return bool(self._database.execute("DELETE FROM rejected WHERE id = ?", (row,)).rowcount)


def _row(
    row: int,
    cause: str,
    reason: str,
    rejected_ns: int,
    source: str,
    dev_eui: str,
    kind: str,
    received_ns: int,
    f_port: int,
    payload: bytes,
    device: str,
    tags: str,
    station: str,
    topic: str,
    properties: str,
    retain: int,
) -> RejectedRow:
    event = message = None
    if topic:
        message = OutboxRow(0, station, topic, payload, bool(retain), json.loads(properties))
    else:
        event = Event(
            source,
            dev_eui,
            kind,
            "",
            "",
            received_ns,
            f_port=f_port,
            payload=payload,
            device_name=device,
            tags=json.loads(tags),
        )
    return RejectedRow(row, Cause(cause), reason, rejected_ns, event, message)
