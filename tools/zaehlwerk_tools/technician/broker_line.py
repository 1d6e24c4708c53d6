"""A technician's line to the broker: messages come, one is published and acknowledged. paho's thread does the talking.

paho-mqtt is no part of the lean installation and is only looked for by who needs it.
"""

from __future__ import annotations

import importlib.util
import json
import queue
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from zaehlwerk_tools.gateway_backend.addresses import MqttAddress
from zaehlwerk_tools.technician.troubles import NoBrokerError, TechnicianError

CONNECT_S = 10.0
ANSWER_S = 10.0
QOS = 1
REFUSED_FROM = 0x80
"""MQTT 5.0, 2.4: reason codes from here on are failures."""
NO_MATCHING_SUBSCRIBERS = 0x10
"""MQTT 5.0, 3.4.2.1: taken, and nobody has it."""


class NoPahoError(TechnicianError):
    """What speaks MQTT is not installed."""


class BrokerLine:
    """An open line. Made by `open_line`."""

    def __init__(self, address: MqttAddress, client: Any) -> None:
        self._address = address
        self._client = client
        self._came: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._connected = threading.Event()
        self._acknowledged = threading.Event()
        self._code: Any = None
        self._subscribed: list[int] = []
        self._topics: Sequence[str] = ()
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.on_publish = self._on_publish

    def connect(self) -> None:
        """Raises NoBrokerError."""
        address = self._address
        try:
            if address.tls:
                authority = None if address.ca_file is None else str(address.ca_file)
                self._client.tls_set_context(ssl.create_default_context(cafile=authority))
            self._client.connect(address.host, address.port, 30)
        except (OSError, ValueError) as error:
            raise NoBrokerError(
                f"the broker {address} cannot be reached ({error}): check --mqtt-url, and --ca-file if it speaks TLS"
            ) from None
        self._client.loop_start()
        if not self._connected.wait(CONNECT_S):
            raise NoBrokerError(
                f"the broker {address} does not answer: is it an MQTT 5 broker, and does its port want mqtts://?"
            )
        if self._code.value >= REFUSED_FROM:
            raise NoBrokerError(
                f"the broker {address} refuses ({self._code}): check the user in --mqtt-url and its password"
            )

    def subscribe(self, topics: Sequence[str]) -> None:
        """From now on messages of these topics come; again after each loss of the connection."""
        self._topics = topics
        self._client.subscribe([(topic, QOS) for topic in topics])

    def message(self, wait_s: float) -> tuple[str, Any] | None:
        """The next message, topic and JSON document; None if there is none after `wait_s`."""
        try:
            return self._came.get(timeout=wait_s)
        except queue.Empty:
            return None

    def publish(self, topic: str, document: dict[str, Any]) -> bool:
        """Publish and wait for the acknowledgement; whether anybody has subscribed to it. Raises NoBrokerError."""
        self._acknowledged.clear()
        self._client.publish(topic, json.dumps(document, ensure_ascii=False).encode(), QOS)
        if not self._acknowledged.wait(ANSWER_S):
            raise NoBrokerError(f"the broker {self._address} did not acknowledge the message on {topic}")
        if self._code.value >= REFUSED_FROM:
            raise NoBrokerError(
                f"the broker {self._address} refuses the message on {topic} ({self._code}): its access list must let "
                "this user write there"
            )
        return bool(self._code.value != NO_MATCHING_SUBSCRIBERS)

    def close(self) -> None:
        """Say good-bye."""
        with suppress(OSError, ValueError):
            self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: Any, userdata: Any, flags: Any, code: Any, properties: Any) -> None:
        self._code = code
        if self._topics and code.value < REFUSED_FROM:
            client.subscribe([(topic, QOS) for topic in self._topics])
        self._connected.set()

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        with suppress(ValueError):  # no JSON: nobody of ours
            self._came.put((str(message.topic), json.loads(message.payload)))

    def _on_publish(self, client: Any, userdata: Any, number: int, code: Any, properties: Any) -> None:
        self._code = code
        self._acknowledged.set()


@contextmanager
def open_line(address: MqttAddress) -> Iterator[BrokerLine]:
    """A line to the broker while the body runs. Raises NoBrokerError, NoPahoError."""
    if importlib.util.find_spec("paho") is None:
        raise NoPahoError("paho-mqtt is not installed: MQTT needs `pip install paho-mqtt`")
    from paho.mqtt.client import Client  # noqa: PLC0415
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion  # noqa: PLC0415

    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.connect_timeout = CONNECT_S
    if address.username is not None:
        client.username_pw_set(address.username, address.password)
    line = BrokerLine(address, client)
    try:
        line.connect()
        yield line
    finally:
        line.close()
