"""What the pictures show: per station and direction, what was published for every quarter-hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from zaehlwerk_tools.channel_names import Channel
from zaehlwerk_tools.comparison import Cell, StationComparison, Verdict
from zaehlwerk_tools.local_time import day_slots, start_of_slot
from zaehlwerk_tools.report.bilingual import Text

CLASSES: dict[str, Text] = {
    "bicycle": ("Fahrräder", "bicycles"),
    "kfz": ("Kraftfahrzeuge", "motor vehicles"),
    "pedestrian": ("Fußgänger", "pedestrians"),
}
MIXED: Text = ("Durchfahrten", "passages")


@dataclass(frozen=True, slots=True)
class Point:
    """One quarter-hour of one direction."""

    slot: int
    count: int | None  # None: not known for this quarter-hour
    state: str  # "ok", "partial", "unconfirmed", "not_observed", "span" or "missing"


@dataclass(frozen=True, slots=True)
class Direction:
    """All channels of a station that go the same way."""

    name: Text
    channels: int
    points: tuple[Point, ...]
    total: int  # all that was published, spans included
    spans: tuple[tuple[tuple[int, ...], int], ...]  # (slots, count)

    def of_day(self, day: date) -> tuple[Point, ...]:
        """The points of one local day."""
        slots = day_slots(day)
        return tuple(point for point in self.points if point.slot in slots)


def directions(station: StationComparison) -> tuple[Direction, ...]:
    """The directions of a station, in the order of the table's columns."""
    groups: dict[tuple[str, str, str], list[int]] = {}
    channels = station.station.channels
    for index, channel in enumerate(channels):
        key = (channel.traffic_class, channel.direction, channel.towards or _own_words(channel))
        groups.setdefault(key, []).append(index)
    several_classes = len({channel.traffic_class for channel in channels}) > 1
    found = []
    for indices in groups.values():
        compared = [station.channels[index] for index in indices]
        points = tuple(_point(cells) for cells in zip(*(channel.cells for channel in compared), strict=True))
        spans = tuple((span.slots, span.count) for channel in compared for span in channel.spans)
        total = sum(channel.published for channel in compared)
        name = _name(channels[indices[0]], several_classes)
        found.append(Direction(name, len(indices), points, total, spans))
    return tuple(found)


def what_is_counted(stations: Sequence[StationComparison]) -> Text:
    """The word for what is counted, if all stations count the same."""
    classes = {channel.traffic_class for station in stations for channel in station.station.channels}
    return CLASSES.get(classes.pop(), MIXED) if len(classes) == 1 else MIXED


def days_of(slots: range) -> tuple[date, ...]:
    """The local days that `slots` cover."""
    return tuple(sorted({start_of_slot(slot).date() for slot in slots}))


def _own_words(channel: Channel) -> str:
    return "" if channel.direction != "unknown" else channel.heading


def _name(channel: Channel, with_class: bool) -> Text:
    name: Text
    if channel.direction == "in":
        name = ("stadteinwärts", "towards the centre")
    elif channel.direction == "out":
        name = ("stadtauswärts", "out of town")
    elif channel.towards.lower().startswith("weg von "):
        name = (f"weg von {channel.towards[8:]}", f"away from {channel.towards[8:]}")
    elif channel.towards:
        name = (f"Richtung {channel.towards}", f"towards {channel.towards}")
    else:
        name = (channel.heading, channel.heading)
    if with_class:
        german, english = CLASSES.get(channel.traffic_class, MIXED)
        name = (f"{german}, {name[0]}", f"{english}, {name[1]}")
    return name


def _point(cells: Sequence[Cell]) -> Point:
    """Several channels of one direction are one number only where all of them have one."""
    states = {_state(cell) for cell in cells}
    slot = cells[0].slot
    for state in ("missing", "not_observed", "span"):
        if state in states:
            return Point(slot, None, state)
    state = next((state for state in ("partial", "unconfirmed") if state in states), "ok")
    return Point(slot, sum(cell.published or 0 for cell in cells), state)


def _state(cell: Cell) -> str:
    if cell.verdict is Verdict.IN_SPAN:
        return "span"
    if cell.published is None:
        return "not_observed" if cell.quality == "not_observed" else "missing"
    return {"ok": "ok", "unknown": "unconfirmed"}.get(cell.quality, "partial")
