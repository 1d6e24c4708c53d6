"""Finds stations that several devices claim at the same time: both are counted, so the street may be counted twice.

That is a mistake in the tags of a device, or a node that was replaced and still sends. The bridge cannot tell which, and
drops nothing; it tells the operator.
"""

import asyncio
import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from zaehlwerk_bridge.clock import Clock
from zaehlwerk_bridge.database import FAULTS, Database, Server, open_to_read
from zaehlwerk_bridge.station import StationError, from_tags

NS = 1_000_000_000
EVERY_S = 60.0
WINDOW_NS = 6 * 3600 * NS
"""Who was not heard for so long claims nothing any more: six of the longest intervals that a node can have."""

_NEWEST = """
SELECT known.dev_eui, tagging.at_ns, tagging.tagged, tags.name, tags.tags
FROM (SELECT dev_eui FROM chain UNION SELECT dev_eui FROM waiting) AS known
JOIN tagging ON tagging.dev_eui = known.dev_eui
  AND tagging.at_ns = (SELECT max(at_ns) FROM tagging AS newest WHERE newest.dev_eui = known.dev_eui)
JOIN tags ON tags.id = tagging.tagged
WHERE tagging.at_ns >= ? ORDER BY known.dev_eui, tagging.tagged
"""
_FIRST = "SELECT min(at_ns) FROM tagging WHERE dev_eui = ? AND at_ns >= ? AND tagged = ?"


@dataclass(frozen=True, slots=True)
class _Claim:
    dev_eui: str
    tagged: int
    newest_ns: int


def contested(database: Database | sqlite3.Connection, now_ns: int) -> dict[str, tuple[str, ...]]:
    """Stations, as topics carry them, that several devices serve now, with their DevEUIs.

    A node that takes the place of another is none of these: it is first heard after the other was heard last.
    """
    after_ns = now_ns - WINDOW_NS
    claims: dict[str, dict[str, _Claim]] = defaultdict(dict)
    for dev_eui, newest_ns, tagged, name, tags in database.execute(_NEWEST, (after_ns,)).fetchall():
        slug = _slug(name, tags)
        if slug is not None:
            claims[slug].setdefault(dev_eui, _Claim(dev_eui, tagged, newest_ns))
    found = {}
    for slug, devices in claims.items():
        if len(devices) > 1:
            heard = [
                (claim, int(database.execute(_FIRST, (claim.dev_eui, after_ns, claim.tagged)).fetchone()[0]))
                for claim in devices.values()
            ]
            beside = [one for one, first_ns in heard if _overlaps(one, first_ns, heard)]
            if beside:
                found[slug] = tuple(sorted(claim.dev_eui for claim in beside))
    return found


def _overlaps(claim: _Claim, first_ns: int, heard: Sequence[tuple[_Claim, int]]) -> bool:
    """Whether another device was first heard before this one was last heard, and last heard after it was first heard."""
    return any(
        other.dev_eui != claim.dev_eui and other_ns < claim.newest_ns and first_ns < other.newest_ns
        for other, other_ns in heard
    )


@lru_cache(maxsize=65536)
def _slug(name: str, tags: str) -> str | None:
    try:
        return from_tags(json.loads(tags), name).slug
    except StationError:
        return None


def read_contested(place: Path | Server, now_ns: int) -> dict[str, tuple[str, ...]]:
    """The same of a store, on a connection that looks only and holds nobody up. Raises what a database raises."""
    if isinstance(place, Server):
        from zaehlwerk_bridge.postgres import PostgresDatabase  # noqa: PLC0415 - takes its time, and few need it

        shared = PostgresDatabase(place)
        try:
            return contested(shared, now_ns)
        finally:
            shared.close()
    file = open_to_read(place)
    try:
        return contested(file, now_ns)
    finally:
        file.close()


class ClaimWatch:
    """Looks until cancelled, and logs each station once. `clock` says what is recent, `wall` is real time."""

    def __init__(self, place: Path | Server, clock: Clock, wall: Clock, log: FilteringBoundLogger) -> None:
        self._place = place
        self._clock = clock
        self._wall = wall
        self._log = log
        self._executor = ThreadPoolExecutor(1, "claims")
        self.contested: Mapping[str, tuple[str, ...]] = {}
        """By station the devices that claim it, as seen last."""

    async def run(self) -> None:
        """Look, again and again."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    now_ns = self._clock.now_ns()
                    self.note(await loop.run_in_executor(self._executor, read_contested, self._place, now_ns))
                except FAULTS:
                    pass  # who stores says what the matter is
                await self._wall.sleep(EVERY_S)
        finally:
            self._executor.shutdown(wait=False)

    def note(self, contested: Mapping[str, tuple[str, ...]]) -> None:
        """Tell what is new, and what is over."""
        for station, devices in contested.items():
            if self.contested.get(station) != devices:
                self._log.warning(
                    "several devices claim one station, all of them are counted",
                    station=station,
                    devices=list(devices),
                )
        for station in self.contested.keys() - contested.keys():
            self._log.info("station is claimed by one device again", station=station)
        self.contested = contested
