"""The tables of what checkpoints allow, and the rule that no record is told before a checkpoint covers it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from zaehlwerk_bridge.checkpoint import (
    INTERVALS_AHEAD,
    REVISIONS_AHEAD,
    Checkpoint,
    Range,
    epoch_at,
    epoch_name,
)
from zaehlwerk_bridge.database import Database
from zaehlwerk_bridge.ledger.record import Published, RecordName, read_id
from zaehlwerk_bridge.messages import Message, Messages


class Reserves:
    """Tables in the transaction of `database`."""

    def __init__(self, database: Database, messages: Messages) -> None:
        self._database = database
        self._messages = messages

    def anew(self, station: str, newest: int) -> list[Message]:
        """The checkpoints of a station and of its epochs as they are, whatever the broker has; `newest`: the station's
        revision."""
        checkpoint = self.checkpoint(station)
        if checkpoint is None:
            return []
        return [
            self._messages.checkpoint(checkpoint, newest),
            *self._epochs(station, self.epochs(station)),
        ]

    def present(self, station: str, topic: str) -> Message | None:
        """What a checkpoint's topic should say, a station's own or of one of its epochs; None: nothing was ever told."""
        epoch = epoch_at(topic)
        if epoch is not None:
            return self._epoch(station, epoch) if epoch in self.epochs(station) else None
        checkpoint = self.checkpoint(station)
        return None if checkpoint is None else self._messages.checkpoint(checkpoint, checkpoint.revision)

    def covered(self, messages: Sequence[Message]) -> list[Message]:
        """The messages, before the first one of a station that no checkpoint covers its new checkpoint."""
        if not any(message.records for message in messages):
            return list(messages)
        needed: dict[str, int] = {}
        begun: dict[str, set[int]] = {}
        self._database.touches(*{message.station for message in messages if message.records})
        for station, own in groupby(sorted(messages, key=_station), key=_station):
            told = [message for message in own if message.records]
            named = {read_id(record.id).epoch for message in told for record in message.records}
            begun[station] = {epoch for epoch in named if station not in self._stations(epoch)}
            needed |= self._cover(station, told)
        self._database.touches(*needed)
        made = {
            station: [
                self._messages.checkpoint(checkpoint, newest),
                *self._epochs(station, begun.get(station, ())),
            ]
            for station, newest in needed.items()
            if (checkpoint := self.checkpoint(station)) is not None
        }
        found: list[Message] = []
        for message in messages:
            if message.records and message.station in made:
                found += made.pop(message.station)
            found.append(message)
        return [*(message for before in made.values() for message in before), *found]

    def epochs(self, station: str) -> list[int]:
        """Epochs of which records of a station may stand."""
        rows = self._database.execute(_EPOCHS, {"station": station})
        return [epoch for (epoch,) in rows]

    def _epochs(self, station: str, epochs: Iterable[int]) -> list[Message]:
        """The checkpoints of epochs, in the queue of `station`: they go out before what is told of them there."""
        return [self._epoch(station, epoch) for epoch in sorted(epochs)]

    def _epoch(self, station: str, epoch: int) -> Message:
        stations = self._stations(epoch)
        made = self._messages.checkpoint(Checkpoint(epoch_name(epoch), 1, (), (), stations), len(stations))
        return replace(made, station=station)

    def _stations(self, epoch: int) -> list[str]:
        """Stations of which records of an epoch may stand."""
        rows = self._database.execute(_STATIONS, {"epoch": epoch})
        return [station for (station,) in rows]

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
_STATIONS = """
SELECT station FROM reserve_line WHERE epoch = :epoch UNION SELECT station FROM reserve_span WHERE epoch = :epoch
ORDER BY station
"""
_EPOCHS = """
SELECT epoch FROM reserve_line WHERE station = :station UNION SELECT epoch FROM reserve_span WHERE station = :station
"""
_COMPANY = f"""
WITH epochs AS ({_EPOCHS})
SELECT station FROM reserve_line WHERE epoch IN (SELECT epoch FROM epochs)
UNION SELECT station FROM reserve_span WHERE epoch IN (SELECT epoch FROM epochs)
ORDER BY station
"""  # noqa: S608 - parts of the query


def _station(message: Message) -> str:
    return message.station


def _ranges(names: Iterable[RecordName]) -> list[Range]:
    """What the intervals among `names` need, by line."""
    lines: dict[tuple[int, bool], list[int]] = {}
    for name in names:
        if name.single:
            lines.setdefault((name.epoch, name.unsynced), []).append(name.last)
    return [Range(*line, min(numbers), max(numbers)) for line, numbers in lines.items()]
