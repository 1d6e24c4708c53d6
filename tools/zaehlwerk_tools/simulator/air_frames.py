"""What is on the air: gateways, frames in flight, how they are heard, open receivers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from zaehlwerk_tools.simulator.airtime import symbol_ns
from zaehlwerk_tools.simulator.chips.antenna import Hears, LoRa
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


@dataclass(slots=True, eq=False)
class Frame:
    """A transmission: `sender` is a board's number or a gateway's EUI; power in dBm."""

    number: int
    sender: int | str
    start_ns: int
    end_ns: int
    lora: LoRa
    power: float
    payload: bytes
    aborted: bool = False
    heard_by: list[int] = field(default_factory=list)

    @property
    def symbol_ns(self) -> int:
        """Duration of a symbol."""
        return symbol_ns(self.lora.sf, self.lora.bandwidth)

    @property
    def vulnerable_ns(self) -> int:
        """From here on an overlap hurts: enough preamble is left before it."""
        return self.preamble_end_ns - self.detection_ns

    @property
    def preamble_end_ns(self) -> int:
        """End of the last symbol of the preamble as programmed."""
        return self.start_ns + self.lora.preamble * self.symbol_ns

    @property
    def header_end_ns(self) -> int:
        """After 4.25 symbols of sync word and start of frame, and the 8 that hold the header."""
        return self.preamble_end_ns + self.symbol_ns * 49 // 4

    @property
    def detection_ns(self) -> int:
        """How long a receiver must see the preamble."""
        return DETECTION_SYMBOLS * self.symbol_ns

    def meets(self, other: Frame) -> bool:
        """Same spreading factor, overlapping channel, overlapping in time where it hurts this one."""
        mine, its = self.lora, other.lora
        return (
            other is not self
            and its.sf == mine.sf
            and abs(its.frequency - mine.frequency) * 2 < mine.bandwidth + its.bandwidth
            and other.start_ns < self.end_ns
            and other.end_ns > self.vulnerable_ns
        )


@dataclass(slots=True, eq=False)
class Receiver:
    """A board's open receiver: `frame` is what it has locked onto, `done` are those that it is through with."""

    board: int
    open_ns: int
    lora: LoRa
    hears: Hears
    frame: Frame | None = None
    done: set[tuple[int | str, int]] = field(default_factory=set)  # sender and number of frames
    closed: bool = False

    @property
    def detection_ns(self) -> int:
        """How long it must see a preamble."""
        return DETECTION_SYMBOLS * symbol_ns(self.lora.sf, self.lora.bandwidth)

    def tuned_to(self, frame: Frame) -> bool:
        """Same channel, modulation, network and direction of the chirps."""
        mine, its = self.lora, frame.lora
        return (
            frame.sender != self.board
            and mine.is_at(its.frequency)
            and (its.sf, its.bandwidth) == (mine.sf, mine.bandwidth)
            and (its.sync_word, its.inverted, its.explicit) == (mine.sync_word, mine.inverted, mine.explicit)
        )
