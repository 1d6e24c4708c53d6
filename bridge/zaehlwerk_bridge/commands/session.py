"""The MQTT session on which commands come: it outlives its connection, and a command is acknowledged when it is stored."""

from collections.abc import Callable

import paho.mqtt.client as paho
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from zaehlwerk_bridge.mqtt_session import MqttSession
from zaehlwerk_bridge.secret_file import SecretFile
from zaehlwerk_bridge.settings import MqttSettings

RECEIVE_MAXIMUM = 10
"""So many commands may be on their way to the store: the broker holds the others."""
MAXIMUM_PACKET_BYTES = 2 * 1024 * 1024
"""The broker throws larger packets away unsent (MQTT 5.0, 3.1.2.11.4): what is smaller gets an answer that says why not."""
QOS = 1


class CommandSession(MqttSession):
    """`received(mid, topic, payload)` is called for every message; `subscribed(reason_code)` for the subscription."""

    def __init__(
        self,
        settings: MqttSettings,
        client_id: str,
        password: SecretFile | None,
        received: Callable[[int, str, bytes], None],
        subscribed: Callable[[int], None],
    ) -> None:
        super().__init__(settings, client_id, password, None, lambda _mid, _code: None)
        self._command = received
        self._subscribed = subscribed
        self._client.manual_ack_set(True)
        self._client.on_subscribe = self._on_subscribe

    def subscribe(self, topic: str) -> None:
        """Ask for the messages of `topic`; what is retained there was not said to this session and is not wanted."""
        options = SubscribeOptions(qos=QOS, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        self._client.subscribe(topic, options=options)
        self.flush()

    def done(self, mid: int) -> None:
        """Acknowledge a message: the broker forgets it."""
        self._client.ack(mid, QOS)
        self.flush()

    def _add_limits(self, properties: Properties) -> None:
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        properties.MaximumPacketSize = MAXIMUM_PACKET_BYTES

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        # A publisher may set QoS 0 below the subscription's: such a message needs no acknowledgement.
        self._command(message.mid if message.qos else 0, message.topic, bytes(message.payload))

    def _on_subscribe(
        self, _client: object, _data: object, _mid: int, codes: list[ReasonCode], _properties: object
    ) -> None:
        for code in codes:
            self._subscribed(code.value)
