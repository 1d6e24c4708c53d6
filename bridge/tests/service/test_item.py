"""From stream items to events, on what a real ChirpStack sent and on what nobody should send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zaehlwerk_bridge.sources.item import ItemProblem, to_event
from zaehlwerk_bridge.sources.item_id import parse

EUI = "70b3d57ed0000001"
RECORDED = [
    json.loads(line)["item"]
    for line in (Path(__file__).parent / "recorded_items.jsonl").read_text(encoding="utf-8").splitlines()
]


def event(item: dict[str, Any], max_bytes: int = 65536) -> Any:
    return to_event("grpc", EUI, item["id"], item["description"], item["body"], max_bytes)


def test_every_recorded_item_is_read_without_a_problem() -> None:
    """Uplinks, joins, acknowledgements, logs and a device status of ChirpStack 4.20."""
    events = [event(item) for item in RECORDED]
    assert {e.kind for e in events} == {"up", "join", "ack", "txack", "log", "status"}
    assert all(e.problem == "" for e in events)
    assert all(e.cursor == item["id"] for e, item in zip(events, RECORDED, strict=True))


def test_a_recorded_uplink_keeps_what_the_ledger_and_the_technician_need() -> None:
    """Payload, counters, tags, the strongest of the gateways, and the server's own time with its nanoseconds."""
    item = next(i for i in RECORDED if i["description"] == "up" and len(json.loads(i["body"])["rxInfo"]) == 2)
    e = event(item)
    assert (e.f_port, e.f_cnt, e.dr, e.gateways, e.rssi, e.snr) == (1, 2, 3, 2, -80, 7.5)
    assert e.payload == bytes.fromhex("010204")
    assert e.dedup_id == "8ea001df-451e-40ed-8ffb-e3283b93f544"
    assert e.tags["channels"] == "in,out"
    assert e.device_name == "hafenstrasse"
    assert e.received_ns == 1795387694625508934  # the earlier nsTime, 2026-11-22T22:48:14.625508934Z


def test_only_uplinks_carry_a_deduplication_id() -> None:
    """A device status and an acknowledgement have the id of the uplink that brought them: they are not its copies."""
    assert {e.kind for e in map(event, RECORDED) if e.dedup_id} == {"up"}


def test_absent_fields_are_zero() -> None:
    """ChirpStack leaves out the defaults of nested objects: rssi 0, fPort 0."""
    body = {"deviceInfo": {"devEui": EUI}, "rxInfo": [{"gatewayId": "01"}]}
    e = to_event("grpc", EUI, "1795387694842-0", "up", json.dumps(body), 65536)
    assert e is not None
    assert (e.f_port, e.f_cnt, e.payload, e.rssi, e.snr, e.problem) == (0, 0, b"", 0, 0, "")
    assert e.received_ns == 1795387694842 * 10**6


def test_a_receive_time_far_from_the_items_id_is_not_believed() -> None:
    body = {"rxInfo": [{"nsTime": "1980-01-06T00:00:00Z"}, {"nsTime": 7}, {"nsTime": "never"}]}
    e = to_event("grpc", EUI, "1795387694842-0", "up", json.dumps(body), 65536)
    assert e is not None
    assert e.received_ns == 1795387694842 * 10**6


def test_kinds_that_carry_nothing_for_the_bridge_are_no_events() -> None:
    assert to_event("grpc", EUI, "1-0", "location", "{}", 65536) is None


def test_an_item_without_an_id_has_no_place_in_the_stream() -> None:
    with pytest.raises(ItemProblem, match="MILLISECONDS-SEQUENCE"):
        to_event("grpc", EUI, "now", "up", "{}", 65536)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"data": "?"}, "base64"),
        ({"data": "A" * 400}, "300 bytes"),
        ({"fPort": 256}, "fPort"),
        ({"fPort": True}, "fPort"),
        ({"fPort": "1"}, "fPort"),
        ({"fCnt": 2**32}, "fCnt"),
        ({"deviceInfo": []}, None),
        ({"deviceInfo": [1]}, "deviceInfo is not an object"),
        ({"deviceInfo": {"tags": {"a": 1}}}, "a is not a text"),
        ({"deviceInfo": {"tags": {str(n): "" for n in range(65)}}}, "65 tags"),
        ({"deviceInfo": {"devEui": "0000000000000000"}}, "is of device"),
        ({"rxInfo": {"a": 1}}, "rxInfo is not an array"),
        ({"rxInfo": [{"rssi": "loud"}]}, "rssi"),
        ({"deduplicationId": "x" * 2000}, "deduplicationId"),
        ({"deduplicationId": "\ud83d"}, "deduplicationId has half of a character"),
        ({"deviceInfo": {"deviceName": "a\udeb2"}}, "deviceName has half of a character"),
        ({"deviceInfo": {"tags": {"station": "\udeb2\ud83d"}}}, "station has half of a character"),
        ({"deviceInfo": {"tags": {"\ud83d": "Neutor"}}}, "a tag's name has half of a character"),
        ({"deviceInfo": {"deviceName": "\U0001f6b2", "tags": {"\U0001f6b2": "\U0001f6b2"}}}, None),
    ],
)
def test_what_is_wrong_with_an_item_is_named(changes: dict[str, Any], reason: str | None) -> None:
    """None: it may be so. An empty array where an object should be says as little as an absent one."""
    e = to_event("grpc", EUI, "1795387694842-0", "up", json.dumps({"fPort": 1, **changes}), 65536)
    assert e is not None
    if reason is None:
        assert e.problem == ""
    else:
        assert reason in e.problem
    assert e.cursor == "1795387694842-0"


_TEXT = st.text(st.characters() | st.sampled_from("\ud83d\udeb2\0"), max_size=20)
"""With halves of characters, which JSON's escapes can say."""
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
_FIELDS = st.sampled_from(
    [
        "deduplicationId",
        "deviceInfo",
        "tags",
        "devEui",
        "data",
        "fPort",
        "fCnt",
        "dr",
        "rxInfo",
        "rssi",
        "nsTime",
    ]
)


@given(
    st.dictionaries(
        _FIELDS,
        _JSON | st.dictionaries(_FIELDS, _JSON, max_size=3) | st.lists(st.dictionaries(_FIELDS, _JSON)),
    )
)
def test_no_body_makes_anything_but_an_event(body: dict[str, Any]) -> None:
    """Hostile JSON is rejected by name; nothing else is raised, and what is kept of it can be stored."""
    e = to_event("grpc", EUI, "1795387694842-0", "up", json.dumps(body), 65536)
    assert e is not None
    for text in (e.dedup_id, e.device_name, e.queue_item, e.report, e.problem, *e.tags, *e.tags.values()):
        text.encode()


@given(st.text())
def test_no_text_makes_anything_but_an_event(body: str) -> None:
    e = to_event("grpc", EUI, "1795387694842-0", "up", body, 100)
    assert e is not None


@given(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)))
def test_item_ids_are_pairs_of_numbers(item_id: tuple[int, int]) -> None:
    assert parse(f"{item_id[0]}-{item_id[1]}") == item_id


@pytest.mark.parametrize("text", ["", "1", "-1-0", "1-", "1-0-0", "١-0", "1_0-0", "1" * 21 + "-0"])
def test_what_is_no_item_id_is_none(text: str) -> None:
    assert parse(text) is None
