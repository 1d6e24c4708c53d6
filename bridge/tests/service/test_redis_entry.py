"""An entry of the Redis stream and an item of a device's stream say the same; and how far a stream reaches back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from chirpstack_api import integration
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.tests.service.redis_server import event_bytes
from zaehlwerk_bridge.sources import item
from zaehlwerk_bridge.sources.stream_entry import to_event
from zaehlwerk_bridge.sources.stream_history import StreamInfo, too_short

EUI = "70b3d57ed0000001"
ID = "1795387716620-3"
INFO = {
    "deviceName": "Hafenstraße",
    "devEui": EUI,
    "tags": {"station": "Hafenstraße", "channels": "in,out"},
}
UP = {
    "deduplicationId": "4ee56862-9468-4288-91d1-582465ac546f",
    "deviceInfo": INFO,
    "dr": 3,
    "fCnt": 32,
    "fPort": 1,
    "data": "AQID",
    "rxInfo": [
        {
            "gatewayId": "0102030405060708",
            "rssi": -97,
            "snr": 2.5,
            "nsTime": "2026-11-22T22:48:36.620314790+00:00",
        },
        {
            "gatewayId": "0102030405060709",
            "rssi": -80,
            "snr": 7.5,
            "nsTime": "2026-11-22T22:48:36.405408467+00:00",
        },
        {"gatewayId": "010203040506070a"},
    ],
}
BODIES: list[tuple[str, dict[str, Any]]] = [
    ("up", UP),
    ("up", {**UP, "data": "", "fPort": 0, "rxInfo": []}),
    ("join", {"deviceInfo": INFO, "deduplicationId": "one"}),
    ("txack", {"deviceInfo": INFO, "queueItemId": "a-queue-item"}),
    (
        "ack",
        {"deviceInfo": INFO, "queueItemId": "a-queue-item", "acknowledged": True, "deduplicationId": "one"},
    ),
    ("ack", {"deviceInfo": INFO, "queueItemId": "a-queue-item"}),
    (
        "log",
        {"deviceInfo": INFO, "code": "EXPIRED", "description": "late", "context": {"queue_item_id": "x"}},
    ),
    ("log", {"deviceInfo": INFO, "code": "UPLINK_MIC", "level": "ERROR", "description": "MIC"}),
    ("status", {"deviceInfo": INFO, "margin": 7}),
]


@pytest.mark.parametrize(("kind", "body"), BODIES, ids=[kind for kind, _ in BODIES])
def test_both_sources_make_the_same_event_of_it(kind: str, body: dict[str, Any]) -> None:
    """But for the source's name, and that an entry without a deduplication id has its own."""
    there = item.to_event("grpc", EUI, ID, kind, json.dumps(body), 65536)
    here = to_event("redis", ID, [(kind.encode(), event_bytes(kind, body))], 65536)
    assert there is not None
    assert here == replace(there, source="redis", dedup_id=there.dedup_id or ID)
    assert here.problem == ""


def test_an_unknown_log_code_of_a_newer_server_is_told_by_its_number() -> None:
    log = integration.LogEvent.FromString(event_bytes("log", {"deviceInfo": INFO, "description": "new"}))
    log.code = 99
    event = to_event("redis", ID, [(b"log", log.SerializeToString())], 65536)
    assert event is not None
    assert (event.problem, event.report) == ("", "99 new")


@settings(deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["up", "join", "ack", "txack", "log", "status", "x", "é"]))
def test_no_bytes_break_it(value: bytes, kind: str) -> None:
    event = to_event("redis", ID, [(kind.encode(), value)], 65536)
    assert event is None or event.problem or event.dev_eui


@settings(deadline=None)
@given(st.data())
def test_no_mutation_of_a_real_event_breaks_it(data: st.DataObject) -> None:
    """Nor makes an event that could not be stored: times, texts and numbers stay in their bounds."""
    value = bytearray(event_bytes("up", UP))
    for _ in range(data.draw(st.integers(1, 4))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    event = to_event("redis", ID, [(b"up", bytes(value))], 65536)
    assert event is not None
    assert abs(event.received_ns - 1795387716620 * 10**6) <= item.TRUSTED_NS
    assert 0 <= event.f_port <= 255
    assert len(event.payload) <= item.MAX_PAYLOAD_BYTES


def info(length: int, added: int, read: int | None, first: int = 100, delivered: int = 0) -> StreamInfo:
    """A stream whose entries came once a millisecond: entry number n has the id (n, 0)."""
    return StreamInfo(length, added, (first, 0) if length else (0, 0), (added, 0), (delivered, 0), read)


@pytest.mark.parametrize(
    ("stream", "lost"),
    [
        (info(50, 100, 50, first=51, delivered=50), 0),  # exactly where the oldest one is
        (info(50, 100, 40, first=51, delivered=40), 10),
        (info(50, 100, 60, first=51, delivered=60), 0),  # in the middle
        (info(50, 100, 100, first=51, delivered=100), 0),  # at the end
        (info(50, 100, 90, first=51, delivered=100), 10),  # at the end, ten too few on the way
        (info(0, 100, 80, delivered=80), 20),  # everything is gone
        (info(0, 0, None), 0),
        (info(50, 100, None, first=51, delivered=40), 0),  # Redis does not know how many the group was given
    ],
)
def test_what_was_trimmed_unread_is_told_from_what_was_read(stream: StreamInfo, lost: int) -> None:
    assert stream.lost == lost
    assert stream.perhaps_lost == (stream.read is None and stream.added > 0)


HOUR_MS = 3_600_000


def of_hours(hours: float, length: int = 5000, *, trimmed: bool = True) -> StreamInfo:
    """A stream whose oldest entry is so old at the time 1000 hours."""
    first = (int((1000 - hours) * HOUR_MS), 0)
    return StreamInfo(length, length + trimmed, first, (1000 * HOUR_MS, 0))


def test_a_stream_that_reaches_back_far_enough_or_has_not_reached_its_limit_is_good() -> None:
    assert too_short(of_hours(25), 1000 * HOUR_MS, 24 * 3600) == ""
    assert too_short(of_hours(1, trimmed=False), 1000 * HOUR_MS, 24 * 3600) == ""
    assert too_short(StreamInfo(0, 0, (0, 0), (0, 0)), 1000 * HOUR_MS, 24 * 3600) == ""


def test_of_one_that_is_too_short_a_length_is_said_that_would_do_with_a_margin() -> None:
    text = too_short(of_hours(2), 1000 * HOUR_MS, 24 * 3600)
    assert text == (
        "the stream's 5000 entries reach back 2.0 h, an outage of 24.0 h is to be survived:"
        " set [monitoring] device_event_log_max_history to 90000 in ChirpStack"
    )
