"""The table of records: what the platform has been told, and the difference to what it should be told."""

from dataclasses import dataclass
from typing import Any

from zaehlwerk_bridge.database import Database, upsert
from zaehlwerk_bridge.ledger.cell import Cell
from zaehlwerk_bridge.ledger.cell_table import FAR, Line
from zaehlwerk_bridge.ledger.memory import Memory
from zaehlwerk_bridge.ledger.record import Body, Published, body_text, published, read_id, with_revision


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


_COLUMNS = "id, station, chain, unsynced, number, end_s, resolution, revision, live, body"
PUT = upsert("record", _COLUMNS, "id")
RECENT = (
    "SELECT id, station, resolution, body, number FROM record WHERE chain = ? AND unsynced = ? AND live = 1"
    " ORDER BY number DESC LIMIT ?"
)
RECENT_MOST = 12
"""Newest standing records of a line that a shared store reads at once: what a frame of a node that is heard touches."""
REVISION = "SELECT revision FROM station WHERE slug = ?"
_PUT_DEAD = f"""
INSERT INTO record ({_COLUMNS})
SELECT id, station, coalesce((SELECT min(id) FROM chain WHERE chain.epoch = foreign_record.epoch), 0),
  unsynced, number, NULL, ?, ?, 0, ? FROM foreign_record WHERE id = ?
ON CONFLICT (id) DO UPDATE SET station = excluded.station, chain = excluded.chain, unsynced = excluded.unsynced,
  number = excluded.number, end_s = excluded.end_s, resolution = excluded.resolution,
  revision = excluded.revision, live = excluded.live, body = excluded.body
"""  # noqa: S608 - columns


@dataclass(slots=True)
class _Recent:
    """All standing records of a line that end after interval `since`, by id, with the interval that ends them."""

    since: int
    standing: dict[str, tuple[int, Standing]]


class RecordTable:
    """Records of all chains in the transaction of `database`."""

    def __init__(self, database: Database, memory: Memory) -> None:
        self._database = database
        self._memory = memory
        self._revisions: dict[str, int] = memory.kind()
        self._raised: dict[str, int] = memory.kind()  # revisions that are to be written
        self._made: dict[str, tuple[object, ...]] = memory.kind()  # rows that are to be written, by id
        # Of a shared store only, in which every look costs a way to the server and back.
        self._recent: dict[tuple[int, bool], _Recent] = memory.kind()
        self._recent_at: dict[str, _Recent] = memory.kind()  # by id of a record
        memory.on_commit("station", self._write_revisions)
        memory.on_commit("record", self._write_made)
        self.has_foreign = False
        """Whether there may be records of another store; `look` tells."""

    def _write_revisions(self) -> None:
        if self._raised:
            rows = [(revision, station) for station, revision in self._raised.items()]
            self._raised.clear()
            self._database.executemany("UPDATE station SET revision = ? WHERE slug = ?", rows)

    def _write_made(self) -> None:
        if self._made:
            rows = sorted(self._made.values())  # by their id, which is the key: half the work
            self._made.clear()
            self._database.executemany(PUT, rows)

    def put(self, line: Line, record: str, station: str, number: int, end_s: int, text: str) -> int:
        """Store the standing record of an interval, of which no other store told, with the next revision of its station;
        returns that. What is stored now is written later: see `Memory`."""
        revision = self.next_revision(station)
        self._make(
            line, (record, station, line.chain, line.unsynced, number, end_s, "interval", revision, 1, text)
        )
        return revision

    def _make(self, line: Line, row: tuple[Any, ...]) -> None:
        recent = self._recent_of(line)
        record, station, _, _, number, _, resolution, _, _, text = row
        self._made[record] = row
        if recent is not None and number > recent.since:
            recent.standing[record] = (number, Standing(station, resolution, text))
            self._recent_at[record] = recent

    def _recent_of(self, line: Line) -> _Recent | None:
        """The newest standing records of a line; None: they are not remembered."""
        if not (self._database.shared and self._memory.trusted):
            return None
        place = (line.chain, line.unsynced)
        found = self._recent.get(place)
        if found is None:
            rows = self._database.execute(RECENT, (*place, RECENT_MOST)).fetchall()
            standing = {row[0]: (row[4], Standing(*row[1:4])) for row in rows}
            # Of those that end with the first interval there may be more.
            since = rows[-1][4] if len(rows) == RECENT_MOST else -FAR
            found = self._recent[place] = _Recent(since, standing)
            self._recent_at.update(dict.fromkeys(standing, found))
        return found

    def _no_more(self, record: str) -> None:
        recent = self._recent_at.pop(record, None)
        if recent is not None:
            recent.standing.pop(record, None)

    def look(self) -> None:
        """See whether there are records of another store."""
        row = self._database.execute("SELECT EXISTS (SELECT 1 FROM foreign_record)").fetchone()
        self.has_foreign = bool(row[0])

    def live(self, line: Line, before: Cell | None, last: Cell | None) -> dict[str, Standing]:
        """The standing records that end in (before, last], by id."""
        begin, end = -FAR if before is None else before.number, FAR if last is None else last.number
        recent = self._recent_of(line)
        if recent is not None and begin >= recent.since:
            standing = {
                record: one for record, (number, one) in recent.standing.items() if begin < number <= end
            }
        else:
            self._write_made()
            rows = self._database.execute(
                "SELECT id, station, resolution, body FROM record"
                " WHERE chain = ? AND unsynced = ? AND number > ? AND number <= ? AND live = 1",
                (line.chain, line.unsynced, begin, end),
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
            " WHERE epoch = ? AND unsynced = ? AND number > ? AND coalesce(first, ?) <= ? AND (first IS NULL OR first <> number)",
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

    def write(self, line: Line, made: Made) -> Published:
        """Store a record with the next revision of its station; returns it as it is published."""
        self._own(made.body["id"])
        revision = self.next_revision(made.station)
        self._make(
            line,
            (
                made.body["id"],
                made.station,
                line.chain,
                line.unsynced,
                made.number,
                made.end_s,
                made.body["resolution"],
                revision,
                1,
                made.text,
            ),
        )
        if not (self._database.shared and self._memory.trusted):
            self._write_made()
        return with_revision(made.body, made.text, revision)

    def bury(self, record: str) -> None:
        """A record is superseded: it stands no longer, and what supersedes it has a higher revision."""
        self._no_more(record)
        self._write_made()
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
            _PUT_DEAD,
            ("interval" if name.single else "span", revision, text, record),
        )

    def withdraw(self, record: str, station: str, body: Body) -> Published:
        """A record stands for nothing any more, and says so with the next revision; returns it as it is published."""
        self._no_more(record)
        self._write_made()
        revision = self.next_revision(station)
        text = body_text(body)
        if not self._database.execute(
            "UPDATE record SET live = 0, revision = ?, body = ? WHERE id = ?", (revision, text, record)
        ).rowcount:
            self._keep_dead(record, text, revision)
        self._own(record)
        return with_revision(body, text, revision)

    def again(self, station: str) -> Published | None:
        """The newest standing interval of a station with its next revision; None: there is none."""
        row = self._newest(station)
        if row is None:
            return None
        revision = self.next_revision(station)
        self._database.execute("UPDATE record SET revision = ? WHERE id = ?", (revision, row[0]))
        return published(row[1], revision)

    def newest(self, station: str) -> Published | None:
        """The standing interval of the station that ends last, as it is published."""
        row = self._newest(station)
        return None if row is None else published(row[1], row[2])

    def _newest(self, station: str) -> tuple[str, str, int] | None:
        self._write_made()
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
        self._database.touches(station)
        if self._database.shared and self._memory.trusted:
            # It may have been read beforehand, and all are raised together.
            stands = int(self._database.execute(REVISION, (station,)).fetchone()[0])
            self._revisions[station] = self._raised[station] = stands + 1
            return stands + 1
        row = self._database.execute(
            "UPDATE station SET revision = revision + 1 WHERE slug = ? RETURNING revision", (station,)
        ).fetchone()
        revision = int(row[0])
        if self._memory.trusted:
            self._revisions[station] = revision
        return revision
