"""Interval records: what the platform gets, made from a draft and its station. Pure; the revision comes later."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from zaehlwerk_bridge.ledger.cell import Row
from zaehlwerk_bridge.ledger.segment import Draft, Kind
from zaehlwerk_bridge.ledger.timeline import Timeline
from zaehlwerk_bridge.station import Station

SHARE = 255
"""Of a cover byte: a share of 1."""

Body = dict[str, Any]

_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Published(NamedTuple):
    """A record with its revision, as the platform gets it: `text`, JSON, and what of it is needed to pass it on."""

    id: str
    revision: int
    resolution: str
    end: str | None
    """When its last interval ends, as it stands in the text; None: it has no place in time."""
    text: str


def record_id(slug: str, epoch: int, draft: Draft, *, unsynced: bool) -> str:
    """Names a record for ever: station, epoch, and the intervals it stands for."""
    space = "u" if unsynced else ""
    if draft.first is None:
        name = f"-{space}{draft.last}"
    elif draft.kind is Kind.INTERVAL:
        name = f"{space}{draft.last}"
    else:
        name = f"{space}{draft.first}-{space}{draft.last}"
    return f"{slug}.{epoch:08x}.{name}"


@dataclass(frozen=True, slots=True)
class RecordName:
    """What the id of a record says. first None: from the beginning; first == last and `single`: an interval."""

    station: str
    epoch: int
    unsynced: bool
    first: int | None
    last: int
    single: bool


_NAME = re.compile(r"([a-z0-9-]+)\.([0-9a-f]{8})\.(?:(u?)(\d+))?(-)?(?:(u?)(\d+))?")


def read_id(record: str) -> RecordName:
    """The parts of a record's id. Raises ValueError for what is none."""
    found = _NAME.fullmatch(record)
    if found is None or (found[4] is None and found[7] is None):
        raise ValueError(f"{record!r} is no id of a record")
    station, epoch, unsynced, first, hyphen, also, last = found.groups()
    number = int(first) if last is None else int(last)
    begins = None if first is None else int(first)
    return RecordName(station, int(epoch, 16), "u" in (unsynced, also), begins, number, hyphen is None)


def body(
    draft: Draft, record: str, station: Station, line: Timeline, *, unsynced: bool, total: Row | None
) -> Body:
    """The record without its revision. `total`: in full, at its end."""

    def end(number: int) -> int | None:
        return line.end_s(number, unsynced=unsynced)

    def start(number: int) -> int | None:
        end_s = end(number)
        return None if end_s is None else end_s - line.interval_s

    start_s = None if draft.first is None else start(draft.first)
    end_s = end(draft.last)
    if draft.first is not None and (start_s is None or end_s is None):
        start_s = end_s = None  # not even half a place in time
    inside = sum(last - first + 1 for first, last in draft.apart)
    made: Body = {
        "id": record,
        "start": None if start_s is None else utc(start_s),
        "end": None if end_s is None else utc(end_s),
        "clock": "unsynced" if end_s is None else "utc",
        "resolution": "interval" if draft.kind is Kind.INTERVAL else "span",
        "intervals": None if draft.first is None else draft.last - draft.first + 1 - inside,
        "channels": [
            _channel(draft, station, number, count, None if total is None else total[number])
            for number, count in enumerate(draft.counts)
        ],
    }
    if draft.kind is not Kind.INTERVAL:
        ranges = [(start(first), end(last)) for first, last in draft.apart]
        made["except"] = [
            [utc(begins), utc(ends)] for begins, ends in ranges if begins is not None and ends is not None
        ]
    return made


def body_text(body: Mapping[str, Any]) -> str:
    """The body as it is stored and compared. It begins with the id, as `body` makes it."""
    return _ENCODE(body)


def published(text: str, revision: int) -> Published:
    """The record whose body is stored as `text`, with its revision."""
    body = json.loads(text)
    return with_revision(body, text, revision)


def with_revision(body: Mapping[str, Any], text: str, revision: int) -> Published:
    """The same for who has the body as well."""
    record = body["id"]
    # Ids need no escapes in JSON, and the id stands first: the revision comes right behind it.
    begins = len(record) + 9
    assert text.startswith(record, 7)
    revised = f'{text[:begins]}"revision":{revision},{text[begins:]}'
    return Published(record, revision, body["resolution"], body["end"], revised)


def withdrawn(body: Body) -> Body:
    """The record of a station that did not observe its time after all: another one did."""
    nothing = {"count": None, "total": None, "coverage": 0.0, "quality": "not_observed"}
    return {**body, "channels": [{**channel, **nothing} for channel in body["channels"]]}


def _channel(draft: Draft, station: Station, number: int, count: int, total: int | None) -> Body:
    channel = station.channel(number)
    coverage, quality = _quality(draft, number)
    if quality == "not_observed" and count:
        quality = "partial"  # observed for a time that nobody knows
    return {
        "name": channel.name,
        "class": channel.traffic_class,
        "direction": channel.direction,
        "count": None if quality == "not_observed" else count,
        "total": total,
        "coverage": coverage,
        "quality": quality,
    }


def _quality(draft: Draft, number: int) -> tuple[float | None, str]:
    if draft.kind is Kind.CONFLICT:
        return None, "inconsistent"
    if draft.kind is not Kind.INTERVAL or draft.cover is None:
        return None, "unknown"
    mask, worst = draft.cover
    if not mask >> number & 1:
        return 1.0, "ok"
    return round(worst / SHARE, 3), "partial" if worst else "not_observed"


@lru_cache(maxsize=4096)
def utc(seconds: int) -> str:
    """Unix seconds as text, UTC."""
    # Kept: the intervals of all stations begin and end at the same times.
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
