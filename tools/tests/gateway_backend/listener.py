"""Somebody else at the broker: hears everything on gateway topics, and can say something."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from zaehlwerk_tools.plan import Broker

WAIT_S = 15


class Listener:
    """`heard` are (topic, payload) in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._subscribed: asyncio.Future[None] = self._loop.create_future()
        self._marker = f"marker/{secrets.token_hex(4)}"
        self._marked = 0
        client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        client.on_connect = lambda c, *_: c.subscribe([("+/gateway/#", 1), (self._marker, 1)])
        client.on_subscribe = lambda *_: self._loop.call_soon_threadsafe(self._subscribed.set_result, None)
        client.on_message = self._on_message
        self._client = client

    def say(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, 1)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when it is so; TimeoutError if it never is."""
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self._changed.clear()
                # What is waited for may also be another client's, who does not tell.
                try:
                    async with asyncio.timeout(0.05):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    async def drained(self) -> None:
        """Everything that the broker had for us has come."""
        before = self._marked
        self.say(self._marker, b"")
        await self.until(lambda: self._marked > before)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        topic, payload = message.topic, bytes(message.payload)

        def take() -> None:
            if topic == self._marker:
                self._marked += 1
            else:
                self.heard.append((topic, payload))
            self._changed.set()

        self._loop.call_soon_threadsafe(take)


@asynccontextmanager
async def listening(broker: Broker) -> AsyncIterator[Listener]:
    """A listener that has subscribed."""
    listener = Listener()
    await asyncio.to_thread(listener._client.connect, broker.host, broker.port)
    listener._client.loop_start()
    try:
        async with asyncio.timeout(WAIT_S):
            await listener._subscribed
        yield listener
    finally:
        listener._client.disconnect()
        await asyncio.to_thread(listener._client.loop_stop)
        # paho closes its last sockets when it is collected: at once, if nobody holds it in a circle.
        listener._client.on_connect = listener._client.on_subscribe = listener._client.on_message = None
