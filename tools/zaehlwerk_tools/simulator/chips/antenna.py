"""What a radio chip sees of the air, and what the air tells a chip. Times are UTC Unix nanoseconds, integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LoRa:
    """How a LoRa frame is sent or listened for. Two of them hear each other only if everything that is on the air
    before the payload fits: frequency (see `is_at`), sf, bandwidth, sync word, inversion.

    frequency and bandwidth in Hz; coding_rate n means 4/(4+n); preamble in symbols as programmed; sync_word as one byte
    (LoRaWAN 0x34, private 0x12); inverted: the chirps run the other way round, as on LoRaWAN downlinks; explicit: with a
    header; crc: a payload CRC is sent (for listening it only matters with explicit=False); low_rate: low data rate
    optimisation; length: of an implicit payload, else 0.
    """

    frequency: int
    sf: int
    bandwidth: int
    coding_rate: int = 1
    preamble: int = 8
    sync_word: int = 0x34
    inverted: bool = False
    explicit: bool = True
    crc: bool = True
    low_rate: bool = False
    length: int = 0

    def is_at(self, frequency: int) -> bool:
        """Whether a receiver copes with the difference to `frequency`, Hz: a quarter of the bandwidth either way
        (SX1276 datasheet rev. 7, section 4.1.1.4)."""
        return 4 * abs(self.frequency - frequency) <= self.bandwidth


@dataclass(frozen=True, slots=True)
class Reception:
    """A frame as an antenna got it: rssi in dBm, snr in dB. `crc`: it carries a payload CRC; `crc_ok`: and that fits.
    Without a CRC nobody notices that `payload` is not what was sent."""

    payload: bytes
    rssi: int
    snr: float
    crc: bool
    crc_ok: bool
    coding_rate: int = 1


class Hears(Protocol):
    """Who listens. Called in the order of time, each at the moment it is about, never after `Listening.close`."""

    def preamble(self, at_ns: int) -> None:
        """Enough of a preamble to lock on was heard; a header follows, or `lost`."""
        ...

    def header(self, at_ns: int) -> None:
        """A valid header was heard (explicit mode), or the first payload symbol came (implicit)."""
        ...

    def frame(self, at_ns: int, reception: Reception) -> None:
        """The last symbol of the frame has ended. The antenna goes on listening until it is closed."""
        ...

    def lost(self, at_ns: int) -> None:
        """The signal that was locked on went away; the antenna goes on listening."""
        ...


class Listening(Protocol):
    """An open receiver."""

    def close(self, at_ns: int) -> None:
        """The chip left receive mode at `at_ns`: nothing more is heard. Harmless twice."""
        ...


class Antenna(Protocol):
    """One board's connection to the air. A chip has one transmission or one reception at a time."""

    def transmit(self, start_ns: int, lora: LoRa, power_dbm: float, payload: bytes) -> int:
        """The chip begins to send; the end in ns, known at once. power_dbm is what leaves the chip's pin."""
        ...

    def stop_transmit(self, at_ns: int) -> None:
        """The chip left transmit mode before the end: what was sent is nobody's frame."""
        ...

    def carrier(self, start_ns: int, frequency: int, power_dbm: float) -> None:
        """An unmodulated carrier begins (test modes); ends with `stop_transmit`."""
        ...

    def listen(self, open_ns: int, lora: LoRa, hears: Hears) -> Listening:
        """The chip's receiver is open from `open_ns` on; frames and preambles are told to `hears`."""
        ...

    def noise_dbm(self, at_ns: int, frequency: int) -> float:
        """What a chip measures as instantaneous RSSI."""
        ...
