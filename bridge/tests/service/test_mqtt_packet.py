"""The properties that are packed here are the ones that paho would pack."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers

from zaehlwerk_bridge.mqtt_packet import PublishProperties, publish_bytes, variable_byte_integer

_TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=50)


@settings(deadline=None)
@given(
    st.sampled_from(["", "application/json"]),
    st.dictionaries(_TEXT, _TEXT, max_size=6),
    st.none() | st.integers(0, 0xFFFFFFFF),
)
def test_properties_are_packed_as_paho_packs_them(
    content_type: str, user: dict[str, str], expires_s: int | None
) -> None:
    theirs = Properties(PacketTypes.PUBLISH)
    if expires_s is not None:
        theirs.MessageExpiryInterval = expires_s
    if content_type:
        theirs.ContentType = content_type
    for pair in user.items():
        theirs.UserProperty = pair
    assert PublishProperties(content_type, user, expires_s).pack() == theirs.pack()


@settings(deadline=None)
@given(st.integers(0, 268_435_455))
def test_lengths_are_packed_as_paho_packs_them(value: int) -> None:
    assert variable_byte_integer(value) == VariableByteIntegers.encode(value)


def test_the_size_of_a_packet_counts_every_byte() -> None:
    """Fixed header 1 + 2, topic 2 + 3, packet identifier 2, properties 1 + 3 + 16, payload 200."""
    properties = PublishProperties("application/json", {})
    assert publish_bytes("a/ä", 200, properties) == 3 + (2 + len("a/ä".encode())) + 2 + (1 + 3 + 16) + 200
    assert struct.calcsize("!H") == 2
