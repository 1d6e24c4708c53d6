"""Interval records: what the platform gets, made from a draft and its station. Pure; the revision comes later."""

from datetime import UTC, datetime
from typing import Any

from zaehlwerk_bridge.ledger.cell import Cell, Row
from zaehlwerk_bridge.ledger.segment import Draft, Kind
from zaehlwerk_bridge.station import Station

SHARE = 255
"""Of a cover byte: a share of 1."""

Body = dict[str, Any]


def record_id(slug: str, epoch: int, draft: Draft) -> str:
    """Names a record for ever: station, epoch, and the intervals it stands for."""
    if draft.first is None:
        name = f"-{_number(draft.last)}"
    elif draft.kind is Kind.INTERVAL:
        name = _number(draft.last)
    else:
        name = f"{_number(draft.first)}-{_number(draft.last)}"
    return f"{slug}.{epoch:08x}.{name}"


def _number(cell: Cell) -> str:
    return f"u{cell.number}" if cell.unsynced else str(cell.number)


def body(
    draft: Draft,
    record: str,
    station: Station,
    interval_s: int,
    *,
    placed: bool,
    total: Row | None,
) -> Body:
    """The record without its revision. `placed`: its intervals have a place in time; `total`: full, at its end."""
    first = draft.first
    made: Body = {
        "id": record,
        "start": None if first is None or not placed else _utc(first.at_s - interval_s),
        "end": _utc(draft.last.at_s) if placed else None,
        "clock": "utc" if placed else "unsynced",
        "resolution": "interval" if draft.kind is Kind.INTERVAL else "span",
        "intervals": _intervals(draft),
        "channels": [
            _channel(draft, station, number, count, None if total is None else total[number])
            for number, count in enumerate(draft.counts)
        ],
    }
    if draft.kind is not Kind.INTERVAL:
        known = draft.known if placed else ()
        made["except"] = [[_utc(cell.at_s - interval_s), _utc(cell.at_s)] for cell in known]
    return made


def _intervals(draft: Draft) -> int | None:
    """How many intervals the record's counts stand for; None: not known."""
    if draft.first is None or draft.first.unsynced != draft.last.unsynced:
        return None
    return draft.last.number - draft.first.number + 1 - len(draft.known)


def _channel(draft: Draft, station: Station, number: int, count: int, total: int | None) -> Body:
    channel = station.channel(number)
    coverage, quality = _quality(draft, number)
    if quality == "not_observed" and count:
        quality = "partial"
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
    cover = draft.last.cover
    if draft.kind is not Kind.INTERVAL or cover is None:
        return None, "unknown"
    mask, worst = cover
    if not mask >> number & 1:
        return 1.0, "ok"
    return round(worst / SHARE, 3), "partial" if worst else "not_observed"


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
