"""Whose turn it is where bridges share an outbox: messages of a station leave it in the order in which they were made.

Several bridges work on a station after each other, and each publishes what it has made. Were it to do so at once, the
platform could learn of a healing before the one that it goes on from, and hold an interval and the span round it at the
same time. So a bridge does not read a message of its own from the outbox while another bridge has an older one of the
same station there, that is until the broker has acknowledged that one, or the other bridge is dead and its messages are
somebody else's. Numbers of messages rise with the revisions of a station, for who makes them holds the station's lock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zaehlwerk_bridge.database import Database


def _first_of_others(station: str, bridge: str) -> str:
    """The number of the oldest message of `station` with another bridge than `bridge`, both SQL; NULL: there is none.

    By index, once for each bridge: a backlog may be long.
    """
    return (
        f"(SELECT min((SELECT min(before.seq) FROM outbox AS before WHERE before.station = {station}"  # noqa: S608
        " AND before.bridge = other.id)) FROM (SELECT id FROM bridge UNION ALL SELECT '') AS other"
        f" WHERE other.id <> {bridge})"
    )


_WAITS = f"(own.station <> '' AND own.seq > {_first_of_others('own.station', 'own.bridge')})"
READ = (
    "SELECT seq, station, topic, payload, retain, properties, made_ns FROM outbox AS own"  # noqa: S608 - constants
    f" WHERE bridge = ? AND seq > ? AND {_WAITS} IS NOT TRUE AND station <> ALL(?::text[]) ORDER BY seq LIMIT ?"
)
"""Messages of a bridge behind a number whose turn it is, but none of some stations."""
WRITE = (
    "INSERT INTO outbox (bridge, station, topic, payload, properties, retain, made_ns)"  # noqa: S608 - constants
    " SELECT * FROM unnest(?::text[], ?::text[], ?::text[], ?::bytea[], ?::text[], ?::bigint[], ?::bigint[])"
    " RETURNING seq, CASE WHEN outbox.station <> ''"
    f" THEN {_first_of_others('outbox.station', 'outbox.bridge')} END"
)
"""Stores messages, column by column; their numbers, and of which older one of another bridge each waits for the end."""
_HELD = (
    "SELECT station, own, other FROM (SELECT station, min(seq) AS own, max(seq) AS last,"  # noqa: S608 - constants
    f" {_first_of_others('mine.station', '?')} AS other"
    " FROM outbox AS mine WHERE bridge = ? AND station <> '' GROUP BY station) AS mine WHERE other < last"
)
_NOW = (
    f"SELECT held.station, {_first_of_others('held.station', '?')},"  # noqa: S608 - constants
    " (SELECT max(seq) FROM outbox WHERE outbox.station = held.station AND outbox.bridge = ?)"
    " FROM unnest(?::text[]) AS held (station)"
)


@dataclass(slots=True)
class _Held:
    own: int
    """The oldest of our messages that may wait."""
    other: int
    """What it waits for."""


class Turns:
    """What `bridge` has in the outbox and must not publish yet, in the transaction of `database`."""

    def __init__(self, database: Database, bridge: str) -> None:
        self._database = database
        self._bridge = bridge
        self._held: dict[str, _Held] = {}  # by station
        self._known = False
        self._all_again = True

    @property
    def waiting(self) -> bool:
        """Whether `came` may find something."""
        return self._all_again or bool(self._held)

    def begin(self) -> None:
        """Messages may have changed hands: `came` says so."""
        self._known = False
        self._all_again = True

    def wrote(self, station: str, seq: int, other: int | None) -> bool:
        """A message of ours was stored, and waits for the `other`; whether it waits, for that or behind another of ours."""
        if other is not None:
            self._held.setdefault(station, _Held(seq, other))
        return station in self._held or self._all_again

    def unreadable(self, after_seq: int) -> list[str]:
        """Stations that must not be read behind a number, for there may be messages before it that had to wait."""
        self._look()
        return [station for station, held in self._held.items() if held.own <= after_seq]

    def came(self) -> int | None:
        """The number behind which are some that need not wait any more; None: none have got their turn."""
        self._look()
        if self._all_again:
            self._all_again = False
            return 0
        if not self._held:
            return None
        freed: list[int] = []
        for station, other, last in self._now(list(self._held)):
            held = self._held[station]
            if other != held.other:
                freed.append(held.own)
            if other is None or last is None or other > last:
                del self._held[station]
            else:
                held.other = other
        return min(freed) - 1 if freed else None

    def _look(self) -> None:
        """See what waits, if that is not known. What waited before has had no turn until `came` has said so."""
        if self._known:
            return
        for station, own, other in self._database.execute(_HELD, (self._bridge, self._bridge)).fetchall():
            held = self._held.setdefault(station, _Held(own, other))
            held.own = min(held.own, own)
        self._known = True

    def _now(self, stations: Sequence[str]) -> list[tuple[str, int | None, Any]]:
        return self._database.execute(_NOW, (self._bridge, self._bridge, list(stations))).fetchall()
