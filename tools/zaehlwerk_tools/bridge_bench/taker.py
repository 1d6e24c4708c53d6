"""The platform of the bench: a subscriber that notes what comes and when, and holds it against what was offered."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from zaehlwerk_tools.bridge_bench.offered import Entry, Place
from zaehlwerk_tools.bridge_bench.subscriber import Subscriber
from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.plan import Broker

SILENCE_S = 60.0
"""Nothing came for so long: what is missing by then is lost."""
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Taken:
    """A message as it came; `at` is the monotonic clock's, seconds."""

    at: float
    topic: str
    payload: bytes


class Taker:
    """Takes all messages of counts and spans under `prefix`, QoS 1. Raises BrokerError if the broker is not there."""

    def __init__(self, broker: Broker, prefix: str) -> None:
        self.messages: list[Taken] = []
        topics = [f"{prefix}/v1/+/{kind}" for kind in ("count", "span")]
        self._subscriber = Subscriber(broker, "bench-platform", topics, self._take)

    def close(self) -> None:
        """Leave the broker."""
        self._subscriber.close()

    def wait(self, messages: int, tell: Callable[[int], None], check: Callable[[], None]) -> None:
        """Return when so many messages came, or none came for long. `check` raises if waiting is in vain."""
        seen, moved = -1, time.monotonic()
        while (taken := len(self.messages)) < messages:
            now = time.monotonic()
            if taken != seen:
                seen, moved = taken, now
                tell(taken)
            elif now - moved > SILENCE_S:
                return
            check()
            self._subscriber.check()
            time.sleep(_LOOK_S)
        tell(messages)

    def _take(self, at: float, topic: str, payload: bytes) -> None:
        self.messages.append(Taken(at, topic, payload))


def lost(offered: Iterable[Entry], taken: Iterable[Taken]) -> int:
    """How many of the offered intervals did not come with just the counts that were offered.

    An interval stands with its highest revision, as at any platform, so one that came twice is not counted twice; if
    none is lost, the sum is that of what was offered. Raises ZaehlwerkError for an interval that nobody offered.
    """
    wanted = {entry.place: entry.counts for entry in offered if entry.place is not None}
    held: dict[Place, tuple[int, tuple[int, ...]]] = {}
    for one in taken:
        content = json.loads(one.payload)
        for record in content["records"]:
            place, counts = place_of(record), _counts(record)
            if place not in wanted:
                raise ZaehlwerkError(f"the bridge published {record['id']}, which nobody offered")
            if place not in held or held[place][0] < record["revision"]:
                held[place] = (record["revision"], counts)
    return sum(place not in held or held[place][1] != counts for place, counts in wanted.items())


def place_of(record: Mapping[str, Any]) -> Place:
    """Station and interval of a record of a single interval. Raises ZaehlwerkError for a span: nothing was missing."""
    station, _, number = str(record["id"]).split(".")
    if record["resolution"] != "interval":
        raise ZaehlwerkError(f"the bridge published the span {record['id']} although no frame was missing")
    return station, int(number)


def _counts(record: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(channel["count"] for channel in record["channels"])
