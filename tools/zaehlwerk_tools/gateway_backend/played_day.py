"""A table's quarter-hours, played now: which ones, and at which moments of the real day.

The nodes count in slots of UTC and a real network server tells them the real time, so the tables move and not the time:
each station's counts are moved by one whole number of slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time

from zaehlwerk_tools.city_table import City, Station
from zaehlwerk_tools.errors import DayError
from zaehlwerk_tools.local_time import NS, SLOT_S, slot_of, start_of_slot

LEAD_S = 180
"""Before the first quarter-hour: to set up, to join and to know the time. A first join takes 6 to 11 s, or about twelve
more for each try that is not heard; the time comes with the next uplink."""
STAGGER_S = 2
"""Seconds between two boards' switching on."""


@dataclass(frozen=True, slots=True)
class PlayedDay:
    """What is played when."""

    slots: range  # of the real time
    stations: tuple[Station, ...]  # their counts moved to these slots
    table_start: datetime  # the local time at which the played part of the table begins

    @property
    def told(self) -> str:
        """For whoever reads the results: the counts are real, their date is not."""
        begin = start_of_slot(self.slots.start)
        return (
            f"Die Zahlen sind die vom {self.table_start:%d.%m.%Y, %H:%M} Uhr an; gespielt wurden sie am "
            f"{begin:%d.%m.%Y} von {begin:%H:%M} Uhr an. / The counts are those from {self.table_start:%Y-%m-%d %H:%M} on; "
            f"they were played from {begin:%Y-%m-%d %H:%M} on."
        )


def lead_s(stations: int) -> int:
    """Seconds that so many stations are switched on before the first quarter-hour."""
    return LEAD_S + STAGGER_S * stations


def play_now(
    city: City,
    stations: Sequence[Station],
    now_ns: int,
    minutes: int,
    table_day: date,
    play_from: str | None = None,
) -> PlayedDay:
    """The quarter-hours from the next one that leaves time enough, for at least so many `minutes`.

    They get the counts of `table_day` of the same time of day, or from the local time `play_from` ("HH:MM") on. Raises
    DayError if a table does not reach so far, or what was asked for is no time.
    """
    if minutes < 1:
        raise DayError(f"--minutes {minutes}: expected at least 1; it is rounded up to whole quarter-hours")
    first = -(-(now_ns + lead_s(len(stations)) * NS) // (SLOT_S * NS))
    slots = range(first, first - (-minutes * 60 // SLOT_S))
    begin = _time(play_from) if play_from is not None else start_of_slot(first).time()
    table_start = datetime.combine(table_day, begin)
    moved = first - slot_of(table_start)
    last = start_of_slot(slots.stop - 1 - moved).date()
    city.slots(stations, table_day, (last - table_day).days + 1)  # all of these days must be there
    return PlayedDay(slots, tuple(_moved(station, slots, moved) for station in stations), table_start)


def _moved(station: Station, slots: range, by: int) -> Station:
    counts = {slot: station.counts[slot - by] for slot in slots if slot - by in station.counts}
    return replace(station, counts=counts, whole_days=frozenset())


def _time(text: str) -> time:
    try:
        begin = time.fromisoformat(text)
    except ValueError:
        begin = None
    if begin is None or begin.tzinfo is not None or begin.minute % 15 or begin.second or begin.microsecond:
        raise DayError(
            f"--play-from {text}: expected the local time of a quarter-hour of the table, e.g. 07:30"
        )
    return begin
