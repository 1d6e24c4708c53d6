"""What the tests of a city's run share: tables made to measure, plans, and platforms that know everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

import pytest

from zaehlwerk_tools.city_table import read_city
from zaehlwerk_tools.local_time import SLOT_S, day_slots, start_of_slot
from zaehlwerk_tools.plan import Outage, Plan
from zaehlwerk_tools.records import ChannelCount, Published
from zaehlwerk_tools.result import CityResult

BUNDLED = Path(__file__).parents[2] / "zaehlwerk_tools" / "data" / "muenster"
HEADINGS = ("1 (Teststraße stadteinwärts)", "2 (Teststraße stadtauswärts)")


def local_times(day: date) -> list[datetime]:
    """The naive local quarter-hours of a day, in order of time."""
    return [start_of_slot(slot).replace(tzinfo=None) for slot in day_slots(day)]


def table_text(
    times: Sequence[datetime | str],
    count: Callable[[int, int], int | str] = lambda row, channel: (7 * row + channel) % 40,
    headings: Sequence[str] = HEADINGS,
) -> str:
    """A table with a row per time; `count(row, channel)` fills the cells."""
    lines = [",".join(("start_local", *headings))]
    for row, at in enumerate(times):
        told = at if isinstance(at, str) else f"{at:%Y-%m-%d %H:%M}"
        lines.append(",".join((told, *(str(count(row, channel)) for channel in range(len(headings))))))
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Tables:
    """A directory of tables."""

    path: Path

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def plan(self, day: date, days: int = 1, stations: str = "all", outages: tuple[Outage, ...] = ()) -> Plan:
        return plan_of(self.path, day, days, stations, outages)


def plan_of(
    directory: Path, day: date, days: int = 1, stations: str = "all", outages: tuple[Outage, ...] = ()
) -> Plan:
    city = read_city(directory)
    chosen = city.select(stations)
    return Plan(city, chosen, day, days, city.slots(chosen, day, days), directory, outages=outages)


def record(plan: Plan, slot: int, station: int = 0, **changes: object) -> Published:
    """The interval record that a perfect platform holds of one slot."""
    there = plan.stations[station]
    channels = tuple(
        ChannelCount(
            channel.name,
            channel.traffic_class,
            channel.direction,
            count,
            0.0 if count is None else 1.0,
            "not_observed" if count is None else "ok",
        )
        for channel, count in zip(there.channels, there.row(slot), strict=True)
    )
    whole = Published(
        id=f"{there.slug}/{slot}",
        station=there.slug,
        revision=slot,
        start_s=slot * SLOT_S,
        end_s=(slot + 1) * SLOT_S,
        clock="utc",
        resolution="interval",
        intervals=1,
        except_s=(),
        channels=channels,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def perfect(plan: Plan) -> list[Published]:
    """What a perfect platform holds."""
    return [record(plan, slot, number) for number in range(len(plan.stations)) for slot in plan.slots]


def span(records: Sequence[Published], start_s: int, end_s: int, **changes: object) -> Published:
    """A span record with the sums of `records`, over all time from `start_s` to `end_s`."""
    first = records[0]
    channels = tuple(
        replace(
            channel, count=sum(r.channels[n].count or 0 for r in records), coverage=None, quality="unknown"
        )
        for n, channel in enumerate(first.channels)
    )
    whole = replace(
        first,
        id=f"{first.station}/span/{start_s}",
        start_s=start_s,
        end_s=end_s,
        resolution="span",
        intervals=len(records),
        channels=channels,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def result_of(records: Sequence[Published], **changes: object) -> CityResult:
    """A run's end with plausible numbers."""
    whole = CityResult(
        records=records,
        messages=len(records),
        redelivered=0,
        uplinks_sent=2300,
        uplinks_lost=230,
        count_frames=2208,
        count_payload_bytes=2208 * 16,
        broker_dropped=0,
        wall_s=40.0,
        virtual_s=90000.0,
        board_memory=3_400_000,
        run_memory=210_000_000,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """An empty directory for tables."""
    directory = tmp_path / "tables"
    directory.mkdir()
    return Tables(directory)


DAY = date(2026, 6, 18)


@pytest.fixture
def one_station(tables: Tables) -> Plan:
    """A day of one station with two channels, everything observed."""
    tables.write("teststrasse.csv", table_text(local_times(DAY)))
    return tables.plan(DAY)
