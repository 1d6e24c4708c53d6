"""What was rejected is kept with all that is needed to take it later, and each try has a fate with a name."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bridge.tests.ledger.frames import DEV_EUI, Device, at
from zaehlwerk_bridge.intake import Intake
from zaehlwerk_bridge.outbox import OutboxRow
from zaehlwerk_bridge.rejected import Cause, broken
from zaehlwerk_bridge.retrying import Retried, Retry
from zaehlwerk_bridge.store import Store

WRONG = "bicycle,kfz"


def _sent(store: Store) -> list[OutboxRow]:
    rows = store.outbox(0, 1 << 30)
    store.acknowledged([row.seq for row in rows])
    return rows


def _counts(rows: Sequence[OutboxRow]) -> dict[str, int]:
    return {
        record["id"].rpartition(".")[2]: record["channels"][0]["count"]
        for row in rows
        if row.topic.endswith(("/count", "/span"))
        for record in json.loads(row.payload)["records"]
    }


def _with_wrong_tags() -> tuple[Store, Device]:
    """A store that rejected the counts of interval 1 because of a tag."""
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10)], at(0))
    device.tags = {**device.tags, "classes": WRONG}
    store.commit([device.count(1, 12)], at(1))
    _sent(store)
    return store, device


def test_what_is_rejected_is_listed_with_its_cause_and_all_that_it_was() -> None:
    store, device = _with_wrong_tags()
    store.commit([device.event(b"\xff", at(2)), device.event(b"", at(2), problem="no fPort")], at(2))
    rows = store.rejected()
    assert [row.cause for row in rows] == [Cause.NO_STATION, Cause.NO_STATION, Cause.UNREADABLE]
    first = rows[0].event
    assert first is not None
    assert (first.dev_eui, first.received_ns, first.f_port) == (DEV_EUI, at(1), 1)
    assert first.tags["classes"] == WRONG
    assert [row.id for row in store.rejected(Cause.UNREADABLE)] == [rows[2].id]
    assert [row.id for row in store.rejected(ids=[rows[1].id, 99])] == [rows[1].id]
    assert store.rejected(limit=1) == rows[:1]


def test_a_retry_takes_the_tags_that_the_device_has_now() -> None:
    """They were mended in ChirpStack: the next event brought them, and the one that was rejected is taken with them."""
    store, device = _with_wrong_tags()
    (row,) = store.rejected()
    device.tags = {**device.tags, "classes": "bicycle"}
    store.commit([device.count(2, 15)], at(2))
    assert store.retry(row.id, {}, at(3)) == Retried(row.id, Retry.TAKEN)
    assert store.rejected() == []
    assert _counts(_sent(store)) == {"1980001": 2, "1980002": 3}


def test_a_retry_takes_what_the_settings_say_instead_of_tags() -> None:
    store, _ = _with_wrong_tags()
    (row,) = store.rejected()
    assert store.retry(row.id, {DEV_EUI: {"classes": "kfz"}}, at(2)).fate is Retry.TAKEN
    assert _counts(_sent(store)) == {"1980001": 2}


def test_a_retry_that_is_rejected_again_keeps_the_row_and_tells_nobody() -> None:
    store, device = Store(":memory:"), Device(classes=WRONG)
    store.commit([device.status(0, 10)], at(0))
    _sent(store)
    (row,) = store.rejected()
    retried = store.retry(row.id, {DEV_EUI: {"classes": "cow"}}, at(1))
    assert (retried.fate, retried.reason) == (
        Retry.REJECTED,
        "tag classes: 'cow' is none of unknown, kfz, bicycle, pedestrian, heavy, light",
    )
    (still,) = store.rejected()
    assert (still.id, still.reason) == (row.id, retried.reason)
    assert _sent(store) == []


def test_a_frame_that_waits_for_its_epoch_says_so() -> None:
    store, device = Store(":memory:"), Device(classes=WRONG)
    store.commit([device.count(1, 12)], at(1))
    (row,) = store.rejected()
    assert store.retry(row.id, {DEV_EUI: {"classes": "bicycle"}}, at(2)).fate is Retry.WAITING
    assert store.rejected() == []
    device.tags = {**device.tags, "classes": "bicycle"}
    store.commit([device.status(1, 12)], at(2))
    assert _counts(_sent(store)) == {"-1980001": 12}


def test_what_the_source_could_not_read_and_what_is_not_there_have_fates_of_their_own() -> None:
    store = Store(":memory:")
    store.commit([Device().event(b"", at(0), problem="no fPort")], at(0))
    (row,) = store.rejected()
    assert store.retry(row.id, {}, at(1)) == Retried(row.id, Retry.NOTHING, "no fPort")
    assert [kept.id for kept in store.rejected()] == [row.id]
    assert store.retry(99, {}, at(1)) == Retried(99, Retry.GONE)
    assert store.drop(99) == Retried(99, Retry.GONE)
    assert store.drop(row.id) == Retried(row.id, Retry.DROPPED)
    assert store.rejected() == []


def test_an_event_that_broke_the_ledger_is_kept_whole_and_taken_by_a_program_that_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10)], at(0))
    count = device.count(1, 12)
    store.commit([broken(count, "internal error: x")], at(1))
    (row,) = store.rejected()
    assert row.cause is Cause.INTERNAL

    def breaks(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    with monkeypatch.context() as patched:
        patched.setattr(Intake, "attempt", breaks)
        retried = store.retry(row.id, {}, at(2))
    assert (retried.fate, retried.reason) == (
        Retry.REJECTED,
        "internal error: ZeroDivisionError: division by zero",
    )
    _sent(store)
    assert store.retry(row.id, {}, at(2)).fate is Retry.TAKEN
    assert _counts(_sent(store)) == {"1980001": 2}


def test_an_event_that_nobody_can_store_is_put_aside_as_far_as_it_can_be_written() -> None:
    """Half of a character: a bridge that could not even put it aside would end at it with every start."""
    store, device = Store(":memory:"), Device()
    hostile = replace(device.status(0, 10), device_name="\ud83d", tags={"\ud83d": "\udeb2"})
    with pytest.raises(UnicodeEncodeError) as caught:
        store.commit([hostile], at(0))
    store.commit([broken(hostile, f"internal error: {caught.value} \ud83d")], at(0))
    (row,) = store.rejected()
    assert row.cause is Cause.INTERNAL
    assert row.event is not None
    assert (row.event.device_name, dict(row.event.tags)) == ("?", {"?": "?"})
    assert row.reason.endswith(" ?")
    (told,) = _sent(store)
    assert told.topic.endswith("/rejected")
    assert store.commit([hostile], at(0)).repeated == 1


def test_a_message_that_was_put_aside_goes_out_as_it_was() -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10)], at(0))
    span = next(row for row in store.outbox() if row.topic.endswith("/span"))
    store.quarantine(span, "packet of 90000 bytes; the broker takes at most 1000", at(0))
    (row,) = store.rejected()
    assert row.cause is Cause.UNPUBLISHABLE
    assert row.message is not None
    _sent(store)
    assert store.retry(row.id, {}, at(1)).fate is Retry.SENT
    (again,) = _sent(store)
    assert (again.topic, again.payload, again.properties, again.retain) == (
        span.topic,
        span.payload,
        span.properties,
        False,
    )
    assert store.rejected() == []


def test_of_a_retained_topic_the_present_message_goes_out_and_not_the_old_one() -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10), device.count(1, 12)], at(1))
    old = next(row for row in store.outbox() if row.topic.endswith("/meta"))
    store.quarantine(old, "too large", at(1))
    _sent(store)
    device.tags = {**device.tags, "corridor": "ring"}
    store.commit([device.count(2, 15)], at(2))
    (row,) = store.rejected()
    present = next(row for row in _sent(store) if row.topic.endswith("/meta"))
    assert store.retry(row.id, {}, at(3)).fate is Retry.OVERTAKEN
    (sent,) = _sent(store)
    assert (sent.topic, sent.payload, sent.retain) == (present.topic, present.payload, True)
    assert sent.payload != old.payload


def test_a_retained_topic_that_waits_already_is_not_sent_twice() -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10), device.count(1, 12)], at(1))
    old = next(row for row in store.outbox() if row.topic.endswith("/meta"))
    store.quarantine(old, "too large", at(1))
    device.tags = {**device.tags, "corridor": "ring"}
    store.commit([device.count(2, 15)], at(2))
    waiting = [row.topic for row in store.outbox()]
    (row,) = store.rejected()
    assert store.retry(row.id, {}, at(3)).fate is Retry.OVERTAKEN
    assert [row.topic for row in store.outbox()] == waiting


def test_a_newest_interval_that_was_put_aside_is_not_sent_again_for_the_ledger_says_it_anew() -> None:
    """Bridges of earlier versions kept them in the outbox."""
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10), device.count(1, 12)], at(1))
    old = store.newest(["neutor"])["neutor"]
    store.quarantine(
        OutboxRow(99, old.station, old.topic, old.payload, True, old.properties), "too large", at(1)
    )
    _sent(store)
    (row,) = store.rejected()
    assert store.retry(row.id, {}, at(3)).fate is Retry.OVERTAKEN
    assert _sent(store) == []
    assert store.rejected() == []
