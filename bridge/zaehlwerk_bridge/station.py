"""Stations from a device's tags: which place it serves, what its channels count, and the name that topics carry."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_MAX_RATE = 36000
"""Pulses per hour and channel that no channel exceeds unless its tag says so: ten in a second."""

CLASSES = ("unknown", "kfz", "bicycle", "pedestrian", "heavy", "light")
DIRECTIONS = ("unknown", "in", "out", "both")

_GERMAN = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "ae", "Ö": "oe", "Ü": "ue", "ẞ": "ss"}
)


class StationError(ValueError):
    """A device's tags do not describe a station; the text says which tag and why."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One class in one direction."""

    name: str
    traffic_class: str
    direction: str


@dataclass(frozen=True, slots=True)
class Station:
    """A place, as the tags of the device that serves it describe it."""

    name: str
    slug: str  # unique; what topics and ids carry
    channels: tuple[Channel, ...]
    position: tuple[float, float] | None  # latitude, longitude in degrees, WGS 84
    corridor: str
    works: str
    max_rate: int  # pulses per hour and channel

    def channel(self, number: int) -> Channel:
        """Channel `number` from 0; one that the tags do not name gets a name by its number."""
        if number < len(self.channels):
            return self.channels[number]
        return Channel(f"channel-{number + 1}", "unknown", "unknown")


def slug(name: str) -> str:
    """`name` in lower-case ASCII letters, digits and single hyphens; empty if nothing of it is left."""
    plain = unicodedata.normalize("NFKD", name.translate(_GERMAN)).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def from_tags(tags: Mapping[str, str], device_name: str) -> Station:
    """The station that `tags` describe; without a tag `station` it is named as the device is.

    Raises StationError if the name makes no topic or a tag is not of its form.
    """
    name = tags.get("station", "").strip() or device_name.strip()
    short = slug(name)
    if not short:
        raise StationError(f"tag station: {name!r} has no letter or digit that a topic could carry")
    names = _listed(tags.get("channels", ""))
    if len(set(names)) != len(names):
        raise StationError(f"tag channels: {tags['channels']!r} names a channel twice")
    classes = _per_channel("classes", tags, len(names), CLASSES)
    directions = _per_channel("directions", tags, len(names), DIRECTIONS)
    channels = tuple(Channel(*parts) for parts in zip(names, classes, directions, strict=True))
    return Station(
        name,
        short,
        channels,
        _position(tags.get("position", "")),
        tags.get("corridor", ""),
        tags.get("works", ""),
        _rate(tags.get("max_rate", "")),
    )


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _per_channel(tag: str, tags: Mapping[str, str], channels: int, allowed: tuple[str, ...]) -> list[str]:
    values = _listed(tags.get(tag, "")) or ["unknown"]
    for value in values:
        if value not in allowed:
            raise StationError(f"tag {tag}: {value!r} is none of {', '.join(allowed)}")
    if len(values) == 1:
        return values * channels
    if len(values) != channels:
        raise StationError(f"tag {tag}: {len(values)} values for {channels} channels")
    return values


def _position(text: str) -> tuple[float, float] | None:
    if not text:
        return None
    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError:
        raise StationError(f"tag position: {text!r} is not LATITUDE,LONGITUDE") from None
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise StationError(f"tag position: {text!r} is not on the earth")
    return latitude, longitude


def _rate(text: str) -> int:
    if not text:
        return DEFAULT_MAX_RATE
    if not text.isdecimal() or not 0 < int(text) <= 10_000_000:
        raise StationError(f"tag max_rate: {text!r} is not a number of pulses per hour")
    return int(text)
