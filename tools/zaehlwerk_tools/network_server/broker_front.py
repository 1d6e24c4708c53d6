"""The network server at an MQTT broker, as ChirpStack is: connects, subscribes to gateways' events, publishes commands."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Self

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from .gateway_topics import GatewayTopics

QOS = 0
"""ChirpStack's default in both directions."""
CONNECT_S = 10.0


class BrokerFront:
    """Use as `async with BrokerFront(host, port, make_topics) as front`; `make_topics` is given what publishes."""

    def __init__(
        self, host: str, port: int, make_topics: Callable[[Callable[[str, bytes], None]], GatewayTopics]
    ) -> None:
        self._host, self._port = host, port
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self.topics = make_topics(self._publish)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscribed: asyncio.Future[None] | None = None
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._subscribed = self._loop.create_future()
        await asyncio.to_thread(self._client.connect, self._host, self._port)
        self._client.loop_start()
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._subscribed
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        await self._end()

    async def _end(self) -> None:
        await asyncio.to_thread(self._client.loop_stop)
        # paho closes its last sockets when it is collected: at once, if nobody of us holds it in a circle.
        self._client.on_connect = self._client.on_subscribe = self._client.on_message = None

    def _publish(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, QOS)

    # What paho's thread calls.

    def _soon(self, call: Callable[[], None]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(call)

    def _on_connect(
        self,
        client: Client,
        _data: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _more: Properties | None,
    ) -> None:
        if not reason.is_failure:
            client.subscribe(self.topics.subscription, QOS)

    def _on_subscribe(
        self, _client: Client, _data: object, _mid: int, _reasons: list[ReasonCode], _more: Properties | None
    ) -> None:
        subscribed = self._subscribed
        self._soon(lambda: subscribed.set_result(None) if subscribed and not subscribed.done() else None)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        topic, payload = message.topic, bytes(message.payload)
        self._soon(lambda: self.topics.received(topic, payload))
