"""How long a LoRa frame is on the air: Semtech's formula (SX1276/77/78/79 data sheet rev. 7, section 4.1.1.7), in integers.

Written for the simulator alone; the firmware has its own, so that one's mistake is not hidden by the other.
"""

from __future__ import annotations

PREAMBLE_SYMBOLS = 8
"""LoRaWAN, EU868 (RP002-1.0.4 section 2.4)."""

_LOW_DATA_RATE_NS = 16_000_000  # symbols longer than 16 ms are sent with low data rate optimisation
_SYNC_QUARTERS = 17  # 4.25 symbols of sync word and start of frame


def symbol_ns(sf: int, bandwidth: int) -> int:
    """Duration of one symbol; `bandwidth` in Hz (125, 250 or 500 kHz, which make whole nanoseconds)."""
    if not 7 <= sf <= 12 or bandwidth not in (125_000, 250_000, 500_000):
        raise ValueError(f"no LoRaWAN modulation: SF{sf}, {bandwidth} Hz")
    return (1 << sf) * 1_000_000_000 // bandwidth


def needs_low_rate(sf: int, bandwidth: int) -> bool:
    """Whether LoRaWAN sends such frames with low data rate optimisation."""
    return symbol_ns(sf, bandwidth) > _LOW_DATA_RATE_NS


def airtime_ns(
    size: int,
    sf: int,
    bandwidth: int,
    *,
    crc: bool,
    coding_rate: int = 1,
    preamble: int = PREAMBLE_SYMBOLS,
    explicit: bool = True,
    low_rate: bool | None = None,
) -> int:
    """Duration of a frame of `size` bytes; LoRaWAN sends a CRC on uplinks only and everything else as the defaults are.

    coding_rate n means 4/(4+n); low_rate None: as the length of the symbol asks for.
    """
    symbol = symbol_ns(sf, bandwidth)
    if low_rate is None:
        low_rate = needs_low_rate(sf, bandwidth)
    bits = 8 * size - 4 * sf + 28 + (16 if crc else 0) - (0 if explicit else 20)
    blocks = max(0, -(-bits // (4 * (sf - (2 if low_rate else 0)))))
    symbols = 8 + blocks * (coding_rate + 4)
    return (4 * (preamble + symbols) + _SYNC_QUARTERS) * (symbol // 4)
