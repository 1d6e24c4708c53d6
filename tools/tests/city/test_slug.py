"""Names as topics carry them are the bridge's, or the comparison would look for stations that nobody publishes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.tests.city.conftest import BUNDLED
from zaehlwerk_bridge.station import slug as bridge_slug
from zaehlwerk_tools.city_table import read_city
from zaehlwerk_tools.slug import slug


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Hüfferstraße", "huefferstrasse"),
        ("ÄÖÜ ẞ", "aeoeue-ss"),
        ("Kanalpromenade, Abschnitt 1 (Dingstiege)", "kanalpromenade-abschnitt-1-dingstiege"),
        ("  Promenade (nördl. Salzstraße) ", "promenade-noerdl-salzstrasse"),
        ("Café", "cafe"),
        ("東京", ""),
    ],
)
def test_umlauts_are_written_out_and_the_rest_is_words_and_hyphens(name: str, expected: str) -> None:
    assert slug(name) == expected


def test_decomposed_umlauts_are_the_same_letters() -> None:
    assert slug("Hu\u0308fferstra\u00dfe") == "huefferstrasse"


@given(st.text(min_size=1).filter(slug))
def test_the_bridge_makes_the_same_of_every_name_that_makes_a_topic(name: str) -> None:
    assert bridge_slug(name) == slug(name)


def test_the_bridge_makes_the_same_of_every_station_of_the_bundled_city() -> None:
    for station in read_city(BUNDLED).stations:
        assert bridge_slug(station.name) == station.slug
