"""The table of records: what the platform has been told, and the difference to what it should be told."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zaehlwerk_bridge.ledger.cell import Cell
from zaehlwerk_bridge.ledger.cell_table import FAR, Line
from zaehlwerk_bridge.ledger.record import Body

_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Made:
    """A record as it should stand: its station's slug, last interval, its end (UTC) and body without revision."""

    station: str
    number: int
    end_s: int | None
    body: Body


@dataclass(frozen=True, slots=True)
class Standing:
    """A record as it was told last; `text` is its body."""

    station: str
    resolution: str
    text: str


class RecordTable:
    """Records of all chains in the transaction of `database`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def live(self, line: Line, before: Cell | None, last: Cell | None) -> dict[str, Standing]:
        """The standing records that end in (before, last], by id."""
        rows = self._database.execute(
            "SELECT id, station, resolution, body FROM record"
            " WHERE chain = ? AND unsynced = ? AND number > ? AND number <= ? AND live = 1",
            (
                line.chain,
                line.unsynced,
                -FAR if before is None else before.number,
                FAR if last is None else last.number,
            ),
        )
        return {row[0]: Standing(*row[1:]) for row in rows}

    def write(self, line: Line, made: Made) -> Body:
        """Store a record with the next revision of its station; returns it as it is published."""
        revision = self.next_revision(made.station)
        self._database.execute(
            "INSERT OR REPLACE INTO record (id, station, chain, unsynced, number, end_s, resolution, revision, live, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?)",
            (
                made.body["id"],
                made.station,
                line.chain,
                line.unsynced,
                made.number,
                made.end_s,
                made.body["resolution"],
                revision,
                body_text(made.body),
            ),
        )
        return published(made.body, revision)

    def bury(self, record: str) -> None:
        """A record is superseded: it stands no longer, and what supersedes it has a higher revision."""
        self._database.execute("UPDATE record SET live = 0 WHERE id = ?", (record,))

    def is_newest(self, station: str, end_s: int) -> bool:
        """Whether no standing interval of the station ends later."""
        row = self._database.execute(
            "SELECT NOT EXISTS (SELECT 1 FROM record"
            " WHERE station = ? AND live = 1 AND resolution = 'interval' AND end_s > ?)",
            (station, end_s),
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
    return _ENCODE(body)


def published(body: Mapping[str, Any], revision: int) -> Body:
    """The record with its revision, id first."""
    return {"id": body["id"], "revision": revision, **{name: body[name] for name in body if name != "id"}}
