"""What gateways and a real ChirpStack said to each other is what we read, and what we would have said in their place."""

from __future__ import annotations

import pytest
from chirpstack_api import gw
from google.protobuf import json_format

from tools.tests.gateway_backend.recorded import MESSAGES, Recorded, heard_of, recorded
from zaehlwerk_tools.gateway_backend.downlinks import Transmission, answer, transmission
from zaehlwerk_tools.gateway_backend.gateway_time import NS, context
from zaehlwerk_tools.gateway_backend.marshaler import Marshaler, decode
from zaehlwerk_tools.gateway_backend.topics import Topics
from zaehlwerk_tools.gateway_backend.uplinks import uplink_frame

END_NS = 1_795_387_681 * NS + 123_456_789


def taking_all(_: Transmission) -> None:
    """A gateway that can send everything."""


def told_of(end_ns: int, command: Recorded) -> gw.DownlinkFrame:
    """A recorded command as it would have come for an uplink of ours that ended at `end_ns`."""
    frame = command.message
    for item in frame.items:
        item.tx_info.context = context(end_ns)
    return frame


@pytest.mark.parametrize("message", recorded(), ids=lambda m: m.kind)
def test_every_recorded_message_is_read_and_written_again_to_the_byte(message: Recorded) -> None:
    read = decode(message.payload, MESSAGES[message.kind])
    assert json_format.MessageToDict(read) == message.decoded
    assert Marshaler.PROTOBUF.payload(read) == message.payload


@pytest.mark.parametrize("message", recorded(), ids=lambda m: m.kind)
def test_every_recorded_message_survives_the_way_as_json(message: Recorded) -> None:
    payload = Marshaler.JSON.payload(message.message)
    assert b"gatewayId" in payload, "ChirpStack takes it for JSON by this name"
    assert decode(payload, MESSAGES[message.kind]) == message.message


@pytest.mark.parametrize("message", recorded(), ids=lambda m: m.kind)
def test_our_topics_are_the_recorded_ones(message: Recorded) -> None:
    topics = Topics("eu868")
    ours = {"event/up": topics.up, "event/ack": topics.ack, "command/down": topics.down}[message.kind]
    assert ours(message.gateway_id) == message.topic


@pytest.mark.parametrize("message", recorded("event/up"), ids=lambda m: m.decoded["phyPayload"][:12])
def test_our_uplinks_are_the_recorded_ones_but_for_the_servers_own_time(message: Recorded) -> None:
    theirs = message.message
    ours = uplink_frame(
        heard_of(theirs),
        theirs.phy_payload,
        uplink_id=theirs.rx_info.uplink_id,
        context=theirs.rx_info.context,
    )
    theirs.rx_info.ClearField("ns_time")
    assert ours == theirs


@pytest.mark.parametrize("command", recorded("command/down"), ids=lambda m: str(m.decoded["downlinkId"]))
def test_a_recorded_command_asks_for_rx1_and_a_second_later_rx2(command: Recorded) -> None:
    frame = told_of(END_NS, command)
    first, second = [transmission(item, frame.gateway_id, END_NS) for item in frame.items]
    assert isinstance(first, Transmission)
    assert isinstance(second, Transmission)
    is_join_accept = first.phy[0] == 0x20
    assert first.start_ns - END_NS == (5 if is_join_accept else 1) * NS
    assert second.start_ns - first.start_ns == NS
    assert (second.frequency, second.sf, second.power) == (869_525_000, 12, 29)
    assert (first.gateway_id, first.bandwidth, first.power) == (command.gateway_id, 125_000, 16)


@pytest.mark.parametrize("command", recorded("command/down"), ids=lambda m: str(m.decoded["downlinkId"]))
def test_our_answer_to_a_recorded_command_is_the_recorded_one_to_the_byte(command: Recorded) -> None:
    (theirs,) = [
        ack for ack in recorded("event/ack") if ack.decoded["downlinkId"] == command.decoded["downlinkId"]
    ]
    ours = answer(told_of(END_NS, command), END_NS, taking_all)
    assert Marshaler.PROTOBUF.payload(ours) == theirs.payload


def test_a_context_of_somebody_elses_gateway_is_refused() -> None:
    command = recorded("command/down")[0]
    ack = answer(command.message, END_NS, taking_all)
    assert [item.status for item in ack.items] == [gw.INTERNAL_ERROR, gw.INTERNAL_ERROR]
