"""What the store remembers between transactions changes nothing but its speed."""

import random
import sqlite3
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.tests.ledger.frames import Device, at
from bridge.tests.ledger.node import INTERVAL_S, NS, Node
from bridge.tests.ledger.test_exactness import LATE_NS, lives
from zaehlwerk_bridge.ledger.cell_table import TAIL
from zaehlwerk_bridge.store import Store


def forgetful() -> Store:
    """A store that reads everything anew, and writes everything at once."""
    store = Store(":memory:")
    store._memory.begin = partial(_begin_without, store)  # type: ignore[method-assign]
    return store


def _begin_without(store: Store, *, trusted: bool) -> None:
    type(store._memory).begin(store._memory, trusted=False)


def test_a_forgetful_store_remembers_nothing_and_a_store_does() -> None:
    device = Device()
    events = [device.status(0, 10), device.count(1, 12)]
    for store, remembers in ((Store(":memory:"), True), (forgetful(), False)):
        store.commit(events, at(1))
        assert any(store._memory._kinds) is remembers


@given(lives, st.integers(0, 1 << 32))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_it_tells_and_holds_byte_for_byte_what_a_store_without_memory_does(node: Node, seed: int) -> None:
    dice = random.Random(seed)
    remembering, plain = Store(":memory:"), forgetful()
    events = list(node.events)
    if dice.random() < 0.5:
        events += dice.choices(events, k=5)
        dice.shuffle(events)
    now_ns = node.events[0].received_ns
    while events:
        batch = [events.pop(0) for _ in range(min(len(events), dice.choice([1, 1, 3, 20])))]
        now_ns = max(now_ns, *(event.received_ns for event in batch)) + dice.randrange(2 * INTERVAL_S * NS)
        acknowledges, settles, forgets = dice.random() < 0.5, dice.random() < 0.3, dice.random() < 0.1
        for store in (remembering, plain):
            store.commit(batch, now_ns)
            if settles:
                store.settle(now_ns)
            if forgets:
                while store.forget(now_ns - 30 * INTERVAL_S * NS, 100):
                    pass
        assert remembering.outbox(0, 1 << 30) == plain.outbox(0, 1 << 30)
        assert remembering.next_deadline_ns() == plain.next_deadline_ns()
        if acknowledges:
            for store in (remembering, plain):
                store.acknowledged([row.seq for row in store.outbox(0, 1 << 30)])
    for store in (remembering, plain):
        store.settle(now_ns + LATE_NS)
    assert remembering.outbox(0, 1 << 30) == plain.outbox(0, 1 << 30)
    assert remembering.dump() == plain.dump()
    remembering.close()
    plain.close()


def test_a_frame_far_behind_those_that_are_remembered_heals_its_gap() -> None:
    device = Device()
    last = 4 * TAIL
    events = [device.status(0, 10), device.count(1, 11), device.count(4, 24)]
    events += [device.count(number, 20 + number) for number in range(5, last)]
    remembering, plain = Store(":memory:"), forgetful()
    for store in (remembering, plain):
        for event in events:
            store.commit([event], event.received_ns)
        store.settle(at(last))
        store.commit([device.backfill(2, 6, 5, after=last)], at(last))
    assert remembering.dump() == plain.dump()
    assert '"neutor.00000001.1980002"' in remembering.dump()


def test_a_transaction_that_is_undone_leaves_nothing_in_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    device, store = Device(), Store(":memory:")
    store.commit([device.status(0, 10), device.count(1, 12)], at(1))
    events = [device.count(2, 15), device.count(3, 19)]

    def fail() -> None:
        raise sqlite3.OperationalError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(store._memory, "flush", fail)
        with pytest.raises(sqlite3.OperationalError):
            store.commit(events, at(3))
    assert not any(store._memory._kinds)
    done = store.commit(events, at(3))
    assert (done.repeated, done.told["interval"]) == (0, 2)


def test_what_another_program_committed_is_seen(tmp_path: Path) -> None:
    device = Device()
    store = Store(tmp_path / "bridge.db")
    store.commit([device.status(0, 10), device.count(1, 12)], at(1))
    other = sqlite3.connect(tmp_path / "bridge.db", isolation_level=None)
    other.execute("UPDATE station SET revision = 700")
    other.close()
    store.commit([device.count(2, 15)], at(2))
    assert '"neutor.00000001.1980002",701,' in store.dump().replace(", ", ",")
    store.close()
