"""A city's counts: a directory with one CSV file per station, read strictly, placed in UTC slots.

The format is that of the bundled data (`data/muenster`): UTF-8, comma-separated, first column `start_local` (the
quarter-hour's begin in Europe/Berlin, `YYYY-MM-DD HH:MM`), then one column per channel with the city's own heading;
whole numbers; an empty cell is a channel that was not observed. A station is named by the table in the directory's
README.md (columns `file` and `station`) if that names its file, else by the file's name.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from zaehlwerk_tools.channel_names import Channel, channels_of
from zaehlwerk_tools.errors import DayError, StationError, TableError
from zaehlwerk_tools.local_time import day_slots
from zaehlwerk_tools.slug import slug
from zaehlwerk_tools.table_file import Row, decoded, read_table


@dataclass(frozen=True, slots=True)
class Station:
    """One station's table."""

    id: str  # the file's name without .csv
    name: str  # for people
    slug: str  # for topics; unique in the city
    path: Path
    channels: tuple[Channel, ...]
    counts: Mapping[int, Row]  # slot -> a count per channel, None = not observed
    whole_days: frozenset[date]

    def row(self, slot: int) -> Row:
        """The counts of `slot`; a slot that the table does not name was not observed."""
        return self.counts.get(slot, (None,) * len(self.channels))


@dataclass(frozen=True, slots=True)
class City:
    """All stations of a directory, in the order of their files' names."""

    path: Path
    title: str  # the README's first heading, else the directory's name
    source: str  # the README's paragraph that begins with "Source:", else empty
    stations: tuple[Station, ...]

    def first_day(self) -> date:
        """The first day that any table has whole. Raises DayError if there is none."""
        days = [min(station.whole_days) for station in self.stations if station.whole_days]
        if not days:
            raise DayError(f"{self.path}: no table has a whole day, midnight to midnight")
        return min(days)

    def select(self, wanted: str) -> tuple[Station, ...]:
        """The stations that `wanted` names: "all", or names, slugs or ids separated by commas.

        A name may itself hold commas ("Kanalpromenade, Abschnitt 5"). Raises StationError with the nearest names.
        """
        if slug(wanted) == "all":
            return self.stations
        by_key = {
            slug(key): station
            for station in self.stations
            for key in (station.name, station.slug, station.id)
        }
        parts = [part for part in wanted.split(",") if part.strip()]
        chosen: dict[str, Station] = {}
        while parts:
            for length in range(len(parts), 0, -1):
                station = by_key.get(slug(",".join(parts[:length])))
                if station is not None:
                    chosen[station.id] = station
                    del parts[:length]
                    break
            else:
                raise StationError(self._unknown(parts[0].strip(), sorted(by_key)))
        if not chosen:
            raise StationError(f"no station named; {self.path} has {len(self.stations)}, or say 'all'")
        return tuple(chosen.values())

    def _unknown(self, wanted: str, keys: Sequence[str]) -> str:
        near = difflib.get_close_matches(slug(wanted), keys, n=3, cutoff=0.5)
        near += [key for key in keys if slug(wanted) and slug(wanted) in key and key not in near][
            : 3 - len(near)
        ]
        hint = (
            f"did you mean {' or '.join(near)}?" if near else f"stations there: {', '.join(self._slugs(6))}"
        )
        return f"unknown station '{wanted}' in {self.path}: {hint}"

    def _slugs(self, most: int) -> list[str]:
        slugs = [station.slug for station in self.stations]
        return slugs if len(slugs) <= most else [*slugs[:most], "…"]

    def slots(self, stations: Sequence[Station], first: date, days: int) -> range:
        """The slots of `days` local days from `first`. Raises DayError if a selected table lacks one of them."""
        for number in range(days):
            day = first + timedelta(days=number)
            for station in stations:
                if day not in station.whole_days:
                    raise DayError(_missing_day(station, day))
        return range(day_slots(first).start, day_slots(first + timedelta(days=days - 1)).stop)


def _missing_day(station: Station, day: date) -> str:
    if any(slot in station.counts for slot in day_slots(day)):
        return f"{station.path}: the day {day} is not whole, the table begins or ends within it"
    if not station.whole_days:
        return f"{station.path}: the day {day} is missing, the table has no whole day at all"
    first, last = min(station.whole_days), max(station.whole_days)
    return f"{station.path}: the day {day} is missing, the table has {first} to {last}"


def read_city(directory: Path) -> City:
    """Reads every `*.csv` of `directory`. Raises TableError for the first thing that is not as it must be."""
    if not directory.is_dir():
        raise TableError(directory, None, "no such directory with tables")
    paths = sorted(path for path in directory.iterdir() if path.suffix.lower() == ".csv" and path.is_file())
    if not paths:
        raise TableError(directory, None, "no table there: expected one .csv file per station")
    readme = directory / "README.md"
    text = decoded(readme) if readme.is_file() else ""
    names = _named_files(text)
    stations: list[Station] = []
    taken: set[str] = set()
    for path in paths:
        name = names.get(path.name, path.stem)
        if slug(name) in taken or not slug(name):
            name = f"{name} ({path.stem})"
        if slug(name) in taken or not slug(name):
            raise TableError(
                path,
                None,
                f"the station's name '{name}' makes no topic of its own; rename the file",
            )
        taken.add(slug(name))
        table = read_table(path)
        channels = channels_of(list(table.headings))
        stations.append(
            Station(
                path.stem,
                name,
                slug(name),
                path,
                channels,
                table.counts,
                table.whole_days,
            )
        )
    return City(
        directory,
        _title(text) or directory.resolve().name,
        _source(text),
        tuple(stations),
    )


def _named_files(readme: str) -> dict[str, str]:
    """The names that the README's table gives to files; a README without such a table names none."""
    names: dict[str, str] = {}
    columns: list[str] = []
    for line in readme.splitlines():
        cells = (
            [cell.strip() for cell in line.strip().strip("|").split("|")]
            if line.strip().startswith("|")
            else []
        )
        if {"file", "station"} <= set(cells):
            columns = cells
        elif columns and len(cells) == len(columns):
            row = dict(zip(columns, cells, strict=True))
            if row["file"].lower().endswith(".csv") and row["station"]:
                names[row["file"]] = row["station"]
        elif not cells:
            columns = []
    return names


def _title(readme: str) -> str:
    return next((line[2:].strip() for line in readme.splitlines() if line.startswith("# ")), "")


def _source(readme: str) -> str:
    return next(
        (line[7:].strip() for line in readme.splitlines() if line.startswith("Source:")),
        "",
    )
