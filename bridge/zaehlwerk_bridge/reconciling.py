"""Makes a store that is a copy, or new, agree with what the platform was told without it: by the station's checkpoint.

Of every record that may stand at the platform and that this store does not know, a place is kept. What the store told
since it was copied never left it, for nothing of a station is published before this was done: it is told anew, with
revisions beyond all that were used, superseding what may stand.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from zaehlwerk_bridge.checkpoint import INTERVALS_AHEAD, Checkpoint, Range, epoch_at, epoch_name, is_epoch
from zaehlwerk_bridge.database import Database
from zaehlwerk_bridge.ledger.chains import Chains
from zaehlwerk_bridge.ledger.doubt import Ranges, range_of
from zaehlwerk_bridge.ledger.epochs import Epoch
from zaehlwerk_bridge.ledger.fold import Fold
from zaehlwerk_bridge.ledger.record import read_id
from zaehlwerk_bridge.ledger.record_table import UNKNOWN
from zaehlwerk_bridge.messages import Message
from zaehlwerk_bridge.reserves import Reserves

NS = 1_000_000_000
GAP = 1_000_000
"""Revisions left out when the broker knows no checkpoint although this store has made one: more than were ever used since."""
RECORDS = ("count", "span", "last", "checkpoint")
"""Last parts of the topics whose messages this is about."""
ROWS_READ = 20
"""Rows of the outbox that are in memory at once."""

Line = tuple[int, bool]
"""Epoch and numbering."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What was found out."""

    foreign: int = 0
    """Records that may stand at the platform and were not told by this store."""
    lost: int = 0
    """Stations whose checkpoint the broker has lost: spans that were told since the copy was made are not known."""


class Reconciling:
    """Works in the transaction of `database`."""

    def __init__(self, database: Database, chains: Chains, fold: Fold, reserves: Reserves) -> None:
        self._database = database
        self._chains = chains
        self._fold = fold
        self._reserves = reserves

    def unverified(self, stations: Iterable[str]) -> list[set[str]]:
        """Those of `stations`, with their company, that have to be reconciled before anything of them is published.

        In groups: the stations of one have records of the same nodes, and are reconciled together. With a station come
        those of its epochs, by their names, of which nobody has asked yet which stations have had them.
        """
        groups: list[set[str]] = []
        of_stations = sorted({name for name in stations if not is_epoch(name)})
        doubtful = self._unverified(of_stations)
        reserved = None
        for station in of_stations:
            epochs = self._unasked(station)
            if station not in doubtful and not epochs:
                continue
            if reserved is None:
                reserved = self._all_is_reserved()
            company = set(self._reserves.company(station)) if reserved else self._company(station)
            together = {station} | epochs | self._unverified(company)
            apart = []
            for group in groups:
                if group & together:
                    together |= group
                else:
                    apart.append(group)
            groups = [*apart, together]
        return groups

    def _unverified(self, stations: Iterable[str]) -> set[str]:
        query = "SELECT slug FROM station WHERE verified = 0 AND slug = ?"
        return {slug for slug in stations if self._database.execute(query, (slug,)).fetchone() is not None}

    def _all_is_reserved(self) -> bool:
        """Whether no station has records that were told by a bridge that made no checkpoints.

        Then company is told by what is reserved: a few rows of a station, however many records it has.
        """
        row = self._database.execute(_UNRESERVED).fetchone()
        return not row[0]

    def _company(self, station: str) -> set[str]:
        """Stations that have records of the same chains. Reads all that there are."""
        rows = self._database.execute(
            "SELECT DISTINCT station FROM record WHERE chain IN (SELECT DISTINCT chain FROM record WHERE id > ? AND id < ?)",
            (f"{station}.", f"{station}/"),
        )
        return {other for (other,) in rows} | set(self._reserves.company(station))

    def _unasked(self, station: str) -> set[str]:
        """Epochs of a station, by their names, whose checkpoints were not asked for."""
        return {name for name in map(epoch_name, self._reserves.epochs(station)) if self.is_needed([name])}

    def is_needed(self, names: Iterable[str]) -> bool:
        """Whether one of these stations and epochs has not been reconciled, by any bridge."""
        query = "SELECT verified FROM station WHERE slug = ?"
        rows = [self._database.execute(query, (name,)).fetchone() for name in names]
        return any(row is None or not row[0] for row in rows)

    def reconcile(
        self, checkpoints: Mapping[str, Checkpoint | None], now_ns: int
    ) -> tuple[Reconciled, list[Message]]:
        """Take what the broker's checkpoints say of stations, each with all its company; returns what has to be told now.

        Those of epochs say who is in company, and nothing else. If all these stations have been reconciled, no record of
        theirs is unknown here, and nothing has to be told.
        """
        known: dict[str, Checkpoint] = {}
        unpublished: dict[str, Checkpoint] = {}
        lost = 0
        stations = {name: checkpoint for name, checkpoint in checkpoints.items() if not is_epoch(name)}
        epochs = checkpoints.keys() - stations.keys()
        agreed = bool(epochs) and not self.is_needed(stations)
        for epoch in epochs:
            self._verified(epoch)
        if agreed:
            return Reconciled(), []
        for station, checkpoint in stations.items():
            own = self._reserves.checkpoint(station)
            if checkpoint is not None:
                known[station] = checkpoint
            elif own is not None and self.is_needed([station]) and self._was_published(station):
                known[station] = self._guessed(own, now_ns)
                lost += 1
            elif own is not None:
                # Or it was reconciled before and is here for its company: what was told of it since is all known here,
                # also where the broker could not take its checkpoint.
                unpublished[station] = replace(own, ranges=(), spans=())
            self._verified(station)
        if not known:
            return Reconciled(), []
        # What waits was made without knowing of the others.
        known |= unpublished
        unsent: set[str] = set()
        foreign: list[str] = []
        for station, checkpoint in known.items():
            waiting, superseded = self._take_back(station)
            unsent |= waiting
            self._database.execute(
                "UPDATE station SET revision = ? WHERE slug = ? AND revision < ?",
                (checkpoint.revision, station, checkpoint.revision),
            )
            self._reserves.adopt(checkpoint)
            foreign += self._keep_places(station, checkpoint, superseded)
        self._doubt(unsent, foreign)
        self._fold.records.look()
        told = [
            message
            for station, checkpoint in known.items()
            for message in self._reserves.anew(station, checkpoint.revision)
        ]
        for chain in self._concerned(known):
            told += self._fold.renew(chain, now_ns)
        return Reconciled(len(foreign), lost), told

    def _verified(self, station: str) -> None:
        # One that is known by its company alone has no tags yet; its first event brings them. An epoch never has any.
        self._database.execute(
            "INSERT INTO station (slug, revision, name, tags, since_ns, verified) VALUES (?, 0, ?, '{}', 0, 1)"
            " ON CONFLICT (slug) DO UPDATE SET verified = 1",
            (station, station),
        )

    def _was_published(self, station: str) -> bool:
        """Whether something of the station was told before all that waits in the outbox.

        One message tells, however many wait: revisions begin with 1, and the first of all goes out behind a checkpoint.
        """
        covered = False
        for topic, payload in self._rows(station):
            kind = topic.rpartition("/")[2]
            if kind == "checkpoint":
                covered = covered or epoch_at(topic) is None
            elif kind in ("count", "span"):
                first = min(record["revision"] for record in json.loads(payload)["records"])
                return not covered or first > 1
        return True

    def _rows(self, station: str) -> Iterator[tuple[str, bytes]]:
        """What waits of a station, oldest first, topic and payload; a few at a time, for there may be very many."""
        after = 0
        while True:
            rows = self._database.execute(
                "SELECT seq, topic, payload FROM outbox WHERE station = ? AND seq > ? ORDER BY seq LIMIT ?",
                (station, after, ROWS_READ),
            ).fetchall()
            if not rows:
                return
            for _, topic, payload in rows:
                yield topic, payload
            after = rows[-1][0]

    def _guessed(self, own: Checkpoint, now_ns: int) -> Checkpoint:
        """What may have been published since this store's own newest checkpoint, as far as that can be told."""
        ranges = []
        for one in own.ranges:
            last = one.last
            interval_s = self._interval_s(one.epoch)
            if not one.unsynced and interval_s is not None:
                last = max(last, now_ns // NS // interval_s + INTERVALS_AHEAD)
            ranges.append(replace(one, last=last))
        return replace(own, revision=own.revision + GAP, ranges=ranges)

    def _interval_s(self, epoch: int) -> int | None:
        row = self._database.execute("SELECT interval_s FROM chain WHERE epoch = ?", (epoch,)).fetchone()
        return None if row is None else int(row[0])

    def _take_back(self, station: str) -> tuple[set[str], set[str]]:
        """Delete what waits in the outbox of the station's records; returns their ids, and what they supersede."""
        told, superseded = self._waiting(station)
        self._database.executemany(
            "DELETE FROM outbox WHERE station = ? AND topic LIKE ?",
            [(station, f"%/{kind}") for kind in RECORDS],
        )
        return told, superseded

    def _waiting(self, station: str) -> tuple[set[str], set[str]]:
        told: set[str] = set()
        superseded: set[str] = set()
        for topic, payload in self._rows(station):
            if topic.rpartition("/")[2] in ("count", "span"):
                content = json.loads(payload)
                told |= {record["id"] for record in content["records"]}
                superseded |= set(content["supersedes"])
        return told, superseded

    def _keep_places(self, station: str, checkpoint: Checkpoint, superseded: set[str]) -> list[str]:
        """Note each record that may stand and that this store does not know to stand; returns their ids."""
        foreign = [*checkpoint.spans, *superseded]
        for one in checkpoint.ranges:
            foreign += self._interval_ids(station, one)
        known = {
            record
            for (record,) in self._database.execute(
                "SELECT id FROM record WHERE id > ? AND id < ? AND live = 1", (f"{station}.", f"{station}/")
            )
        }
        cuts = self._cuts()
        new = [
            record
            for record in foreign
            if record not in known and range_of(record)[1] > cuts.get(_line(record), -1)
        ]
        self._database.executemany(
            "INSERT INTO foreign_record VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [(record, *_parts(record)) for record in new],
        )
        return new

    @staticmethod
    def _interval_ids(station: str, one: Range) -> list[str]:
        space = "u" if one.unsynced else ""
        return [f"{station}.{one.epoch:08x}.{space}{number}" for number in range(one.first, one.last + 1)]

    def _cuts(self) -> dict[Line, int]:
        """Up to where lines are forgotten."""
        rows = self._database.execute(
            "SELECT epoch, forgotten.unsynced, number FROM forgotten JOIN chain ON chain.id = forgotten.chain"
        )
        return {(epoch, bool(unsynced)): number for epoch, unsynced, number in rows}

    def _doubt(self, unsent: set[str], foreign: list[str]) -> None:
        """Of own records that never left, or lie where another's may, it is not known what the platform has."""
        places: dict[Line, list[tuple[int, int]]] = {}
        for record in foreign:
            places.setdefault(_line(record), []).append(range_of(record))
        doubtful = set(unsent)
        for line, ranges in places.items():
            others = Ranges(ranges)
            # Of whatever station: another store may have known better which one it was.
            own = self._database.execute(
                "SELECT id FROM record WHERE chain IN (SELECT id FROM chain WHERE epoch = ?) AND unsynced = ? AND live = 1",
                line,
            )
            doubtful |= {record for (record,) in own if others.touch(range_of(record))}
        self._database.executemany(
            "UPDATE record SET body = ? WHERE id = ?", [(UNKNOWN, record) for record in sorted(doubtful)]
        )

    def _concerned(self, stations: Iterable[str]) -> list[Epoch]:
        """The chains that have records at the stations, or may have."""
        numbers: set[int] = set()
        for station in stations:
            rows = self._database.execute(
                "SELECT DISTINCT chain.id FROM chain WHERE id IN (SELECT chain FROM record WHERE id > ? AND id < ?)"
                " OR epoch IN (SELECT epoch FROM foreign_record WHERE station = ?)",
                (f"{station}.", f"{station}/", station),
            )
            numbers |= {number for (number,) in rows}
        return [self._chains.chain(number) for number in sorted(numbers)]


_UNRESERVED = """
SELECT EXISTS (
  SELECT 1 FROM station WHERE NOT EXISTS (SELECT 1 FROM reserve WHERE reserve.station = station.slug)
    AND EXISTS (SELECT 1 FROM record WHERE id > station.slug || '.' AND id < station.slug || '/')
)
"""


def _line(record: str) -> Line:
    name = read_id(record)
    return name.epoch, name.unsynced


def _parts(record: str) -> tuple[str, int, bool, int | None, int]:
    name = read_id(record)
    return name.station, name.epoch, name.unsynced, name.first, name.last
