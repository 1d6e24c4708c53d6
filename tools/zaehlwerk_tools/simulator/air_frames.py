"""What is on the air: gateways, frames in flight, how they are heard, open receive windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from zaehlwerk_tools.simulator.airtime import PREAMBLE_SYMBOLS, symbol_ns
from zaehlwerk_tools.simulator.propagation import Place

DETECTION_SYMBOLS = 5
"""Symbols of preamble that a receiver must see (Bor et al., "Do LoRa low-power wide-area networks scale?", 2016)."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway: EUI as 16 hex digits, where it stands, when it is out of service [(from ns, until ns), …]."""

    id: str
    place: Place = field(default_factory=lambda: Place(0.0, 0.0))
    outages: Sequence[tuple[int, int]] = ()
    power_offset_db: float = 0.0

    def is_out(self, start_ns: int, end_ns: int) -> bool:
        """Whether an outage overlaps the time."""
        return any(begin < end_ns and start_ns < end for begin, end in self.outages)


@dataclass(frozen=True, slots=True)
class Heard:
    """How a gateway heard an uplink. Frequency and bandwidth in Hz, rssi in dBm, snr in dB."""

    gateway_id: str
    frequency: int
    sf: int
    bandwidth: int
    rssi: int
    snr: float
    channel: int


@dataclass(frozen=True, slots=True)
class Downlink:
    """A frame as a board hears it; `end_ns` is the end of its last symbol."""

    payload: bytes
    rssi: int
    snr: int
    end_ns: int


@dataclass(slots=True, eq=False)
class Frame:
    """A transmission: `sender` is a board's number or a gateway's EUI; Hz, dBm."""

    number: int
    sender: int | str
    start_ns: int
    end_ns: int
    frequency: int
    sf: int
    bandwidth: int
    power: int
    payload: bytes
    aborted: bool = False
    heard_by: list[int] = field(default_factory=list)

    @property
    def vulnerable_ns(self) -> int:
        """From here on an overlap hurts: enough preamble is left before it."""
        return self.preamble_end_ns - self.detection_ns

    @property
    def preamble_end_ns(self) -> int:
        """End of the eighth symbol."""
        return self.start_ns + PREAMBLE_SYMBOLS * symbol_ns(self.sf, self.bandwidth)

    @property
    def detection_ns(self) -> int:
        """How long a receiver must see the preamble."""
        return DETECTION_SYMBOLS * symbol_ns(self.sf, self.bandwidth)

    def meets(self, other: Frame) -> bool:
        """Same spreading factor, overlapping channel, overlapping in time where it hurts this one."""
        return (
            other is not self
            and other.sf == self.sf
            and abs(other.frequency - self.frequency) * 2 < self.bandwidth + other.bandwidth
            and other.start_ns < self.end_ns
            and other.end_ns > self.vulnerable_ns
        )


@dataclass(slots=True, eq=False)
class Window:
    """A board's receive window, open until it has locked onto a preamble or closed."""

    board: int
    open_ns: int
    close_ns: int
    frequency: int
    sf: int
    bandwidth: int
    answer: Callable[[int, Downlink | None], None]
    locked: bool = False

    def tuned_to(self, frame: Frame) -> bool:
        """Same channel and modulation."""
        return (frame.frequency, frame.sf, frame.bandwidth) == (self.frequency, self.sf, self.bandwidth)
