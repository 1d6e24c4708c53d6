"""The platform of the bench: a subscriber that notes what comes and when, and holds it against what was offered."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from zaehlwerk_tools.bridge_bench.offered import Entry, Place
from zaehlwerk_tools.errors import BrokerError, ZaehlwerkError
from zaehlwerk_tools.plan import Broker

CONNECT_S = 20.0
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
        self._topics = [f"{prefix}/v1/+/count", f"{prefix}/v1/+/span"]
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "bench-platform", protocol=paho.MQTTv5)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe
        try:
            self._client.connect(broker.host, broker.port)
        except OSError as error:
            raise BrokerError(
                f"no broker at {broker.host}:{broker.port}: {error.strerror or error}"
            ) from error
        self._client.loop_start()
        if not self._subscribed.wait(CONNECT_S):
            self.close()
            raise BrokerError(f"the broker at {broker.host}:{broker.port} did not take a subscription")

    def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        self._client.loop_stop()

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
            time.sleep(_LOOK_S)
        tell(messages)

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in self._topics])

    def _on_subscribe(self, *_: Any) -> None:
        self._subscribed.set()

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self.messages.append(Taken(time.monotonic(), message.topic, bytes(message.payload)))


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
