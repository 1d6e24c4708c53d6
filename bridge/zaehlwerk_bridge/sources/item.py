"""From a stream's item to an Event. Whatever is wrong with an item, the result is an Event that says so."""

import base64
import binascii
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.sources.item_id import MOST_MS, parse

KINDS = frozenset({"up", "join", "ack", "txack", "log", "status"})
MAX_PAYLOAD_BYTES = 256  # LoRaWAN's largest is 242 (RP002-1.0.4)
MAX_TAGS = 64
MAX_TEXT = 1024
TRUSTED_NS = 3600 * 10**9
"""A receive time that is further away than this from the item's id is not believed."""


class ItemProblem(ValueError):
    """An item that is not what it should be; the text says what."""


def to_event(
    source: str, dev_eui: str, item_id: str, description: str, body: str, max_bytes: int
) -> Event | None:
    """Return the event that an item of `dev_eui`'s stream holds; None for a kind that carries nothing for the bridge.

    `body` is the JSON of ChirpStack's integration event. An item that cannot be read gives an Event with `problem`.
    Raises ItemProblem if `item_id` is no id: such an item has no place in the stream.
    """
    parsed = parse(item_id)
    if parsed is None or parsed[0] > MOST_MS:
        raise ItemProblem(f"item id {item_id[:40]!r} is not MILLISECONDS-SEQUENCE")
    if description not in KINDS:
        return None
    at_ns = parsed[0] * 1_000_000
    try:
        if len(body) > max_bytes:
            raise ItemProblem(f"body has {len(body)} characters, more than {max_bytes}")
        return _read(source, dev_eui, item_id, at_ns, description, _object(body))
    except ItemProblem as problem:
        return Event(source, dev_eui, description, "", item_id, at_ns, problem=str(problem))


def frame_counter(body: str, max_bytes: int) -> int | None:
    """Return the frame counter of an uplink's `body`, None if it cannot be read."""
    try:
        return _integer(_object(body), "fCnt", 2**32 - 1) if len(body) <= max_bytes else None
    except ItemProblem:
        return None


def _read(source: str, dev_eui: str, item_id: str, at_ns: int, kind: str, body: dict[str, Any]) -> Event:
    info = _mapping(body, "deviceInfo")
    named = _text(info, "devEui").lower()
    if named and named != dev_eui:
        raise ItemProblem(f"body is of device {named[:16]!r}")
    if kind != "up":
        # Several events share the deduplication id of the uplink that caused them: it names the uplink alone.
        queue_item, report = _downlink(kind, body)
        return Event(
            source,
            dev_eui,
            kind,
            "",
            item_id,
            at_ns,
            device_name=_text(info, "deviceName"),
            tags=_tags(info),
            queue_item=queue_item,
            report=report,
        )
    receptions = [entry for entry in _list(body, "rxInfo") if isinstance(entry, dict)]
    strongest = max(receptions, key=lambda entry: _number(entry, "rssi"), default=None)
    return Event(
        source,
        dev_eui,
        kind,
        _text(body, "deduplicationId"),
        item_id,
        _received_ns(receptions, at_ns),
        f_port=_integer(body, "fPort", 255),
        f_cnt=_integer(body, "fCnt", 2**32 - 1),
        payload=_payload(body),
        device_name=_text(info, "deviceName"),
        tags=_tags(info),
        dr=_integer(body, "dr", 15),
        rssi=None if strongest is None else round(_number(strongest, "rssi")),
        snr=None if strongest is None else _number(strongest, "snr"),
        gateways=len(receptions),
    )


def _downlink(kind: str, body: dict[str, Any]) -> tuple[str, str]:
    """Which item of the downlink queue an event is about, empty if none, and what it says of it."""
    if kind == "txack":
        return _text(body, "queueItemId"), ""
    if kind == "ack":
        return _text(body, "queueItemId"), "acknowledged" if body.get("acknowledged") is True else "missed"
    if kind == "log":
        return _text(
            _mapping(body, "context"), "queue_item_id"
        ), f"{_text(body, 'code')} {_text(body, 'description')}"
    return "", ""


def _object(body: str) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ItemProblem(f"body is not JSON: {str(error)[:100] or type(error).__name__}") from None
    if not isinstance(value, dict):
        raise ItemProblem(f"body is a JSON {type(value).__name__}, not an object")
    return value


def _mapping(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name) or {}
    if not isinstance(value, dict):
        raise ItemProblem(f"{name} is not an object")
    return value


def _list(body: Mapping[str, Any], name: str) -> list[Any]:
    value = body.get(name) or []
    if not isinstance(value, list):
        raise ItemProblem(f"{name} is not an array")
    return value


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name) or ""
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ItemProblem(f"{name} is not a text of at most {MAX_TEXT} characters")
    return _written(value, name)


def _written(text: str, name: str) -> str:
    """`text`, unless it is none: JSON's escapes can say half of a character (RFC 8259, section 8.2), which nobody can store."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ItemProblem(f"{name} has half of a character") from None
    return text


def _integer(body: Mapping[str, Any], name: str, most: int) -> int:
    value = body.get(name) or 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ItemProblem(f"{name} is not a whole number from 0 to {most}")
    return value


def _number(body: Mapping[str, Any], name: str) -> float:
    value = body.get(name) or 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1000 <= value <= 1000:
        raise ItemProblem(f"rxInfo: {name} is not a number that a radio could have measured")
    return value


def _payload(body: Mapping[str, Any]) -> bytes:
    try:
        payload = base64.b64decode(body.get("data") or "", validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise ItemProblem("data is not base64") from None
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ItemProblem(f"data has {len(payload)} bytes, more than {MAX_PAYLOAD_BYTES}")
    return payload


def _tags(info: Mapping[str, Any]) -> dict[str, str]:
    tags = _mapping(info, "tags")
    if len(tags) > MAX_TAGS:
        raise ItemProblem(f"{len(tags)} tags, more than {MAX_TAGS}")
    # They are kept of every station, and are the same few words for most: each word is kept once.
    return {sys.intern(_written(key, "a tag's name")): sys.intern(_text(tags, key)) for key in sorted(tags)}


def _received_ns(receptions: list[dict[str, Any]], at_ns: int) -> int:
    """When the server had the first copy: its own nsTime, for gateways' times depend on their GPS; else the item's."""
    times = []
    for entry in receptions:
        ns = _rfc3339_ns(entry.get("nsTime"))
        if ns is not None and abs(ns - at_ns) <= TRUSTED_NS:
            times.append(ns)
    return min(times, default=at_ns)


def _rfc3339_ns(text: object) -> int | None:
    """Nanoseconds UTC of a time like 2026-11-22T22:48:13.177314790+00:00; datetime alone keeps microseconds only."""
    if not isinstance(text, str) or len(text) > 40:
        return None
    whole, dot, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))] if dot else ""
    zone = rest[len(digits) :] if dot else ""
    try:
        moment = datetime.fromisoformat(whole + zone)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 10**9 + int((digits + "0" * 9)[:9])
