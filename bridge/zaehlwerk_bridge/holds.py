"""Stations whose messages the broker does not take for now, why, and until when."""

import random
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from zaehlwerk_bridge.backoff import Backoff
from zaehlwerk_bridge.outbox import OutboxRow

NS = 1_000_000_000


@dataclass(slots=True)
class _Hold:
    backoff: Backoff
    until_ns: int
    reason: str


class Holds:
    """Held stations. They outlive a connection: some brokers end it with every refusal.

    Waits between two tries grow from `first_s` to `most_s`. A station that is held, held for another reason, or taken
    again is logged; a retry that fails as before is not.
    """

    def __init__(self, rng: random.Random, log: FilteringBoundLogger, first_s: float, most_s: float) -> None:
        self._rng = rng
        self._log = log
        self._first_s = first_s
        self._most_s = most_s
        self._holds: dict[str, _Hold] = {}

    @property
    def reasons(self) -> dict[str, str]:
        """The held stations, with the reason."""
        return {station: hold.reason for station, hold in self._holds.items()}

    def hold(self, row: OutboxRow, reason: str, now_ns: int, *, longest: bool = False) -> None:
        """Hold the station of `row` for the next wait, or for the longest one."""
        hold = self._holds.get(row.station)
        if hold is None or hold.reason != reason:
            self._log.warning("messages are held", station=row.station, topic=row.topic, reason=reason)
        if hold is None:
            hold = self._holds[row.station] = _Hold(
                Backoff(self._rng, self._first_s, self._most_s), 0, reason
            )
        hold.reason = reason
        hold.until_ns = now_ns + int((self._most_s if longest else hold.backoff.next()) * NS)

    def holds(self, station: str, now_ns: int) -> bool:
        """Whether nothing of `station` should be sent now."""
        hold = self._holds.get(station)
        return hold is not None and hold.until_ns > now_ns

    def due(self, now_ns: int) -> list[str]:
        """The stations whose wait is over."""
        return [station for station, hold in self._holds.items() if hold.until_ns <= now_ns]

    def next_s(self, now_ns: int) -> float | None:
        """Seconds until the next wait is over, None if nobody waits."""
        waits = [hold.until_ns for hold in self._holds.values() if hold.until_ns > now_ns]
        return (min(waits) - now_ns) / NS if waits else None

    def taken(self, station: str) -> None:
        """A message of `station` is dealt with: nothing holds it any more."""
        if self._holds.pop(station, None) is not None:
            self._log.info("messages are taken again", station=station)
