"""The parts of an MQTT 5 PUBLISH that the bridge packs itself, and what the packet will weigh."""

from collections.abc import Mapping

CONTENT_TYPE = 0x03  # MQTT 5.0, 2.2.2.2: Content Type, UTF-8 string
USER_PROPERTY = 0x26  # MQTT 5.0, 2.2.2.2: User Property, UTF-8 string pair
_MOST_TEXT = 0xFFFF  # MQTT 5.0, 1.5.4: strings are counted in two bytes


class PublishProperties:
    """Properties of a PUBLISH, packed once. paho asks for `pack()` alone, and packs its own Properties slowly."""

    __slots__ = ("_packed",)

    def __init__(self, content_type: str, user_properties: Mapping[str, str]) -> None:
        body = bytearray()
        if content_type:
            body.append(CONTENT_TYPE)
            body += _text(content_type)
        for name, value in user_properties.items():
            body.append(USER_PROPERTY)
            body += _text(name)
            body += _text(value)
        self._packed = variable_byte_integer(len(body)) + bytes(body)

    def pack(self) -> bytes:
        """Return the property length and the properties (MQTT 5.0, 2.2.2)."""
        return self._packed


def publish_bytes(topic: str, payload_bytes: int, properties: PublishProperties) -> int:
    """Return the size of a whole PUBLISH packet of QoS 1 in bytes (MQTT 5.0, 3.3)."""
    remaining = 2 + len(topic.encode()) + 2 + len(properties.pack()) + payload_bytes
    return 1 + len(variable_byte_integer(remaining)) + remaining


def variable_byte_integer(value: int) -> bytes:
    """Return `value` as a Variable Byte Integer (MQTT 5.0, 1.5.5)."""
    packed = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        packed.append(low | 0x80 if value else low)
        if not value:
            return bytes(packed)


def _text(text: str) -> bytes:
    data = text.encode()
    if len(data) > _MOST_TEXT:
        raise ValueError(f"text of {len(data)} bytes does not fit into an MQTT string")
    return len(data).to_bytes(2, "big") + data
