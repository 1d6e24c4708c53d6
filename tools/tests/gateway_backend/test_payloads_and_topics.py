"""What stands in a payload and on which topic: both forms are read, and nonsense is refused by name."""

from __future__ import annotations

import json

import pytest
from chirpstack_api import gw

from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.gateway_backend.frame_kinds import mac_commands, message_type
from zaehlwerk_tools.gateway_backend.marshaler import Marshaler, UnreadablePayload, decode
from zaehlwerk_tools.gateway_backend.topics import Topics

GATEWAY = "0102030405060708"


def test_the_form_of_a_payload_is_seen_from_itself() -> None:
    state = gw.ConnState(gateway_id=GATEWAY, state=gw.ConnState.ONLINE)
    for form in Marshaler:
        assert decode(form.payload(state), gw.ConnState) == state


def test_json_is_one_line_with_the_names_that_chirpstack_reads() -> None:
    payload = Marshaler.JSON.payload(gw.ConnState(gateway_id=GATEWAY, state=gw.ConnState.ONLINE))
    assert json.loads(payload) == {"gatewayId": GATEWAY, "state": "ONLINE"}
    assert b"\n" not in payload


@pytest.mark.parametrize("payload", [b"{", b'{"items": 7}', b"\x0a\xff", b"{\xff}"])
def test_a_payload_that_is_not_the_message_is_refused_by_its_name(payload: bytes) -> None:
    with pytest.raises(UnreadablePayload, match="DownlinkFrame"):
        decode(payload, gw.DownlinkFrame)


def test_a_field_that_a_newer_server_has_is_passed_over() -> None:
    assert decode(b'{"gatewayId": "x", "novelty": 1}', gw.ConnState) == gw.ConnState(gateway_id="x")


def test_topics_stand_below_the_regions_prefix() -> None:
    topics = Topics("at_home/eu868")
    assert topics.stats(GATEWAY) == f"at_home/eu868/gateway/{GATEWAY}/event/stats"
    assert topics.state(GATEWAY) == f"at_home/eu868/gateway/{GATEWAY}/state/conn"


def test_an_empty_prefix_leaves_no_slash() -> None:
    assert Topics("").down(GATEWAY) == f"gateway/{GATEWAY}/command/down"


@pytest.mark.parametrize("prefix", ["eu868/", "/eu868", "eu+", "#", "$share/x", "eu\n868"])
def test_a_prefix_that_is_none_is_refused(prefix: str) -> None:
    with pytest.raises(ZaehlwerkError, match="--mqtt-topic-prefix"):
        Topics(prefix)


@pytest.mark.parametrize(
    ("phy", "commands"),
    [
        ("60c15990018e01000214010dc0332e581d0351ff0001d1935dfc", [0x02, 0x0D, 0x03]),  # recorded
        ("60c15990018600000350ff000106430dba09", [0x03, 0x06]),  # recorded
        ("60c1599001860000060351ff0001430dba09", [0x06, 0x03]),
        ("60c15990018000000a430dba09", []),
        ("60c1599001820000800d430dba09", []),  # an unknown command ends what can be told
        ("40c1599001820100020d019f2c066670973d", []),  # an uplink
        ("", []),
    ],
)
def test_the_mac_commands_of_a_downlink_are_told_without_a_key(phy: str, commands: list[int]) -> None:
    assert mac_commands(bytes.fromhex(phy)) == commands


def test_the_message_type_is_in_the_first_three_bits() -> None:
    assert [message_type(bytes([first])) for first in (0x00, 0x20, 0x40, 0xA0)] == [0, 1, 2, 5]
    assert message_type(b"") is None
