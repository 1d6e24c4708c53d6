"""Days with 23 and with 25 hours, Europe/Berlin."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pytest

from tools.tests.city.conftest import Tables, local_times, perfect, table_text
from zaehlwerk_tools.city_table import read_city
from zaehlwerk_tools.comparison import compare
from zaehlwerk_tools.errors import TableError
from zaehlwerk_tools.local_time import SLOT_S, day_slots
from zaehlwerk_tools.pulses import BLIND, channel_inputs

SHORT, LONG = date(2026, 3, 29), date(2026, 10, 25)
UTC_2AM_SUMMER = int(datetime(2026, 10, 25, 0, 0, tzinfo=UTC).timestamp()) // SLOT_S  # 02:00 CEST


# Tables name local times without a zone.
def _naive(day: date, quarter: int) -> datetime:
    return datetime.combine(day, time(quarter // 4, quarter % 4 * 15))


def test_the_short_day_has_92_quarter_hours_and_the_long_one_100() -> None:
    assert (len(day_slots(SHORT)), len(day_slots(LONG)), len(day_slots(date(2026, 6, 18)))) == (92, 100, 96)


def test_the_short_day_is_played_without_the_hour_that_does_not_exist(tables: Tables) -> None:
    tables.write("a.csv", table_text(local_times(SHORT), lambda row, channel: row + 1))
    (station,) = read_city(tables.path).stations
    assert station.whole_days == {SHORT}
    assert [station.row(slot)[0] for slot in day_slots(SHORT)] == list(range(1, 93))


def test_a_count_in_the_hour_that_does_not_exist_is_refused(tables: Tables) -> None:
    times = [_naive(SHORT, quarter) for quarter in range(96)]
    tables.write("a.csv", table_text(times))
    with pytest.raises(TableError, match=r"line 10: 2026-03-29 02:00 does not exist"):
        read_city(tables.path)


def test_empty_cells_in_the_hour_that_does_not_exist_say_nothing(tables: Tables) -> None:
    times = [_naive(SHORT, quarter) for quarter in range(96)]
    tables.write("a.csv", table_text(times, lambda row, channel: "" if 8 <= row < 12 else row))
    (station,) = read_city(tables.path).stations
    assert station.whole_days == {SHORT}
    assert len(station.counts) == 92


def _named_once() -> list[datetime]:
    return [at for at in local_times(LONG) if not at.fold]


def test_an_hour_named_once_is_the_first_and_the_second_is_not_observed(tables: Tables) -> None:
    tables.write("a.csv", table_text(_named_once(), lambda row, channel: row + 1))
    (station,) = read_city(tables.path).stations
    assert station.whole_days == {LONG}
    first = [station.row(UTC_2AM_SUMMER + quarter) for quarter in range(4)]
    second = [station.row(UTC_2AM_SUMMER + 4 + quarter) for quarter in range(4)]
    assert first == [(9, 9), (10, 10), (11, 11), (12, 12)]
    assert second == [(None, None)] * 4
    assert station.row(UTC_2AM_SUMMER + 8) == (13, 13)


def test_the_missing_second_hour_has_no_pulses_and_its_channels_are_blind(tables: Tables) -> None:
    tables.write("a.csv", table_text(_named_once(), lambda row, channel: 5))
    plan = tables.plan(LONG)
    assert len(plan.slots) == 100
    begin, end = (UTC_2AM_SUMMER + 4) * SLOT_S * 10**9, (UTC_2AM_SUMMER + 8) * SLOT_S * 10**9
    for channel in channel_inputs(plan.stations[0], plan.slots, seed=1):
        assert len(channel.pulses) == 96 * 5
        assert not any(begin <= at < end for at in channel.pulses)
        assert channel.ok is not None
        assert [at for at, level in channel.ok if level == BLIND and begin <= at < end]


def test_a_perfect_platform_is_exact_on_both_days(tables: Tables) -> None:
    tables.write("short.csv", table_text(local_times(SHORT)))
    tables.write("long.csv", table_text(_named_once()))
    for day, name, intervals in ((SHORT, "short", 184), (LONG, "long", 200)):
        plan = tables.plan(day, stations=name)
        assert plan.intervals == intervals
        assert compare(plan, perfect(plan)).exact


@pytest.mark.parametrize("paired", [False, True])
def test_an_hour_named_twice_is_first_then_second(tables: Tables, paired: bool) -> None:
    """Hour after hour, or each quarter-hour doubled on the spot: the first row of a name is the first hour's."""
    times = local_times(LONG)
    if paired:
        times = sorted(times, key=lambda at: (at.replace(fold=0), at.fold))
    summer = {at: row for row, at in enumerate(times) if not at.fold}
    tables.write("a.csv", table_text(times, lambda row, channel: row))
    (station,) = read_city(tables.path).stations
    assert station.whole_days == {LONG}
    half_past_two = _naive(LONG, 10)
    assert station.row(UTC_2AM_SUMMER + 2)[0] == summer[half_past_two]
    assert station.row(UTC_2AM_SUMMER + 6)[0] == summer[half_past_two] + (1 if paired else 4)


def test_an_hour_named_three_times_or_half_a_second_one_is_refused(tables: Tables) -> None:
    once = _named_once()
    tables.write("a.csv", table_text([*once[:12], *once[8:12], *once[8:12], *once[12:]]))
    with pytest.raises(TableError, match="2026-10-25 02:00 is out of order or twice"):
        read_city(tables.path)
    tables.write("a.csv", table_text([*once[:12], *once[8:10], *once[12:]]))
    with pytest.raises(TableError, match="2026-10-25 02:30 is missing before 2026-10-25 03:00"):
        read_city(tables.path)


def test_a_long_day_amid_others_is_played_with_them(tables: Tables) -> None:
    days = [date(2026, 10, 24), LONG, date(2026, 10, 26)]
    times = [at for day in days for at in local_times(day) if not at.fold]
    tables.write("a.csv", table_text(times))
    plan = tables.plan(days[0], days=3)
    assert len(plan.slots) == 96 + 100 + 96
    assert compare(plan, perfect(plan)).exact
