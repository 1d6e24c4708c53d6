"""What a column's heading says about a channel: its short name, class and direction, never more than it says.

The tables' headings are the city's own ("101031300 (Hafenstraße Fahrräder IN)", "101020113 (FR stadteinwärts)"), so
this reads words; a direction that no word states is "unknown" and shown with the heading's own words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from zaehlwerk_tools.slug import slug

_HEADING = re.compile(r"^\s*(?P<id>\d+)\s*(?:\((?P<label>.*)\))?\s*$")
_INWARDS = re.compile(r"einwärts\b|\bIN\b", re.IGNORECASE)
_OUTWARDS = re.compile(r"auswärts\b|\bOUT\b", re.IGNORECASE)
_TOWARDS = re.compile(r".*?\b(?:FR|Richtung)\s+(?P<where>\S.*)$")
_CLASSES = (
    ("kfz", re.compile(r"\bkfz|\bpkw|\bkraftfahrzeug|\bautos?\b", re.IGNORECASE)),
    (
        "pedestrian",
        re.compile(r"fußgänger|fussgaenger|zu fuß|\bpedestrian", re.IGNORECASE),
    ),
)


@dataclass(frozen=True, slots=True)
class Channel:
    """One column of a table: one class of traffic in one direction."""

    name: str  # short and unique at its station; what tags and records carry
    heading: str  # the column's heading as the city wrote it
    traffic_class: str  # "bicycle", "kfz" or "pedestrian"
    direction: str  # "in", "out" or "unknown"
    towards: str  # the heading's own words for the direction ("Mauritztor"), empty where in or out says it


def channels_of(headings: list[str]) -> tuple[Channel, ...]:
    """The channels of a station from its columns' headings; names that would be equal are numbered."""
    plain = [_channel(heading) for heading in headings]
    taken: dict[str, int] = {}
    channels = []
    for channel in plain:
        taken[channel.name] = number = taken.get(channel.name, 0) + 1
        name = channel.name if number == 1 else f"{channel.name}-{number}"
        channels.append(
            Channel(
                name,
                channel.heading,
                channel.traffic_class,
                channel.direction,
                channel.towards,
            ),
        )
    return tuple(channels)


def _channel(heading: str) -> Channel:
    match = _HEADING.match(heading)
    label = (match["label"] or "") if match else heading
    traffic_class = next((name for name, words in _CLASSES if words.search(label)), "bicycle")
    inwards, outwards = bool(_INWARDS.search(label)), bool(_OUTWARDS.search(label))
    if inwards != outwards:
        direction = "in" if inwards else "out"
        return Channel(direction, heading, traffic_class, direction, "")
    towards = _TOWARDS.match(label)
    where = towards["where"].strip() if towards else ""
    name = slug(where) or (match["id"] if match else slug(heading)) or "channel"
    return Channel(name, heading, traffic_class, "unknown", where)
