"""Where a node counts and what: the part of its settings file that is for the network server and the label, not for the node.

The bridge reads it from the tags of the device: station, channels, classes, directions, position.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zaehlwerk_tools.slug import slug
from zaehlwerk_tools.technician.provision import SettingsFileError

STATION = "station"
_TEXTS = ("corridor", "works")
_KNOWN = {"name", "channels", "position", "max_rate", *_TEXTS}


@dataclass(frozen=True, slots=True)
class Place:
    """A station. `tags`: what the network server keeps of it; without a position there is no such tag."""

    name: str
    tags: Mapping[str, str] = field(default_factory=dict)


def take_place(document: dict[str, Any], where: str) -> Place | None:
    """The station of `document`, which is taken out of it; None if it names none. Raises SettingsFileError."""
    station = document.pop(STATION, None)
    if station is None:
        return None
    what = f"{where}: {STATION}"
    if not isinstance(station, dict):
        raise SettingsFileError(f"{what}: an object with a name is expected")
    if unknown := sorted(station.keys() - _KNOWN):
        raise SettingsFileError(f"{what}: {unknown[0]} is unknown; known: {', '.join(sorted(_KNOWN))}")
    name = station.get("name")
    if not isinstance(name, str) or not slug(name):
        raise SettingsFileError(f"{what}: name: it needs a letter or digit that a topic can carry")
    channels = document.get("channels")
    if not isinstance(channels, list) or not all(isinstance(channel, dict) for channel in channels):
        raise SettingsFileError(f"{where}: channels: a list of channels is expected")
    classes = [str(channel.get("class", "unknown")) for channel in channels]
    directions = [str(channel.get("direction", "unknown")) for channel in channels]
    tags = {
        "station": name.strip(),
        "channels": ",".join(_names(station.get("channels"), classes, directions, what)),
        "classes": ",".join(classes),
        "directions": ",".join(directions),
    }
    if station.get("position") not in (None, ""):
        tags["position"] = _position(station["position"], what)
    for key in _TEXTS:
        if station.get(key):
            tags[key] = str(station[key])
    rate = station.get("max_rate")
    if rate is not None:
        if type(rate) is not int or rate <= 0:
            raise SettingsFileError(f"{what}: max_rate: pulses per hour and channel are expected")
        tags["max_rate"] = str(rate)
    return Place(name.strip(), tags)


def _names(given: Any, classes: list[str], directions: list[str], what: str) -> list[str]:
    if given is None:
        names: list[str] = []
        for pair in zip(classes, directions, strict=True):
            name = "-".join(pair)
            same = sum(other == name or other.startswith(f"{name}-") for other in names)
            names.append(f"{name}-{same + 1}" if same else name)
        return names
    if not isinstance(given, list) or len(given) != len(classes):
        raise SettingsFileError(
            f"{what}: channels: a name for each of the {len(classes)} channels is expected"
        )
    names = [str(name).strip() for name in given]
    if not all(names) or any("," in name for name in names) or len(set(names)) < len(names):
        raise SettingsFileError(f"{what}: channels: names must differ, and have no comma")
    return names


def _position(given: Any, what: str) -> str:
    parts = given.replace(",", " ").split() if isinstance(given, str) else given
    try:
        latitude, longitude = (float(part) for part in parts)
    except (TypeError, ValueError):
        latitude = longitude = float("nan")
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise SettingsFileError(f"{what}: position: latitude and longitude in degrees (WGS 84) are expected")
    return f"{latitude:.6f},{longitude:.6f}"
