"""Quarter-hours of a German local day, as UTC slots: 96 of them, 92 when summer time begins, 100 when it ends.

A slot is `unix_seconds // 900`, the number that the nodes count in. Europe/Berlin is a whole number of quarter-hours
from UTC, so a local quarter-hour is always exactly one slot.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")
SLOT_S = 900
SLOT = timedelta(seconds=SLOT_S)
NS = 1_000_000_000


def start_of_slot(slot: int) -> datetime:
    """The local time (aware, Europe/Berlin) at which `slot` begins."""
    return datetime.fromtimestamp(slot * SLOT_S, UTC).astimezone(BERLIN)


def slot_of(local: datetime) -> int:
    """The slot of the naive local quarter-hour `local`; its `fold` says which one of a doubled hour is meant."""
    return int(local.replace(tzinfo=BERLIN).timestamp()) // SLOT_S


def exists(local: datetime) -> bool:
    """False for the hour that the clocks skip when summer time begins."""
    there = local.replace(tzinfo=BERLIN)
    return there.astimezone(UTC).astimezone(BERLIN).replace(tzinfo=None) == local


def day_slots(day: date) -> range:
    """All slots of the local day, midnight to midnight."""
    midnight = datetime.combine(day, time())
    return range(slot_of(midnight), slot_of(midnight + timedelta(days=1)))


@lru_cache(maxsize=64)
def namings(day: date) -> tuple[tuple[datetime, ...], ...]:
    """The ways in which a table may name the quarter-hours of `day`, as naive local times with `fold` set.

    One way on most days. Three on the day with 25 hours: the doubled hour once (then it is the first of the two), or
    twice, either hour after hour or each quarter-hour doubled on the spot.
    """
    chronological = tuple(start_of_slot(slot).replace(tzinfo=None) for slot in day_slots(day))
    if not any(local.fold for local in chronological):
        return (chronological,)
    once = tuple(local for local in chronological if not local.fold)
    paired = tuple(sorted(chronological, key=lambda local: (local.replace(fold=0), local.fold)))
    return chronological, paired, once
