"""The tables of devices and stations: which station a device served when, by the tags that its events carried."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from zaehlwerk_bridge.database import Database
from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.ledger.memory import Memory
from zaehlwerk_bridge.station import Station, from_tags

Tagged = tuple[str, str]
"""Name and tags (JSON object) of a device."""
TAG = "INSERT INTO tagging VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
NUMBER = "SELECT id FROM tags WHERE name = ? AND tags = ?"
ALIKE = "SELECT name, tags FROM tags WHERE id IN (SELECT tagged FROM tagging WHERE dev_eui = ?) LIMIT 2"
KNOWN = "SELECT name, tags, since_ns FROM station WHERE slug = ?"


@dataclass(slots=True)
class Served:
    """What all events of a device up to now carried. `number`: of name and tags in their table."""

    tagged: Tagged
    number: int
    station: Station
    tags: Mapping[str, str] | None = None
    """As the last event carried them: sources give the same object again."""


class Stations:
    """Tables in the transaction of `database`."""

    def __init__(self, database: Database, memory: Memory) -> None:
        self._database = database
        self._memory = memory
        self._known: dict[str, tuple[str, str, int]] = memory.kind()  # by slug: name, tags, since_ns
        self._ids: dict[Tagged, int] = memory.kind()
        # By device: what all its events carried up to now; None: not all of them the same.
        self._only: dict[str, Tagged | None] = memory.kind()
        self._noted: dict[tuple[str, int, int], None] = memory.kind()  # rows of `tagging` to be written
        self._noted_of: dict[str, None] = memory.kind()  # their devices
        memory.on_commit("tagging", self._write)

    def _write(self) -> None:
        """Write what was only remembered."""
        if self._noted:
            rows = sorted(self._noted)  # as the key has them: half the work
            self._noted.clear()
            self._noted_of.clear()
            self._database.executemany(TAG, rows)

    def _write_of(self, dev_eui: str) -> None:
        """Let the table say what is remembered of a device."""
        if dev_eui in self._noted_of:
            self._write()

    def served(self, dev_eui: str) -> Served | None:
        """What all the device's events carried; None: not all of them the same, or it cannot be remembered."""
        tagged = self._alike(dev_eui)
        if tagged is None:
            return None
        return Served(tagged, self._number(tagged), _station(*tagged))

    def still(self, event: Event, served: Served) -> bool:
        """Whether `event` carries the same, and everything that is known follows from that."""
        if event.tags is not served.tags:
            if _text(event.tags) != served.tagged[1]:
                return False
            served.tags = event.tags
        known = self._known.get(served.station.slug)
        return (
            known is not None
            and event.device_name == served.tagged[0]
            and self._only.get(event.dev_eui) == served.tagged
            and (known[:2] == served.tagged or known[2] > event.received_ns)
        )

    def note(self, event: Event, served: Served) -> None:
        """`event` carries what all the device's events do."""
        self._note(event, served.number)

    def _note(self, event: Event, number: int) -> None:
        self._noted[event.dev_eui, event.received_ns, number] = None
        self._noted_of[event.dev_eui] = None

    def serve(self, event: Event) -> bool:
        """Note the tags that `event` carries. Whether that says of times past what was not known."""
        tagged = (event.device_name, _text(event.tags))
        number = self._number(tagged)
        later = None
        if self._alike(event.dev_eui) != tagged:
            self._write_of(event.dev_eui)
            later = self._database.execute(
                "SELECT name, tags FROM tagging JOIN tags ON id = tagging.tagged WHERE dev_eui = ? AND at_ns >= ?"
                " ORDER BY at_ns, name, tags LIMIT 1",
                (event.dev_eui, event.received_ns),
            ).fetchone()
            self._only.pop(event.dev_eui, None)
        self._note(event, number)
        if not self._memory.trusted:
            self._write()
        return later is not None and later != tagged

    def _number(self, tagged: Tagged) -> int:
        """Of the name and the tags in their table, where they are put if they are new."""
        found = self._ids.get(tagged)
        if found is None:
            row = self._database.execute(NUMBER, tagged).fetchone()
            if row is None:
                self._database.execute(
                    "INSERT INTO tags (name, tags) VALUES (?, ?) ON CONFLICT DO NOTHING", tagged
                )
                row = self._database.execute(NUMBER, tagged).fetchone()
            found = int(row[0])
            if self._memory.trusted:
                self._ids[tagged] = found
        return found

    def _alike(self, dev_eui: str) -> Tagged | None:
        """The name and the tags of all the device's events, if they are the same and there was one."""
        if not self._memory.trusted:
            return None
        if dev_eui not in self._only:
            self._write_of(dev_eui)
            rows = self._database.execute(ALIKE, (dev_eui,)).fetchall()
            self._only[dev_eui] = rows[0] if len(rows) == 1 else None
        return self._only[dev_eui]

    def at(self, dev_eui: str, time_ns: int) -> Station:
        """The station that the device served when an interval ended: the one of the first event from then on."""
        tagged = self._tagged(dev_eui, time_ns)
        assert tagged is not None
        return _station(*tagged)

    def with_known_tags(self, event: Event) -> Event | None:
        """`event` with name and tags of its device at that time as other events carried them; None: none did."""
        tagged = self._tagged(event.dev_eui, event.received_ns)
        if tagged is None:
            return None
        name, tags = tagged
        return replace(event, device_name=name, tags=json.loads(tags))

    def present(self, slug: str) -> Station | None:
        """What is known of a station now; None: nothing."""
        row = self._database.execute("SELECT name, tags FROM station WHERE slug = ?", (slug,)).fetchone()
        return None if row is None else _station(*row)

    def _tagged(self, dev_eui: str, time_ns: int) -> Tagged | None:
        alike = self._alike(dev_eui)
        if alike is not None:
            return alike
        self._write_of(dev_eui)
        row: Tagged | None = self._database.execute(
            "SELECT name, tags FROM tagging JOIN tags ON id = tagging.tagged WHERE dev_eui = ? AND at_ns >= ?"
            " ORDER BY at_ns, name, tags LIMIT 1",
            (dev_eui, time_ns),
        ).fetchone()
        if row is None:
            row = self._database.execute(
                "SELECT name, tags FROM tagging JOIN tags ON id = tagging.tagged WHERE dev_eui = ?"
                " ORDER BY at_ns DESC, name, tags LIMIT 1",
                (dev_eui,),
            ).fetchone()
        return row

    def is_new(self, place: Station, event: Event) -> bool:
        """Note that `event` came from `place`; whether what is known of the station changed."""
        tags = _text(event.tags)
        row = self._known.get(place.slug)
        if row is None:
            self._database.touches(place.slug)
            row = self._database.execute(KNOWN, (place.slug,)).fetchone()
            if row is not None and self._memory.trusted:
                self._known[place.slug] = row
        if row is not None and (row[:2] == (event.device_name, tags) or row[2] > event.received_ns):
            return False
        self._known.pop(place.slug, None)
        self._database.execute(
            "INSERT INTO station (slug, revision, name, tags, since_ns) VALUES (?, 0, ?, ?, ?) ON CONFLICT (slug)"
            " DO UPDATE SET name = excluded.name, tags = excluded.tags, since_ns = excluded.since_ns",
            (place.slug, event.device_name, tags, event.received_ns),
        )
        return True


def place_of(event: Event) -> Station:
    """The station that `event` comes from. Raises StationError if its tags describe none."""
    return _station(event.device_name, _text(event.tags))


def _text(tags: Mapping[str, str]) -> str:
    return _text_of(tuple(tags.items()))


@lru_cache(maxsize=4096)
def _text_of(tags: tuple[tuple[str, str], ...]) -> str:
    return json.dumps(dict(tags), ensure_ascii=False, sort_keys=True)


@lru_cache(maxsize=4096)
def _station(name: str, tags: str) -> Station:
    read: Mapping[str, str] = json.loads(tags)
    return from_tags(read, name)
