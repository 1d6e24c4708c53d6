"""The ledger against an oracle: nothing wrong at any moment, everything in the end, in whatever order it came."""

import json
import random
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.tests.ledger.node import CHANNELS, INTERVAL_S, NS, Node
from bridge.tests.ledger.platform import Platform, Record, truth_sum, verify
from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.store import Store

LATE_NS = 400 * INTERVAL_S * NS
"""After the last event: every grace is over."""


def _lived(seed: int, loss: float, steps: int, stations: tuple[str, ...]) -> Node:
    node = Node(random.Random(seed), loss=loss, stations=stations)
    node.live(steps)
    return node


lives = st.builds(
    _lived,
    seed=st.integers(0, 1 << 32),
    loss=st.sampled_from([0.0, 0.1, 0.3, 0.6]),
    steps=st.integers(1, 40),
    stations=st.sampled_from([("Neutor",), ("Neutor", "Burgstraße"), ("Neutor", "Burgstraße", "Ring")]),
)


def _standing(store: Store) -> dict[str, Record]:
    """Id -> body of the records that stand."""
    records = (json.loads(line[7:]) for line in store.dump().splitlines() if line.startswith("record "))
    return {record: body for record, _, live, body in records if live}


def _drain(store: Store, platform: Platform) -> None:
    rows = store.outbox(0, 1 << 30)
    platform.take(rows)
    store.acknowledged([row.seq for row in rows])


@given(lives)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_is_wrong_at_any_moment_and_nothing_is_missing_in_the_end(node: Node) -> None:
    store, platform = Store(":memory:"), Platform()
    known = [0] * CHANNELS
    for event in node.events:
        store.settle(event.received_ns - 1)
        _drain(store, platform)
        verify(platform, node)
        assert not store.commit([event], event.received_ns).rejected
        _drain(store, platform)
        verify(platform, node)
        before, known = known, platform.sums()
        assert all(now >= then for now, then in zip(known, before, strict=True)), (
            "what was known was taken back"
        )
    store.settle(node.events[-1].received_ns + LATE_NS)
    _drain(store, platform)
    verify(platform, node)
    assert platform.sums() == truth_sum(node)
    store.close()


@given(lives, st.integers(0, 1 << 32))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_order_and_any_split_into_commits_ends_in_the_same_records(node: Node, seed: int) -> None:
    dice = random.Random(seed)
    end_ns = node.events[-1].received_ns + LATE_NS
    straight = Store(":memory:")
    straight.commit(node.events, node.events[0].received_ns)
    straight.settle(end_ns)
    shuffled, platform = Store(":memory:"), Platform()
    events: list[Event] = [*node.events, *dice.choices(node.events, k=5)]
    dice.shuffle(events)
    now_ns = node.events[0].received_ns
    while events:
        batch = [events.pop() for _ in range(min(len(events), dice.choice([1, 1, 3, 20])))]
        shuffled.commit(batch, now_ns)
        now_ns += dice.randrange(4 * INTERVAL_S * NS)
        if dice.random() < 0.3:
            shuffled.settle(now_ns)
    shuffled.settle(now_ns + LATE_NS)
    assert _standing(shuffled) == _standing(straight)
    _drain(shuffled, platform)
    assert platform.sums() == truth_sum(node)
    straight.close()
    shuffled.close()


@given(lives)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_was_taken_before_changes_nothing(node: Node) -> None:
    store = Store(":memory:")
    store.commit(node.events, node.events[-1].received_ns)
    store.settle(node.events[-1].received_ns + LATE_NS)
    held = store.dump()
    again = store.commit(node.events, node.events[-1].received_ns + LATE_NS)
    assert again.repeated == len(node.events)
    assert not again.seqs
    assert store.dump() == held
    store.close()


@given(lives, st.integers(0, 1 << 32))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_platform_that_gets_messages_twice_and_in_any_order_holds_the_same(node: Node, seed: int) -> None:
    store, straight, shuffled = Store(":memory:"), Platform(), Platform()
    for event in node.events:
        store.settle(event.received_ns - 1)
        store.commit([event], event.received_ns)
    store.settle(node.events[-1].received_ns + LATE_NS)
    rows = store.outbox(0, 1 << 30)
    straight.take(rows)
    twice = [*rows, *rows]
    random.Random(seed).shuffle(twice)
    shuffled.take(twice)
    assert shuffled.records == straight.records
    assert straight.sums() == truth_sum(node)
    store.close()


def test_a_store_opened_again_goes_on_where_it_was(tmp_path: Path) -> None:
    node = _lived(7, 0.3, 30, ("Neutor",))
    half = len(node.events) // 2
    whole = Store(":memory:")
    whole.commit(node.events, node.events[0].received_ns)
    for part in (node.events[:half], node.events[half - 3 :]):
        store = Store(tmp_path / "bridge.db")
        store.commit(part, node.events[0].received_ns)
        assert store.cursor("grpc", node.events[0].dev_eui) == part[-1].cursor
        store.close()
    store = Store(tmp_path / "bridge.db")
    for one in (whole, store):
        one.settle(node.events[-1].received_ns + LATE_NS)
    assert _standing(store) == _standing(whole)
    store.close()
    whole.close()
