"""Republishing: a platform that lost messages holds everything once afterwards; one that lost none is not changed."""

import json
import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.tests.ledger.frames import INTERVAL_S, SLOT, Device, at
from bridge.tests.ledger.node import Node
from bridge.tests.ledger.platform import Platform, truth_sum, verify
from bridge.tests.ledger.test_consumer_document import Sqlite
from bridge.tests.ledger.test_exactness import LATE_NS, lives
from zaehlwerk_bridge.ledger.record import read_id
from zaehlwerk_bridge.outbox import OutboxRow
from zaehlwerk_bridge.republishing import Period
from zaehlwerk_bridge.store import Store

ALL = Period()
STATIONS = ("neutor", "burgstrasse", "ring")


def _told(store: Store) -> list[OutboxRow]:
    """The messages that wait; they are acknowledged."""
    rows = store.outbox(0, 1 << 30)
    store.acknowledged([row.seq for row in rows])
    return [row for row in rows if row.topic.endswith(("/count", "/span"))]


def _lived(node: Node) -> tuple[Store, list[OutboxRow]]:
    store, rows = Store(":memory:"), []
    for event in node.events:
        store.settle(event.received_ns - 1)
        store.commit([event], event.received_ns)
        rows += _told(store)
    store.settle(node.events[-1].received_ns + LATE_NS)
    return store, rows + _told(store)


@given(lives, st.integers(0, 1 << 32))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_platform_that_lost_any_messages_is_whole_again(node: Node, seed: int) -> None:
    """Healings, withdrawals and revisions among them; messages that it has come once more, and change nothing."""
    store, rows = _lived(node)
    dice = random.Random(seed)
    whole, lossy = Platform(), Platform()
    whole.take(rows)
    lossy.take(row for row in rows if dice.random() < 0.5)
    for slug in STATIONS:
        store.republish(slug, ALL, 0)
    again = _told(store)
    lossy.take(again)
    verify(lossy, node)
    assert lossy.sums() == truth_sum(node)
    assert lossy.records == whole.records
    held = dict(whole.records)
    whole.take(again)
    assert whole.records == held
    store.close()


@given(lives, st.integers(0, 1 << 32))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_of_a_part_of_the_time_nothing_is_republished_that_would_be_counted_twice(
    node: Node, seed: int
) -> None:
    """To a platform that has all or nothing of what came before: whole clusters of records, or none of them."""
    store, rows = _lived(node)
    dice = random.Random(seed)
    whole = Platform()
    whole.take(rows)
    held = dict(whole.records)
    first_s = node.events[0].received_ns // 1_000_000_000
    from_s = first_s + dice.randrange(40) * INTERVAL_S
    for slug in STATIONS:
        store.republish(slug, Period(from_s, from_s + dice.randrange(1, 40) * INTERVAL_S), 0)
    again = _told(store)
    whole.take(again)
    assert whole.records == held
    nothing = Platform()
    nothing.take(again)
    verify_records = {record: body for record, body in held.items() if record in nothing.records}
    assert nothing.records == verify_records
    store.close()


def test_the_documented_sql_takes_what_it_lacks() -> None:
    node = Node(random.Random(3), loss=0.4)
    node.live(40)
    store, rows = _lived(node)
    platform = Sqlite()
    platform.take(rows[::3])
    assert platform.sums() != truth_sum(node)
    store.republish("neutor", ALL, 0)
    platform.take(_told(store))
    assert platform.sums() == truth_sum(node)


def test_only_what_lies_in_the_time_asked_for_is_sent() -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10), *(device.count(n, 10 + n, 1) for n in range(1, 10))], at(9))
    _told(store)
    start_s = SLOT * INTERVAL_S
    store.republish("neutor", Period(start_s + 3 * INTERVAL_S, start_s + 5 * INTERVAL_S), 7_000_000_000)
    (row,) = _told(store)
    message = json.loads(row.payload)
    assert [read_id(record["id"]).last - SLOT for record in message["records"]] == [3, 4]
    assert row.properties["id"].endswith(".again.7.0")


def test_many_records_go_in_several_messages_each_with_an_id_of_its_own() -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10), *(device.count(n, 10 + n, 1) for n in range(1, 121))], at(120))
    first = {row.properties["id"] for row in _told(store)}
    done = store.republish("neutor", ALL, 0)
    assert (done.messages, done.records) == (3, 122)  # the baseline among them
    ids = [row.properties["id"] for row in _told(store)]
    assert len({*ids, *first}) == len(ids) + len(first)


def test_of_an_unknown_station_nothing_is_sent() -> None:
    store = Store(":memory:")
    assert not store.knows("neutor")
    assert store.republish("neutor", ALL, 0).messages == 0
