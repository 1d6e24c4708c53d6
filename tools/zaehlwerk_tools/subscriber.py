"""A plain MQTT 5 subscriber, as any platform could have it: session of its own, PUBACK after commit.

paho's thread receives and writes; the rest of the program waits on it with `drain` and reads when that returned.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from zaehlwerk_tools.consumer_store import ConsumerStore, UnreadableMessageError
from zaehlwerk_tools.errors import BrokerError
from zaehlwerk_tools.plan import Broker
from zaehlwerk_tools.records import Published

CONNECT_S = 10.0
DRAIN_S = 60.0
SESSION_EXPIRY_S = 3600
QOS = 1


class Subscriber:
    """Subscribes to all stations' `count`, `span` and `alarm`, and to what the bridge rejected."""

    def __init__(self, broker: Broker, database: Path, prefix: str) -> None:
        self._broker = broker
        self._prefix = prefix
        self._store = ConsumerStore(database)
        self._lock = threading.Lock()
        self._client_id = f"zaehlwerk-subscriber-{secrets.token_hex(4)}"
        self._marker_topic = f"{prefix}/v1/subscriber/{self._client_id}/marker"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscribed: asyncio.Future[None] | None = None
        self._marker: tuple[bytes, asyncio.Future[None]] | None = None
        self._failure: Exception | None = None
        self.rejected = 0  # frames that the bridge published as rejected
        self.alarms: list[str] = []  # JSON as it came, in the order of arrival
        self.connects = 0
        self._client = Client(
            CallbackAPIVersion.VERSION2, self._client_id, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True
        )
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish

    async def start(self) -> None:
        """Connects and subscribes. Raises BrokerError if the broker is not there or refuses."""
        self._loop = asyncio.get_running_loop()
        self._subscribed = self._loop.create_future()
        properties = _session_expiry(PacketTypes.CONNECT, SESSION_EXPIRY_S)
        try:
            await asyncio.to_thread(
                self._client.connect,
                self._broker.host,
                self._broker.port,
                clean_start=False,
                properties=properties,
            )
        except OSError as error:
            self._let_go()
            raise BrokerError(f"no broker at {self._where}: {error.strerror or error}") from error
        self._client.loop_start()
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._subscribed
        except TimeoutError:
            await self.stop()
            raise BrokerError(
                f"the broker at {self._where} did not answer within {CONNECT_S:.0f} s"
            ) from None
        except BrokerError:
            await self.stop()
            raise

    async def drain(self, timeout_s: float = DRAIN_S) -> None:
        """Returns when everything that the broker had queued for us at this moment is committed.

        The broker delivers to one client in order, so a marker of our own comes after all that was before it.
        Raises BrokerError if it does not come, and UnreadableMessageError if a message was not as promised.
        """
        self.check()
        marker = secrets.token_bytes(8)
        arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._marker = (marker, arrived)
        self._client.publish(self._marker_topic, marker, qos=QOS)
        try:
            async with asyncio.timeout(timeout_s):
                await arrived
        except TimeoutError:
            self.check()
            raise BrokerError(
                f"the broker at {self._where} did not deliver within {timeout_s:.0f} s"
            ) from None
        self.check()

    def check(self) -> None:
        """Raises what went wrong in paho's thread, if anything did."""
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> None:
        """Disconnects and gives up the session. The records stay readable. Safe to call twice."""
        properties = _session_expiry(PacketTypes.DISCONNECT, 0)
        self._client.disconnect(properties=properties)
        await asyncio.to_thread(self._client.loop_stop)
        self._let_go()

    def _let_go(self) -> None:
        """paho closes its last sockets when it is collected: at once, if nobody of us holds it in a circle."""
        self._client.on_connect = self._client.on_disconnect = None
        self._client.on_subscribe = self._client.on_message = self._client.on_publish = None

    def close(self) -> None:
        """Closes the database; call after `stop` and the last `records`."""
        with self._lock:
            self._store.close()

    def records(self) -> list[Published]:
        """What stands now: of the highest revision, superseded by none."""
        with self._lock:
            return list(self._store.records())

    @property
    def messages(self) -> int:
        """Messages taken, redeliveries included."""
        return self._store.messages

    @property
    def redelivered(self) -> int:
        """Records that came again or late and changed nothing."""
        return self._store.redelivered

    @property
    def _where(self) -> str:
        return f"{self._broker.host}:{self._broker.port}"

    def _topics(self) -> Iterator[str]:
        yield f"{self._prefix}/v1/+/count"
        yield f"{self._prefix}/v1/+/span"
        yield f"{self._prefix}/v1/+/alarm"
        yield f"{self._prefix}/v1/bridge/+/rejected"
        yield self._marker_topic

    def _settle(self, future: asyncio.Future[None] | None, error: Exception | None = None) -> None:
        """Ends a future of the event loop from paho's thread."""

        def settle() -> None:
            if future is not None and not future.done():
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)

        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(settle)

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        self._settle(self._subscribed, error)
        if self._marker is not None:
            self._settle(self._marker[1], error)

    def _on_connect(
        self,
        client: Client,
        _data: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _more: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._fail(BrokerError(f"the broker at {self._where} refused the subscriber: {reason}"))
            client.disconnect()
            return
        self.connects += 1
        client.subscribe([(topic, SubscribeOptions(qos=QOS)) for topic in self._topics()])

    def _on_subscribe(
        self, _client: Client, _data: object, _mid: int, reasons: list[ReasonCode], _more: Properties | None
    ) -> None:
        refused = [
            f"{topic}: {reason}"
            for topic, reason in zip(self._topics(), reasons, strict=False)
            if reason.is_failure
        ]
        if refused:
            self._fail(BrokerError(f"the broker at {self._where} refused a subscription: {refused[0]}"))
        else:
            self._settle(self._subscribed)

    def _on_disconnect(
        self,
        _client: Client,
        _data: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _more: Properties | None,
    ) -> None:
        # The session is kept, so a reconnect loses nothing; paho tries again by itself. Before we ever got in,
        # an end of the connection is a refusal.
        if self.connects == 0:
            self._fail(BrokerError(f"the broker at {self._where} closed the connection: {reason}"))

    def _on_publish(
        self, _client: Client, _data: object, _mid: int, reason: ReasonCode, _more: Properties | None
    ) -> None:
        # 16, no matching subscribers, would be as bad here: the marker is for ourselves.
        if reason.is_failure or reason.value:
            self._fail(BrokerError(f"the broker at {self._where} refused {self._marker_topic}: {reason}"))

    def _on_message(self, client: Client, _data: object, message: MQTTMessage) -> None:
        if message.topic == self._marker_topic:
            if self._marker is not None and message.payload == self._marker[0]:
                self._settle(self._marker[1])
        elif message.topic.endswith("/rejected"):
            self.rejected += 1
        elif message.topic.endswith("/alarm"):
            # Of a message that came twice one is enough; nobody adds alarms up.
            self.alarms.append(bytes(message.payload).decode())
        else:
            try:
                with self._lock:
                    self._store.apply(message.topic, bytes(message.payload))
            except UnreadableMessageError as error:
                self._fail(error)
                return  # not acknowledged: it was not taken
        client.ack(message.mid, message.qos)


def _session_expiry(packet_type: int, seconds: int) -> Properties:
    properties = Properties(packet_type)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = seconds
    return properties
