"""The platform: an MQTT 5 session that outlives its connections, and the SQL of the bridge's document for consumers."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import sqlite3
import threading
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from zaehlwerk_tools.chaos.servers import HOST, PLATFORM_USER
from zaehlwerk_tools.errors import BrokerError, ZaehlwerkError

DOCUMENT = Path("bridge") / "CONSUMER.md"
CONNECT_S = 30.0
SESSION_EXPIRY_S = 86400
Sums = dict[tuple[str, str], int]
"""By station and channel."""
_PART = re.compile(r"```sql (\w+)\n(.*?)```", re.DOTALL)


class Documented:
    """Takes messages as the document says, in a database in memory. Not thread-safe."""

    def __init__(self, checkout: Path) -> None:
        """Raises ZaehlwerkError if the document or its SQL is not there."""
        try:
            parts = dict(_PART.findall((checkout / DOCUMENT).read_text(encoding="utf-8")))
            schema, message, self._sums = parts["schema"], parts["message"], parts["sums"]
        except (OSError, KeyError) as error:
            raise ZaehlwerkError(
                f"{DOCUMENT} of the checkout has not the SQL of a consumer: {error}"
            ) from None
        self._statements = [one for one in message.split(";\n") if one.strip()]
        self._database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA foreign_keys = ON")
        self._database.executescript(schema)

    def take(self, payload: bytes) -> None:
        """One message, in one transaction."""
        self._database.execute("BEGIN")
        try:
            for statement in self._statements:
                self._database.execute(statement, {"message": payload.decode()})
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def sums(self) -> tuple[Sums, Sums]:
        """What was counted, by the document's query: all of it, and what is known interval by interval."""
        rows = self._database.execute(self._sums).fetchall()
        counted = {(station, name): number or 0 for station, name, number, _ in rows}
        by_interval = {(station, name): number or 0 for station, name, _, number in rows}
        return counted, by_interval

    def close(self) -> None:
        """Close the database."""
        self._database.close()


class Arrivals:
    """What an observer sees of the messages' order and repetitions. Not thread-safe."""

    def __init__(self) -> None:
        self.duplicates = 0
        """Messages that came again, word for word."""
        self.order_violations = 0
        """Messages that came for the first time after one of the same station with a higher revision."""
        self._seen: set[bytes] = set()
        self._highest: dict[str, int] = {}

    @property
    def messages(self) -> int:
        """Different ones that came."""
        return len(self._seen)

    def note(self, topic: str, payload: bytes) -> None:
        """One came."""
        mark = hashlib.blake2b(topic.encode() + b"\0" + payload, digest_size=16).digest()
        if mark in self._seen:
            self.duplicates += 1
            return
        self._seen.add(mark)
        content = json.loads(payload)
        revision = max(record["revision"] for record in content["records"])
        highest = self._highest.get(content["station"], 0)
        self.order_violations += revision < highest
        self._highest[content["station"]] = max(highest, revision)


class Consumer:
    """Subscribes to counts, spans and what was rejected under `prefix`; acknowledges after its commit.

    Raises BrokerError if the broker is not there or does not take the subscription.
    """

    def __init__(self, checkout: Path, port: int, prefix: str) -> None:
        self.arrivals = Arrivals()
        self.rejected: list[str] = []
        self._documented = Documented(checkout)
        self._lock = threading.Lock()
        self._failure: Exception | None = None
        self._subscribed = threading.Event()
        self._marked = threading.Event()
        self._mark = b""
        self._mark_topic = f"{prefix}/v1/platform/mark"
        self._topics = [
            f"{prefix}/v1/+/count",
            f"{prefix}/v1/+/span",
            f"{prefix}/v1/bridge/+/rejected",
            self._mark_topic,
        ]
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, "chaos-platform", protocol=paho.MQTTv5, manual_ack=True
        )
        self._client.username_pw_set(PLATFORM_USER)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        try:
            self._client.connect(HOST, port, clean_start=False, properties=properties)
        except OSError as error:
            raise BrokerError(f"no broker at {HOST}:{port}: {error.strerror or error}") from error
        self._client.loop_start()
        if not self._subscribed.wait(CONNECT_S):
            self.close()
            raise BrokerError(f"the broker at {HOST}:{port} did not take a subscription")

    def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        self._client.loop_stop()
        with self._lock:
            self._documented.close()

    def sums(self) -> tuple[Sums, Sums]:
        """What it holds, all of it and interval by interval. Raises what went wrong in its thread."""
        if self._failure is not None:
            raise self._failure
        with self._lock:
            return self._documented.sums()

    def has_all(self, timeout_s: float) -> bool:
        """Whether everything that the broker had for it when this was called has been taken, within `timeout_s`.

        A broker delivers to a client in order: a mark of our own comes after all that was before it.
        """
        self._marked.clear()
        self._mark = secrets.token_bytes(8)
        self._client.publish(self._mark_topic, self._mark, qos=1)
        return self._marked.wait(timeout_s)

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in self._topics])

    def _on_subscribe(self, *_: Any) -> None:
        self._subscribed.set()

    def _on_message(self, client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        payload = bytes(message.payload)
        if message.topic == self._mark_topic:
            if payload == self._mark:
                self._marked.set()
        elif message.topic.endswith("/rejected"):
            self.rejected.append(payload.decode(errors="replace"))
        else:
            try:
                with self._lock:
                    self._documented.take(payload)
                    self.arrivals.note(message.topic, payload)
            except Exception as error:  # noqa: BLE001 - paho's thread would swallow it
                self._failure = self._failure or error
                return
        client.ack(message.mid, message.qos)
