"""The tables of devices and stations: which station a device served when, by the tags that its events carried."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.station import Station, from_tags


class Stations:
    """Tables in the transaction of `database`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def serve(self, event: Event) -> bool:
        """Note the tags that `event` carries. Whether that says of times past what was not known."""
        tags = _text(event.tags)
        self._database.execute(
            "INSERT OR IGNORE INTO tags (name, tags) VALUES (?, ?)", (event.device_name, tags)
        )
        later = self._database.execute(
            "SELECT name, tags FROM tagging JOIN tags ON id = tagging.tagged WHERE dev_eui = ? AND at_ns >= ?"
            " ORDER BY at_ns, name, tags LIMIT 1",
            (event.dev_eui, event.received_ns),
        ).fetchone()
        self._database.execute(
            "INSERT OR IGNORE INTO tagging SELECT ?, ?, id FROM tags WHERE name = ? AND tags = ?",
            (event.dev_eui, event.received_ns, event.device_name, tags),
        )
        return later is not None and later != (event.device_name, tags)

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

    def _tagged(self, dev_eui: str, time_ns: int) -> tuple[str, str] | None:
        row: tuple[str, str] | None = self._database.execute(
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
        row = self._database.execute(
            "SELECT name, tags, since_ns FROM station WHERE slug = ?", (place.slug,)
        ).fetchone()
        if row is not None and (row[:2] == (event.device_name, tags) or row[2] > event.received_ns):
            return False
        self._database.execute(
            "INSERT INTO station (slug, revision, name, tags, since_ns) VALUES (?, 0, ?, ?, ?) ON CONFLICT (slug)"
            " DO UPDATE SET name = excluded.name, tags = excluded.tags, since_ns = excluded.since_ns",
            (place.slug, event.device_name, tags, event.received_ns),
        )
        return True


def _text(tags: Mapping[str, str]) -> str:
    return json.dumps(dict(tags), ensure_ascii=False, sort_keys=True)


@lru_cache(maxsize=4096)
def _station(name: str, tags: str) -> Station:
    read: Mapping[str, str] = json.loads(tags)
    return from_tags(read, name)
