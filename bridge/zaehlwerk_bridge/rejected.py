"""The table of what was rejected: events that could not be taken, and messages that no broker can take, with the reason."""

import enum
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from zaehlwerk_bridge.database import Database
from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.outbox import OutboxRow

_COLUMNS = (
    "cause, reason, rejected_ns, source, dev_eui, kind, received_ns, f_port, payload, device, tags,"
    " station, topic, properties, retain"
)

_ALL = 1 << 62


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


@dataclass(frozen=True, slots=True)
class RejectedGroup:
    """Rows of one cause and of one device, or topic."""

    rows: int
    oldest_ns: int
    """When the first of them was rejected."""
    newest: RejectedRow


def broken(event: Event, problem: str) -> Event:
    """`event` as it can be put aside, whatever is wrong with it: half of a character (RFC 8259, section 8.2), for example,
    can be told by JSON and stored by nobody."""
    return replace(
        event,
        problem=_written(problem),
        internal=True,
        device_name=_written(event.device_name),
        tags={_written(key): _written(value) for key, value in event.tags.items()},
    )


def _written(text: str) -> str:
    return text if text.isascii() else text.encode(errors="replace").decode()


class Rejected:
    """The table in the transaction of `database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_event(self, event: Event, cause: Cause, reason: str, now_ns: int) -> int:
        """Keep an event; returns its id."""
        return self._database.insert(
            f"INSERT INTO rejected ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', '{{}}', 0)",  # noqa: S608 - columns
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
            "id",
        )

    def add_message(self, message: OutboxRow, reason: str, now_ns: int) -> int:
        """Keep a message; returns its id."""
        return self._database.insert(
            f"INSERT INTO rejected ({_COLUMNS}) VALUES (?, ?, ?, '', '', '', ?, 0, ?, '', '{{}}', ?, ?, ?, ?)",  # noqa: S608 - columns
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
            "id",
        )

    def groups(self) -> list[RejectedGroup]:
        """All rows by cause and device, or topic; those with most rows first."""
        found = self._database.execute(
            f"SELECT many, oldest_ns, id, {_COLUMNS} FROM rejected JOIN (SELECT count(*) AS many,"  # noqa: S608 - columns
            " min(rejected_ns) AS oldest_ns, max(id) AS newest FROM rejected GROUP BY cause, dev_eui, topic) AS grouped"
            " ON id = newest ORDER BY many DESC, id"
        )
        return [RejectedGroup(many, oldest_ns, _row(*row)) for many, oldest_ns, *row in found]

    def rows(
        self,
        cause: Cause | None = None,
        ids: Sequence[int] | None = None,
        limit: int = -1,
        device: str | None = None,
    ) -> list[RejectedRow]:
        """The rows of `cause` (None: of all), or those of `ids`; oldest first, at most `limit` (-1: all).

        device: only those of that DevEUI, or of devices of that name.
        """
        query = f"SELECT id, {_COLUMNS} FROM rejected"  # noqa: S608 - columns
        most = _ALL if limit < 0 else limit
        if ids is not None:
            each = [
                self._database.execute(f"{query} WHERE id = ?", (one,)).fetchall() for one in sorted(set(ids))
            ]
            rows = [_row(*row) for found in each for row in found]
            return [row for row in rows if cause is None or row.cause is cause][:most]
        conditions, values = ["1 = 1"], []
        if cause is not None:
            conditions.append("cause = ?")
            values.append(str(cause))
        if device is not None:
            conditions.append("(dev_eui = ? OR device = ?)")
            values += [device.lower(), device]
        found = self._database.execute(
            f"{query} WHERE {' AND '.join(conditions)} ORDER BY id LIMIT ?", (*values, most)
        )
        return [_row(*row) for row in found]

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
