"""The consumer's rule: exact under redelivery, reordering, healing and messages that rise from the dead."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zaehlwerk_tools.consumer_store import ConsumerStore, UnreadableMessageError

TOPIC = "zaehlwerk/v1/neutor/count"
QUARTERS = ("00:00", "00:15", "00:30", "00:45", "01:00")


def entry(
    revision: int, begin: int, end: int, count: int | None, name: str | None = None
) -> dict[str, object]:
    """A record over the quarter-hours from `begin` to `end`."""
    return {
        "id": name or f"neutor/7/{begin}" + (f"-{end}" if end - begin > 1 else ""),
        "revision": revision,
        "start": f"2026-06-18T{QUARTERS[begin]}:00Z",
        "end": f"2026-06-18T{QUARTERS[end]}:00Z",
        "clock": "utc",
        "resolution": "interval" if end - begin == 1 else "span",
        "intervals": end - begin,
        "except": [],
        "channels": [
            {
                "name": "in",
                "class": "bicycle",
                "direction": "in",
                "count": count,
                "total": None,
                "coverage": None if count is None else 1.0,
                "quality": "not_observed" if count is None else "ok",
            }
        ],
    }


def message(records: Sequence[dict[str, object]], supersedes: Sequence[str] = ()) -> bytes:
    return json.dumps({"station": "neutor", "records": records, "supersedes": supersedes}).encode()


@pytest.fixture
def store() -> Iterator[ConsumerStore]:
    made = ConsumerStore(":memory:")
    yield made
    made.close()


def held(store: ConsumerStore) -> dict[str, int | None]:
    return {record.id: record.channels[0].count for record in store.records()}


# A day of one station: an interval, a gap of three as a span, its healing in two steps, and a corrected count.
STORY = (
    message([entry(1, 0, 1, 5)]),
    message([entry(2, 1, 4, 60)]),
    message([entry(3, 3, 4, 10), entry(4, 1, 3, 50)], ["neutor/7/1-4"]),
    message([entry(5, 1, 2, 20), entry(6, 2, 3, 30)], ["neutor/7/1-3"]),
    message([entry(7, 0, 1, 6)]),
)
END = {"neutor/7/0": 6, "neutor/7/1": 20, "neutor/7/2": 30, "neutor/7/3": 10}


def test_a_healing_leaves_the_intervals_and_takes_the_span_away(store: ConsumerStore) -> None:
    sums = []
    for payload in STORY:
        store.apply(TOPIC, payload)
        sums.append(sum(count or 0 for count in held(store).values()))
    assert held(store) == END
    assert sums == [5, 65, 65, 65, 66], "a healing never changes the sum"


@given(st.lists(st.sampled_from(range(len(STORY))), max_size=12), st.permutations(range(len(STORY))))
def test_any_order_with_any_repetition_ends_the_same(again: list[int], order: list[int]) -> None:
    store = ConsumerStore(":memory:")
    for number in [*again, *order, *again]:
        store.apply(TOPIC, STORY[number])
    assert held(store) == END
    store.close()


def test_a_superseded_record_that_arrives_late_does_not_rise_from_the_dead(store: ConsumerStore) -> None:
    for number in (0, 2, 1):
        store.apply(TOPIC, STORY[number])
    assert "neutor/7/1-4" not in held(store)


def test_a_record_that_is_published_anew_after_its_tombstone_counts_again(store: ConsumerStore) -> None:
    for payload in STORY[:3]:
        store.apply(TOPIC, payload)
    store.apply(TOPIC, message([entry(9, 1, 4, 61)], ["neutor/7/3", "neutor/7/1-3"]))
    assert held(store) == {"neutor/7/0": 5, "neutor/7/1-4": 61}


def test_an_older_revision_changes_nothing_and_is_counted_as_redelivered(store: ConsumerStore) -> None:
    store.apply(TOPIC, message([entry(7, 0, 1, 6)]))
    store.apply(TOPIC, message([entry(1, 0, 1, 5)]))
    store.apply(TOPIC, message([entry(7, 0, 1, 6)]))
    assert held(store) == {"neutor/7/0": 6}
    assert (store.messages, store.redelivered) == (3, 2)


def test_not_observed_stays_no_number(store: ConsumerStore) -> None:
    store.apply(TOPIC, message([entry(1, 0, 1, None)]))
    (record,) = store.records()
    assert (record.channels[0].count, record.channels[0].quality) == (None, "not_observed")


def test_times_may_be_open_and_excepted(store: ConsumerStore) -> None:
    record = {
        **entry(1, 0, 4, 9),
        "start": None,
        "except": [["2026-06-18T00:15:00Z", "2026-06-18T00:30:00+00:00"]],
    }
    store.apply(TOPIC, message([record]))
    (kept,) = store.records()
    assert kept.start_s is None
    assert kept.except_s == ((1781741700, 1781742600),)


@pytest.mark.parametrize(
    "payload",
    [
        b"no json",
        b"[]",
        b'{"station": "neutor", "records": []}',
        message([{**entry(1, 0, 1, 5), "revision": "1"}]),
        message([{**entry(1, 0, 1, 5), "start": "2026-06-18T00:00:00"}]),
        message([{**entry(1, 0, 1, 5), "channels": [{"name": "in"}]}]),
        message([entry(3, 1, 2, 5), {"id": "half"}]),
    ],
)
def test_a_message_that_is_not_as_promised_is_refused_whole(store: ConsumerStore, payload: bytes) -> None:
    store.apply(TOPIC, STORY[0])
    with pytest.raises(UnreadableMessageError, match=r"zaehlwerk/v1/neutor/count"):
        store.apply(TOPIC, payload)
    assert held(store) == {"neutor/7/0": 5}
    assert store.messages == 1
