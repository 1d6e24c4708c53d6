"""The table of records: what the platform has been told, and the difference to what it should be told."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zaehlwerk_bridge.ledger.cell import Cell
from zaehlwerk_bridge.ledger.record import Body

_ORDER = "at_s, 1 - unsynced, number"


@dataclass(frozen=True, slots=True)
class Made:
    """A record as it should stand: its station's slug, last interval and body without revision."""

    station: str
    last: Cell
    body: Body


class RecordTable:
    """Records of all chains in the transaction of `database`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def live(self, chain: int, before: Cell | None, last: Cell | None) -> dict[str, tuple[str, str, str]]:
        """id -> (station, resolution, body) of the standing records that end in (before, last]."""
        where, values = "chain = ? AND live = 1", [chain]
        if before is not None:
            where += f" AND at_s >= ? AND ({_ORDER}) > (?, ?, ?)"
            values += [before.at_s, *before.key]
        if last is not None:
            where += f" AND at_s <= ? AND ({_ORDER}) <= (?, ?, ?)"
            values += [last.at_s, *last.key]
        rows = self._database.execute(
            f"SELECT id, station, resolution, body FROM record WHERE {where}", values
        )
        return {record: (station, resolution, body) for record, station, resolution, body in rows}

    def write(self, chain: int, made: Made) -> dict[str, Any]:
        """Store a record with the next revision of its station; returns it as it is published."""
        revision = self.next_revision(made.station)
        self._database.execute(
            "INSERT OR REPLACE INTO record (id, station, chain, at_s, unsynced, number, resolution, revision, live, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?)",
            (
                made.body["id"],
                made.station,
                chain,
                made.last.at_s,
                made.last.unsynced,
                made.last.number,
                made.body["resolution"],
                revision,
                body_text(made.body),
            ),
        )
        return published(made.body, revision)

    def bury(self, record: str) -> None:
        """A record is superseded: it stands no longer, and what supersedes it has a higher revision."""
        self._database.execute("UPDATE record SET live = 0 WHERE id = ?", (record,))

    def is_newest(self, station: str, record: str) -> bool:
        """Whether no standing interval of the station ends later than this one."""
        row = self._database.execute(
            "SELECT NOT EXISTS (SELECT 1 FROM record WHERE station = ? AND live = 1 AND resolution = 'interval'"
            " AND at_s > (SELECT at_s FROM record WHERE id = ?))",
            (station, record),
        ).fetchone()
        return bool(row[0])

    def next_revision(self, station: str) -> int:
        """Raise and return the station's revision."""
        row = self._database.execute(
            "UPDATE station SET revision = revision + 1 WHERE slug = ? RETURNING revision", (station,)
        ).fetchone()
        return int(row[0])


def body_text(body: Mapping[str, Any]) -> str:
    """The body as it is stored and compared."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def published(body: Mapping[str, Any], revision: int) -> dict[str, Any]:
    """The record with its revision, id first."""
    return {"id": body["id"], "revision": revision, **{name: body[name] for name in body if name != "id"}}
