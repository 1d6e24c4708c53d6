"""The tables of what checkpoints allow, and the rule that no record is told before a checkpoint covers it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from zaehlwerk_bridge.checkpoint import INTERVALS_AHEAD, KIND, REVISIONS_AHEAD, Checkpoint, Range
from zaehlwerk_bridge.database import Database
from zaehlwerk_bridge.ledger.record import Published, RecordName, read_id
from zaehlwerk_bridge.messages import Message, Messages


class Reserves:
    """Tables in the transaction of `database`."""

    def __init__(self, database: Database, messages: Messages, bridge: str = "") -> None:
        self._database = database
        self._bridge = bridge
        self._elsewhere: set[str] | None = None
        self._messages = messages

    def anew(self, station: str, newest: int) -> list[Message]:
        """The checkpoint of a station as it is, whatever the broker has; `newest`: the station's revision."""
        checkpoint = self.checkpoint(station)
        return [] if checkpoint is None else [self._messages.checkpoint(checkpoint, newest)]

    def present(self, station: str) -> Message | None:
        """The checkpoint of a station as it is; None: nothing of it was ever told."""
        checkpoint = self.checkpoint(station)
        return None if checkpoint is None else self._messages.checkpoint(checkpoint, checkpoint.revision)

    def said_first(self, messages: Sequence[Message]) -> Sequence[Message]:
        """The messages, before those with records the checkpoints that cover them and wait with another bridge."""
        stations = {message.station for message in messages if message.records}
        own = {message.station for message in messages if message.topic.endswith(f"/{KIND}")}
        if self._elsewhere is None:
            self._elsewhere = self._waiting_elsewhere()
        waiting = sorted((stations - own) & self._elsewhere)
        first = [message for station in waiting if (message := self.present(station)) is not None]
        return [*first, *messages] if first else messages

    def begin(self) -> None:
        """A transaction begins: another bridge may have put a checkpoint into its outbox."""
        self._elsewhere = None

    def _waiting_elsewhere(self) -> set[str]:
        """Stations of which a checkpoint waits with another bridge; none joins them that this transaction works on."""
        rows = self._database.execute(
            "SELECT DISTINCT station FROM outbox WHERE retain = 1 AND bridge <> ? AND topic LIKE ?",
            (self._bridge, f"%/{KIND}"),
        )
        return {station for (station,) in rows}

    def covered(self, messages: Sequence[Message]) -> list[Message]:
        """The messages, before the first one of a station that no checkpoint covers its new checkpoint."""
        if not any(message.records for message in messages):
            return list(messages)
        needed: dict[str, int] = {}
        self._database.touches(*{message.station for message in messages if message.records})
        for station, own in groupby(sorted(messages, key=_station), key=_station):
            told = [message for message in own if message.records]
            needed |= self._cover(station, told)
        self._database.touches(*needed)
        made = {
            station: self._messages.checkpoint(checkpoint, newest)
            for station, newest in needed.items()
            if (checkpoint := self.checkpoint(station)) is not None
        }
        found: list[Message] = []
        for message in messages:
            if message.records and message.station in made:
                found.append(made.pop(message.station))
            found.append(message)
        return [*made.values(), *found]

    def _cover(self, station: str, messages: Sequence[Message]) -> dict[str, int]:
        """Reserve what `messages` need; returns the stations that need a new checkpoint, and a revision to name it by."""
        told = [record for message in messages for record in message.records]
        if not told:
            return {}
        names = [read_id(record.id) for record in told]
        newest = max(record.revision for record in told)
        spans = self._new_spans(station, told, names)
        ranges = [one for one in _ranges(names) if not self._has_range(station, one)]
        row = self._database.execute("SELECT revision FROM reserve WHERE station = ?", (station,)).fetchone()
        if row is not None and newest <= row[0] and not spans and not ranges:
            return {}
        before = self.company(station)
        if row is None:
            self._reserve_what_stands(station)
        if not self._something_waits(station):
            self._forget_spans(station, {gone for message in messages for gone in message.supersedes})
        ahead = [replace(one, last=one.last + INTERVALS_AHEAD) for one in ranges]
        self.adopt(Checkpoint(station, newest + REVISIONS_AHEAD, ahead, spans))
        # Who joins others says so at once, and so do they.
        others = set(self.company(station)) - set(before)
        return {station: newest} | dict.fromkeys(sorted(others), newest)

    def checkpoint(self, station: str) -> Checkpoint | None:
        """The newest checkpoint of a station; None: nothing of it was ever told."""
        row = self._database.execute("SELECT revision FROM reserve WHERE station = ?", (station,)).fetchone()
        if row is None:
            return None
        ranges = self._database.execute(
            "SELECT epoch, unsynced, first, last FROM reserve_line WHERE station = ? ORDER BY epoch, unsynced",
            (station,),
        )
        spans = self._database.execute(
            "SELECT id FROM reserve_span WHERE station = ? ORDER BY id", (station,)
        )
        return Checkpoint(
            station,
            int(row[0]),
            [Range(epoch, bool(unsynced), first, last) for epoch, unsynced, first, last in ranges],
            [span for (span,) in spans],
            self.company(station),
        )

    def company(self, station: str) -> list[str]:
        """Other stations of which records of the same epochs may stand."""
        return [
            other
            for (other,) in self._database.execute(_COMPANY, {"station": station}).fetchall()
            if other != station
        ]

    def adopt(self, checkpoint: Checkpoint) -> None:
        """What another store, or a later state of this one, may have published is covered from now on as well."""
        station = checkpoint.station
        self._database.execute(
            "INSERT INTO reserve VALUES (?, ?) ON CONFLICT (station) DO UPDATE"
            " SET revision = excluded.revision WHERE excluded.revision > reserve.revision",
            (station, checkpoint.revision),
        )
        self._database.executemany(
            "INSERT INTO reserve_span VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [(station, span, read_id(span).epoch) for span in checkpoint.spans],
        )
        self._database.executemany(
            _WIDEN,
            [(station, one.epoch, one.unsynced, one.first, one.last) for one in checkpoint.ranges],
        )

    def _reserve_what_stands(self, station: str) -> None:
        """The first checkpoint of a station: it may have been told by a bridge that made none."""
        names = [(record, read_id(record)) for record in self._standing(station)]
        spans = [record for record, name in names if not name.single]
        self.adopt(Checkpoint(station, 0, _ranges(name for _, name in names), spans))

    def _standing(self, station: str) -> list[str]:
        rows = self._database.execute(
            "SELECT id FROM record WHERE id > ? AND id < ? AND live = 1", (f"{station}.", f"{station}/")
        )
        return [record for (record,) in rows]

    def _new_spans(self, station: str, told: Iterable[Published], names: Iterable[RecordName]) -> list[str]:
        spans = [record.id for record, name in zip(told, names, strict=True) if not name.single]
        return [
            span
            for span in spans
            if self._database.execute(
                "SELECT 1 FROM reserve_span WHERE station = ? AND id = ?", (station, span)
            ).fetchone()
            is None
        ]

    def _has_range(self, station: str, one: Range) -> bool:
        row = self._database.execute(
            "SELECT first, last FROM reserve_line WHERE station = ? AND epoch = ? AND unsynced = ?",
            (station, one.epoch, one.unsynced),
        ).fetchone()
        return row is not None and row[0] <= one.first and one.last <= row[1]

    def _something_waits(self, station: str) -> bool:
        row = self._database.execute(
            "SELECT EXISTS (SELECT 1 FROM outbox WHERE station = ?)", (station,)
        ).fetchone()
        return bool(row[0])

    def _forget_spans(self, station: str, going: set[str]) -> None:
        """Everything told before has been acknowledged: what stands no longer, and is not just `going`, is gone."""
        gone = self._database.execute(
            "SELECT id FROM reserve_span WHERE station = ? AND NOT EXISTS"
            " (SELECT 1 FROM record WHERE record.id = reserve_span.id AND live = 1)"
            " AND id NOT IN (SELECT id FROM foreign_record)",
            (station,),
        ).fetchall()
        self._database.executemany(
            "DELETE FROM reserve_span WHERE station = ? AND id = ?",
            [(station, span) for (span,) in gone if span not in going],
        )


_WIDEN = """
INSERT INTO reserve_line VALUES (?, ?, ?, ?, ?) ON CONFLICT (station, epoch, unsynced) DO UPDATE SET
  first = CASE WHEN excluded.first < reserve_line.first THEN excluded.first ELSE reserve_line.first END,
  last = CASE WHEN excluded.last > reserve_line.last THEN excluded.last ELSE reserve_line.last END
"""
_COMPANY = """
WITH epochs AS (
  SELECT epoch FROM reserve_line WHERE station = :station UNION SELECT epoch FROM reserve_span WHERE station = :station
)
SELECT station FROM reserve_line WHERE epoch IN (SELECT epoch FROM epochs)
UNION SELECT station FROM reserve_span WHERE epoch IN (SELECT epoch FROM epochs)
ORDER BY station
"""


def _station(message: Message) -> str:
    return message.station


def _ranges(names: Iterable[RecordName]) -> list[Range]:
    """What the intervals among `names` need, by line."""
    lines: dict[tuple[int, bool], list[int]] = {}
    for name in names:
        if name.single:
            lines.setdefault((name.epoch, name.unsynced), []).append(name.last)
    return [Range(*line, min(numbers), max(numbers)) for line, numbers in lines.items()]
