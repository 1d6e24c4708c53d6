"""A store that was restored from a copy, or begun anew, adds nothing to the platform's sums that is in them already.

The first store goes on after the copy was made, publishes, and is lost. The second one gets what the server's history
still has and all that comes later, and the retained checkpoints of the broker.
"""

import random
from collections import defaultdict
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.tests.ledger.node import Node
from bridge.tests.ledger.platform import Platform, truth_sum, verify
from bridge.tests.ledger.test_exactness import LATE_NS, lives
from zaehlwerk_bridge.checkpoint import read_checkpoint
from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.outbox import OutboxRow
from zaehlwerk_bridge.store import Store


class Broker:
    """Takes the messages of a station one after the other, asks for checkpoints as the publisher does, and has a platform."""

    def __init__(self) -> None:
        self.platform = Platform()
        self.retained: dict[str, bytes] = {}
        self.messages = 0
        self.rows: list[OutboxRow] = []

    def drain(self, store: Store, now_ns: int, *, most: dict[str, int] | None = None) -> None:
        """Publish what waits; of a station at most so many messages."""
        waiting = {row.station for row in store.outbox(0, 1 << 30)} - {""}
        self._reconcile(store, store.unverified(waiting), now_ns)
        taken: dict[str, int] = defaultdict(int)
        for row in store.outbox(0, 1 << 30):
            taken[row.station] += 1
            if most is not None and taken[row.station] > most.get(row.station, 0):
                continue
            if row.topic.endswith("/checkpoint"):
                self.retained[row.station] = row.payload
            self.platform.take([row])
            self.rows.append(row)
            store.acknowledged([row.seq])

    def _reconcile(self, store: Store, stations: set[str], now_ns: int) -> None:
        asked: dict[str, bytes | None] = {}
        while stations - asked.keys():
            for station in stations - asked.keys():
                asked[station] = self.retained.get(station)
            for station, payload in asked.items():
                if payload is not None:
                    stations |= set(read_checkpoint(payload, station).company)
        if asked:
            store.reconcile(dict(sorted(asked.items())), now_ns)


def _copy(store: Store) -> Store:
    copy = Store(":memory:")
    store._database.backup(copy._database)
    copy._database.execute("UPDATE station SET verified = 0")
    return copy


def _take(store: Store, event: Event) -> None:
    store.settle(event.received_ns - 1)
    store.commit([event], event.received_ns)


def _history(events: Sequence[Event], copied: int, lost: int, depth: int) -> Sequence[Event]:
    """What the server still has for the second store when the first one was lost."""
    return events[max(copied, lost - depth) : lost]


def _compare(sums: Sequence[int], truth: Sequence[int], *, whole: bool) -> None:
    if whole:
        assert list(sums) == list(truth)
    else:
        assert all(known <= true for known, true in zip(sums, truth, strict=True))


@given(lives, st.integers(0, 1 << 32))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_was_published_since_the_copy_nothing_is_counted_twice_or_lost(
    node: Node, seed: int
) -> None:
    """Copied, lost and restored at any time; a history of any length; events taken before the broker can be asked.

    What the first store had heard and not told yet is lost with it if the history does not hold it any more: then less
    is known, and nothing wrong.
    """
    dice = random.Random(seed)
    events = node.events
    copied = dice.randrange(len(events))
    lost = dice.randrange(copied, len(events))
    unsent = dice.randrange(4)
    first, broker = Store(":memory:"), Broker()
    second = None
    for number, event in enumerate(events[:lost]):
        if number == copied:
            second = _copy(first)
        _take(first, event)
        if number < lost - unsent:
            broker.drain(first, event.received_ns)
    if second is None:
        second = _copy(first)
    # The end of the first one: of each station some messages are still taken.
    broker.drain(
        first,
        events[lost].received_ns,
        most={slug: dice.randrange(5) for slug in ("neutor", "burgstrasse", "ring")},
    )
    first.close()
    verify(broker.platform, node)
    known = broker.platform.sums()
    depth = dice.choice([0, 1, 5, len(events)])
    for event in _history(events, copied, lost, depth):
        second.commit([event], events[lost].received_ns)
        if dice.random() < 0.5:
            broker.drain(second, events[lost].received_ns)
            verify(broker.platform, node)
    for event in events[lost:]:
        _take(second, event)
        broker.drain(second, event.received_ns)
        verify(broker.platform, node)
        before, known = known, broker.platform.sums()
        if not node.stations and len({e.tags["station"] for e in events}) == 1:
            assert all(now >= then for now, then in zip(known, before, strict=True)), (
                "what was known was taken back"
            )
    second.settle(events[-1].received_ns + LATE_NS)
    broker.drain(second, events[-1].received_ns + LATE_NS)
    verify(broker.platform, node)
    _compare(broker.platform.sums(), truth_sum(node), whole=depth == len(events))
    second.close()


@given(lives, st.integers(0, 1 << 32))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_store_begun_anew_takes_over_a_city_that_has_been_counted_before(node: Node, seed: int) -> None:
    """No copy at all: the database is lost, the platform and the broker are not."""
    dice = random.Random(seed)
    events = node.events
    lost = dice.randrange(len(events))
    first, second, broker = Store(":memory:"), Store(":memory:"), Broker()
    for event in events[:lost]:
        _take(first, event)
        broker.drain(first, event.received_ns)
    depth = dice.choice([0, 5, len(events)])
    for event in _history(events, 0, lost, depth):
        second.commit([event], events[lost].received_ns)
    for event in events[lost:]:
        _take(second, event)
        broker.drain(second, event.received_ns)
        verify(broker.platform, node)
    second.settle(events[-1].received_ns + LATE_NS)
    broker.drain(second, events[-1].received_ns + LATE_NS)
    verify(broker.platform, node)
    _compare(broker.platform.sums(), truth_sum(node), whole=depth == len(events))
