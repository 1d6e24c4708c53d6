"""A command to send, gw.DownlinkFrame: which of its items goes on the virtual air and when, and what is answered.

The items are the receive windows in their order of preference. A gateway takes the first that it can send: that one is
OK, those before it say why not, those behind it are IGNORED (gw.proto, DownlinkTxAck).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chirpstack_api import gw

from zaehlwerk_tools.gateway_backend.gateway_time import NS, moment, unix_ns

LOWEST_HZ, HIGHEST_HZ = 863_000_000, 870_000_000
"""What a gateway for EU868 can send on (RP002-1.0.3, 2.5.1)."""

IMMEDIATE_LEAD_NS = 10_000_000
"""What an immediate transmission is planned ahead: it must not have begun before it is on the air."""


@dataclass(frozen=True, slots=True)
class Transmission:
    """What a gateway shall send from `start_ns` (UTC Unix nanoseconds) on: Hz, dBm EIRP, inverted IQ, no PHY CRC."""

    gateway_id: str
    start_ns: int
    frequency: int
    sf: int
    bandwidth: int
    power: int
    phy: bytes


Transmit = Callable[[Transmission], str | None]
"""None: the gateway will send it. Else the name of the gw.TxAckStatus that says why not."""


def answer(frame: gw.DownlinkFrame, now_ns: int, transmit: Transmit) -> gw.DownlinkTxAck:
    """Offers the items to `transmit` in order until one is taken; what is to be answered."""
    ack = gw.DownlinkTxAck(gateway_id=frame.gateway_id, downlink_id=frame.downlink_id)
    taken = False
    for item in frame.items:
        status = "IGNORED"
        if not taken:
            planned = transmission(item, frame.gateway_id, now_ns)
            status = planned if isinstance(planned, str) else transmit(planned) or "OK"
            taken = status == "OK"
        ack.items.add(status=gw.TxAckStatus.Value(status))
    return ack


def transmission(item: gw.DownlinkFrameItem, gateway_id: str, now_ns: int) -> Transmission | str:
    """What the item asks for, or the name of the gw.TxAckStatus of one that no gateway of ours can send."""
    tx = item.tx_info
    if tx.modulation.WhichOneof("parameters") != "lora":
        return "INTERNAL_ERROR"
    lora = tx.modulation.lora
    # A node listens with inverted IQ only: what is sent otherwise is for no node.
    if not lora.polarization_inversion or not 7 <= lora.spreading_factor <= 12:
        return "INTERNAL_ERROR"
    if not LOWEST_HZ <= tx.frequency <= HIGHEST_HZ:
        return "TX_FREQ"
    start_ns = start_of(tx, now_ns)
    if start_ns is None:
        return "INTERNAL_ERROR"
    return Transmission(
        gateway_id,
        start_ns,
        tx.frequency,
        lora.spreading_factor,
        lora.bandwidth,
        tx.power,
        item.phy_payload,
    )


def start_of(tx: gw.DownlinkTxInfo, now_ns: int) -> int | None:
    """When to begin (UTC Unix nanoseconds); None if the timing is missing or its context is none of ours."""
    kind = tx.timing.WhichOneof("parameters")
    if kind == "immediately":
        return now_ns + IMMEDIATE_LEAD_NS
    if kind == "delay":
        uplink_end_ns = moment(tx.context)
        delay = tx.timing.delay.delay
        return None if uplink_end_ns is None else uplink_end_ns + delay.seconds * NS + delay.nanos
    if kind == "gps_epoch":
        since = tx.timing.gps_epoch.time_since_gps_epoch
        return unix_ns(since.seconds * NS + since.nanos)
    return None
