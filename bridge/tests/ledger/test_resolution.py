"""What the ledger makes of lost, late and contradictory frames, case by case."""

import json
from typing import Any

from bridge.tests.ledger.frames import INTERVAL_S, NS, SLOT, Device, at
from zaehlwerk_bridge.store import Store

Record = dict[str, Any]
GRACE_NS = int(2.5 * INTERVAL_S * NS)


def _standing(store: Store) -> dict[str, Record]:
    """Standing records, by the interval or the range in their id (intervals as in frames.py)."""
    found = {}
    for line in store.dump().splitlines():
        if line.startswith("record "):
            record, _, live, body = json.loads(line[7:])
            if live:
                found[_name(record)] = body
    return found


def _name(record: str) -> str:
    name = record.rsplit(".", 1)[1]
    return "-".join(str(int(part) - SLOT) if part.isdecimal() else part for part in name.split("-"))


def _counts(store: Store) -> dict[str, int | None]:
    return {name: record["channels"][0]["count"] for name, record in _standing(store).items()}


def _messages(store: Store) -> list[Record]:
    """What was told since the last call, records only."""
    rows = store.outbox()
    store.acknowledged([row.seq for row in rows])
    return [json.loads(row.payload) for row in rows if row.topic.endswith(("/count", "/span"))]


def test_totals_that_follow_each_other_are_intervals_and_the_first_is_a_baseline() -> None:
    device, store = Device(), Store(":memory:")
    store.commit([device.status(0, 100), device.count(1, 107), device.count(2, 107)], at(2))
    assert _counts(store) == {"-0": 100, "1": 7, "2": 0}
    assert _standing(store)["-0"]["start"] is None
    assert _standing(store)["2"]["channels"][0]["total"] == 107


def test_one_lost_frame_is_healed_by_the_next_ones_history() -> None:
    device, store = Device(), Store(":memory:")
    store.commit([device.status(0, 100), device.count(2, 112, 5)], at(2))
    assert _counts(store) == {"-0": 100, "1": 5, "2": 7}


def test_a_gap_waits_for_what_is_on_its_way_before_it_is_a_span() -> None:
    device, store = Device(), Store(":memory:")
    store.commit([device.status(0, 100), device.count(3, 112)], at(3))
    assert _counts(store) == {"-0": 100}
    assert store.next_deadline_ns() == at(3) + GRACE_NS
    assert not store.settle(at(3) + GRACE_NS - 1).seqs
    store.settle(at(3) + GRACE_NS)
    assert _counts(store) == {"-0": 100, "1-3": 12}
    assert _standing(store)["1-3"]["intervals"] == 3


def test_a_gap_never_holds_up_later_intervals() -> None:
    device, store = Device(), Store(":memory:")
    store.commit([device.status(0, 100), device.count(3, 112), device.count(4, 113)], at(4))
    assert _counts(store) == {"-0": 100, "4": 1}


def test_history_within_the_grace_leaves_a_smaller_span() -> None:
    device, store = Device(), Store(":memory:")
    store.commit([device.status(0, 100), device.count(3, 112), device.count(4, 113, 2, 4)], at(4))
    store.settle(at(9))
    assert _counts(store) == {"-0": 100, "1": 6, "2": 4, "3": 2, "4": 1}


def test_backfill_splits_a_span_in_one_message_with_equal_sums() -> None:
    device, store = Device(), Store(":memory:")
    store.commit([device.status(0, 100), device.count(5, 150)], at(5))
    store.settle(at(9))
    _messages(store)
    store.commit([device.backfill(2, 8, 9, after=9)], at(9))
    message = _messages(store)
    assert len(message) == 1
    assert [_name(record["id"]) for record in message[0]["records"]] == ["2", "3", "1-5"]
    assert _counts(store) == {"-0": 100, "1-5": 33, "2": 8, "3": 9}
    span = _standing(store)["1-5"]
    assert span["intervals"] == 3
    assert span["except"] == [
        ["2026-06-21T00:30:00Z", "2026-06-21T00:45:00Z"],
        ["2026-06-21T00:45:00Z", "2026-06-21T01:00:00Z"],
    ]
    store.commit([device.backfill(4, 10, 11, after=10)], at(10))
    message = _messages(store)
    assert [_name(record) for record in message[0]["supersedes"]] == ["1-5"]
    assert _counts(store) == {"-0": 100, "1": 12, "2": 8, "3": 9, "4": 10, "5": 11}
    assert min(record["revision"] for record in message[0]["records"]) > 3


def test_nodes_are_asked_for_gaps_ever_less_often_and_not_for_what_they_do_not_have() -> None:
    device, store = Device(), Store(":memory:")
    store.commit([device.status(0, 100), device.count(5, 150)], at(5))
    now_ns = at(5) + GRACE_NS
    assert store.wanted_backfill(now_ns - 1) == []
    pauses = []
    for _ in range(6):
        (want,) = store.wanted_backfill(now_ns)
        assert (want.index, want.count, want.unsynced) == ((SLOT + 1) % 65_536, 5, False)
        store.settle(now_ns)
        store.asked(want, now_ns)
        assert store.wanted_backfill(now_ns) == []
        due_ns = store.next_deadline_ns()
        if due_ns is not None:
            pauses.append((due_ns - now_ns) // (INTERVAL_S * NS))
            now_ns = due_ns
    assert pauses == [1, 2, 4, 8, 16]
    assert store.next_deadline_ns() is None
    store.commit([device.count(9, 190)], at(9))
    assert store.next_deadline_ns() == at(9) + GRACE_NS
    store.commit([device.backfill(6, None, None, None, None, after=9)], at(9))
    store.settle(at(20))
    assert store.wanted_backfill(at(99)) == []


def test_a_total_that_may_have_gone_round_is_held_until_anchors_tell() -> None:
    """36000 an hour: 2^16 after 1 h 50 min, that is from eight intervals on."""
    device, store = Device(), Store(":memory:")
    store.commit(
        [device.status(0, 100), device.count(1, 101), device.count(12, 131), device.count(13, 133, 4)], at(13)
    )
    store.settle(at(40))
    assert _counts(store) == {"-0": 100, "1": 1, "12": 4, "13": 2}
    store.commit([device.status(14, 65_536 + 140)], at(14))
    store.settle(at(40))
    assert _counts(store) == {"-0": 100, "1": 1, "2-11": 65_562, "12": 4, "13": 2, "14": 7}


def test_totals_that_no_anchor_reaches_are_bridged_by_the_anchors_around_them() -> None:
    device, store = Device(), Store(":memory:")
    store.commit([device.status(0, 100), device.count(20, 5), device.count(21, 8)], at(21))
    store.commit([device.status(41, 200_000)], at(41))
    store.settle(at(60))
    assert _counts(store) == {"-0": 100, "1-41": 199_897, "21": 3}
    assert _standing(store)["1-41"]["intervals"] == 40


def test_a_late_copy_of_an_old_frame_does_not_make_a_gap_seem_longer() -> None:
    device, store = Device(), Store(":memory:")
    late = device.count(1, 107)
    store.commit([device.status(0, 100), device.count(2, 109), device.count(3, 110)], at(3))
    store.commit([device.event(late.payload, at(90))], at(90))
    assert _counts(store) == {"-0": 100, "1": 7, "2": 2, "3": 1}


def test_where_counts_and_totals_disagree_the_total_is_believed_and_marked() -> None:
    device, store = Device(), Store(":memory:")
    store.commit([device.status(0, 100), device.count(1, 107), device.count(2, 110, 8)], at(2))
    assert _counts(store) == {"-0": 100, "1-1": 7, "2": 3}
    assert _standing(store)["1-1"]["channels"][0]["quality"] == "inconsistent"


def test_not_observed_is_not_zero() -> None:
    device, store = Device(), Store(":memory:")
    store.commit(
        [device.status(0, 100), device.count(1, 100, cover=(1, 0)), device.count(2, 104, cover=(1, 51))],
        at(2),
    )
    nothing, part = (_standing(store)[name]["channels"][0] for name in ("1", "2"))
    assert (nothing["count"], nothing["coverage"], nothing["quality"]) == (None, 0.0, "not_observed")
    assert (part["count"], part["coverage"], part["quality"]) == (4, 0.2, "partial")


def test_intervals_in_the_nodes_own_numbering_get_their_place_when_it_is_told() -> None:
    device, store = Device(), Store(":memory:")
    store.commit(
        [device.status(0, 100, ns=at(9)), device.own(0, 5, ns=at(10)), device.own(1, 7, ns=at(11))], at(11)
    )
    record = _standing(store)["u1"]
    assert (record["clock"], record["start"], record["end"]) == ("unsynced", None, None)
    assert _counts(store) == {"-0": 100, "u0": 5, "u1": 2}
    store.commit([device.mapping(0, (SLOT + 10) * INTERVAL_S, ns=at(12))], at(12))
    record = _standing(store)["u1"]
    assert (record["clock"], record["start"]) == ("utc", "2026-06-21T02:45:00Z")


def test_a_mapping_places_no_interval_of_a_later_start() -> None:
    """The clock had been found when it was told; the node's own numbering went on later, after a power cut."""
    device, store = Device(), Store(":memory:")
    store.commit(
        [device.own(0, 5, ns=at(10)), device.mapping(0, (SLOT + 10) * INTERVAL_S, ns=at(10, 300))], at(10)
    )
    store.commit([device.own(1, 7, ns=at(50))], at(50))
    assert _standing(store)["u0"]["clock"] == "utc"
    assert _standing(store)["u1"]["clock"] == "unsynced"


def test_frames_wait_until_a_status_names_their_epoch() -> None:
    device, store = Device(), Store(":memory:")
    store.commit([device.count(0, 10), device.count(1, 12)], at(1))
    assert _counts(store) == {}
    store.commit([device.status(2, 15)], at(2))
    assert _counts(store) == {"-0": 10, "1": 2, "2": 3}


def test_totals_of_two_epochs_have_no_difference() -> None:
    device, store = Device(), Store(":memory:")
    store.commit([device.status(0, 100), device.count(1, 107), device.count(2, 3, generation=1)], at(2))
    assert _counts(store) == {"-0": 100, "1": 7}
    store.commit([device.status(3, 5, epoch=2, generation=1)], at(3))
    assert _counts(store) == {"-0": 100, "1": 7, "-2": 3, "3": 2}


def test_another_node_at_the_station_goes_on_with_its_record() -> None:
    old, new, store = Device(), Device("0a0b0c0d0e0f0001"), Store(":memory:")
    store.commit([old.status(0, 100), old.count(1, 107)], at(1))
    store.commit([new.status(2, 50, epoch=2), new.count(3, 51)], at(3))
    assert _counts(store) == {"-0": 100, "1": 7, "-2": 50, "3": 1}
    assert {record["id"].split(".")[0] for record in _standing(store).values()} == {"neutor"}


def test_tags_bear_on_the_intervals_from_their_change_on() -> None:
    device, store = Device(), Store(":memory:")
    store.commit([device.status(0, 100), device.count(1, 107)], at(1))
    device.tags = {**device.tags, "station": "Ring"}
    store.commit([device.count(2, 110, 7)], at(2))
    places = {name: record["id"].split(".")[0] for name, record in _standing(store).items()}
    assert places == {"-0": "neutor", "1": "neutor", "2": "ring"}


def test_what_remains_of_a_span_is_told_at_once() -> None:
    """A total in its midst splits it: the parts do not wait for a grace, else the sum would fall meanwhile."""
    device, store = Device(), Store(":memory:")
    late = device.count(3, 120)
    store.commit([device.status(0, 100), device.count(6, 150)], at(6))
    store.settle(at(9))
    _messages(store)
    store.commit([device.event(late.payload, at(9))], at(9))
    assert _counts(store) == {"-0": 100, "1-3": 20, "4-6": 30}
    (message,) = _messages(store)
    assert [_name(record) for record in message["supersedes"]] == ["1-6"]


def test_tags_that_become_known_late_move_records_to_the_station_that_they_name() -> None:
    """The event before the change is taken after the one behind it: by another bridge, or from a replay."""
    device, store = Device(), Store(":memory:")
    first, before = device.status(0, 100), device.status(1)
    device.tags = {**device.tags, "station": "Ring"}
    after = device.count(2, 110, 7)
    store.commit([first, after], at(2))
    assert {record["id"] for record in _standing(store).values()} == {
        f"{name}.00000001.{number}"
        for name, number in (("neutor", f"-{SLOT}"), ("ring", SLOT + 1), ("ring", SLOT + 2))
    }
    _messages(store)
    store.commit([before], at(2))
    assert {record["id"] for record in _standing(store).values()} == {
        f"{name}.00000001.{number}"
        for name, number in (("neutor", f"-{SLOT}"), ("neutor", SLOT + 1), ("ring", SLOT + 2))
    }
    moved = {message["station"]: message["records"][0]["channels"][0] for message in _messages(store)}
    assert (moved["neutor"]["count"], moved["ring"]["count"]) == (7, None)
    assert moved["ring"]["quality"] == "not_observed"


def test_an_interval_without_a_place_in_time_belongs_to_the_station_at_which_it_was_first_heard_of() -> None:
    device = Device()
    early, first = device.status(0, 100, ns=at(9)), device.own(0, 5, ns=at(10))
    device.tags = {**device.tags, "station": "Ring"}
    again = device.own(1, 7, 5, ns=at(11))
    for order in ([early, first, again], [early, again, first]):
        store = Store(":memory:")
        store.commit(order, at(11))
        places = {name: record["id"].split(".")[0] for name, record in _standing(store).items()}
        assert places == {"-0": "neutor", "u0": "neutor", "u1": "ring"}


def test_a_part_of_what_was_asked_for_does_not_make_the_bridge_ask_again_at_once() -> None:
    device, store = Device(), Store(":memory:")
    store.commit(
        [device.status(0, 100), device.count(7, 150), device.count(8, 150), device.count(9, 150)], at(9)
    )
    store.settle(at(12))
    (want,) = store.wanted_backfill(at(12))
    store.asked(want, at(12))
    store.commit([device.backfill(1, 8, 9, after=12)], at(12, 80))
    assert store.wanted_backfill(at(12, 80)) == []
    (want,) = store.wanted_backfill(at(13))
    assert (want.index, want.count) == ((SLOT + 3) % 65_536, 5)
