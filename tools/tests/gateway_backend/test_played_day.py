"""A table is played now: at the same time of day, in whole quarter-hours, with time enough before the first one."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path

import pytest

from tools.tests.city.conftest import DAY, local_times, table_text
from zaehlwerk_tools.city_table import City, read_city
from zaehlwerk_tools.errors import DayError
from zaehlwerk_tools.gateway_backend.identity import RunIdentity
from zaehlwerk_tools.gateway_backend.nodes import board_of, nodes_of
from zaehlwerk_tools.gateway_backend.played_day import STAGGER_S, lead_s, play_now
from zaehlwerk_tools.local_time import BERLIN, NS, SLOT_S
from zaehlwerk_tools.plan import Plan


@pytest.fixture
def city(tmp_path: Path) -> City:
    """Two stations with two days whose counts tell their row: day and quarter-hour."""
    for number, name in enumerate(("a", "b")):
        times = [*local_times(DAY), *local_times(date(2026, 6, 19))]
        text = table_text(times, lambda row, channel, number=number: 1000 * number + 10 * row + channel)
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    return read_city(tmp_path)


def local(day: date, hour: int, minute: int, second: int = 0) -> int:
    """UTC Unix nanoseconds of a local time."""
    at = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=BERLIN)
    return int(at.timestamp()) * NS


def slot_at(day: date, hour: int, minute: int) -> int:
    return local(day, hour, minute) // (SLOT_S * NS)


WINTER = date(2026, 11, 22)
QUARTERS = 96


def row(station: int, quarter: int) -> tuple[int, int]:
    return 1000 * station + 10 * quarter, 1000 * station + 10 * quarter + 1


def test_the_tables_time_of_day_is_the_real_one_although_summer_time_is_over(city: City) -> None:
    played = play_now(city, city.stations, local(WINTER, 10, 7), 30, DAY)
    assert played.slots.start == slot_at(WINTER, 10, 15)
    assert len(played.slots) == 2
    assert f"{played.table_start}" == "2026-06-18 10:15:00"
    assert (
        "The counts are those from 2026-06-18 10:15 on; they were played from 2026-11-22 10:15 on."
        in played.told
    )
    for number, station in enumerate(played.stations):
        assert [station.row(slot) for slot in played.slots] == [row(number, 41), row(number, 42)]
        assert station.row(played.slots.stop) == (None, None), "nothing else is played"


def test_another_time_of_the_table_can_be_played(city: City) -> None:
    played = play_now(city, city.stations[:1], local(WINTER, 23, 2), 15, DAY, "07:30")
    assert played.slots == range(slot_at(WINTER, 23, 15), slot_at(WINTER, 23, 30))
    assert played.stations[0].row(played.slots.start) == row(0, 30)


@pytest.mark.parametrize(
    ("stations", "before_s", "quarters_later"),
    [(1, 0, 0), (1, 1, 1), (2, 0, 0), (2, 1, 1)],
)
def test_the_boards_have_their_time_before_the_first_quarter_hour(
    city: City, stations: int, before_s: int, quarters_later: int
) -> None:
    now = local(WINTER, 10, 15) - (lead_s(stations) - before_s) * NS
    played = play_now(city, city.stations[:stations], now, 15, DAY)
    assert played.slots.start == slot_at(WINTER, 10, 15) + quarters_later


@pytest.mark.parametrize(("minutes", "quarters"), [(1, 1), (15, 1), (16, 2), (60, 4)])
def test_minutes_are_rounded_up_to_quarter_hours(city: City, minutes: int, quarters: int) -> None:
    assert len(play_now(city, city.stations, local(WINTER, 9, 0), minutes, DAY).slots) == quarters


def test_past_midnight_the_tables_next_day_is_played(city: City) -> None:
    played = play_now(city, city.stations[:1], local(WINTER, 23, 35), 45, DAY)
    assert [played.stations[0].row(slot) for slot in played.slots] == [
        row(0, 95),
        row(0, QUARTERS),
        row(0, QUARTERS + 1),
    ]


def test_where_the_table_ends_there_is_nothing_to_play(city: City) -> None:
    with pytest.raises(DayError, match="2026-06-20 is missing"):
        play_now(city, city.stations, local(WINTER, 23, 35), 45, date(2026, 6, 19))


@pytest.mark.parametrize("text", ["7:30", "07:31", "25:00", "07:30:30", "07:30+01:00", "noon", ""])
def test_what_is_no_quarter_hours_time_is_refused(city: City, text: str) -> None:
    with pytest.raises(DayError, match="--play-from"):
        play_now(city, city.stations, local(WINTER, 9, 0), 15, DAY, text)


def test_no_time_at_all_is_refused(city: City) -> None:
    with pytest.raises(DayError, match="--minutes 0: expected at least 1"):
        play_now(city, city.stations, local(WINTER, 9, 0), 0, DAY)


def test_nodes_have_identities_of_the_run_and_keys_of_their_own(city: City) -> None:
    identity = RunIdentity("3fa9c1")
    nodes = nodes_of(city.stations, identity)
    assert [node.dev_eui for node in nodes] == [identity.dev_eui(1), identity.dev_eui(2)]
    again = nodes_of(city.stations, identity)
    keys = {node.app_key for node in [*nodes, *again]}
    assert {len(key) for key in keys} == {16}
    assert len(keys) == 4, "nothing but chance makes a key"
    assert all(node.app_key.hex() not in repr(node) for node in nodes)


def test_boards_are_switched_on_in_turn_and_report_soon_each_at_its_time(city: City, tmp_path: Path) -> None:
    now = local(WINTER, 10, 7)
    played = play_now(city, city.stations, now, 15, DAY)
    plan = Plan(city, played.stations, WINTER, 1, played.slots, tmp_path)
    boards = [board_of(node, plan, now) for node in nodes_of(played.stations, RunIdentity("3fa9c1"))]
    assert [board.boot_ns - now for board in boards] == [0, STAGGER_S * NS]
    settings = [json.loads(board.files["settings.json"]) for board in boards]
    offsets = [one["uplink_offset_s"] for one in settings]
    assert len(set(offsets)) == 2
    assert all(0 < offset < 90 for offset in offsets)
    assert [one["dev_eui"][-4:] for one in settings] == ["0001", "0002"]
    # What passes is what the table says of the played quarter-hour, at its real time.
    begin, end = played.slots.start * SLOT_S * NS, played.slots.stop * SLOT_S * NS
    inputs = boards[1].inputs
    for channel, counted in zip(settings[1]["channels"], row(1, 41), strict=True):
        pin = channel["pin"]
        assert inputs.count_until(pin, begin) == 0
        assert inputs.count_until(pin, end) == inputs.total(pin) == counted
