"""The store: events go in, and ledger, records, outbox rows and cursors change in one transaction, or not at all."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from zaehlwerk_bridge import reports, station
from zaehlwerk_bridge.database import open_database
from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.ledger import frame_cells
from zaehlwerk_bridge.ledger.chains import Chains
from zaehlwerk_bridge.ledger.epochs import Epoch, epoch_of
from zaehlwerk_bridge.ledger.fold import Fold
from zaehlwerk_bridge.ledger.gap_table import Want
from zaehlwerk_bridge.messages import Message, Messages
from zaehlwerk_bridge.outbox import Outbox, OutboxRow
from zaehlwerk_bridge.station import Station, StationError
from zaehlwerk_protocol import frames
from zaehlwerk_protocol.alarm import Alarm
from zaehlwerk_protocol.answer import Answer
from zaehlwerk_protocol.backfill import Backfill
from zaehlwerk_protocol.command import Command
from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.errors import FrameError
from zaehlwerk_protocol.frame import Frame
from zaehlwerk_protocol.flow import Flow
from zaehlwerk_protocol.state import GENERATION, UNSYNCED
from zaehlwerk_protocol.status import Status

KEPT_IDS = 1000
"""Deduplication ids kept of a node: far more than twice the history that a server replays."""


@dataclass(slots=True)
class Committed:
    """What one transaction did."""

    events: int = 0
    repeated: int = 0  # events that were known already
    seqs: list[int] = field(default_factory=list)  # new rows of the outbox
    rejected: list[str] = field(default_factory=list)  # reasons, one per event that could not be read


class Store:
    """One bridge's memory. Not thread-safe: one thread at a time."""

    def __init__(self, path: Path | str, *, prefix: str = "zaehlwerk", bridge_id: str = "bridge") -> None:
        self._database = open_database(path)
        self._messages = Messages(prefix, bridge_id)
        self._outbox = Outbox(self._database)
        self._fold = Fold(self._database, self._messages, self._station)
        self._chains = Chains(self._database, self._fold.cells)
        self._fold.places_by(self._chains.is_placed)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def commit(self, events: Sequence[Event], now_ns: int) -> Committed:
        """Take `events` in one transaction. What was taken before, by cursor or deduplication id, changes nothing."""
        done = Committed()
        with self._transaction():
            for event in events:
                done.events += 1
                if not self._is_new(event):
                    done.repeated += 1
                    continue
                self._take(event, now_ns, done)
        return done

    def settle(self, now_ns: int) -> Committed:
        """Do what time alone makes due: gaps whose grace is over become spans."""
        done = Committed()
        with self._transaction():
            for number, unsynced, cell_number in self._fold.gaps.due(now_ns):
                chain, max_rate = self._chains.chain(number)
                after = self._fold.cells.cell(number, unsynced, cell_number)
                if after is None:
                    continue
                before = self._fold.cells.point_before(number, after)
                self._send(self._fold.refold(chain, max_rate, before, after, now_ns), done)
        return done

    def next_deadline_ns(self) -> int | None:
        """When `settle`, or asking for what is wanted, is next due; None: nothing waits for time."""
        return self._fold.gaps.next_due_ns()

    def cursor(self, source: str, stream: str) -> str | None:
        """Up to where `stream` of `source` has been taken."""
        row = self._database.execute(
            "SELECT position FROM cursor WHERE source = ? AND stream = ?", (source, stream)
        ).fetchone()
        return None if row is None else str(row[0])

    def outbox(self, after_seq: int = 0, limit: int = 1000) -> list[OutboxRow]:
        """At most `limit` messages behind `after_seq`, oldest first."""
        return self._outbox.rows(after_seq, limit)

    def outbox_size(self) -> int:
        """Messages that wait for their acknowledgement."""
        return self._outbox.size()

    def acknowledged(self, seqs: Iterable[int]) -> None:
        """The broker took these messages: forget them."""
        with self._transaction():
            self._outbox.delete(seqs)

    def quarantine(self, row: OutboxRow, reason: str, now_ns: int) -> None:
        """Put a message that the broker can never take among the rejected ones."""
        with self._transaction():
            self._database.execute(
                "INSERT INTO rejected (dev_eui, received_ns, f_port, payload, reason, topic) VALUES ('', ?, 0, ?, ?, ?)",
                (now_ns, row.payload, reason, row.topic),
            )
            self._outbox.delete([row.seq])
            content = {"topic": row.topic, "reason": reason, "bytes": len(row.payload)}
            self._outbox.add(self._messages.rejected(content, f"message.{row.seq}"))

    def wanted_backfill(self, now_ns: int) -> list[Want]:
        """Gaps for which nodes should now be asked."""
        return self._fold.gaps.wanted(now_ns)

    def asked(self, want: Want, now_ns: int) -> None:
        """Note that a node was asked, or could not be: the next try comes later, and not for ever."""
        with self._transaction():
            self._fold.gaps.asked(want, now_ns)

    def dump(self) -> str:
        """The ledger as text, a line an entry: the same frames give the same text."""
        lines = []
        for about, query in _DUMP:
            lines += [
                f"{about} {json.dumps(row, ensure_ascii=False)}" for row in self._database.execute(query)
            ]
        return "".join(f"{line}\n" for line in lines)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _is_new(self, event: Event) -> bool:
        held = self.cursor(event.source, event.dev_eui)
        ahead = held is None or position(event.cursor) > position(held)
        if ahead:
            self._database.execute(
                "INSERT OR REPLACE INTO cursor VALUES (?, ?, ?)", (event.source, event.dev_eui, event.cursor)
            )
        if not event.dedup_id:
            return ahead
        # A server whose history was flushed, or whose clock went back, gives new events old ids: those are new here.
        found = self._database.execute(
            "INSERT OR IGNORE INTO seen VALUES (?, ?, ?)",
            (event.dev_eui, f"{event.kind}/{event.dedup_id}", event.received_ns),
        )
        if not found.rowcount:
            return False
        self._database.execute(
            "DELETE FROM seen WHERE dev_eui = ? AND received_ns < (SELECT received_ns FROM seen WHERE dev_eui = ?"
            " ORDER BY received_ns DESC LIMIT 1 OFFSET ?)",
            (event.dev_eui, event.dev_eui, KEPT_IDS),
        )
        return True

    def _take(self, event: Event, now_ns: int, done: Committed) -> None:
        if event.problem:
            self._reject(event, event.problem, done)
            return
        if event.kind != "up" or not event.f_port or not event.payload:
            return
        try:
            place = station.from_tags(event.tags, event.device_name)
            frame = frames.decode(event.f_port, event.payload)
        except (StationError, FrameError) as error:
            self._reject(event, str(error), done)
            return
        self._serve(event, place, done)
        try:
            self._fold_frame(event.dev_eui, frame, event.received_ns, place, now_ns, done)
        except _ContradictionError as error:
            self._reject(event, str(error), done)

    def _fold_frame(
        self,
        dev_eui: str,
        frame: Frame,
        received_ns: int,
        place: Station,
        now_ns: int,
        done: Committed,
    ) -> None:
        if isinstance(frame, Status):
            self._take_status(dev_eui, frame, received_ns, place, now_ns, done)
        elif isinstance(frame, Counts | Backfill | Flow):
            chain = epoch_of(frame.state & GENERATION, received_ns, self._chains.epochs(dev_eui))
            if chain is None:
                self._database.execute(
                    "INSERT OR IGNORE INTO waiting VALUES (?, ?, ?, ?, ?, ?)",
                    (dev_eui, received_ns, frame.PORT, frame.encode(), place.slug, place.max_rate),
                )
                return
            self._take_intervals(chain, frame, received_ns, place, now_ns, done)
        elif isinstance(frame, Alarm):
            content = reports.alarm(frame, received_ns, place)
            self._report(place, "alarm", content, dev_eui, received_ns, done)
        elif isinstance(frame, Answer):
            self._report(place, "result", reports.answer(frame, received_ns), dev_eui, received_ns, done)
        elif isinstance(frame, Command):
            raise _ContradictionError("a command came up from a node; commands only go down")

    def _take_status(
        self, dev_eui: str, frame: Status, received_ns: int, place: Station, now_ns: int, done: Committed
    ) -> None:
        self._report(place, "status", reports.status(frame, received_ns), dev_eui, received_ns, done)
        chain = self._chains.name(dev_eui, frame, received_ns, place.max_rate)
        if frame.mapping is not None and self._chains.map(chain, *frame.mapping):
            self._send(self._fold.refold(chain, place.max_rate, None, None, now_ns), done)
        if frame.anchor is not None:
            if not self._chains.has_channels(chain.chain, len(frame.anchor[1])):
                raise _ContradictionError("an anchor of another number of channels than its epoch has")
            line = self._chains.timeline(chain)
            cells = frame_cells.of_anchor(frame, received_ns, line, place.slug)
            self._send(self._fold.add(chain, place.max_rate, cells, now_ns), done)
        self._take_waiting(dev_eui, now_ns, done)

    def _take_waiting(self, dev_eui: str, now_ns: int, done: Committed) -> None:
        waiting = self._database.execute(
            "SELECT received_ns, f_port, payload, station FROM waiting WHERE dev_eui = ? ORDER BY received_ns, f_port, payload",
            (dev_eui,),
        ).fetchall()
        epochs = self._chains.epochs(dev_eui)
        for received_ns, f_port, payload, slug in waiting:
            frame = frames.decode(f_port, payload)
            assert isinstance(frame, Counts | Backfill | Flow)
            chain = epoch_of(frame.state & GENERATION, received_ns, epochs)
            if chain is None:
                continue
            self._database.execute(
                "DELETE FROM waiting WHERE dev_eui = ? AND received_ns = ? AND f_port = ? AND payload = ?",
                (dev_eui, received_ns, f_port, payload),
            )
            self._take_intervals(chain, frame, received_ns, self._station(slug), now_ns, done)

    def _take_intervals(
        self,
        chain: Epoch,
        frame: Counts | Backfill | Flow,
        received_ns: int,
        place: Station,
        now_ns: int,
        done: Committed,
    ) -> None:
        line = self._chains.timeline(chain)
        if isinstance(frame, Flow):
            unsynced = bool(frame.state & UNSYNCED)
            number = line.number(frame.index, received_ns, unsynced=unsynced)
            content = reports.flow(frame, line.end_s(number, unsynced=unsynced), place)
            self._report(place, "flow", content, str(chain.chain), received_ns, done)
            return
        if isinstance(frame, Counts):
            channels = len(frame.totals)
            cells = frame_cells.of_counts(frame, received_ns, line, place.slug)
        else:
            channels = frame.channels
            cells = frame_cells.of_backfill(frame, received_ns, line, place.slug)
        if not self._chains.has_channels(chain.chain, channels):
            raise _ContradictionError(f"{channels} channels, but the epoch has another number of them")
        max_rate = self._chains.chain(chain.chain)[1]
        self._send(self._fold.add(chain, max_rate, cells, now_ns), done)

    def _serve(self, event: Event, place: Station, done: Committed) -> None:
        """The device serves this station; what is new of that is told."""
        tags = json.dumps(dict(event.tags), ensure_ascii=False, sort_keys=True)
        self._database.execute(
            "INSERT INTO device (dev_eui, name, tags, since_ns, station) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (dev_eui) DO UPDATE SET name = excluded.name, tags = excluded.tags,"
            " since_ns = excluded.since_ns, station = excluded.station WHERE excluded.since_ns >= since_ns",
            (event.dev_eui, event.device_name, tags, event.received_ns, place.slug),
        )
        row = self._database.execute(
            "SELECT name, tags FROM station WHERE slug = ?", (place.slug,)
        ).fetchone()
        if row == (event.device_name, tags):
            return
        self._database.execute(
            "INSERT INTO station (slug, revision, name, tags) VALUES (?, 0, ?, ?)"
            " ON CONFLICT (slug) DO UPDATE SET name = excluded.name, tags = excluded.tags",
            (place.slug, event.device_name, tags),
        )
        self._send([self._messages.meta(place)], done)

    def _station(self, slug: str) -> Station:
        row = self._database.execute("SELECT name, tags FROM station WHERE slug = ?", (slug,)).fetchone()
        tags: Mapping[str, str] = json.loads(row[1])
        return station.from_tags(tags, row[0])

    def _report(
        self,
        place: Station,
        kind: str,
        content: reports.Content,
        about: str,
        received_ns: int,
        done: Committed,
    ) -> None:
        identity = f"{place.slug}.{kind}.{received_ns}"
        self._send(
            [self._messages.about(place.slug, kind, content, identity, reports.utc(received_ns))], done
        )

    def _reject(self, event: Event, reason: str, done: Committed) -> None:
        done.rejected.append(reason)
        row = self._database.execute(
            "INSERT INTO rejected (dev_eui, received_ns, f_port, payload, reason, topic) VALUES (?, ?, ?, ?, ?, '')",
            (event.dev_eui, event.received_ns, event.f_port, event.payload, reason),
        )
        content = {
            "device": event.device_name or None,
            "received": reports.utc(event.received_ns),
            "kind": event.kind,
            "port": event.f_port,
            "payload": event.payload.hex(),
            "reason": reason,
        }
        self._send([self._messages.rejected(content, f"event.{row.lastrowid}")], done)

    def _send(self, messages: Iterable[Message], done: Committed) -> None:
        for message in messages:
            if message.retain:
                # Only the newest of a retained topic is of use.
                self._database.execute("DELETE FROM outbox WHERE topic = ?", (message.topic,))
            done.seqs.append(self._outbox.add(message))


class _ContradictionError(Exception):
    """A frame that can be read and cannot be true."""


def position(cursor: str) -> tuple[int, int]:
    """A stream id `<ms>-<seq>` as numbers, which is how ids are ordered; (0, 0) for what is none."""
    milliseconds, _, sequence = cursor.partition("-")
    if not milliseconds.isdecimal() or not sequence.isdecimal():
        return 0, 0
    return int(milliseconds), int(sequence)


_DUMP = (
    ("chain", "SELECT dev_eui, epoch, generation, interval_s, named_ns FROM chain ORDER BY dev_eui, epoch"),
    (
        "cell",
        "SELECT dev_eui, epoch, unsynced, number, at_s, counts, mask, worst, missing, total, seen_ns, whole, station"
        " FROM cell JOIN chain ON chain.id = cell.chain ORDER BY dev_eui, epoch, unsynced, number",
    ),
    ("record", "SELECT id, revision, live, body FROM record ORDER BY id"),
    ("waiting", "SELECT dev_eui, received_ns, f_port, hex(payload) FROM waiting ORDER BY 1, 2, 3, 4"),
    (
        "rejected",
        "SELECT dev_eui, received_ns, f_port, hex(payload), reason FROM rejected ORDER BY 1, 2, 3, 4",
    ),
)
