"""The subscriber of the benches: an MQTT 5 client that takes as little of the machine as it can.

It stands on the same two cores as what is measured. paho's client takes more processor time for a message than the
bridge does, so it would be measured instead; this one takes whatever has come with one read, and acknowledges it with
one write.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence

from zaehlwerk_bridge.mqtt_packet import PUBACK, PUBLISH, read_length, variable_byte_integer
from zaehlwerk_tools.errors import BrokerError
from zaehlwerk_tools.plan import Broker

CONNECT_S = 20.0
_READ_BYTES = 1 << 20
_TYPE = 0xF0  # MQTT 5.0, 2.1.2: the upper four bits
_CONNECT = 0x10
_CONNACK = 0x20
_SUBSCRIBE = 0x82
_SUBACK = 0x90
_DISCONNECT = 0xE0
_QOS = 0x06  # MQTT 5.0, 3.3.1.2
_QOS_1 = 1
_VERSION = 5  # MQTT 5.0, 3.1.2.2
_CLEAN_START = 0x02  # MQTT 5.0, 3.1.2.4
_RECEIVE_MAXIMUM = 0x21  # MQTT 5.0, 3.1.2.11.3: two bytes
_MOST_UNANSWERED = 65535
_NO_KEEP_ALIVE = 0  # MQTT 5.0, 3.1.2.10
_FIRST_ERROR = 0x80  # MQTT 5.0, 2.4


class Subscriber:
    """Calls `take(at, topic, payload)` on its own thread for every message of `topics` (QoS 1); `at` is when it had been read, seconds of the monotonic clock. Raises BrokerError if the broker is not there or does not take the subscription."""

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        topics: Sequence[str],
        take: Callable[[float, str, bytes], None],
    ) -> None:
        self._where = f"the broker at {broker.host}:{broker.port}"
        self._take = take
        self._names: dict[bytes, str] = {}
        self._subscribed = False
        try:
            self._socket = socket.create_connection((broker.host, broker.port), CONNECT_S)
        except OSError as error:
            raise BrokerError(
                f"no broker at {broker.host}:{broker.port}: {error.strerror or error}"
            ) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        properties = struct.pack(">BH", _RECEIVE_MAXIMUM, _MOST_UNANSWERED)
        connect = (
            _text("MQTT")
            + struct.pack(">BBH", _VERSION, _CLEAN_START, _NO_KEEP_ALIVE)
            + bytes((len(properties),))
            + properties
            + _text(client_id)
        )
        wanted = b"".join(_text(topic) + bytes((_QOS_1,)) for topic in topics)
        self._in = bytearray()
        try:
            self._socket.sendall(_packet(_CONNECT, connect) + _packet(_SUBSCRIBE, b"\0\1\0" + wanted))
            while not self._subscribed:
                if not self._read():
                    raise BrokerError(f"{self._where} closed the connection before it took a subscription")
        except OSError as error:
            self._socket.close()
            raise BrokerError(f"{self._where} did not take a subscription: {error}") from error
        except BrokerError:
            self._socket.close()
            raise
        self._socket.settimeout(None)
        self._closing = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="subscriber", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises BrokerError if the connection has ended, and what `take` has raised."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Leave the broker; raises as `check` does."""
        self._closing = True
        try:
            self._socket.sendall(_packet(_DISCONNECT, b""))
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended by itself
        self._thread.join(CONNECT_S)
        self._socket.close()
        self.check()

    def _run(self) -> None:
        try:
            while self._read():
                pass
            if not self._closing:
                self._failure = BrokerError(f"{self._where} closed the connection")
        except OSError as error:
            if not self._closing:
                self._failure = BrokerError(f"{self._where} is gone: {error}")
        except Exception as error:  # noqa: BLE001 - handed on to who asks
            self._failure = error

    def _read(self) -> bool:
        """Read once and deal with all whole packets; False at the end."""
        data = self._socket.recv(_READ_BYTES)
        if not data:
            return False
        at_s = time.monotonic()
        self._in += data
        packets, at, end = self._in, 0, len(self._in)
        answers = bytearray()
        while end - at >= 2:
            length = read_length(packets, at + 1)
            if length is None or end - length[1] < length[0]:
                break
            size, body = length
            kind = packets[at] & _TYPE
            if kind == PUBLISH:
                self._publish(at_s, packets[at], bytes(packets[body : body + size]), answers)
            else:
                self._other(kind, packets[body : body + size])
            at = body + size
        del packets[:at]
        if answers:
            self._socket.sendall(answers)
        return True

    def _publish(self, at_s: float, first: int, body: bytes, answers: bytearray) -> None:
        """MQTT 5.0, 3.3."""
        at = 2 + (body[0] << 8 | body[1])
        name = body[2:at]
        topic = self._names.get(name)
        if topic is None:
            topic = self._names[name] = name.decode()
        if first & _QOS:
            answers += bytes((PUBACK, 2)) + body[at : at + 2]
            at += 2
        size, at = read_length(body, at) or (0, len(body))  # of the properties
        self._take(at_s, topic, body[at + size :])

    def _other(self, kind: int, body: bytearray) -> None:
        if kind == _CONNACK and body[1] >= _FIRST_ERROR:
            raise BrokerError(f"{self._where} refused the connection: reason code {body[1]}")
        if kind == _SUBACK:
            if body[-1] >= _FIRST_ERROR:
                raise BrokerError(f"{self._where} refused the subscription: reason code {body[-1]}")
            self._subscribed = True
        if kind == _DISCONNECT:
            raise BrokerError(f"{self._where} closed the connection: reason code {body[0] if body else 0}")


def _packet(first: int, rest: bytes) -> bytes:
    return bytes((first,)) + variable_byte_integer(len(rest)) + rest


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data
