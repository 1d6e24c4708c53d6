"""A sensor that is dead from the first day on, as Bismarckallee's was published: zeros of a whole week, all of them plausible.

Real firmware, bridge and broker, with the city's own table of that street.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from tools.tests.city.attentive_platform import Platform
from tools.tests.city.conftest import BUNDLED, Tables
from zaehlwerk_tools import city
from zaehlwerk_tools.comparison import Verdict, compare

STREET = "300038855.csv"
FIRST = date(2026, 6, 15)
DAYS = 3
SLOTS = 2 * 96 + 8
"""Two days until the sensor is told silent, and a while for the alarm."""


async def test_zeros_of_a_sensor_that_never_counted_are_never_published_as_observed(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.write(STREET, (BUNDLED / STREET).read_bytes())
    whole = tables.plan(FIRST, DAYS)
    workdir = tables.path.parent / "work"
    workdir.mkdir()
    plan = replace(whole, slots=whole.slots[:SLOTS], workdir=workdir, loss=0.0)
    monkeypatch.setattr(Platform, "told", {})
    monkeypatch.setattr(city, "Subscriber", Platform)
    result = await city.run_city(plan, lambda _: None)
    published = {
        (channel.count, channel.coverage, channel.quality)
        for record in result.records
        for channel in record.channels
    }
    assert published == {(None, 0.0, "not_observed")}
    comparison = compare(plan, result.records)
    assert comparison.count(Verdict.SILENT) == 2 * SLOTS
    (street,) = plan.stations
    alarms = [(alarm["kind"], alarm["raised"]) for alarm in Platform.told[street.slug, "alarm"]]
    assert set(alarms) == {("silent", True)}
