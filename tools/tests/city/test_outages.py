"""What can be said of a failure on the command line, and when and for whom it is."""

from __future__ import annotations

from datetime import date

import pytest

from zaehlwerk_tools.city_table import City, read_city
from zaehlwerk_tools.cli import BUNDLED
from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.plan import Outage, OutageKind, parse_outages

DAY = date(2026, 6, 18)
MIDNIGHT_S = 1_781_733_600  # 2026-06-18 00:00 in Münster
NS = 1_000_000_000


@pytest.fixture(scope="module")
def city() -> City:
    return read_city(BUNDLED)


def parse(city: City, text: str, stations: str = "neutor,hafenstrasse", days: int = 1) -> list[Outage]:
    return parse_outages(text, city, city.select(stations), DAY, days)


def at(hours: float) -> int:
    return round((MIDNIGHT_S + hours * 3600) * NS)


def test_an_outage_of_a_server_is_everybodys(city: City) -> None:
    assert parse(city, "server@12:05+10") == [Outage(OutageKind.SERVER, "", at(12 + 5 / 60), at(12.25))]


def test_all_are_the_stations_that_take_part(city: City) -> None:
    outages = parse(city, "power:all@03:00+10")
    assert [outage.station for outage in outages] == [s.slug for s in city.select("neutor,hafenstrasse")]
    assert {(outage.start_ns, outage.end_ns) for outage in outages} == {(at(3), at(3 + 1 / 6))}


def test_daily_is_on_every_day_of_the_run(city: City) -> None:
    outages = parse(city, "power:neutor@dailyT03:00+10", days=3)
    assert [outage.start_ns for outage in outages] == [at(3), at(27), at(51)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("server:neutor@12:00+5", "a server outage names no station"),
        ("power@12:00+5", "a power outage names one"),
        ("server@weeklyT12:00+5", "expected KIND"),
        ("power:bohlweg@12:00+5", "does not take part"),
    ],
)
def test_what_makes_no_sense_is_refused(city: City, text: str, told: str) -> None:
    with pytest.raises(ZaehlwerkError, match=told):
        parse(city, text)
