"""A platform for more messages than fit into memory: it keeps two counts and a revision of each interval, nothing else."""

from __future__ import annotations

import json
from array import array
from typing import Any

from zaehlwerk_tools.bridge_bench.offered import CHANNELS
from zaehlwerk_tools.bridge_bench.subscriber import Subscriber
from zaehlwerk_tools.plan import Broker

_NONE = -1


class Tally:
    """Intervals of `stations` from the number `first` on, `messages` of them: what was offered, what is held."""

    def __init__(self, messages: int, stations: int, first: int) -> None:
        self._stations = stations
        self._first = first
        self._offered = array("i", [_NONE]) * (messages * CHANNELS)
        self._held = array("i", [_NONE]) * (messages * CHANNELS)
        self._revisions = array("q", [0]) * messages
        self.intervals = 0
        """Different ones that are held."""
        self.strange = 0
        """Records of an interval that nobody offered, and spans over offered ones: nothing was missing."""

    def offer(self, place: tuple[str, int], counts: tuple[int, ...]) -> None:
        """An interval that is offered, with its counts."""
        at = self._at(*place)
        assert at is not None
        self._offered[at * CHANNELS : (at + 1) * CHANNELS] = array("i", counts)

    def take(self, payload: bytes) -> None:
        """A message with counts. The record with the highest revision stands."""
        for record in json.loads(payload)["records"]:
            self._record(record)

    def _record(self, record: dict[str, Any]) -> None:
        station, _, number = str(record["id"]).split(".")
        at = self._at(station, int(number))
        counts = array("i", [channel["count"] for channel in record["channels"]])
        if record["resolution"] != "interval" or at is None or len(counts) != CHANNELS:
            # A node's totals from before its first frame become a span that ends where the offer begins.
            self.strange += at is not None
            return
        if not self._revisions[at]:
            self.intervals += 1
        if record["revision"] > self._revisions[at]:
            self._revisions[at] = record["revision"]
            self._held[at * CHANNELS : (at + 1) * CHANNELS] = counts

    def lost(self) -> int:
        """How many intervals are not held with just the counts that were offered."""
        return sum(
            self._offered[at : at + CHANNELS] != self._held[at : at + CHANNELS]
            for at in range(0, len(self._offered), CHANNELS)
        )

    def _at(self, station: str, number: int) -> int | None:
        at = (number - self._first) * self._stations + int(station.rpartition("-")[2])
        return at if 0 <= at < len(self._revisions) else None


class TallyTaker:
    """Subscribes to all counts and spans under `prefix` for a tally. Raises BrokerError if the broker is not there."""

    def __init__(self, broker: Broker, prefix: str, tally: Tally) -> None:
        topics = [f"{prefix}/v1/+/{kind}" for kind in ("count", "span")]
        self._subscriber = Subscriber(
            broker, "bench-tally", topics, lambda _at, _topic, payload: tally.take(payload)
        )

    def check(self) -> None:
        """Raises what has ended it."""
        self._subscriber.check()

    def close(self) -> None:
        """Leave the broker."""
        self._subscriber.close()
