"""One virtual gateway's connection to the broker, as ChirpStack's MQTT forwarder keeps it: MQTT 5, a connection of its own.

Frames and answers go with QoS 0: late ones are worth nothing. Statistics and the state go with QoS 1, because a broker
says with their acknowledgement whether we may send and whether anybody listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable

from chirpstack_api import gw
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from zaehlwerk_tools.errors import BrokerError
from zaehlwerk_tools.gateway_backend.addresses import MqttAddress
from zaehlwerk_tools.gateway_backend.marshaler import Marshaler
from zaehlwerk_tools.gateway_backend.topics import Topics

CONNECT_S = 10.0
ANSWER_S = 10.0
KEEPALIVE_S = 30
RECONNECT_MOST_S = 5
FRAME_QOS, STATE_QOS = 0, 1

NO_MATCHING_SUBSCRIBERS = 0x10  # MQTT 5.0, 3.4.2.1
UNSUPPORTED_VERSION, BAD_LOGIN, NOT_AUTHORIZED = 0x84, 0x86, 0x87  # 3.2.2.2


class GatewayLink:
    """`on_down(payload)` is called in the event loop with every command that comes."""

    def __init__(
        self,
        gateway_id: str,
        address: MqttAddress,
        topics: Topics,
        marshaler: Marshaler,
        on_down: Callable[[bytes], None],
    ) -> None:
        self.gateway_id = gateway_id
        self.connects = 0
        self.dropped = 0
        """Frames and answers that were to be sent while there was no connection."""
        self._address = address
        self._topics = topics
        self._marshaler = marshaler
        self._on_down = on_down
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready: asyncio.Future[None] | None = None
        self._acknowledgements: dict[int, asyncio.Future[int]] = {}
        client = Client(
            CallbackAPIVersion.VERSION2,
            f"zaehlwerk-gateway-{gateway_id}",
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        client.connect_timeout = CONNECT_S
        client.reconnect_delay_set(1, RECONNECT_MOST_S)
        if address.username is not None:
            client.username_pw_set(address.username, address.password)
        client.will_set(topics.state(gateway_id), self._state(online=False), STATE_QOS, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        self._client = client

    async def connect(self) -> None:
        """Connects and subscribes to the gateway's commands. Raises BrokerError, which says what to check."""
        self._loop = asyncio.get_running_loop()
        self._ready = self._loop.create_future()
        address = self._address
        try:
            if address.tls:
                self._client.tls_set_context(_tls(address))
            await asyncio.to_thread(self._client.connect, address.host, address.port, KEEPALIVE_S)
        except ssl.SSLError as error:
            raise BrokerError(
                f"no TLS with the gateways' broker {address}: {error.reason or error}; check --mqtt-url, and --ca-file if "
                "the city has an authority of its own"
            ) from None
        except OSError as error:
            plain = address.tls and isinstance(error, ConnectionResetError)
            raise BrokerError(
                f"the gateways' broker {address} cannot be reached: {error.strerror or error}; "
                + ("does this port speak TLS? check --mqtt-url" if plain else "check --mqtt-url")
            ) from None
        self._client.loop_start()
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._ready
        except TimeoutError:
            await self._end()
            raise BrokerError(
                f"the gateways' broker {address} accepted the connection but did not answer within {CONNECT_S:.0f} s: is "
                "it an MQTT broker, and does its port speak TLS (mqtts://)?"
            ) from None
        except BaseException:
            await self._end()
            raise

    def uplink(self, frame: gw.UplinkFrame) -> bool:
        """Tells of a frame that was heard; False if there is no connection."""
        return self._send(self._topics.up(self.gateway_id), self._marshaler.payload(frame))

    def acknowledge(self, ack: gw.DownlinkTxAck) -> bool:
        """Answers a command; False if there is no connection."""
        return self._send(self._topics.ack(self.gateway_id), self._marshaler.payload(ack))

    async def stats(self, stats: gw.GatewayStats) -> int | None:
        """Sends statistics; the reason code with which the broker took them, None if it said nothing in time."""
        topic = self._topics.stats(self.gateway_id)
        return await self._publish(topic, self._marshaler.payload(stats), retain=False)

    async def close(self, *, forget: bool) -> None:
        """Disconnects. `forget` also clears the retained state, of a gateway that will not come back."""
        if self._client.is_connected():
            state = b"" if forget else self._state(online=False)
            await self._publish(self._topics.state(self.gateway_id), state, retain=True)
        self._client.disconnect()
        await self._end()

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return bool(self._client.is_connected())

    def _state(self, *, online: bool) -> bytes:
        state = gw.ConnState.ONLINE if online else gw.ConnState.OFFLINE
        return self._marshaler.payload(gw.ConnState(gateway_id=self.gateway_id, state=state))

    def _send(self, topic: str, payload: bytes) -> bool:
        sent = self._client.is_connected()
        if sent:
            sent = self._client.publish(topic, payload, FRAME_QOS).rc == MQTTErrorCode.MQTT_ERR_SUCCESS
        self.dropped += not sent
        return sent

    async def _publish(self, topic: str, payload: bytes, *, retain: bool) -> int | None:
        assert self._loop is not None
        if not self._client.is_connected():
            return None
        taken: asyncio.Future[int] = self._loop.create_future()
        info = self._client.publish(topic, payload, STATE_QOS, retain=retain)
        # The acknowledgement comes by way of the event loop, so it cannot be there before its future is.
        self._acknowledgements[info.mid] = taken
        try:
            async with asyncio.timeout(ANSWER_S):
                return await taken
        except TimeoutError:
            return None
        finally:
            self._acknowledgements.pop(info.mid, None)

    async def _end(self) -> None:
        await asyncio.to_thread(self._client.loop_stop)
        # paho closes its last sockets when it is collected: at once, if nobody of us holds it in a circle.
        client = self._client
        client.on_connect = client.on_disconnect = client.on_subscribe = None
        client.on_publish = client.on_message = None

    # What paho's thread calls.

    def _soon(self, call: Callable[[], None]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(call)

    def _settled(self, error: BrokerError | None = None) -> None:
        ready = self._ready

        def settle() -> None:
            if ready is not None and not ready.done():
                if error is None:
                    ready.set_result(None)
                else:
                    ready.set_exception(error)

        self._soon(settle)

    def _on_connect(
        self,
        client: Client,
        _data: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _more: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._settled(self._refused(reason))
            client.disconnect()
            return
        self.connects += 1
        client.subscribe(self._topics.down(self.gateway_id), options=SubscribeOptions(qos=FRAME_QOS))
        client.publish(self._topics.state(self.gateway_id), self._state(online=True), STATE_QOS, retain=True)

    def _refused(self, reason: ReasonCode) -> BrokerError:
        advice = {
            BAD_LOGIN: "check the user in --mqtt-url and its password",
            NOT_AUTHORIZED: "check the user in --mqtt-url and its password",
            UNSUPPORTED_VERSION: "it must speak MQTT 5",
        }.get(reason.value, "see its log")
        return BrokerError(f"the gateways' broker {self._address} refused the connection: {reason}; {advice}")

    def _on_subscribe(
        self, _client: Client, _data: object, _mid: int, reasons: list[ReasonCode], _more: Properties | None
    ) -> None:
        refused = [reason for reason in reasons if reason.is_failure]
        if refused:
            topic = self._topics.down(self.gateway_id)
            self._settled(
                BrokerError(
                    f"the gateways' broker {self._address} refused the subscription to {topic}: {refused[0]}; the user in "
                    "--mqtt-url needs the rights of a gateway"
                )
            )
        else:
            self._settled()

    def _on_disconnect(
        self,
        _client: Client,
        _data: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _more: Properties | None,
    ) -> None:
        # Later paho connects again by itself; before we ever got in, an end is a refusal.
        if self.connects == 0:
            self._settled(
                BrokerError(
                    f"the gateways' broker {self._address} closed the connection: {reason}; does its port speak TLS "
                    "(mqtts://), or is it no MQTT 5 broker?"
                )
            )

    def _on_publish(
        self, _client: Client, _data: object, mid: int, reason: ReasonCode, _more: Properties | None
    ) -> None:
        def settle() -> None:
            taken = self._acknowledgements.get(mid)
            if taken is not None and not taken.done():
                taken.set_result(int(reason.value))

        self._soon(settle)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        payload = bytes(message.payload)
        self._soon(lambda: self._on_down(payload))


def _tls(address: MqttAddress) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(address.ca_file) if address.ca_file else None)
