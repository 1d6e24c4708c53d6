"""One MQTT 5 connection from CONNECT to its end, by paho's own loop calls in asyncio.

Messages that are published go past paho, which takes too long for each: see `mqtt_wire`.

A session is used once: after its end a new one is made, so nothing of an old one is ever sent again by paho itself.
The broker is a real machine, so waits for it are in real time, whatever clock the rest of the bridge has.
"""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from zaehlwerk_bridge import mqtt_packet
from zaehlwerk_bridge.errors import BridgeError, SettingsError
from zaehlwerk_bridge.mqtt_packet import PublishProperties
from zaehlwerk_bridge.mqtt_wire import Wire
from zaehlwerk_bridge.secret_file import SecretFile
from zaehlwerk_bridge.settings import MqttSettings

SUCCESS = 0x00  # MQTT 5.0, 2.4
NO_MATCHING_SUBSCRIBERS = 0x10
FIRST_ERROR = 0x80
MALFORMED_PACKET = 0x81
PROTOCOL_ERROR = 0x82
SESSION_TAKEN_OVER = 0x8E
TOPIC_NAME_INVALID = 0x90
PACKET_TOO_LARGE = 0x95
PAYLOAD_FORMAT_INVALID = 0x99

RECEIVE_MAXIMUM_DEFAULT = 65535  # MQTT 5.0, 3.2.2.3.3
MID_MOST = 65535  # MQTT 5.0, 2.2.1: packet identifiers have two bytes and are not zero
GOODBYE_S = 0.5
_MISC_S = 1.0


class ConnectFailed(BridgeError):
    """The broker was not reached or refused; the text says which. `code`: its reason code, None if it gave none."""

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Limits:
    """What the broker said in its CONNACK (MQTT 5.0, 3.2.2.3)."""

    receive_maximum: int
    maximum_packet_size: int | None
    """Bytes of a whole packet; None: no limit was named."""
    maximum_qos: int
    retain_available: bool


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """Why a session is over. `code`: the broker's reason code, None if it said nothing."""

    reason: str
    code: int | None
    unreadable: bool = False
    """The broker sent something that is no MQTT 5."""


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes, retained and with QoS 1, if the session ends without a DISCONNECT."""

    topic: str
    payload: bytes


class MqttSession:
    """`acknowledged(mid, reason_code)` is called for every PUBACK, `answered()` after all that came at once;
    `received(topic, payload, retained)` for every message of a subscription; `ended` is done when the connection is over."""

    def __init__(
        self,
        settings: MqttSettings,
        client_id: str,
        password: SecretFile | None,
        will: Will | None,
        acknowledged: Callable[[int, int], None],
        received: Callable[[str, bytes, bool], None] | None = None,
        answered: Callable[[], None] | None = None,
    ) -> None:
        self._settings = settings
        self._acknowledged = acknowledged
        self._received = received
        self._answered = answered
        self._mid = 0
        self._unanswered: set[int] = set()
        self._loop = asyncio.get_running_loop()
        self._wire: Wire | None = None
        self._writing = False
        self._misc: asyncio.TimerHandle | None = None
        self._connack: asyncio.Future[Limits] = self._loop.create_future()
        self.ended: asyncio.Future[SessionEnd] = self._loop.create_future()
        client = _Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5, reconnect_on_failure=False
        )
        client.connect_timeout = settings.connect_timeout_s
        if settings.username is not None:
            client.username_pw_set(settings.username, password.read() if password is not None else None)
        if not settings.insecure:
            client.tls_set_context(_tls(settings))
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        self._client = client

    async def connect(self, session_expiry_s: int = 0) -> Limits:
        """Connect; raises ConnectFailed.

        `session_expiry_s` 0: with a clean start, and the session ends with the connection. Else the session that there is
        goes on, and is kept so long after the connection.
        """
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = session_expiry_s
        self._add_limits(properties)
        settings = self._settings
        where = f"{settings.host}:{settings.effective_port}"
        opening = _on_a_thread(
            lambda: self._client.connect(
                settings.host,
                settings.effective_port,
                settings.keepalive_s,
                clean_start=not session_expiry_s,
                properties=properties,
            )
        )
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread cannot be stopped; what it opens is closed when it is done.
            opening.add_done_callback(self._drop_late)
            raise
        except ssl.SSLError as error:
            raise ConnectFailed(f"{where}: TLS failed: {error.reason or error}") from None
        except OSError as error:
            raise ConnectFailed(f"{where}: {error.strerror or error}") from None
        except ValueError as error:
            raise ConnectFailed(f"{where}: {error}") from None
        self._attach()
        try:
            async with asyncio.timeout(settings.connect_timeout_s):
                await asyncio.wait((self._connack, self.ended), return_when=asyncio.FIRST_COMPLETED)
                if not self._connack.done():
                    raise ConnectFailed(
                        f"{where}: connection closed before any answer ({self.ended.result().reason})"
                    )
                return self._connack.result()
        except TimeoutError:
            raise ConnectFailed(
                f"{where}: no answer to CONNECT in {settings.connect_timeout_s:g} s"
            ) from None
        except ConnectFailed as error:
            raise ConnectFailed(
                str(error) if where in str(error) else f"{where}: {error}", error.code
            ) from None
        finally:
            if not self._connack.done() or self._connack.cancelled() or self._connack.exception() is not None:
                self._drop()

    def _add_limits(self, properties: Properties) -> None:
        """What this side can take: no limits."""

    def publish(self, topic: str, payload: bytes, retain: bool, properties: PublishProperties) -> int:
        """Queue a PUBLISH of QoS 1 and return its packet identifier; `flush()` sends it."""
        mid = self._next_mid()
        if self._wire is not None:
            self._unanswered.add(mid)
            self._wire.put(mqtt_packet.publish(topic, payload, mid, retain=retain, properties=properties))
        return mid

    def ask(self, topic: str, mark: bytes) -> None:
        """Subscribe to `topic`, and publish `mark` there: what is retained comes back, and then `mark`."""
        if self._wire is not None:
            self._wire.put(mqtt_packet.subscribe(topic, self._next_mid()))
            self._wire.put(mqtt_packet.publish_once(topic, mark))

    def forget(self, topic: str) -> None:
        """End the subscription of `topic`."""
        if self._wire is not None:
            self._wire.put(mqtt_packet.unsubscribe(topic, self._next_mid()))

    def flush(self) -> None:
        """Send what is queued as far as the socket takes it; the rest follows by itself."""
        wire = self._wire
        if wire is None:
            return
        if self._client.want_write():
            self._client.loop_write()
        try:
            wire.flush()
        except OSError as error:
            # Not from here: the caller is in the middle of what it does.
            wire.fail(error)
            self._loop.call_soon(self._readable)
            return
        if wire.something_to_write != self._writing and self._wire is not None:
            self._writing = not self._writing
            if self._writing:
                self._loop.add_writer(wire, self.flush)
            else:
                self._loop.remove_writer(wire)

    def _next_mid(self) -> int:
        """The next packet identifier that no unanswered PUBLISH has (MQTT 5.0, 2.2.1)."""
        while True:
            self._mid = self._mid % MID_MOST + 1
            if self._mid not in self._unanswered:
                return self._mid

    def peer_certificate(self) -> object:
        """Return the broker's certificate as the standard library tells it (`getpeercert`), None without TLS."""
        wire = self._wire
        return wire.sock.getpeercert() if wire is not None and isinstance(wire.sock, ssl.SSLSocket) else None

    async def disconnect(self) -> None:
        """Say goodbye (the will is not published then) and close."""
        if self._client.socket() is not None:
            self._client.disconnect()
            self.flush()
            await asyncio.wait((self.ended,), timeout=GOODBYE_S)
        self._drop()

    def close(self) -> None:
        """Close without a goodbye: the broker publishes the will."""
        self._drop()

    def _attach(self) -> None:
        wire: Any = self._client.socket()
        if wire is None:
            return
        self._wire = wire
        self._client.on_socket_close = self._on_socket_close
        self._loop.add_reader(wire, self._readable)
        self._misc = self._loop.call_later(_MISC_S, self._misc_due)
        self.flush()

    def _readable(self) -> None:
        wire = self._wire
        if wire is None:
            return
        wire.read()
        if wire.acknowledgements:
            acknowledgements, wire.acknowledgements = wire.acknowledgements, []
            for mid, code in acknowledgements:
                self._unanswered.discard(mid)
                self._acknowledged(mid, code)
            if self._answered is not None:
                self._answered()
        while wire.something_for_paho and self._wire is wire:
            if self._client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return

    def _misc_due(self) -> None:
        self._client.loop_misc()
        if self._wire is not None:
            self.flush()
            self._misc = self._loop.call_later(_MISC_S, self._misc_due)

    def _on_socket_close(self, _client: object, _data: object, _sock: object) -> None:
        self._detach()

    def _on_connect(
        self, _client: object, _data: object, _flags: object, code: ReasonCode, properties: Properties | None
    ) -> None:
        if self._connack.done():
            return
        if code.is_failure:
            reason = getattr(properties, "ReasonString", "")
            text = f"the broker refused the connection: {code.value} {code}{': ' + reason if reason else ''}"
            self._connack.set_exception(ConnectFailed(text, code.value))
            return
        self._connack.set_result(
            Limits(
                getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM_DEFAULT),
                getattr(properties, "MaximumPacketSize", None),
                getattr(properties, "MaximumQoS", 2),
                bool(getattr(properties, "RetainAvailable", 1)),
            )
        )

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        if self._received is not None:
            self._received(message.topic, bytes(message.payload), message.retain)

    def _on_disconnect(
        self,
        _client: object,
        _data: object,
        flags: paho.DisconnectFlags,
        code: ReasonCode,
        properties: object,
    ) -> None:
        if self.ended.done():
            return
        if flags.is_disconnect_packet_from_server:
            reason = getattr(properties, "ReasonString", "")
            text = f"the broker closed the connection: {code.value} {code}{': ' + reason if reason else ''}"
            self.ended.set_result(SessionEnd(text, code.value))
        else:
            unreadable = code.value == PROTOCOL_ERROR
            reason = "the broker's answer is not MQTT 5" if unreadable else f"connection lost: {code}"
            self.ended.set_result(SessionEnd(reason, None, unreadable))

    def _drop_late(self, opening: asyncio.Future[None]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self._drop()

    def _drop(self) -> None:
        wire: Any = self._client.socket()
        if wire is not None:
            self._detach()
            wire.close()
        if not self.ended.done():
            self.ended.set_result(SessionEnd("closed by the bridge", None))

    def _detach(self) -> None:
        if self._misc is not None:
            self._misc.cancel()
            self._misc = None
        wire, self._wire = self._wire, None
        if wire is not None and wire.fileno() >= 0:
            self._loop.remove_reader(wire)
            self._loop.remove_writer(wire)


class _Client(paho.Client):
    """paho's client on a wire of ours. As with its own WebSockets, all it does with a socket it does with that."""

    def _create_socket(self) -> Any:
        opened: Any = super()._create_socket()
        return Wire(opened)


def reason_name(code: int) -> str:
    """Return the number and the name of a PUBACK's reason code (MQTT 5.0, 3.4.2.1)."""
    try:
        return f"{code} {ReasonCode(PacketTypes.PUBACK, identifier=code)}"
    except (AssertionError, KeyError, ValueError):  # paho does not know it for a PUBACK
        return f"{code}"


def _on_a_thread(function: Callable[[], object]) -> asyncio.Future[None]:
    """Run a blocking call on a daemon thread: unlike a pool's, it does not keep a stopping program from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(error: Exception | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error = None
        try:
            function()
        except Exception as raised:  # noqa: BLE001 - handed on to who waits
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, error)

    threading.Thread(target=run, name="mqtt connect", daemon=True).start()
    return done


class _TlsSocket(ssl.SSLSocket):
    """Closes itself if its handshake fails: paho forgets such a socket."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def _tls(settings: MqttSettings) -> ssl.SSLContext:
    """TLS 1.2 or later with the system's authorities, or with the one in the settings. Raises SettingsError."""
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise SettingsError([f"mqtt.ca_file: cannot use {settings.ca_file}: {_why(error)}"]) from None
    if settings.cert_file is not None and settings.key_file is not None:
        try:
            context.load_cert_chain(settings.cert_file, settings.key_file)
        except OSError as error:
            where = f"{settings.cert_file} with {settings.key_file}"
            raise SettingsError([f"mqtt.cert_file: cannot use {where}: {_why(error)}"]) from None
    context.sslsocket_class = _TlsSocket
    return context


def _why(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or str(error)
