"""A store that was restored from a copy, or begun anew, adds nothing to the platform's sums that is in them already.

The first store goes on after the copy was made, publishes, and is lost. The second one gets what the server's history
still has and all that comes later, and the retained checkpoints of the broker.
"""

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from json import loads
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bridge.tests.ledger.frames import SLOT, Device, at
from bridge.tests.ledger.node import Node
from bridge.tests.ledger.platform import Platform, truth_sum, verify
from bridge.tests.ledger.test_consumer_document import Sqlite
from bridge.tests.ledger.test_exactness import LATE_NS, _lived, lives
from zaehlwerk_bridge.checkpoint import (
    INTERVALS_AHEAD,
    REVISIONS_AHEAD,
    CheckpointError,
    epoch_name,
    read_checkpoint,
)
from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.outbox import OutboxRow
from zaehlwerk_bridge.reconciling import GAP
from zaehlwerk_bridge.republishing import Period
from zaehlwerk_bridge.store import Store

EPOCH = epoch_name(1)


class Broker:
    """Takes the messages of a station one after the other, asks for checkpoints as the publisher does, and has a platform."""

    def __init__(self) -> None:
        self.platform = Platform()
        self.retained: dict[str, bytes] = {}
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
                self.retained[row.topic.split("/")[-2]] = row.payload
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
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
@example(_lived(29, 0.6, 23, ("Neutor", "Burgstraße", "Ring")), 322)  # moved while the database was lost
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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


def _told(store: Store, ending: str) -> list[dict[str, Any]]:
    return [json.loads(row.payload) for row in store.outbox(0, 1 << 30) if row.topic.endswith(ending)]


def _counted(platform: Platform) -> int:
    """What stands of a node with one channel."""
    return sum(record["channels"][0]["count"] or 0 for record in platform.records.values())


def _topics(store: Store) -> list[str]:
    return [row.topic.rpartition("/")[2] for row in store.outbox(0, 1 << 30)]


def test_before_the_first_message_that_it_covers_a_checkpoint_goes_out_and_then_none_for_hours() -> None:
    store, device = Store(":memory:"), Device()
    rows = store.commit([device.status(0, 10), device.count(1, 12)], at(1)).rows
    assert _topics(store)[:5] == ["meta", "status", "checkpoint", "checkpoint", "span"]
    for number in range(2, 3 + INTERVALS_AHEAD):
        rows += store.commit([device.count(number, 10 + 2 * number)], at(number)).rows
    kinds = _topics(store)
    assert kinds.index("checkpoint") < kinds.index("span")
    # The baseline's, the first interval's, and the first beyond what that one covers.
    first, second, third = [
        json.loads(row.payload) for row in rows if row.topic.endswith("/neutor/checkpoint")
    ]
    assert first["spans"] == ["neutor.00000001.-1980000"]
    assert first["revision"] == 1 + REVISIONS_AHEAD
    assert second["intervals"] == [
        {"epoch": "00000001", "unsynced": False, "first": SLOT + 1, "last": SLOT + 1 + INTERVALS_AHEAD}
    ]
    assert third["intervals"][0]["last"] == SLOT + 2 + 2 * INTERVALS_AHEAD


def test_a_checkpoint_that_is_sent_again_after_a_kill_covers_what_was_told_behind_it() -> None:
    """The broker has had everything and the store does not know it: it begins again. Then the disk is lost."""
    store, device, broker = Store(":memory:"), Device(), Broker()
    events = [device.status(0, 10), device.count(1, 10), device.count(2, 10), device.count(3, 11)]
    store.commit(events[:1], at(400))
    backup = _copy(store)
    store.commit(events[3:], at(400))  # a span
    store.commit(events[1:2], at(400))  # a shorter one in its place
    rows = store.outbox(0, 1 << 30)
    broker.platform.take(rows)
    first = next(row for row in rows if row.topic.endswith("/neutor/checkpoint"))
    broker.retained["neutor"] = first.payload
    broker._reconcile(backup, backup.unverified(["neutor"]), at(400))
    backup.commit(events, at(400))
    broker.drain(backup, at(400))
    assert _counted(broker.platform) == 11


def test_a_span_is_in_a_checkpoint_before_it_is_told_and_as_long_as_it_may_stand() -> None:
    """Its healing is not acknowledged yet: until then it may stand, whatever the ledger says."""
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10), device.count(1, 12), device.count(5, 20)], at(5))
    store.settle(at(9))
    span = "neutor.00000001.1980002-1980005"
    rows = store.outbox(0, 1 << 30)
    assert span in _told(store, "/checkpoint")[-1]["spans"]
    store.acknowledged([row.seq for row in rows])
    store.commit([device.backfill(2, 2, 2, 2, after=9)], at(9))
    store.commit([device.count(12, 40)], at(12))
    store.settle(at(20))
    assert span in _told(store, "/checkpoint")[-1]["spans"]
    store.acknowledged([row.seq for row in store.outbox(0, 1 << 30)])
    store.commit([device.count(16, 90)], at(16))
    store.settle(at(30))
    newest = _told(store, "/checkpoint")[-1]["spans"]
    assert span not in newest
    assert "neutor.00000001.1980006-1980012" in newest


def test_the_first_checkpoint_of_a_station_that_an_earlier_version_told_covers_all_that_stands() -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10), *(device.count(n, 10 + n) for n in range(1, 9))], at(8))
    for table in ("outbox", "reserve", "reserve_line", "reserve_span"):
        store._database.execute(f"DELETE FROM {table}")
    store.commit([device.count(9, 19)], at(9))
    (checkpoint,) = _told(store, "neutor/checkpoint")
    assert checkpoint["spans"] == ["neutor.00000001.-1980000"]
    assert checkpoint["intervals"][0]["first"] == SLOT + 1


def test_a_copy_asks_again_and_the_store_itself_does_not() -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10)], at(0))
    assert store.unverified(["neutor", "elsewhere"]) == {"neutor", EPOCH}
    assert store.reconcile({"neutor": None, EPOCH: None}, at(0)).foreign == 0
    assert store.unverified(["neutor"]) == set()
    assert _copy(store).unverified(["neutor"]) == {"neutor", EPOCH}


def test_the_first_record_of_an_epoch_comes_behind_a_checkpoint_that_says_which_stations_have_it() -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10), device.count(1, 12)], at(1))
    (alone,) = _told(store, f"{EPOCH}/checkpoint")
    assert alone["with"] == ["neutor"]
    device.tags = {**device.tags, "station": "Ring"}
    store.commit([device.count(2, 14), device.count(3, 16)], at(3))
    rows = store.outbox(0, 1 << 30)
    at_ring = [row.topic.removeprefix("zaehlwerk/v1/") for row in rows if row.station == "ring"]
    assert at_ring[:4] == ["ring/meta", "ring/checkpoint", f"{EPOCH}/checkpoint", "ring/count"]
    assert [told["with"] for told in _told(store, f"{EPOCH}/checkpoint")] == [["neutor", "ring"]] * 2


def test_a_node_that_was_moved_while_no_bridge_listened_is_not_counted_again_by_a_store_begun_anew() -> None:
    """Counted at Neutor; the database is lost; the node goes to Ring, and nothing tells of its time at Neutor but its total.

    The new store meets the epoch after Ring was asked for: the station's first messages are older than its first count.
    """
    first, second, device, broker = Store(":memory:"), Store(":memory:"), Device(), Broker()
    for number in range(6):
        first.commit([device.status(number, 10 + 5 * number)], at(number))
        broker.drain(first, at(number))
    assert _counted(broker.platform) == 35
    device.tags = {**device.tags, "station": "Ring"}
    second.commit([device.count(8, 50)], at(8))
    broker.drain(second, at(8))
    assert second.unverified(["ring"]) == set()
    second.commit([device.status(8, 50)], at(8))
    broker.drain(second, at(8))
    assert _counted(broker.platform) == 50
    assert "neutor.00000001.1980003" not in broker.platform.records
    second.commit([device.count(9, 57)], at(9))
    broker.drain(second, at(9))
    assert _counted(broker.platform) == 57
    again = Platform()
    for row in broker.rows:  # message by message
        again.take([row])
        assert _counted(again) <= 57


def test_a_node_out_of_the_cupboard_is_not_counted_again_at_a_station_that_the_new_store_knows_well() -> None:
    """It counted at Neutor last summer, with a database that is lost; now it takes the place of a node at Ring."""
    first, second, broker = Store(":memory:"), Store(":memory:"), Broker()
    old, spare = Device("0102030405060709", station="Ring"), Device()
    first.commit([spare.status(0, 1000), spare.count(1, 1010)], at(1))
    broker.drain(first, at(1))
    for number in range(50, 53):
        second.commit([old.status(number, number, epoch=2)], at(number))
        broker.drain(second, at(number))
    assert _counted(broker.platform) == 1010 + 52
    spare.tags = {**spare.tags, "station": "Ring"}
    second.commit([spare.status(60, 1010)], at(60))
    broker.drain(second, at(60))
    second.commit([spare.count(61, 1017)], at(61))
    broker.drain(second, at(61))
    assert _counted(broker.platform) == 1017 + 52


def test_an_epoch_that_no_other_station_had_changes_nothing_of_what_waits() -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10), device.count(1, 12)], at(1))
    store.reconcile({"neutor": None}, at(1))
    waiting = [row.payload for row in store.outbox(0, 1 << 30)]
    own = next(row.payload for row in store.outbox(0, 1 << 30) if row.topic.endswith("neutor/checkpoint"))
    assert store.unverified(["neutor"]) == {"neutor", EPOCH}
    assert store.reconcile({"neutor": own, EPOCH: None}, at(1)).foreign == 0
    assert [row.payload for row in store.outbox(0, 1 << 30)] == waiting
    assert store.unverified(["neutor"]) == set()


def test_a_node_that_is_moved_before_the_eyes_of_its_bridge_makes_nobody_ask_again() -> None:
    store, device, broker = Store(":memory:"), Device(), Broker()
    store.commit([device.status(0, 10), device.count(1, 12)], at(1))
    broker.drain(store, at(1))
    device.tags = {**device.tags, "station": "Ring"}
    store.commit([device.count(2, 14)], at(2))
    assert store.unverified(["ring"]) == {"ring"}
    assert store.unverified(["neutor"]) == set()
    broker.drain(store, at(2))
    assert not store._records.has_foreign


def test_what_a_copy_had_in_its_outbox_is_told_anew_with_revisions_beyond_all_that_were_used() -> None:
    device, broker = Device(), Broker()
    first = Store(":memory:")
    first.commit([device.status(0, 10), device.count(1, 12)], at(1))
    second = _copy(first)
    broker.drain(first, at(1))
    first.commit([device.count(2, 14)], at(2))
    broker.drain(first, at(2))
    used = json.loads(broker.retained["neutor"])["revision"]
    broker.rows.clear()
    second.commit([device.count(3, 16, 2)], at(3))
    broker.drain(second, at(3))
    told = [row for row in broker.rows if row.topic.endswith(("/count", "/span"))]
    revisions = [record["revision"] for row in told for record in json.loads(row.payload)["records"]]
    assert min(revisions) == used + 1
    assert len(set(revisions)) == len(revisions)
    assert _counted(broker.platform) == 16


def test_a_broker_that_lost_its_checkpoints_is_noticed_and_a_gap_of_revisions_is_left() -> None:
    """Of spans told since the copy nothing is known then; intervals are, for their ids follow from the time."""
    device, broker = Device(), Broker()
    first = Store(":memory:")
    first.commit([device.status(0, 10), device.count(1, 12)], at(1))
    broker.drain(first, at(1))
    second = _copy(first)
    first.commit([device.count(number, 10 + 2 * number) for number in range(2, 7)], at(6))
    broker.drain(first, at(6))
    broker.retained.clear()
    second.commit([device.count(7, 24)], at(7))
    reconciled = second.reconcile({"neutor": None}, at(7))
    assert (reconciled.lost, reconciled.foreign > 5) == (1, True)
    second.settle(at(20))
    broker.drain(second, at(20))
    assert _counted(broker.platform) == 24
    newest = max(record["revision"] for record in broker.platform.records.values())
    assert newest > GAP


def test_a_station_of_which_nothing_was_published_yet_has_not_lost_its_checkpoint() -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10), device.count(1, 12)], at(1))
    waiting = [row.payload for row in store.outbox(0, 1 << 30)]
    assert store.reconcile({"neutor": None}, at(1)).lost == 0
    assert [row.payload for row in store.outbox(0, 1 << 30)] == waiting


def test_a_station_whose_newer_checkpoint_waits_has_lost_the_one_before() -> None:
    """What was published may all wait to be told anew: the revisions say that it was not the first time."""
    store, device, broker = Store(":memory:"), Device(), Broker()
    store.commit([device.status(0, 10), device.count(1, 12)], at(1))
    last = 2 + INTERVALS_AHEAD
    for number in range(2, last):
        store.commit([device.count(number, 10 + 2 * number)], at(number))
    broker.drain(store, at(last))
    store.commit([device.count(last, 10 + 2 * last)], at(last))
    assert _topics(store)[0] == "checkpoint"
    store._database.execute("UPDATE station SET verified = 0")
    assert store.reconcile({"neutor": None}, at(last)).lost == 1


def test_a_station_whose_checkpoint_the_broker_cannot_take_makes_nobody_doubt_its_company() -> None:
    """It was asked for before; that it is not there now says nothing of another store. What waits stays as it is."""
    store, first, second = Store(":memory:"), Device(), Device(dev_eui="70b3d57ed0000002", station="two")
    store.commit([first.status(0, 10)], at(0))
    store.commit([first.count(1, 12)], at(1))
    store.reconcile({"neutor": None, EPOCH: None}, at(1))
    too_large = [row.seq for row in store.outbox(0, 100) if row.station == "neutor"]
    store.acknowledged(too_large)
    store.commit([second.status(0, 20)], at(1))
    store.commit([second.count(1, 25)], at(1))
    before = [(row.seq, row.payload) for row in store.outbox(0, 100)]
    assert store.unverified(["two"]) >= {"two"}
    reconciled = store.reconcile({"neutor": None, "two": None, EPOCH: None}, at(2))
    assert (reconciled.lost, reconciled.foreign) == (0, 0)
    assert [(row.seq, row.payload) for row in store.outbox(0, 100)] == before


def test_whether_a_station_was_published_is_seen_from_one_message_however_many_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10)], at(0))
    for number in range(1, 200):
        store.commit([device.count(number, 10 + number)], at(number))
    read: list[object] = []
    monkeypatch.setattr(
        "zaehlwerk_bridge.reconciling.json.loads", lambda text: read.append(text) or loads(text)
    )
    assert store.reconcile({"neutor": None}, at(200)).lost == 0
    assert len(read) == 1


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        (b"nonsense", "JSONDecodeError"),
        (b"[]", "TypeError"),
        (b"{}", "KeyError"),
        (b'{"station":"ring","revision":1,"intervals":[],"spans":[],"with":[]}', "it is of station 'ring'"),
        (b'{"station":"neutor","revision":1,"intervals":[],"spans":["x"],"with":[]}', "is no id of a record"),
        (b'{"station":"neutor","revision":1,"intervals":[],"spans":[],"with":["#"]}', "'#' is no station"),
        (b'{"station":"neutor","revision":1,"intervals":[],"spans":[],"with":["\\ud83d"]}', "is no station"),
        (b'{"station":"neutor","revision":%d,"intervals":[],"spans":[],"with":[]}' % 10**20, "is too large"),
        (b'{"station":"neutor","revision":1e999,"intervals":[],"spans":[],"with":[]}', "OverflowError"),
        (
            b'{"station":"neutor","revision":1,"spans":[],"with":[],"intervals":[%s]}'
            % b'{"epoch":"1","unsynced":false,"first":0,"last":99999999999}',
            "of more than 20000000 intervals",
        ),
    ],
)
def test_a_checkpoint_that_is_none_is_named_and_changes_nothing(payload: bytes, what: str) -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10)], at(0))
    with pytest.raises(CheckpointError, match=what):
        store.reconcile({"neutor": payload}, at(0))
    assert store.unverified(["neutor"]) == {"neutor", EPOCH}


def test_a_restored_store_republishes_and_forgets_as_any_other() -> None:
    """Also records of which it knows no more than that another store told them."""
    node = Node(random.Random(11), loss=0.3)
    node.live(40)
    half = len(node.events) // 2
    first, broker = Store(":memory:"), Broker()
    second = _copy(first)
    for event in node.events[:half]:
        _take(first, event)
        broker.drain(first, event.received_ns)
    second.commit(node.events[:half], node.events[half].received_ns)
    for event in node.events[half:]:
        _take(second, event)
        broker.drain(second, event.received_ns)
    end_ns = node.events[-1].received_ns + LATE_NS
    second.settle(end_ns)
    broker.drain(second, end_ns)
    held = broker.platform.sums()
    second.republish("neutor", Period(), end_ns)
    broker.drain(second, end_ns)
    assert broker.platform.sums() == held
    again = Platform()
    second.republish("neutor", Period(), end_ns)
    again.take(second.outbox(0, 1 << 30))
    assert again.sums() == held
    while second.forget(end_ns, 100):
        pass
    assert second._database.execute("SELECT count(*) FROM foreign_record").fetchone() == (0,)


def test_the_documented_sql_is_enough_for_a_restored_bridge() -> None:
    node = Node(random.Random(5), loss=0.3)
    node.live(40)
    third, two_thirds = len(node.events) // 3, 2 * len(node.events) // 3
    first, broker, second = Store(":memory:"), Broker(), None
    for number, event in enumerate(node.events[:two_thirds]):
        if number == third:
            second = _copy(first)
        _take(first, event)
        broker.drain(first, event.received_ns)
    assert second is not None
    for event in node.events[third:]:
        _take(second, event)
        broker.drain(second, event.received_ns)
    second.settle(node.events[-1].received_ns + LATE_NS)
    broker.drain(second, node.events[-1].received_ns + LATE_NS)
    platform = Sqlite()
    platform.take(row for row in broker.rows if row.topic.endswith(("/count", "/span")))
    assert platform.sums() == truth_sum(node)
