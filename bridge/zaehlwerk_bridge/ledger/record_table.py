"""The table of records: what the platform has been told, and the difference to what it should be told."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zaehlwerk_bridge.ledger.cell import Cell
from zaehlwerk_bridge.ledger.cell_table import FAR, Line
from zaehlwerk_bridge.ledger.memory import Memory
from zaehlwerk_bridge.ledger.record import Body, read_id

_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Made:
    """A record as it should stand: its station's slug, last interval, its end (UTC) and body without revision."""

    station: str
    number: int
    end_s: int | None
    body: Body
    text: str
    """The body as it is stored and compared."""


UNKNOWN = "null"
"""Body of a record of which it is not known what the platform was told, nor whether it stands there at all."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A record as it was told last; `text` is its body, UNKNOWN if another store told it, or may have."""

    station: str
    resolution: str
    text: str

    @property
    def doubtful(self) -> bool:
        """Whether it may not stand at all, or say something else than this store believes."""
        return self.text == UNKNOWN


@dataclass(frozen=True, slots=True)
class Kept:
    """A record of a station; `text` is its body, `end_s` UTC Unix seconds, None if it has no place in time."""

    id: str
    revision: int
    live: bool
    end_s: int | None
    text: str


class RecordTable:
    """Records of all chains in the transaction of `database`."""

    def __init__(self, database: sqlite3.Connection, memory: Memory) -> None:
        self._database = database
        self._memory = memory
        self._revisions: dict[str, int] = memory.kind()
        self._raised: dict[str, int] = memory.kind()  # revisions that are to be written
        self._ends: dict[str, int] = memory.kind()  # by station: no standing interval ends later
        memory.on_commit(self._write_revisions)
        self.has_foreign = False
        """Whether there may be records of another store; `look` tells."""

    def _write_revisions(self) -> None:
        if self._raised:
            rows = [(revision, station) for station, revision in self._raised.items()]
            self._raised.clear()
            self._database.executemany("UPDATE station SET revision = ? WHERE slug = ?", rows)

    def look(self) -> None:
        """See whether there are records of another store."""
        row = self._database.execute("SELECT EXISTS (SELECT 1 FROM foreign_record)").fetchone()
        self.has_foreign = bool(row[0])

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
        standing = {row[0]: Standing(*row[1:]) for row in rows}
        if self.has_foreign:
            foreign = self._database.execute(
                "SELECT id, station, first, number FROM foreign_record"
                " WHERE epoch = ? AND unsynced = ? AND number > ? AND coalesce(first, ?) <= ?",
                (
                    line.epoch,
                    line.unsynced,
                    -FAR if before is None else before.number,
                    -FAR,
                    FAR if last is None else last.number,
                ),
            )
            for record, station, first, number in foreign:
                resolution = "interval" if first == number else "span"
                standing.setdefault(record, Standing(station, resolution, UNKNOWN))
        return standing

    def foreign_reach(self, line: Line, before: Cell | None, last: Cell | None) -> tuple[int, int] | None:
        """First and last interval of other stores' spans that lie, in part at least, in (before, last]."""
        row = self._database.execute(
            "SELECT min(coalesce(first, ?)), max(number) FROM foreign_record"
            " WHERE epoch = ? AND unsynced = ? AND number > ? AND coalesce(first, ?) <= ? AND first IS NOT number",
            (
                -FAR,
                line.epoch,
                line.unsynced,
                -FAR if before is None else before.number,
                -FAR,
                FAR if last is None else last.number,
            ),
        ).fetchone()
        return None if row[0] is None else (int(row[0]), int(row[1]))

    def write(self, line: Line, made: Made) -> Body:
        """Store a record with the next revision of its station; returns it as it is published."""
        self._own(made.body["id"])
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
                made.text,
            ),
        )
        end_s = self._ends.get(made.station)
        if end_s is not None and made.end_s is not None and made.end_s > end_s:
            self._ends[made.station] = made.end_s
        return published(made.body, revision)

    def bury(self, record: str) -> None:
        """A record is superseded: it stands no longer, and what supersedes it has a higher revision."""
        if not self._database.execute("UPDATE record SET live = 0 WHERE id = ?", (record,)).rowcount:
            self._keep_dead(record, UNKNOWN, 0)
        self._own(record)

    def _own(self, record: str) -> None:
        """What stands of a record is known from now on."""
        if self.has_foreign:
            self._database.execute("DELETE FROM foreign_record WHERE id = ?", (record,))

    def _keep_dead(self, record: str, text: str, revision: int) -> None:
        """Note a record that another store told and that stands no longer."""
        name = read_id(record)
        self._database.execute(
            "INSERT OR REPLACE INTO record (id, station, chain, unsynced, number, end_s, resolution, revision, live, body)"
            " SELECT id, station, coalesce((SELECT id FROM chain WHERE chain.epoch = foreign_record.epoch), 0),"
            " unsynced, number, NULL, ?, ?, 0, ? FROM foreign_record WHERE id = ?",
            ("interval" if name.single else "span", revision, text, record),
        )

    def withdraw(self, record: str, station: str, body: Body) -> Body:
        """A record stands for nothing any more, and says so with the next revision; returns it as it is published."""
        revision = self.next_revision(station)
        text = body_text(body)
        if not self._database.execute(
            "UPDATE record SET live = 0, revision = ?, body = ? WHERE id = ?", (revision, text, record)
        ).rowcount:
            self._keep_dead(record, text, revision)
        self._own(record)
        return published(body, revision)

    def again(self, station: str) -> Body | None:
        """The newest standing interval of a station with its next revision; None: there is none."""
        row = self._newest(station)
        if row is None:
            return None
        revision = self.next_revision(station)
        self._database.execute("UPDATE record SET revision = ? WHERE id = ?", (revision, row[0]))
        return published(json.loads(row[1]), revision)

    def is_newest(self, station: str, end_s: int) -> bool:
        """Whether no standing interval of the station ends later."""
        if self._memory.trusted:
            latest = self._ends.get(station)
            if latest is None:
                row = self._database.execute(
                    "SELECT max(end_s) FROM record WHERE station = ? AND live = 1 AND resolution = 'interval'",
                    (station,),
                ).fetchone()
                latest = self._ends[station] = end_s if row[0] is None else int(row[0])
            if latest <= end_s:
                return True
        row = self._database.execute(
            "SELECT NOT EXISTS (SELECT 1 FROM record"
            " WHERE station = ? AND live = 1 AND resolution = 'interval' AND end_s > ?)",
            (station, end_s),
        ).fetchone()
        return bool(row[0])

    def newest(self, station: str) -> Body | None:
        """The standing interval of the station that ends last, as it is published."""
        row = self._newest(station)
        return None if row is None else published(json.loads(row[1]), row[2])

    def _newest(self, station: str) -> tuple[str, str, int] | None:
        row: tuple[str, str, int] | None = self._database.execute(
            "SELECT id, body, revision FROM record WHERE station = ? AND live = 1 AND resolution = 'interval'"
            " AND end_s IS NOT NULL AND body != ? ORDER BY end_s DESC LIMIT 1",
            (station, UNKNOWN),
        ).fetchone()
        return row

    def all_of(self, station: str) -> list[Kept]:
        """Every record of a station that is kept, standing or not, in the order of the intervals that end them."""
        rows = self._database.execute(
            # Ids begin with the station, a slash comes right after the full stop behind it.
            "SELECT id, revision, live, end_s, body FROM record WHERE id > ? AND id < ? ORDER BY chain, unsynced, number",
            (f"{station}.", f"{station}/"),
        )
        return [Kept(row[0], row[1], bool(row[2]), row[3], row[4]) for row in rows]

    def next_revision(self, station: str) -> int:
        """Raise and return the station's revision."""
        known = self._revisions.get(station)
        if known is not None:
            self._revisions[station] = self._raised[station] = known + 1
            return known + 1
        row = self._database.execute(
            "UPDATE station SET revision = revision + 1 WHERE slug = ? RETURNING revision", (station,)
        ).fetchone()
        revision = int(row[0])
        if self._memory.trusted:
            self._revisions[station] = revision
        return revision


def body_text(body: Mapping[str, Any]) -> str:
    """The body as it is stored and compared."""
    return _ENCODE(body)


def published(body: Mapping[str, Any], revision: int) -> Body:
    """The record with its revision, id first."""
    return {"id": body["id"], "revision": revision, **{name: body[name] for name in body if name != "id"}}
