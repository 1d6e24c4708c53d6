"""How a message stands in an MQTT payload: protobuf, or proto3 JSON. ChirpStack answers each gateway in its own way.

ChirpStack takes a payload that holds the text `gatewayId` for JSON, and from then on sends that gateway JSON.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

_Message = TypeVar("_Message", bound=Message)


class UnreadablePayload(ValueError):
    """A payload is not the message that its topic promises."""


class Marshaler(StrEnum):
    """The two forms."""

    PROTOBUF = "protobuf"
    JSON = "json"

    def payload(self, message: Message) -> bytes:
        """What says `message`."""
        if self is Marshaler.PROTOBUF:
            return bytes(message.SerializeToString())
        return json_format.MessageToJson(message, indent=None).encode()


def decode(payload: bytes, message: type[_Message]) -> _Message:
    """Reads either form. Raises UnreadablePayload.

    0x7b, which begins every JSON object, begins no message of gw.proto: it would be field 15 as a group, and there are none.
    """
    try:
        if payload[:1] == b"{":
            return json_format.Parse(payload, message(), ignore_unknown_fields=True)
        return message.FromString(payload)
    except (DecodeError, json_format.ParseError, UnicodeDecodeError) as error:
        raise UnreadablePayload(f"{message.DESCRIPTOR.name}: {error}") from None
