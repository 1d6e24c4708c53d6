"""Somebody at the platform who sends commands, and reads what becomes of them."""

from __future__ import annotations

import json
import threading
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from bridge.tests.ledger.conftest import validators
from bridge.tests.service.subscriber import Subscriber

_VALIDATORS = validators()


class Operator:
    """Publishes with QoS 1 and waits for the broker; has subscribed to everything."""

    def __init__(self, port: int, username: str | None = None, topic: str = "zaehlwerk/#") -> None:
        self._heard = Subscriber(port, client_id="operator", topic=topic, username=username)
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "operator-commands", protocol=paho.MQTTv5)
        if username is not None:
            self._client.username_pw_set(username)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def send(self, station: str, identity: str, command: str, **fields: Any) -> None:
        """A command as the schema has it; `from_` is `from`."""
        content = {"id": identity, "command": command}
        content |= {name.rstrip("_"): value for name, value in fields.items()}
        _VALIDATORS["command"].validate(content)
        self.say(f"zaehlwerk/v1/{station}/command", json.dumps(content).encode())

    def say(self, topic: str, payload: bytes, qos: int = 1, *, retain: bool = False) -> None:
        """Anything."""
        said = threading.Event()
        self._client.on_publish = lambda *_: said.set()
        self._client.publish(topic, payload, qos=qos, retain=retain)
        assert said.wait(10)

    def results(self, identity: str | None = None, station: str = "one") -> list[dict[str, Any]]:
        """What was told of a command, in the order in which it came; each as its schema has it."""
        told = self._heard.of(f"/{station}/result")
        for content in told:
            _VALIDATORS["result"].validate(content)
        return [content for content in told if content["id"] == identity]

    def fates(self, identity: str | None = None, station: str = "one") -> list[str]:
        """The fates among them."""
        return [content["fate"] for content in self.results(identity, station)]

    async def until(
        self, identity: str | None, fate: str, station: str = "one", times: int = 1
    ) -> dict[str, Any]:
        """Wait for a fate; returns what was told with it."""
        await self._heard.until(lambda: self.fates(identity, station).count(fate) >= times)
        return [told for told in self.results(identity, station) if told["fate"] == fate][-1]

    def rejected(self) -> list[dict[str, Any]]:
        """What no station could be told."""
        told = self._heard.of("/bridge/b1/rejected")
        for content in told:
            _VALIDATORS["rejected"].validate(content)
        return told

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._heard.close()
