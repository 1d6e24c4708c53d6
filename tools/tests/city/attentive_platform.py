"""A platform that listens to more than counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from paho.mqtt.client import Client, MQTTMessage

from zaehlwerk_tools.subscriber import Subscriber


class Platform(Subscriber):
    """The run's subscriber, which keeps what the nodes say of themselves, too: {(station, topic): contents}."""

    told: ClassVar[dict[tuple[str, str], list[Any]]] = {}

    def _topics(self) -> Iterator[str]:
        yield from super()._topics()
        yield f"{self._prefix}/v1/+/status"

    def _on_message(self, client: Client, data: object, message: MQTTMessage) -> None:
        *_, station, topic = message.topic.split("/")
        if topic in {"status", "alarm"}:
            self.told.setdefault((station, topic), []).append(json.loads(message.payload))
        if topic == "status":
            client.ack(message.mid, message.qos)
        else:
            super()._on_message(client, data, message)
