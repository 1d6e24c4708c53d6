"""Forgetting: what is old is gone, what comes late of it changes nothing, and no sum is ever wrong because of it."""

import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.tests.ledger.frames import DEV_EUI, INTERVAL_S, NS, SLOT, Device, at
from bridge.tests.ledger.node import Node
from bridge.tests.ledger.platform import Platform, truth_sum, verify
from bridge.tests.ledger.test_exactness import LATE_NS, lives
from zaehlwerk_bridge.ledger.forgetting import WORTH
from zaehlwerk_bridge.store import Store

STEP = 7
"""Rows a step: so few that events come between the steps of one round."""


def _drain(store: Store, platform: Platform) -> None:
    rows = store.outbox(0, 1 << 30)
    platform.take(rows)
    store.acknowledged([row.seq for row in rows])


def _published(store: Store) -> Store:
    """The same; the broker has acknowledged everything."""
    store.acknowledged([row.seq for row in store.outbox(0, 1 << 30)])
    return store


def _forget_all(store: Store, before_ns: int) -> None:
    while store.forget(before_ns, 1000):
        pass


def _rows(store: Store, about: str) -> int:
    return sum(line.startswith(f"{about} ") for line in store.dump().splitlines())


@given(lives, st.integers(0, 1 << 32))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_forgotten_and_when_every_record_stays_true_and_the_sum_exact(
    node: Node, seed: int
) -> None:
    """Also with a retention so short that frames, history, backfill and late copies come for what is forgotten."""
    dice = random.Random(seed)
    store, platform = Store(":memory:"), Platform()
    for event in node.events:
        store.settle(event.received_ns - 1)
        store.commit([event], event.received_ns)
        if dice.random() < 0.5:
            store.forget(event.received_ns - dice.randrange(12) * INTERVAL_S * NS, STEP)
        if dice.random() < 0.8:  # else the broker is away
            _drain(store, platform)
        verify(platform, node)
    store.settle(node.events[-1].received_ns + LATE_NS)
    _drain(store, platform)
    verify(platform, node)
    assert platform.sums() == truth_sum(node)
    store.close()


def test_records_and_cells_up_to_a_total_that_is_known_in_full_are_deleted_and_the_rest_stays() -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10), *(device.count(n, 10 + n) for n in range(1, 40))], at(39))
    assert (_rows(_published(store), "record"), _rows(store, "cell")) == (40, 40)
    _forget_all(store, at(30, 0))
    assert (_rows(store, "record"), _rows(store, "cell")) == (10, 11)  # the total of the cut is kept
    assert f".{SLOT + 30}" in store.dump()
    assert f".{SLOT + 29}" not in store.dump()


def test_what_no_status_frame_anchored_is_not_forgotten() -> None:
    """Its sum is not settled: an anchor may come."""
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0), *(device.count(n, 10 + n) for n in range(1, 40))], at(39))
    before = _published(store).dump()
    _forget_all(store, at(39))
    assert store.dump() == before


def test_a_gap_that_may_still_be_resolved_is_not_forgotten() -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10), device.count(1, 11), device.count(5, 20)], at(5))
    _forget_all(_published(store), at(6))
    assert _rows(store, "record") == 2
    store.settle(at(9))
    _forget_all(_published(store), at(9))
    assert _rows(store, "record") == 0


def test_what_waits_for_the_broker_is_not_forgotten_however_old_it_is() -> None:
    store, device, other = Store(":memory:"), Device(), Device("70b3d57ed0000002", station="Domplatz")
    store.commit([device.status(0, 10), *(device.count(n, 10 + n) for n in range(1, 40))], at(39))
    _published(store)
    store.commit([other.status(0, 10), *(other.count(n, 10 + n) for n in range(1, 40))], at(39))
    _forget_all(store, at(30, 0))
    assert _rows(store, "record") == 10 + 40
    waiting = store.outbox(0, 1000)
    assert {row.station for row in waiting if not row.retain} == {"domplatz"}
    last = next(row.seq for row in reversed(waiting) if not row.retain)
    store.acknowledged([row.seq for row in waiting if row.seq != last])
    _forget_all(store, at(30, 0))
    assert _rows(store, "record") == 10 + 40
    store.acknowledged([last])
    _forget_all(store, at(30, 0))
    assert _rows(store, "record") == 10 + 10


def test_a_late_frame_of_forgotten_times_tells_nothing() -> None:
    store, device = Store(":memory:"), Device()
    late = device.backfill(3, 1, 1, after=39)
    store.commit([device.status(0, 10), *(device.count(n, 10 + n) for n in range(1, 40))], at(39))
    _forget_all(_published(store), at(30))
    assert _rows(store, "record") == 10
    assert not store.commit([late], at(39)).seqs


def test_a_cut_moves_on_when_that_is_worth_it() -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10), *(device.count(n, 10 + n) for n in range(1, 40))], at(39))
    _forget_all(_published(store), at(10, 0))
    assert _rows(store, "record") == 30
    _forget_all(store, at(10 + WORTH - 1, 0))
    assert _rows(store, "record") == 30
    _forget_all(store, at(10 + WORTH, 0))
    assert _rows(store, "record") == 30 - WORTH


def test_a_round_goes_in_steps_and_says_when_it_is_over() -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10), *(device.count(n, 10 + n) for n in range(1, 40))], at(39))
    _published(store)
    deleted = []
    again = True
    while again:
        before = _rows_of_all(store)
        again = store.forget(at(30), 10)
        deleted.append(before - _rows_of_all(store))
    assert max(deleted) <= 10
    assert sum(deleted) == 30 + 29 + 30  # records, cells, events with the same tags


def _rows_of_all(store: Store) -> int:
    tables = ("record", "cell", "tagging", "gap")
    return sum(store._database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)


def test_the_station_of_forgotten_and_of_later_times_stays_the_same() -> None:
    """Of events with the same tags in a row the last is kept, so each time still has the station that it had."""
    store, device = Store(":memory:"), Device()
    events = [device.status(0, 10)]
    for number in range(1, 40):
        device.tags = {**device.tags, "station": "Neutor" if number < 20 else "Ring"}
        events.append(device.count(number, 10 + number))
    store.commit(events, at(39))
    times = [at(number, -5) for number in range(40)]
    before = [store._stations.at(DEV_EUI, ns).slug for ns in times]
    _forget_all(store, at(35))
    assert [store._stations.at(DEV_EUI, ns).slug for ns in times] == before
    left = store._database.execute("SELECT count(*) FROM tagging").fetchone()[0]
    assert left == 1 + 5  # the last one at Neutor, and what is not old enough


def test_rejected_events_and_frames_without_epoch_are_forgotten_in_time() -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.event(b"\xff", at(0)), device.count(1, 10)], at(1))
    _forget_all(store, at(1, 0))
    assert (_rows(store, "rejected"), _rows(store, "waiting")) == (1, 1)
    _forget_all(store, at(2))
    assert (_rows(store, "rejected"), _rows(store, "waiting")) == (0, 0)
