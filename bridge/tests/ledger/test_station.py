"""Stations from tags: names become topics, and tags that contradict each other are named."""

import pytest

from zaehlwerk_bridge.station import DEFAULT_MAX_RATE, Channel, StationError, from_tags, slug


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("Neutor", "neutor"),
        ("Bürgerstraße / Süd", "buergerstrasse-sued"),
        ("ÄÖÜẞ", "aeoeuess"),
        ("  Café--No. 1  ", "cafe-no-1"),
        ("+/#", ""),
        ("Ｈａｆｅｎ", "hafen"),
        ("北京", ""),
    ],
)
def test_a_slug_is_lower_case_ascii_with_single_hyphens(name: str, short: str) -> None:
    assert slug(name) == short
    assert slug(short) == short


def test_tags_describe_a_station() -> None:
    station = from_tags(
        {
            "station": "Neutor",
            "channels": "a, b",
            "classes": "bicycle",
            "directions": "in,out",
            "position": "49.44,7.77",
            "corridor": "B 37",
            "works": "W 12",
            "max_rate": "4000",
        },
        "node-1",
    )
    assert station.channels == (Channel("a", "bicycle", "in"), Channel("b", "bicycle", "out"))
    assert (station.slug, station.position, station.max_rate) == ("neutor", (49.44, 7.77), 4000)
    assert (station.corridor, station.works) == ("B 37", "W 12")


def test_without_tags_the_station_is_named_as_the_device_and_channels_by_number() -> None:
    station = from_tags({}, "Zählstelle 3")
    assert (station.slug, station.max_rate) == ("zaehlstelle-3", DEFAULT_MAX_RATE)
    assert station.channel(1) == Channel("channel-2", "unknown", "unknown")


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"station": "***"}, "tag station: '\\*\\*\\*' has no letter or digit"),
        ({"channels": "a,a"}, "tag channels: 'a,a' names a channel twice"),
        ({"channels": "a,b,c", "classes": "bicycle,kfz"}, "tag classes: 2 values for 3 channels"),
        ({"channels": "a", "classes": "bike"}, "tag classes: 'bike' is none of"),
        ({"channels": "a,b", "directions": "in,up"}, "tag directions: 'up' is none of"),
        ({"position": "49.4"}, "tag position: '49.4' is not LATITUDE,LONGITUDE"),
        ({"position": "7.77,449.4"}, "tag position: '7.77,449.4' is not on the earth"),
        ({"position": "nan,7"}, "tag position: 'nan,7' is not on the earth"),
        ({"max_rate": "0"}, "tag max_rate: '0' is not a number of pulses per hour"),
        ({"max_rate": "many"}, "tag max_rate"),
        ({"max_rate": "²"}, "tag max_rate"),
    ],
)
def test_tags_that_contradict_themselves_are_named(tags: dict[str, str], reason: str) -> None:
    with pytest.raises(StationError, match=reason):
        from_tags({"station": "Neutor", **tags}, "node-1")
