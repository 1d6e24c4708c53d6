"""Store, ledger and outbox as one machine against a model: whatever happens in whatever order, the sums are the model's.

`make long` tries 500 lives. `ZAEHLWERK_MACHINE_EXAMPLES` in the environment: so many instead of a few.
"""

import json
import os
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bridge.tests.ledger.frames import Device, at
from bridge.tests.ledger.test_consumer_document import Sqlite
from bridge.tests.ledger.test_restoring import Broker
from zaehlwerk_bridge import store as store_module
from zaehlwerk_bridge.database import sqlite_code
from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.outbox import OutboxRow
from zaehlwerk_bridge.republishing import Period
from zaehlwerk_bridge.retrying import Retry
from zaehlwerk_bridge.store import Store

EXAMPLES = int(os.environ.get("ZAEHLWERK_MACHINE_EXAMPLES", "30"))
MANY_EXAMPLES = 500
STEPS = 40
pytestmark = pytest.mark.timeout(300 + 2 * EXAMPLES)
LATE_NS = at(400)
"""After every grace: a gap is told as a span as soon as it is known."""
STATION = "neutor"
BEFORE = 10
"""What the node had counted before anybody listened."""
POINTS = ("transaction.begun", "transaction.before-commit", "transaction.committed")


class Snapshot(dict[str, bytes]):
    """A store's files as they lie on the disk at some moment."""

    def __init__(self, directory: Path) -> None:
        super().__init__({path.name: path.read_bytes() for path in directory.iterdir()})

    def laid_out(self, directory: Path) -> None:
        for name, content in self.items():
            (directory / name).write_bytes(content)


def _counts(rows: list[OutboxRow]) -> list[OutboxRow]:
    return [row for row in rows if row.topic.endswith(("/count", "/span"))]


class BridgeMachine(RuleBasedStateMachine):
    """One node, one store, one platform. The model: a number for what is known, and which messages wait."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="machine-"))
        self.lives = 0
        self.device = Device(max_rate="1000")
        self.number, self.total = 0, BEFORE
        self.history: list[int] = []
        self.heard: list[tuple[Event, int]] = []  # with the total that it tells
        self.known = 0  # the highest total that the store has taken
        self.waiting: dict[int, bytes] = {}  # counts in the outbox
        self.put_aside: dict[int, OutboxRow] = {}  # counts among the rejected, by number there
        self.passed_over: set[bytes] = set()  # put aside before the platform had them, and not sent since
        self.published: list[OutboxRow] = []  # what the broker has taken, whether or not the store knows
        self.platform = Sqlite()
        self.broker = Broker()  # has the checkpoints
        self.forgotten = False  # whether something may be too old to be published again
        self.backup: bool | None = None  # whether it was so when the backup was made; None: there is none
        self.store = self._opened(self._directory())

    def _opened(self, directory: Path) -> Store:
        store = Store(directory / "bridge.sqlite")
        # Files are copied as the operating system has them: a power cut is not what this tries.
        store._database.execute("PRAGMA synchronous = OFF")
        assert not store.put_back
        return store

    def _directory(self) -> Path:
        self.lives += 1
        directory = self.root / str(self.lives)
        directory.mkdir()
        return directory

    def teardown(self) -> None:
        try:
            self._take_all()
        finally:
            self.store.close()
            self.platform.database.close()
            shutil.rmtree(self.root, ignore_errors=True)

    def _take_all(self) -> None:
        """In the end everything is read, put back, published and acknowledged."""
        self._done(lambda: self.store.commit([event for event, _ in self.heard], LATE_NS))
        self.known = max(total for _, total in self.heard)
        for number in list(self.put_aside):
            self._retry(number)
        rows = self.store.outbox(0, 1 << 30)
        self.platform.take(_counts(rows))
        self.store.acknowledged([row.seq for row in rows])
        assert sum(self.platform.sums()) == self.known
        assert not self.store.outbox(0, 1 << 30)

    # What the node does.

    @initialize()
    def first_status(self) -> None:
        """Names the epoch: until then counts wait, and nothing is known of them."""
        status = self.device.status(0, BEFORE)
        self.heard.append((status, BEFORE))
        self._done(lambda: self.store.commit([status], LATE_NS))
        self.known = BEFORE

    @rule(count=st.integers(0, 200), lost=st.integers(0, 4), rows=st.integers(0, 2))
    def node_counts(self, count: int, lost: int, rows: int) -> None:
        """A frame, after `lost` that nobody heard; it tells up to two intervals of the past."""
        for one in [*range(1, lost + 1), count]:
            self.number += 1
            self.total += one
            self.history.insert(0, one)
        frame = self.device.count(self.number, self.total, *self.history[1 : 1 + rows])
        self.heard.append((frame, self.total))

    # What the store does.

    def _done(self, change: Callable[[], object]) -> None:
        """The store did something without a crash: what waits now is what waited, and what is new."""
        before = dict(self.waiting)
        change()
        self.waiting = self._in_outbox()
        assert before.items() <= self.waiting.items(), "something left the outbox without an acknowledgement"

    def _in_outbox(self) -> dict[int, bytes]:
        return {row.seq: row.payload for row in _counts(self.store.outbox(0, 1 << 30))}

    def _some(self, data: st.DataObject) -> list[tuple[Event, int]]:
        dice = random.Random(data.draw(st.integers(0, 1 << 16), label="which"))
        # New, late and repeated ones, in any order.
        return dice.sample(self.heard, data.draw(st.integers(1, min(6, len(self.heard))), label="how many"))

    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        some = self._some(data)
        self._done(lambda: self.store.commit([event for event, _ in some], LATE_NS))
        self.known = max(self.known, *(total for _, total in some))

    @rule(data=st.data(), point=st.sampled_from(POINTS))
    def commit_and_die(self, data: st.DataObject, point: str) -> None:
        some = self._some(data)
        self._die(point, lambda: self.store.commit([event for event, _ in some], LATE_NS))
        if point == "transaction.committed":
            self.known = max(self.known, *(total for _, total in some))
            assert self.waiting.items() <= self._in_outbox().items()
            self.waiting = self._in_outbox()

    def _die(self, point: str, change: Callable[[], object]) -> None:
        """The store is opened again from its files as they were at `point` of the transaction."""
        taken: list[Snapshot] = []
        directory = self.root / str(self.lives)

        def reached(name: str) -> None:
            if name == point and not taken:
                taken.append(Snapshot(directory))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store_module, "failpoint", reached)
            change()
        assert taken, f"nothing came to {point}"
        self.store.close()
        new = self._directory()
        taken[0].laid_out(new)
        self.store = self._opened(new)

    @rule(data=st.data())
    def commit_on_a_full_disk(self, data: st.DataObject) -> None:
        """It is refused as a whole, and can be read again; or there was room enough."""
        some = self._some(data)
        database = self.store._database
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages}")
        try:
            self.store.commit([event for event, _ in some], LATE_NS)
        except sqlite3.OperationalError as error:
            if sqlite_code(error) != sqlite3.SQLITE_FULL:
                raise
            assert self._in_outbox() == self.waiting
        else:
            self.known = max(self.known, *(total for _, total in some))
            assert self.waiting.items() <= self._in_outbox().items()
            self.waiting = self._in_outbox()
        finally:
            database.execute(f"PRAGMA max_page_count = {1 << 30}")

    # The retention is months. What waits for longer, and is lost with the disk then, no backup could tell anew.
    @precondition(lambda self: not self.put_aside)
    @rule(back=st.integers(0, 10))
    def publish_all_and_forget(self, back: int) -> None:
        """Housekeeping: nothing is told because of it, and the sums of whoever has them do not change."""
        self._publish(len(self.waiting))
        self.store.acknowledged(list(self.waiting))
        self.waiting = {}
        self._done(lambda: self._until_forgotten(at(self.number - back)))
        self.forgotten = True

    def _until_forgotten(self, before_ns: int) -> None:
        while self.store.forget(before_ns, 20):
            pass

    @rule()
    def back_up(self) -> None:
        copy = sqlite3.connect(self.root / "backup.sqlite")
        self.store._database.backup(copy)
        copy.close()
        self.backup = self.forgotten

    @precondition(lambda self: self.backup is not None)
    @rule()
    def restore_and_read_again(self) -> None:
        """The disk is lost: the backup is put back, and the source's history read again."""
        self.store.close()
        directory = self._directory()
        shutil.copy(self.root / "backup.sqlite", directory / "bridge.sqlite")
        self.store = Store(directory / "bridge.sqlite")
        self.store._database.execute("PRAGMA synchronous = OFF")
        assert self.store.put_back
        assert self.backup is not None
        self.forgotten = self.backup
        self.broker._reconcile(self.store, self.store.unverified([STATION]), LATE_NS)
        self.store.commit([event for event, _ in self.heard], LATE_NS)
        self.known = max(total for _, total in self.heard)
        self.waiting = self._in_outbox()
        self.put_aside = {row.id: row.message for row in self.store.rejected() if row.message is not None}

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = self._opened(self.root / str(self.lives))

    @rule()
    def settle(self) -> None:
        self._done(lambda: self.store.settle(LATE_NS))

    # What the publisher does.

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def publish_some(self, data: st.DataObject) -> None:
        """The broker takes the oldest ones that wait; the platform has them, the store does not know it yet."""
        self._publish(data.draw(st.integers(1, len(self.waiting))))

    def _publish(self, most: int) -> None:
        rows: list[OutboxRow] = []
        for row in self.store.outbox(0, 1 << 30):
            if len(rows) == most:
                break
            if row.topic.endswith("/checkpoint"):
                self.broker.retained[row.topic.split("/")[-2]] = row.payload
            rows += _counts([row])
        self.platform.take(rows)
        self.published += rows
        self.passed_over -= {row.payload for row in rows}

    @precondition(lambda self: self._unacknowledged())
    @rule(data=st.data())
    def acknowledge_some(self, data: st.DataObject) -> None:
        seqs = data.draw(st.lists(st.sampled_from(self._unacknowledged()), min_size=1, unique=True))
        self.store.acknowledged(seqs)
        for seq in seqs:
            del self.waiting[seq]

    @precondition(lambda self: self._unacknowledged())
    @rule(data=st.data(), point=st.sampled_from(POINTS))
    def acknowledge_and_die(self, data: st.DataObject, point: str) -> None:
        seqs = data.draw(st.lists(st.sampled_from(self._unacknowledged()), min_size=1, unique=True))
        self._die(point, lambda: self.store.acknowledged(seqs))
        if point == "transaction.committed":
            for seq in seqs:
                del self.waiting[seq]

    def _unacknowledged(self) -> list[int]:
        taken = {row.payload for row in self.published}
        return [seq for seq, payload in self.waiting.items() if payload in taken]

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def quarantine(self, data: st.DataObject) -> None:
        """The broker can never take it: it leaves the outbox for the rejected ones, from where it can be put back."""
        seq = data.draw(st.sampled_from(sorted(self.waiting)))
        row = next(row for row in self.store.outbox(0, 1 << 30) if row.seq == seq)
        self.store.quarantine(row, "too large", LATE_NS)
        del self.waiting[seq]
        kept = [found for found in self.store.rejected() if found.id not in self.put_aside]
        assert [found.message.payload for found in kept if found.message] == [row.payload]
        self.put_aside[kept[0].id] = row
        if all(row.payload != other.payload for other in self.published):
            self.passed_over.add(row.payload)

    @precondition(lambda self: self.put_aside)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        self._retry(data.draw(st.sampled_from(sorted(self.put_aside))))

    def _retry(self, number: int) -> None:
        row = self.put_aside.pop(number)
        self._done(lambda: self._retried(number))
        assert row.payload in self.waiting.values()

    def _retried(self, number: int) -> None:
        assert self.store.retry(number, {}, LATE_NS).fate is Retry.SENT

    @precondition(lambda self: self.put_aside and not self.forgotten)
    @rule(data=st.data())
    def drop_and_republish(self, data: st.DataObject) -> None:
        """What was dropped is lost, and not what it said: that is published again."""
        number = data.draw(st.sampled_from(sorted(self.put_aside)))
        del self.put_aside[number]
        self._done(lambda: self._dropped(number))
        assert not self.store.rejected(ids=[number])

    def _dropped(self, number: int) -> None:
        assert self.store.drop(number).fate is Retry.DROPPED
        assert self.store.drop(number).fate is Retry.GONE
        self.store.republish(STATION, Period(), LATE_NS)

    @precondition(lambda self: self.known)
    @rule()
    def republish(self) -> None:
        self._done(lambda: self.store.republish(STATION, Period(), LATE_NS))

    # What holds at every moment.

    @invariant()
    def the_outbox_holds_what_the_model_says(self) -> None:
        assert self._in_outbox() == self.waiting

    @invariant()
    def a_platform_never_holds_more_than_is_known_and_all_of_it_with_what_waits(self) -> None:
        # What replaces a span does not say what the span replaced: a platform that misses one message in between may hold too
        # much until it is sent again.
        assert self.passed_over or sum(self.platform.sums()) <= self.known
        whole = Sqlite()
        self.platform.database.backup(whole.database)
        whole.take(_counts(self.store.outbox(0, 1 << 30)))
        whole.take(list(self.put_aside.values()))
        sums = whole.sums()
        whole.database.close()
        assert sum(sums) == self.known, (sums, self.known)

    @invariant()
    def what_waits_is_of_the_station_and_names_no_record_twice(self) -> None:
        for payload in self.waiting.values():
            content = json.loads(payload)
            ids = [record["id"] for record in content["records"]]
            assert content["station"] == STATION
            assert len(set(ids)) == len(ids)


BridgeMachine.TestCase.settings = settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None)
TestWhatAPlatformHoldsIsWhatIsKnown = BridgeMachine.TestCase


@pytest.mark.long
@pytest.mark.timeout(300 + 6 * MANY_EXAMPLES)
def test_so_it_is_in_hundreds_of_lives() -> None:
    many = settings(max_examples=MANY_EXAMPLES, stateful_step_count=STEPS, deadline=None)
    run_state_machine_as_test(BridgeMachine, settings=many)
