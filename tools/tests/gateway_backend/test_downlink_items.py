"""Of a command's items a gateway sends the first that it can, when its timing says, and answers for each of them."""

from __future__ import annotations

from typing import Any

import pytest
from chirpstack_api import gw

from zaehlwerk_tools.gateway_backend.downlinks import IMMEDIATE_LEAD_NS, Transmission, answer, transmission
from zaehlwerk_tools.gateway_backend.gateway_stats import outcome
from zaehlwerk_tools.gateway_backend.gateway_time import NS, context, gps_ns, moment, unix_ns

END_NS = 1_781_770_500 * NS
GATEWAY = "0102030405060708"


def item(**changes: Any) -> gw.DownlinkFrameItem:
    """An item for RX1; `changes` go into its tx_info."""
    made = gw.DownlinkFrameItem(phy_payload=b"frame")
    tx = made.tx_info
    tx.frequency, tx.power, tx.context = 868_100_000, 16, context(END_NS)
    lora = tx.modulation.lora
    lora.bandwidth, lora.spreading_factor, lora.polarization_inversion = 125_000, 9, True
    tx.timing.delay.delay.seconds = 1
    tx.MergeFrom(gw.DownlinkTxInfo(**changes))
    return made


def command(*items: gw.DownlinkFrameItem) -> gw.DownlinkFrame:
    return gw.DownlinkFrame(downlink_id=7, gateway_id=GATEWAY, items=items)


class Air:
    """Answers with `statuses`, one for each transmission that it is offered."""

    def __init__(self, *statuses: str | None) -> None:
        self.statuses = list(statuses)
        self.offered: list[Transmission] = []

    def __call__(self, planned: Transmission) -> str | None:
        self.offered.append(planned)
        return self.statuses.pop(0)


def statuses(ack: gw.DownlinkTxAck) -> list[str]:
    return [gw.TxAckStatus.Name(one.status) for one in ack.items]


@pytest.mark.parametrize(
    ("air", "told", "offered", "decides"),
    [
        ((None,), ["OK", "IGNORED"], 1, "OK"),
        (("TOO_LATE", None), ["TOO_LATE", "OK"], 2, "OK"),
        (("COLLISION_PACKET", "TOO_LATE"), ["COLLISION_PACKET", "TOO_LATE"], 2, "TOO_LATE"),
    ],
)
def test_the_first_item_that_can_be_sent_is_sent_and_those_behind_it_are_ignored(
    air: tuple[str | None, ...], told: list[str], offered: int, decides: str
) -> None:
    gateway = Air(*air)
    ack = answer(command(item(), item()), END_NS, gateway)
    assert statuses(ack) == told
    assert len(gateway.offered) == offered
    assert (ack.downlink_id, ack.gateway_id) == (7, GATEWAY)
    assert outcome(ack) == decides


def test_an_item_that_no_gateway_of_ours_can_send_is_not_offered_but_the_next_one_is() -> None:
    gateway = Air(None)
    ack = answer(command(item(frequency=915_000_000), item()), END_NS, gateway)
    assert statuses(ack) == ["TX_FREQ", "OK"]
    assert len(gateway.offered) == 1


def test_a_command_without_items_is_answered_without_items() -> None:
    ack = answer(command(), END_NS, Air())
    assert statuses(ack) == []
    assert outcome(ack) == "INTERNAL_ERROR"


def test_a_delay_counts_from_the_end_of_the_uplink_that_the_context_names() -> None:
    timing = gw.Timing(delay=gw.DelayTimingInfo())
    timing.delay.delay.seconds, timing.delay.delay.nanos = 2, 500_000_000
    planned = transmission(item(timing=timing), GATEWAY, END_NS + 9 * NS)
    assert isinstance(planned, Transmission)
    assert planned.start_ns == END_NS + 2_500_000_000


def test_a_gps_time_needs_no_context() -> None:
    timing = gw.Timing(gps_epoch=gw.GPSEpochTimingInfo())
    since = timing.gps_epoch.time_since_gps_epoch
    since.seconds, since.nanos = divmod(gps_ns(END_NS + 128 * NS + 5), NS)
    made = item(timing=timing)
    made.tx_info.ClearField("context")
    planned = transmission(made, GATEWAY, END_NS)
    assert isinstance(planned, Transmission)
    assert planned.start_ns == END_NS + 128 * NS + 5


def test_immediately_is_so_soon_that_it_is_not_late_already() -> None:
    timing = gw.Timing(immediately=gw.ImmediatelyTimingInfo())
    planned = transmission(item(timing=timing), GATEWAY, END_NS)
    assert isinstance(planned, Transmission)
    assert 0 < planned.start_ns - END_NS == IMMEDIATE_LEAD_NS < NS // 10


def test_what_is_sent_is_what_was_asked_for() -> None:
    planned = transmission(item(), GATEWAY, END_NS)
    assert planned == Transmission(GATEWAY, END_NS + NS, 868_100_000, 9, 125_000, 16, b"frame")


def not_inverted() -> gw.DownlinkFrameItem:
    made = item()
    made.tx_info.modulation.lora.polarization_inversion = False
    return made


def without_timing() -> gw.DownlinkFrameItem:
    made = item()
    made.tx_info.ClearField("timing")
    return made


@pytest.mark.parametrize(
    ("made", "status"),
    [
        (item(modulation=gw.Modulation(fsk=gw.FskModulationInfo(datarate=50_000))), "INTERNAL_ERROR"),
        (not_inverted(), "INTERNAL_ERROR"),
        (without_timing(), "INTERNAL_ERROR"),
        (item(context=b"1234"), "INTERNAL_ERROR"),
        (item(frequency=433_175_000), "TX_FREQ"),
    ],
    ids=["FSK", "IQ not inverted", "no timing", "foreign context", "another band"],
)
def test_what_cannot_be_sent_is_refused_by_its_reason(made: gw.DownlinkFrameItem, status: str) -> None:
    assert transmission(made, GATEWAY, END_NS) == status


def test_a_context_names_its_moment_and_a_foreign_one_names_none() -> None:
    assert moment(context(END_NS)) == END_NS
    assert moment(b"") is moment(b"1234") is None


def test_gps_time_is_ahead_by_its_leap_seconds() -> None:
    # ChirpStack's own example: 2025-07-14 00:00:00 UTC lies 1436486418 s behind the GPS epoch.
    assert gps_ns(1_752_451_200 * NS) == 1_436_486_418 * NS
    assert unix_ns(gps_ns(END_NS)) == END_NS
