"""What the air hands to the network server and gets from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Reception:
    """How one gateway heard an uplink: gateway id as 16 hexadecimal digits, Hz, dBm, dB, the gateway's channel number."""

    gateway_id: str
    frequency: int
    sf: int
    bandwidth: int
    rssi: int
    snr: float
    channel: int = 0
    uplink_id: int | None = None
    """The gateway's own number for it; None: one is drawn for the gateway."""
    context: bytes | None = None
    """What the gateway wants back with a downlink; None: four bytes are drawn for it."""


@dataclass(frozen=True)
class Downlink:
    """A transmission that a gateway shall make from `start_ns` on: Hz, dBm EIRP, with inverted IQ and no PHY CRC."""

    gateway_id: str
    start_ns: int
    frequency: int
    sf: int
    bandwidth: int
    power: int
    phy: bytes


TransmitDownlink = Callable[[Downlink], str | None]
"""Takes a downlink ahead of time. None: the gateway will send it. Else the name of gw.TxAckStatus that says why not
(`COLLISION_PACKET`, `TOO_LATE`, ...); the server then tries the next receive window."""


@dataclass(frozen=True)
class Heard:
    """A reception with its moment (end of the frame, ns of UTC Unix time) and what the gateway adds of its own."""

    reception: Reception
    at_ns: int
    uplink_id: int
    context: bytes


@dataclass(frozen=True)
class Uplink:
    """A frame with everything that was collected about it in the deduplication window."""

    deduplication_id: str
    phy: bytes
    data_rate: int
    heard: tuple[Heard, ...]

    @property
    def end_ns(self) -> int:
        """When the frame ended, by the first gateway that heard it."""
        return self.heard[0].at_ns

    @property
    def max_snr(self) -> float:
        """The best SNR in dB."""
        return max(one.reception.snr for one in self.heard)
