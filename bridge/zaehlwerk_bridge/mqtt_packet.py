"""The MQTT 5 packets that the bridge packs itself: PUBLISH, and what it needs to ask for a retained message."""

from collections.abc import Mapping
from functools import lru_cache

PUBLISH = 0x30  # MQTT 5.0, 2.1.2: types of packets, with the flags that they must have
PUBACK = 0x40
SUBSCRIBE = 0x82
UNSUBSCRIBE = 0xA2
_QOS_1 = 0x02  # MQTT 5.0, 3.3.1.2
_RETAIN = 0x01  # MQTT 5.0, 3.3.1.3
_RETAIN_AS_PUBLISHED = 0x08  # MQTT 5.0, 3.8.3.1
_NO_PROPERTIES = b"\0"
MORE = 0x80  # MQTT 5.0, 1.5.5: another byte of the length follows
_LENGTH_BYTES = 4  # MQTT 5.0, 1.5.5: at most

MESSAGE_EXPIRY = 0x02  # MQTT 5.0, 2.2.2.2: Message Expiry Interval, four byte integer, seconds
CONTENT_TYPE = 0x03  # MQTT 5.0, 2.2.2.2: Content Type, UTF-8 string
USER_PROPERTY = 0x26  # MQTT 5.0, 2.2.2.2: User Property, UTF-8 string pair
_MOST_TEXT = 0xFFFF  # MQTT 5.0, 1.5.4: strings are counted in two bytes


class PublishProperties:
    """Properties of a PUBLISH, packed once."""

    __slots__ = ("_packed",)

    def __init__(
        self, content_type: str, user_properties: Mapping[str, str], expires_s: int | None = None
    ) -> None:
        """`expires_s`: so many seconds the broker keeps the message, retained or waiting; None: as long as it can."""
        parts = [] if expires_s is None else [bytes((MESSAGE_EXPIRY,)) + expires_s.to_bytes(4, "big")]
        if content_type:
            parts.append(_property(CONTENT_TYPE, content_type))
        for name, value in user_properties.items():
            parts.append(_property(USER_PROPERTY, name))
            parts.append(_text(value))
        body = b"".join(parts)
        self._packed = variable_byte_integer(len(body)) + body

    def pack(self) -> bytes:
        """Return the property length and the properties (MQTT 5.0, 2.2.2)."""
        return self._packed


def publish_bytes(topic: str, payload_bytes: int, properties: PublishProperties) -> int:
    """Return the size of a whole PUBLISH packet of QoS 1 in bytes (MQTT 5.0, 3.3)."""
    remaining = len(_topic(topic)) + 2 + len(properties.pack()) + payload_bytes
    return 1 + len(variable_byte_integer(remaining)) + remaining


def publish(topic: str, payload: bytes, mid: int, *, retain: bool, properties: PublishProperties) -> bytes:
    """Return a PUBLISH of QoS 1 with the packet identifier `mid` (MQTT 5.0, 3.3)."""
    name, packed = _topic(topic), properties.pack()
    size = variable_byte_integer(len(name) + 2 + len(packed) + len(payload))
    first = PUBLISH | _QOS_1 | _RETAIN if retain else PUBLISH | _QOS_1
    return b"".join((bytes((first,)), size, name, mid.to_bytes(2, "big"), packed, payload))


def publish_once(topic: str, payload: bytes) -> bytes:
    """Return a PUBLISH of QoS 0 without properties."""
    return _packet(PUBLISH, _topic(topic) + _NO_PROPERTIES + payload)


def subscribe(topic: str, mid: int) -> bytes:
    """Return a SUBSCRIBE of QoS 0; messages tell whether they were retained or just published so (MQTT 5.0, 3.8)."""
    return _packet(
        SUBSCRIBE, mid.to_bytes(2, "big") + _NO_PROPERTIES + _text(topic) + bytes((_RETAIN_AS_PUBLISHED,))
    )


def unsubscribe(topic: str, mid: int) -> bytes:
    """Return an UNSUBSCRIBE (MQTT 5.0, 3.10)."""
    return _packet(UNSUBSCRIBE, mid.to_bytes(2, "big") + _NO_PROPERTIES + _text(topic))


def _packet(first: int, rest: bytes) -> bytes:
    return bytes((first,)) + variable_byte_integer(len(rest)) + rest


@lru_cache(maxsize=64)
def _property(identifier: int, text: str) -> bytes:
    return bytes((identifier,)) + _text(text)


@lru_cache(maxsize=4096)
def _topic(topic: str) -> bytes:
    return _text(topic)


def variable_byte_integer(value: int) -> bytes:
    """Return `value` as a Variable Byte Integer (MQTT 5.0, 1.5.5)."""
    packed = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        packed.append(low | 0x80 if value else low)
        if not value:
            return bytes(packed)


def read_length(data: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """Return the Variable Byte Integer that begins at `at`, and where what it counts begins; None: not all of it is there.

    Of one that is longer than any may be, a length of -1.
    """
    length = 0
    for place in range(_LENGTH_BYTES):
        if at + place >= len(data):
            return None
        byte = data[at + place]
        length |= (byte & ~MORE) << 7 * place
        if not byte & MORE:
            return length, at + place + 1
    return -1, at + _LENGTH_BYTES


def _text(text: str) -> bytes:
    data = text.encode()
    if len(data) > _MOST_TEXT:
        raise ValueError(f"text of {len(data)} bytes does not fit into an MQTT string")
    return len(data).to_bytes(2, "big") + data
