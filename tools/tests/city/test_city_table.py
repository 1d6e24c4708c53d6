"""A city's table is used as it was meant, or refused with file, line and reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from tools.tests.city.conftest import BUNDLED, DAY, HEADINGS, Tables, local_times, table_text
from zaehlwerk_tools.city_table import read_city
from zaehlwerk_tools.errors import DayError, StationError, TableError


def test_the_bundled_city_has_23_stations_named_by_its_readme() -> None:
    city = read_city(BUNDLED)
    assert len(city.stations) == 23
    assert sum(len(station.channels) for station in city.stations) == 52
    names = {station.id: station.name for station in city.stations}
    assert names["100034982"] == "Hüfferstraße"
    assert city.stations[6].slug == "huefferstrasse"


def test_the_bundled_week_counts_what_its_readme_says() -> None:
    """The README's column of bicycles is the source's own sum."""
    readme = (BUNDLED / "README.md").read_text(encoding="utf-8")
    told = {
        cells[1].strip(): int(cells[5])
        for line in readme.splitlines()
        if (cells := line.split("|"))[1:2] and ".csv" in line
    }
    for station in read_city(BUNDLED).stations:
        assert sum(count or 0 for row in station.counts.values() for count in row) == told[station.path.name]


def test_an_empty_cell_is_not_observed_and_not_zero() -> None:
    neutor = next(station for station in read_city(BUNDLED).stations if station.slug == "neutor")
    empty = sum(row[0] is None for row in neutor.counts.values())
    assert (empty, sum(row[1] is None for row in neutor.counts.values())) == (62, 0)


def test_directions_are_what_the_heading_says_and_unknown_where_it_does_not() -> None:
    stations = {station.slug: station for station in read_city(BUNDLED).stations}
    assert [channel.direction for channel in stations["bismarckallee"].channels] == ["out", "in"]
    promenade = stations["promenade-noerdl-salzstrasse"].channels
    assert {channel.direction for channel in promenade} == {"unknown"}
    assert [channel.name for channel in promenade[:3]] == ["mauritztor", "salzstrasse", "mauritztor-2"]


def test_a_directory_without_readme_names_stations_by_their_files(tables: Tables) -> None:
    tables.write("Königsplatz Süd.csv", table_text(local_times(DAY)))
    (station,) = read_city(tables.path).stations
    assert (station.name, station.slug) == ("Königsplatz Süd", "koenigsplatz-sued")


def test_two_stations_of_one_name_get_topics_of_their_own(tables: Tables) -> None:
    for name in ("1.csv", "2.csv"):
        tables.write(name, table_text(local_times(DAY)))
    tables.write("README.md", "| file | station |\n|---|---|\n| 1.csv | Am Markt |\n| 2.csv | Am Markt |\n")
    assert [station.slug for station in read_city(tables.path).stations] == ["am-markt", "am-markt-2"]


def test_a_byte_order_mark_and_windows_line_ends_are_no_harm(tables: Tables) -> None:
    text = table_text(local_times(DAY))
    tables.write("a.csv", b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    (station,) = read_city(tables.path).stations
    assert station.whole_days == {DAY}


def _line(number: int, text: str) -> Callable[[list[str]], list[str]]:
    return lambda lines: [*lines[: number - 1], text, *lines[number:]]


def _without(number: int) -> Callable[[list[str]], list[str]]:
    return lambda lines: [*lines[: number - 1], *lines[number:]]


def _twice(number: int) -> Callable[[list[str]], list[str]]:
    return lambda lines: [*lines[:number], lines[number - 1], *lines[number:]]


def _swapped(number: int) -> Callable[[list[str]], list[str]]:
    return lambda lines: [*lines[: number - 1], lines[number], lines[number - 1], *lines[number + 1 :]]


@pytest.mark.parametrize(
    ("spoil", "line", "says"),
    [
        (_line(1, "start_local;a;b"), 1, "bad heading"),
        (_line(1, "start_utc,a,b"), 1, "bad heading 'start_utc'"),
        (_line(1, "start_local"), 1, "0 channels"),
        (_line(1, "start_local,a,a"), 1, "two columns are named 'a'"),
        (_line(1, "start_local,a,"), 1, "column 3 has no name"),
        (_line(1, "start_local," + ",".join("abcdefghi")), 1, "9 channels"),
        (_line(5, "2026-06-18 00:45,1"), 5, "2 columns where the heading has 3"),
        (_line(5, "2026-06-18 00:45,1,2,3"), 5, "4 columns where the heading has 3"),
        (_line(5, "2026-06-18 00:45,x,2"), 5, "column 2: 'x' is not a whole number"),
        (_line(5, "2026-06-18 00:45,1.0,2"), 5, "column 2: '1.0' is not a whole number"),
        (_line(5, "2026-06-18 00:45,1, 2"), 5, "column 3: ' 2' is not a whole number"),
        (_line(5, "2026-06-18 00:45,1,\u0662"), 5, "is not a whole number"),
        (_line(5, "2026-06-18 00:45,1,-2"), 5, "column 3: '-2' is negative"),
        (_line(5, "2026-06-18 00:45,1,65536"), 5, "more than 65535"),
        (_line(5, "18.06.2026 00:45,1,2"), 5, "bad time '18.06.2026 00:45'"),
        (_line(5, "2026-06-18T00:45,1,2"), 5, "bad time"),
        (_line(5, "2026-06-31 00:45,1,2"), 5, "bad time '2026-06-31 00:45'"),
        (_line(5, "2026-06-18 00:46,1,2"), 5, "not the start of a quarter-hour"),
        (_without(5), 5, "2026-06-18 00:45 is missing before 2026-06-18 01:00"),
        (_twice(5), 6, "2026-06-18 00:45 is there twice"),
        (_swapped(5), 5, "2026-06-18 00:45 is missing before 2026-06-18 01:00"),
        (_line(5, "2026-06-17 00:45,1,2"), 5, "2026-06-17 00:45 is out of order"),
        (_line(5, ""), 5, "a blank line inside the table"),
        (_line(5, '2026-06-18 00:45,"1,2'), 97, "not a CSV line"),
        (lambda lines: lines[:1], 1, "no quarter-hour below it"),
        (lambda lines: [], 1, "empty"),
    ],
)
def test_a_broken_table_is_one_error_with_file_line_and_reason(
    tables: Tables, spoil: Callable[[list[str]], list[str]], line: int, says: str
) -> None:
    lines = table_text(local_times(DAY)).splitlines()
    path = tables.write("broken.csv", "".join(f"{text}\n" for text in spoil(lines)))
    with pytest.raises(TableError) as error:
        read_city(tables.path)
    assert str(error.value).startswith(f"{path}, line {line}: ")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_table_that_is_not_utf_8_is_refused_with_its_line(tables: Tables) -> None:
    text = table_text(local_times(DAY), headings=("1 (a)", "2 (b)"))
    path = tables.write("latin.csv", text.replace("00:30", "00:30ß", 1).encode("latin-1"))
    with pytest.raises(TableError, match=r"line 4: not UTF-8 \(byte 0xdf\)"):
        read_city(tables.path)
    assert path.exists()


def test_a_directory_without_tables_or_that_is_none_is_refused(tables: Tables) -> None:
    with pytest.raises(TableError, match="no table there"):
        read_city(tables.path)
    with pytest.raises(TableError, match="no such directory"):
        read_city(tables.path / "nowhere")


def test_a_gap_of_whole_days_is_allowed_but_the_day_is_missing_when_asked_for(tables: Tables) -> None:
    tables.write("a.csv", table_text([*local_times(date(2026, 6, 15)), *local_times(date(2026, 6, 17))]))
    city = read_city(tables.path)
    assert len(city.slots(city.stations, date(2026, 6, 17), 1)) == 96
    with pytest.raises(
        DayError, match=r"a\.csv: the day 2026-06-16 is missing, the table has 2026-06-15 to 2026-06-17"
    ):
        city.slots(city.stations, date(2026, 6, 15), 3)


def test_a_table_may_begin_and_end_within_a_day_but_that_day_cannot_be_played(tables: Tables) -> None:
    times = [
        *local_times(date(2026, 6, 15))[50:],
        *local_times(date(2026, 6, 16)),
        *local_times(date(2026, 6, 17))[:9],
    ]
    tables.write("a.csv", table_text(times))
    city = read_city(tables.path)
    assert city.first_day() == date(2026, 6, 16)
    for day in (date(2026, 6, 15), date(2026, 6, 17)):
        with pytest.raises(DayError, match=f"the day {day} is not whole"):
            city.slots(city.stations, day, 1)


def test_a_day_amid_others_that_ends_early_is_refused(tables: Tables) -> None:
    times = [*local_times(date(2026, 6, 15))[:-1], *local_times(date(2026, 6, 16))]
    tables.write("a.csv", table_text(times))
    with pytest.raises(TableError, match=r"a\.csv, line 96: 2026-06-15 23:45 is missing after this line"):
        read_city(tables.path)


def test_only_selected_stations_need_the_day(tables: Tables) -> None:
    tables.write("a.csv", table_text(local_times(date(2026, 6, 15))))
    tables.write("b.csv", table_text(local_times(date(2026, 6, 16))))
    city = read_city(tables.path)
    assert city.slots(city.select("b"), date(2026, 6, 16), 1)
    with pytest.raises(DayError, match=r"a\.csv"):
        city.slots(city.select("all"), date(2026, 6, 16), 1)


@pytest.mark.parametrize(
    "wanted",
    [
        "Hüfferstraße",
        "hüfferstraße",
        "huefferstrasse",
        "100034982",
        " Hüfferstraße ",
        "100034982,Hüfferstraße",
    ],
)
def test_a_station_is_found_by_name_topic_or_id(wanted: str) -> None:
    assert [station.id for station in read_city(BUNDLED).select(wanted)] == ["100034982"]


def test_a_name_may_hold_commas_itself() -> None:
    chosen = read_city(BUNDLED).select("Neutor,Kanalpromenade, Abschnitt 5,bohlweg")
    assert [station.slug for station in chosen] == ["neutor", "kanalpromenade-abschnitt-5", "bohlweg"]


def test_the_longest_name_is_meant(tables: Tables) -> None:
    for name in ("Markt", "Markt, Nord", "Nord"):
        tables.write(f"{name}.csv", table_text(local_times(DAY)))
    city = read_city(tables.path)
    assert [station.name for station in city.select("Markt, Nord")] == ["Markt, Nord"]
    assert [station.name for station in city.select("Nord,Markt")] == ["Nord", "Markt"]


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("Neutro", "did you mean neutor?"),
        ("kanalpromenade", "kanalpromenade-abschnitt-5"),
        ("xyz", "stations there: wolbecker-strasse"),
        (",", "no station named"),
    ],
)
def test_an_unknown_station_is_refused_with_names_near_it(wanted: str, hint: str) -> None:
    with pytest.raises(StationError) as error:
        read_city(BUNDLED).select(wanted)
    assert hint in str(error.value)


def test_headings_that_are_no_numbers_are_names_all_the_same(tables: Tables) -> None:
    tables.write("a.csv", table_text(local_times(DAY), headings=("Kfz Richtung Norden", "Fußgänger")))
    (station,) = read_city(tables.path).stations
    assert [(c.name, c.traffic_class) for c in station.channels] == [
        ("norden", "kfz"),
        ("fussgaenger", "pedestrian"),
    ]


def test_the_bundled_data_carry_their_licence_and_source() -> None:
    assert "dl-de/by-2-0" in (BUNDLED / "LICENSE.md").read_text(encoding="utf-8")
    assert "Stadt Münster" in read_city(BUNDLED).source


def test_the_reader_needs_all_of_the_file_names_it_was_given(tmp_path: Path) -> None:
    """A README that names a file that is not there is no error: one may carry a part of a city."""
    (tmp_path / "README.md").write_text(
        "| file | station |\n|---|---|\n| gone.csv | Weg |\n", encoding="utf-8"
    )
    (tmp_path / "here.csv").write_text(table_text(local_times(DAY), headings=HEADINGS), encoding="utf-8")
    assert [station.name for station in read_city(tmp_path).stations] == ["here"]
