"""The store: events go in, and ledger, records, outbox rows and cursors change in one transaction, or not at all."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from zaehlwerk_bridge import dump
from zaehlwerk_bridge.checkpoint import KIND as CHECKPOINT
from zaehlwerk_bridge.checkpoint import read_checkpoint
from zaehlwerk_bridge.commands.register import Register
from zaehlwerk_bridge.cursors import Cursors
from zaehlwerk_bridge.database import (
    BUSY_S,
    FAULTS,
    Database,
    Server,
    SqliteDatabase,
    again,
    open_database,
    open_existing,
    passes,
)
from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.failpoints import failpoint
from zaehlwerk_bridge.healing import Questions
from zaehlwerk_bridge.intake import Fate, Intake, Taken
from zaehlwerk_bridge.ledger.chains import Chains
from zaehlwerk_bridge.ledger.coverage import Coverage
from zaehlwerk_bridge.ledger.fold import Fold
from zaehlwerk_bridge.ledger.forgetting import Forgetting
from zaehlwerk_bridge.ledger.gap_table import Want
from zaehlwerk_bridge.ledger.memory import Memory
from zaehlwerk_bridge.ledger.questions import ask_beforehand
from zaehlwerk_bridge.life import Life
from zaehlwerk_bridge.messages import Message, Messages
from zaehlwerk_bridge.outbox import Outbox, OutboxRow
from zaehlwerk_bridge.reconciling import Reconciled, Reconciling
from zaehlwerk_bridge.rejected import Cause, RejectedGroup, RejectedRow
from zaehlwerk_bridge.republishing import Period, republished
from zaehlwerk_bridge.reserves import Reserves
from zaehlwerk_bridge.retrying import DEALT_WITH, Retried, Retry, retry_event, retry_message
from zaehlwerk_bridge.station import StationError
from zaehlwerk_bridge.stations import Stations, place_of

if TYPE_CHECKING:
    from zaehlwerk_bridge.postgres import PostgresDatabase
    from zaehlwerk_bridge.sharing import Neighbours

INCREMENTAL = 2  # sqlite.org/pragma.html#pragma_auto_vacuum
FREE_PAGES_KEPT = 1000
"""Free pages that the next rows will need anyway."""
MESSAGES_A_TRANSACTION = 20
"""So few that a bridge beside never waits long for its turn to write."""


@dataclass(slots=True)
class Committed:
    """What one transaction did."""

    events: int = 0
    repeated: int = 0  # events that were known already
    rows: list[OutboxRow] = field(default_factory=list)  # new ones of the outbox
    rejected: list[str] = field(default_factory=list)  # reasons, one per event that could not be read
    fates: Counter[str] = field(default_factory=Counter)  # events, by fate
    frames: Counter[str] = field(default_factory=Counter)  # decoded frames, by kind
    causes: Counter[str] = field(default_factory=Counter)  # rejected events and late frames, by cause
    told: Counter[str] = field(default_factory=Counter)  # records, by resolution
    superseded: int = 0  # records that others took the place of

    @property
    def seqs(self) -> list[int]:
        """Which rows of the outbox are new."""
        return [row.seq for row in self.rows]

    def note(self, taken: Taken) -> None:
        """Count what became of an event."""
        self.fates[taken.fate] += 1
        if taken.frame:
            self.frames[taken.frame] += 1
        if taken.late:
            self.causes.update(taken.late)
        if taken.cause is not None:
            self.causes[taken.cause] += 1
            self.rejected.append(taken.reason)


@dataclass(frozen=True, slots=True)
class Republished:
    """What was put into the outbox again."""

    messages: int
    records: int
    superseded: int


class Store:
    """One bridge's memory. Not thread-safe: one thread at a time.

    `place`: a SQLite file, or a PostgreSQL database that other bridges work on as well. `existing`: beside a bridge
    that may be running; the database has to be there and of this version's schema.
    """

    def __init__(
        self,
        place: Path | str | Server,
        *,
        prefix: str = "zaehlwerk",
        bridge_id: str = "bridge",
        existing: bool = False,
    ) -> None:
        self._database: Database
        self._file: SqliteDatabase | None = None
        self._shared: PostgresDatabase | None = None
        self._neighbours: Neighbours | None = None
        bridge = ""
        if isinstance(place, Server):
            from zaehlwerk_bridge import postgres_schema, sharing  # noqa: PLC0415 - takes its time, and few need it

            opened = postgres_schema.open_existing_postgres if existing else postgres_schema.open_postgres
            self._database = self._shared = shared = opened(place)
            if not existing:  # what a command line puts into the outbox is for the bridge that finds it first
                bridge = bridge_id
                self._neighbours = sharing.Neighbours(shared, bridge)
        else:
            self._database = self._file = open_existing(Path(place)) if existing else open_database(place)
            self._data_version = self._file.data_version()
        self._messages = Messages(prefix, bridge_id)
        self._memory = Memory(self._database)
        self._outbox = Outbox(self._database, self._memory, bridge)
        self._cursors = Cursors(self._database, self._memory)
        self._chains = Chains(self._database, self._memory)
        self._stations = Stations(self._database, self._memory)
        self._fold = Fold(self._database, self._chains, self._stations, self._messages, self._memory)
        self._records = self._fold.records
        self._reserves = Reserves(self._database, self._messages)
        self._coverage = Coverage(self._database, self._reserves, self._memory)
        self._reconciling = Reconciling(self._database, self._chains, self._fold, self._reserves)
        self._records.look()
        self._forgetting = Forgetting(self._database)
        self.commands = Register(
            self._database,
            self._chains,
            self._stations,
            self._messages,
            self._transaction,
            lambda messages: self._send(messages, Committed()),
        )
        self._questions = Questions(self._database, self.commands, self._fold.gaps, self._stations)
        self._intake = Intake(
            self._database,
            self._chains,
            self._fold,
            self._messages,
            self.commands,
            self._stations,
            self._memory,
        )
        self._life: Life | None = None
        if self._file is not None and not existing and str(place) != ":memory:":
            self._life = Life(self._file, Path(str(place)))
        self._said_again = False
        self.commit_failed = False
        """Whether the last transaction with events was undone; see `transactions.commit`."""
        self.put_back = self._life is not None and self._life.is_copy()
        """Whether the file was put back from a copy: what it says of what was published may be out of date."""
        if self.put_back:
            self._database.execute("UPDATE station SET verified = 0")
        with suppress(*FAULTS, OSError):  # a full disk: housekeeping tries again, and tells
            self.renew_life()

    def renew_life(self) -> None:
        """Let copies that were made until now be told from this file. Raises sqlite3.Error and OSError."""
        if self._life is not None:
            self._life.renew()

    @again
    def written_by_others(self) -> bool:
        """Whether there may be something new in the store that this bridge did not put there: by a command line, or by
        another bridge, of which it takes over what a dead one has left."""
        if self._neighbours is not None:
            changed = self._neighbours.look()
            if changed or self._neighbours.returned:
                self._outbox.turns.begin()
            said, self._said_again = self._said_again, False
            return changed or said
        if self._file is None:
            return False
        version = self._file.data_version()
        others = version != self._data_version
        self._data_version = version
        return others

    @property
    def holds_back(self) -> bool:
        """Whether the outbox may hold messages that wait for other bridges'. May be asked from any thread."""
        return self._database.shared and self._outbox.turns.waiting

    def turns_came(self) -> int | None:
        """Behind which number of the outbox there are messages that waited for another bridge's until now; None: nowhere."""
        return self._outbox.turns.came()

    def close(self) -> None:
        """Close the database."""
        if self._file is not None:
            with suppress(*FAULTS, OSError):  # what was copied in the last minute is then not told from it
                self._file.execute("PRAGMA busy_timeout = 0")
                self.renew_life()
        self._database.close()

    @property
    def shared(self) -> bool:
        """Whether other bridges may work on the database as well."""
        return self._database.shared

    @property
    def leads(self) -> bool:
        """Whether this bridge does what one of those that share the store is enough for."""
        return self._neighbours is None or self._neighbours.leads

    def serves_commands_of_others(self) -> bool:
        """Whether there may be commands that another bridge took: the one that leads sends them."""
        return self._neighbours is not None and self.leads and self.commands.table.any_open()

    @again
    def commit(self, events: Sequence[Event], now_ns: int, acknowledged: Sequence[int] = ()) -> Committed:
        """Take `events` in one transaction. What was taken before, by cursor or deduplication id, changes nothing.

        Rows `acknowledged` of the outbox, which the broker took, are forgotten on the way.
        """
        done = Committed(events=len(events))
        slugs = _slugs(events) if self._shared is not None else []
        names = {*slugs, *(event.dev_eui for event in events)} if self._shared is not None else ()
        with self._transaction(now_ns, remembering=True, names=names):
            if self._shared is not None:
                ask_beforehand(self._shared, events, slugs)
            for event, new in zip(events, self._cursors.new(events), strict=True):
                if not new:
                    done.repeated += 1
                    done.fates[Fate.DUPLICATE] += 1
                    continue
                taken = self._intake.take(event, now_ns)
                self._send(taken.told, done)
                done.note(taken)
                failpoint("commit.in-the-middle")
            if acknowledged:
                self._outbox.delete(acknowledged)
        return done

    @again
    def settle(self, now_ns: int) -> Committed:
        """Do what time alone makes due: gaps whose grace is over become spans."""
        done = Committed()
        with self._transaction(now_ns, remembering=True):
            due = [(self._chains.chain(row[0]), *row[1:]) for row in self._fold.gaps.due(now_ns)]
            if self._database.shared:
                devices = {chain.dev_eui for chain, _, _ in due}
                stations = {self._stations.at(dev_eui, now_ns).slug for dev_eui in devices}
                self._database.touches(*devices, *stations)
            for chain, unsynced, last in due:
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

    def newest(self, stations: Iterable[str]) -> dict[str, Message]:
        """The retained messages with the newest interval of stations, by station; of one without any there is none."""
        found = {station: self._records.newest(station) for station in stations}
        return {
            station: self._messages.last(station, record)
            for station, record in found.items()
            if record is not None
        }

    @again
    def acknowledged(self, seqs: Iterable[int]) -> None:
        """The broker took these messages: forget them."""
        with self._transaction(remembering=True):
            self._outbox.delete(seqs)
            failpoint("delete.before-commit")

    @again
    def say_again(self, rows: Iterable[OutboxRow], now_ns: int) -> None:
        """The broker took these retained messages. Where another bridge has said something newer meanwhile, it may have
        come before them: what their topics should say is said once more."""
        with self._transaction(now_ns):
            for row in rows:
                present = self._present(row)
                if (
                    present is not None
                    and present.payload != row.payload
                    and not self._outbox.has_topic(row.topic)
                ):
                    self._outbox.add(present)
                    self._said_again = True

    @again
    def quarantine(self, row: OutboxRow, reason: str, now_ns: int) -> None:
        """Put a message that the broker can never take among the rejected ones."""
        with self._transaction(now_ns):
            self._intake.rejected.add_message(row, reason, now_ns)
            self._outbox.delete([row.seq])
            content = {"topic": row.topic, "reason": reason, "bytes": len(row.payload)}
            self._outbox.add(self._messages.rejected(content, f"message.{row.seq}"))
            failpoint("quarantine.before-commit")

    def rejected(
        self,
        cause: Cause | None = None,
        ids: Sequence[int] | None = None,
        limit: int = -1,
        device: str | None = None,
    ) -> list[RejectedRow]:
        """What was rejected and is kept: of `cause` (None: all), with one of `ids` (None: all), at most `limit`; of
        `device` (None: all), by DevEUI or name."""
        return self._intake.rejected.rows(cause, ids, limit, device)

    def rejected_groups(self) -> list[RejectedGroup]:
        """How much of it there is, by cause and device or topic."""
        return self._intake.rejected.groups()

    def retry(self, number: int, overrides: Mapping[str, Mapping[str, str]], now_ns: int) -> Retried:
        """Try rejected row `number` again. `overrides`: by DevEUI, what the settings say instead of tags."""
        try:
            return self._retry(number, overrides, now_ns)
        except Exception as error:  # one that breaks the ledger again must not stop the others
            if passes(error):
                raise  # of the disk, the server or another program: it says nothing of the row
            reason = f"internal error: {type(error).__name__}: {error}"
            self._still(number, reason, now_ns)
            return Retried(number, Retry.REJECTED, reason)

    @again
    def _still(self, number: int, reason: str, now_ns: int) -> None:
        with self._transaction(now_ns):
            self._intake.rejected.still(number, Cause.INTERNAL, reason)

    @again
    def _retry(self, number: int, overrides: Mapping[str, Mapping[str, str]], now_ns: int) -> Retried:
        with self._transaction(now_ns, names=[f"rejected.{number}"]):
            return self._tried(number, overrides, now_ns)

    def _tried(self, number: int, overrides: Mapping[str, Mapping[str, str]], now_ns: int) -> Retried:
        table = self._intake.rejected
        found = table.rows(ids=[number])
        if not found:
            return Retried(number, Retry.GONE)
        row = found[0]
        if row.event is not None:
            self._database.touches(row.event.dev_eui)
            attempt = retry_event(row, row.event, self._intake, overrides, now_ns)
        else:
            assert row.message is not None
            attempt = retry_message(row.message, self._outbox, self._present(row.message))
        self._send(attempt.told, Committed())
        if attempt.fate in DEALT_WITH:
            table.drop(number)
        elif attempt.cause is not None:
            table.still(number, attempt.cause, attempt.reason)
        return Retried(number, attempt.fate, attempt.reason)

    def _present(self, message: OutboxRow) -> Message | None:
        """What a retained topic should say now; None: nothing is known of it."""
        kind = message.topic.rpartition("/")[2]
        if kind == CHECKPOINT:
            return self._reserves.present(message.station, message.topic)
        place = self._stations.present(message.station) if kind == "meta" else None
        return None if place is None else self._messages.meta(place)

    @again
    def drop(self, number: int) -> Retried:
        """Delete rejected row `number`."""
        with self._transaction():
            return Retried(number, Retry.DROPPED if self._intake.rejected.drop(number) else Retry.GONE)

    def knows(self, slug: str) -> bool:
        """Whether there is a station of that name."""
        return self._stations.present(slug) is not None

    def republish(self, slug: str, period: Period, now_ns: int) -> Republished:
        """Put the records of a station in `period` into the outbox again, with the ids and revisions that they have."""
        made = republished(
            slug, self._records.all_of(slug), period, self._messages, f"again.{now_ns // 1_000_000_000}"
        )
        for at in range(0, len(made), MESSAGES_A_TRANSACTION):
            self._send_all(made[at : at + MESSAGES_A_TRANSACTION], now_ns)
        return Republished(
            len(made), sum(len(message.records) for message in made), sum(len(m.supersedes) for m in made)
        )

    @again
    def _send_all(self, messages: Sequence[Message], now_ns: int) -> None:
        with self._transaction(now_ns):
            self._send(messages, Committed())

    @again
    def forget(self, before_ns: int, limit: int) -> bool:
        """Delete about `limit` rows of what is older than `before_ns` and settled; whether more is left."""
        if not self.leads:
            return False
        with self._transaction():
            more = self._forgetting.step(before_ns, limit)
            failpoint("housekeeping.forgetting")
        failpoint("housekeeping.forgotten")
        return more

    def shrink(self, pages: int) -> bool:
        """Give at most `pages` free pages back to the disk; whether enough are left for another time. PostgreSQL does
        that by itself."""
        if self._file is None:
            return False
        free = int(self._file.execute("PRAGMA freelist_count").fetchone()[0])
        if (
            free < FREE_PAGES_KEPT + pages
            or self._file.execute("PRAGMA auto_vacuum").fetchone()[0] != INCREMENTAL
        ):
            return False
        # It gives a row without columns for every page, and execute() would stop at the first one.
        self._file.executescript(f"PRAGMA incremental_vacuum({pages})")
        return free >= FREE_PAGES_KEPT + 2 * pages

    def empty_log(self) -> bool:
        """Move what the write-ahead log holds into the database and empty it; whether nobody was in the way.

        Who reads (a backup) is not waited for: then another time.
        """
        if self._file is None:
            return True
        self._file.execute("PRAGMA busy_timeout = 0")
        try:
            busy = self._file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        finally:
            self._file.execute(f"PRAGMA busy_timeout = {round(BUSY_S * 1000)}")
        return not busy

    def unverified(self, stations: Iterable[str]) -> set[str]:
        """Those of `stations`, and of their company, of which nothing may be published before they are reconciled."""
        return set().union(*self._reconciling.unverified(stations))

    def unverified_groups(self, stations: Iterable[str]) -> list[set[str]]:
        """The same, those together that have to be reconciled together."""
        return self._reconciling.unverified(stations)

    @again
    def reconcile(self, payloads: Mapping[str, bytes | None], now_ns: int) -> Reconciled:
        """Take what the retained checkpoints of stations say (None: the broker has none), together with their company's.

        Afterwards the outbox holds nothing of their records that could be counted twice. Raises CheckpointError,
        having changed nothing.
        """
        checkpoints = {
            station: None if payload is None else read_checkpoint(payload, station)
            for station, payload in payloads.items()
        }
        with self._transaction(now_ns, names=checkpoints):
            if self._database.shared and not self._reconciling.is_needed(checkpoints):
                return Reconciled()  # another bridge has done it meanwhile
            reconciled, told = self._reconciling.reconcile(checkpoints, now_ns)
            self._send(told, Committed())
            failpoint("reconcile.before-commit")
        return reconciled

    def wanted_backfill(self, now_ns: int) -> list[Want]:
        """Gaps for which nodes should now be asked."""
        return self._fold.gaps.wanted(now_ns)

    @again
    def asked(self, want: Want, now_ns: int) -> None:
        """Note that a node was asked, or could not be: the next try comes later, and not for ever."""
        with self._transaction():
            self._fold.gaps.asked(want, now_ns)

    @again
    def ask_for_backfill(self, wants: Sequence[Want], now_ns: int, *, enabled: bool) -> None:
        """Put questions for `wants` among the commands to nodes, or only note that it is time if not `enabled`."""
        with self._transaction(now_ns, names=[want.dev_eui for want in wants]):
            if self._database.shared:
                due = set(self._fold.gaps.wanted(now_ns))  # another bridge may have asked meanwhile
                wants = [want for want in wants if want in due]
            self._questions.backfill(wants, now_ns, enabled=enabled)

    @again
    def ask_for_status(self, now_ns: int) -> None:
        """Put questions among the commands to those nodes whose status frames the ledger waits for."""
        if not self.leads:
            return
        with self._transaction(now_ns):
            self._questions.status(now_ns)

    def dump(self) -> str:
        """The ledger as text, a line an entry: the same frames give the same text."""
        return "".join(dump.lines(self._database))

    @contextmanager
    def _transaction(
        self, now_ns: int = 0, *, remembering: bool = False, names: Iterable[str] = ()
    ) -> Iterator[None]:
        """One transaction, undone if anything is raised in it; `now_ns`: when messages that it makes were made.

        remembering: the tables of which something is remembered are changed through what remembers alone. names: devices
        and stations that it will work on; others that turn out to be needed make it begin again (see `again`).
        """
        self._outbox.now_ns = now_ns
        self.commands.begin()
        failpoint("transaction.before-begin")
        self._database.begin(names)
        failpoint("transaction.begun")
        try:
            self._memory.begin(trusted=remembering)
            if self._database.shared:
                self._records.look()
            yield
            self._memory.flush()
            failpoint("transaction.before-commit")
            self._database.commit()
            failpoint("transaction.committed")
            self.commands.committed()
        except BaseException:
            self._memory.forget()
            self._database.rollback()
            raise
        finally:
            self._memory.end()

    def _send(self, messages: Sequence[Message], done: Committed) -> None:
        covered = self._coverage.covered(messages)
        for message in covered:
            done.rows.append(self._outbox.add(message))
            for record in message.records:
                done.told[record.resolution] += 1
            done.superseded += len(message.supersedes)


def _slugs(events: Sequence[Event]) -> list[str]:
    """Stations that events are about, as far as they say it themselves."""
    slugs: dict[str, None] = {}
    for event in events:
        with suppress(StationError):
            slugs[place_of(event).slug] = None
    return list(slugs)
