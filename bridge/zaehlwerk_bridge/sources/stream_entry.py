"""From an entry of ChirpStack's Redis stream to an Event. Whatever is wrong with an entry, the result says so.

An entry has one field: its name is the kind of the event, its value the integration event as protobuf.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from chirpstack_api import integration
from google.protobuf.message import DecodeError

from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.sources.item import MAX_PAYLOAD_BYTES, MAX_TAGS, MAX_TEXT, TRUSTED_NS, ItemProblem
from zaehlwerk_bridge.sources.item_id import MOST_MS

MOST_BYTES = 4 * 1024 * 1024
"""Larger ones are not even read for the device that they are of."""
_EVENTS: Mapping[str, Any] = {
    "up": integration.UplinkEvent,
    "join": integration.JoinEvent,
    "ack": integration.AckEvent,
    "txack": integration.TxAckEvent,
    "log": integration.LogEvent,
    "status": integration.StatusEvent,
}
_DEV_EUI = re.compile(r"[0-9a-f]{16}")
_MOST_DR = 15
_MOST_PORT = 255

Fields = Sequence[tuple[bytes, bytes]]


def to_event(source: str, entry_id: str, fields: Fields, max_bytes: int) -> Event | None:
    """Return the event that an entry holds; None for a kind that carries nothing for the bridge.

    An entry that cannot be read gives an Event with `problem`, of its device if that can be told. An event without a
    deduplication id of its own gets the entry's: entries of a dead consumer come out of order.
    """
    at_ms = int(entry_id.partition("-")[0])
    if at_ms > MOST_MS:
        return Event(
            source, "", "", entry_id, entry_id, 0, problem=f"entry has the id {entry_id}, which is no time"
        )
    at_ns = at_ms * 1_000_000
    if len(fields) != 1:
        return Event(
            source, "", "", entry_id, entry_id, at_ns, problem=f"entry has {len(fields)} fields, not 1"
        )
    name, value = fields[0]
    kind = name.decode("ascii", "replace")[:20]
    if kind not in _EVENTS:
        return None
    dev_eui = ""
    try:
        if len(value) > MOST_BYTES:
            raise ItemProblem(f"value has {len(value)} bytes, more than {max_bytes}")
        body = _parsed(kind, value)
        dev_eui = _dev_eui(body)
        if len(value) > max_bytes:
            raise ItemProblem(f"value has {len(value)} bytes, more than {max_bytes}")
        return _read(source, dev_eui, entry_id, at_ns, kind, body)
    except ItemProblem as problem:
        return Event(source, dev_eui, kind, entry_id, entry_id, at_ns, problem=str(problem))


def _parsed(kind: str, value: bytes) -> Any:
    try:
        return _EVENTS[kind].FromString(value)
    except DecodeError as error:
        raise ItemProblem(f"value is no protobuf of an {kind!r} event: {str(error)[:100]}") from None


def _dev_eui(body: Any) -> str:
    dev_eui = str(body.device_info.dev_eui).lower()
    if not _DEV_EUI.fullmatch(dev_eui):
        raise ItemProblem(f"DevEUI is {dev_eui[:20]!r}, not 16 hexadecimal digits")
    return dev_eui


def _read(source: str, dev_eui: str, entry_id: str, at_ns: int, kind: str, body: Any) -> Event:
    name, tags = _named(body.device_info.SerializeToString())
    if kind != "up":
        # Several events share the deduplication id of the uplink that caused them: it names the uplink alone.
        queue_item, report = _downlink(kind, body)
        return Event(
            source,
            dev_eui,
            kind,
            entry_id,
            entry_id,
            at_ns,
            device_name=name,
            tags=tags,
            queue_item=queue_item,
            report=report,
        )
    received_ns, rssi, snr, gateways = _receptions(body.rx_info, at_ns)
    return Event(
        source,
        dev_eui,
        kind,
        _text("deduplicationId", body.deduplication_id) or entry_id,
        entry_id,
        received_ns,
        _at_most("fPort", body.f_port, _MOST_PORT),
        body.f_cnt,
        _payload(body.data),
        name,
        tags,
        _at_most("dr", body.dr, _MOST_DR),
        rssi,
        snr,
        gateways,
    )


@lru_cache(maxsize=4096)
def _named(device_info: bytes) -> tuple[str, Mapping[str, str]]:
    """A device's name and tags. They are the same in each of its events, and a map of protobuf is slow to read."""
    info = integration.DeviceInfo.FromString(device_info)
    return _text("deviceName", info.device_name), MappingProxyType(_tags(info))


def _downlink(kind: str, body: Any) -> tuple[str, str]:
    """Which item of the downlink queue an event is about, empty if none, and what it says of it."""
    if kind == "txack":
        return _text("queueItemId", body.queue_item_id), ""
    if kind == "ack":
        return _text("queueItemId", body.queue_item_id), "acknowledged" if body.acknowledged else "missed"
    if kind == "log":
        # Not body.context[...]: that of a protobuf map makes the entry.
        return _text("queue_item_id", body.context.get("queue_item_id", "")), (
            f"{_code(body.code)} {_text('description', body.description)}"
        )
    return "", ""


def _code(number: int) -> str:
    known = integration.LogCode.values()
    return str(integration.LogCode.Name(number)) if number in known else str(number)


def _text(name: str, text: str) -> str:
    if len(text) > MAX_TEXT:
        raise ItemProblem(f"{name} is not a text of at most {MAX_TEXT} characters")
    return text


def _at_most(name: str, number: int, most: int) -> int:
    if number > most:
        raise ItemProblem(f"{name} is not a whole number from 0 to {most}")
    return number


def _snr(snr: float) -> float:
    if not -1000 <= snr <= 1000:  # not-a-number too
        raise ItemProblem("rxInfo: snr is not a number that a radio could have measured")
    return snr


def _payload(data: bytes) -> bytes:
    if len(data) > MAX_PAYLOAD_BYTES:
        raise ItemProblem(f"data has {len(data)} bytes, more than {MAX_PAYLOAD_BYTES}")
    return data


def _tags(info: Any) -> dict[str, str]:
    if len(info.tags) > MAX_TAGS:
        raise ItemProblem(f"{len(info.tags)} tags, more than {MAX_TAGS}")
    return {_text("tag", key): _text(key, value) for key, value in sorted(info.tags.items())}


def _receptions(receptions: Sequence[Any], at_ns: int) -> tuple[int, int | None, float | None, int]:
    """When the server had the first copy: its own nsTime, for gateways' times depend on their GPS; else the entry's. Then
    RSSI and SNR of the strongest, and how many there were."""
    first_ns, rssi, snr, gateways = None, None, None, 0
    for reception in receptions:
        gateways += 1
        strength = reception.rssi
        if rssi is None or strength > rssi:
            rssi, snr = strength, reception.snr
        if reception.HasField("ns_time"):
            time = reception.ns_time
            ns = time.seconds * 10**9 + time.nanos
            if abs(ns - at_ns) <= TRUSTED_NS and (first_ns is None or ns < first_ns):
                first_ns = ns
    return at_ns if first_ns is None else first_ns, rssi, None if snr is None else _snr(snr), gateways
