"""The store: events go in, and ledger, records, outbox rows and cursors change in one transaction, or not at all."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from zaehlwerk_bridge import dump
from zaehlwerk_bridge.cursors import Cursors
from zaehlwerk_bridge.database import open_database
from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.intake import Intake
from zaehlwerk_bridge.ledger.chains import Chains
from zaehlwerk_bridge.ledger.fold import Fold
from zaehlwerk_bridge.ledger.gap_table import Want
from zaehlwerk_bridge.messages import Message, Messages
from zaehlwerk_bridge.outbox import Outbox, OutboxRow
from zaehlwerk_bridge.stations import Stations


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
        self._cursors = Cursors(self._database)
        self._chains = Chains(self._database)
        self._fold = Fold(self._database, self._chains, Stations(self._database), self._messages)
        self._intake = Intake(self._database, self._chains, self._fold, self._messages)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def commit(self, events: Sequence[Event], now_ns: int) -> Committed:
        """Take `events` in one transaction. What was taken before, by cursor or deduplication id, changes nothing."""
        done = Committed(events=len(events))
        with self._transaction():
            for event in events:
                if not self._cursors.is_new(event):
                    done.repeated += 1
                    continue
                told, reason = self._intake.take(event, now_ns)
                self._send(told, done)
                if reason:
                    done.rejected.append(reason)
        return done

    def settle(self, now_ns: int) -> Committed:
        """Do what time alone makes due: gaps whose grace is over become spans."""
        done = Committed()
        with self._transaction():
            for number, unsynced, last in self._fold.gaps.due(now_ns):
                chain = self._chains.chain(number)
                self._send(self._fold.settle(chain, last, now_ns, unsynced=unsynced), done)
        return done

    def next_deadline_ns(self) -> int | None:
        """When `settle`, or asking for what is wanted, is next due; None: nothing waits for time."""
        return self._fold.gaps.next_due_ns()

    def cursor(self, source: str, stream: str) -> str | None:
        """Up to where `stream` of `source` has been taken."""
        return self._cursors.cursor(source, stream)

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
        return "".join(dump.lines(self._database))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _send(self, messages: Iterable[Message], done: Committed) -> None:
        for message in messages:
            done.seqs.append(self._outbox.add(message))
