"""A plain MQTT 5 client that remembers everything it gets."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


class Subscriber:
    """Subscribes to everything with QoS 1 in a session that outlives the connection. `slow_s`: time it takes a message."""

    def __init__(
        self,
        port: int,
        client_id: str = "platform",
        slow_s: float = 0.0,
        topic: str = "#",
        username: str | None = None,
    ) -> None:
        self.messages: list[paho.MQTTMessage] = []
        self._slow_s = slow_s
        self._topic = topic
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5)
        if username is not None:
            self._client.username_pw_set(username)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.reconnect_delay_set(1, 1)
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", port, clean_start=False, properties=properties)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        client.subscribe(self._topic, qos=1)

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        if self._slow_s:
            time.sleep(self._slow_s)
        self.messages.append(message)

    def topics(self) -> list[str]:
        return [message.topic for message in self.messages]

    def of(self, ending: str) -> list[dict[str, Any]]:
        """The contents of the messages whose topic ends so."""
        return [json.loads(m.payload) for m in self.messages if m.topic.endswith(ending) and m.payload]

    def newest(self, ending: str) -> dict[str, Any]:
        """The contents of the last message whose topic ends so; nothing as long as none has come."""
        contents = self.of(ending)
        return contents[-1] if contents else {}

    def sums(self) -> dict[str, int]:
        """Per station what the documented rule of the consumer adds up to."""
        records: dict[tuple[str, str], dict[str, Any]] = {}
        gone: set[tuple[str, str]] = set()
        for content in [*self.of("/count"), *self.of("/span")]:
            for record in content["records"]:
                key = (content["station"], record["id"])
                if key not in records or records[key]["revision"] < record["revision"]:
                    records[key] = record
            gone |= {(content["station"], identity) for identity in content["supersedes"]}
        sums: dict[str, int] = {}
        for (station, identity), record in records.items():
            if (station, identity) not in gone:
                counts = [channel["count"] or 0 for channel in record["channels"]]
                sums[station] = sums.get(station, 0) + sum(counts)
        return sums

    async def until(self, condition: Any, timeout_s: float = 20.0) -> None:
        """Wait until `condition()` holds."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            got = [(message.topic, message.payload[:300]) for message in self.messages[-20:]]
            assert time.monotonic() < deadline, f"never happened; the newest that came: {got}"
            await asyncio.sleep(0.01)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
