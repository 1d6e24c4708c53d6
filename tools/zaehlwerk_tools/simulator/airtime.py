"""How long a LoRa frame is on the air: Semtech's formula (SX1276/77/78/79 data sheet rev. 7, section 4.1.1.7), in integers.

Written for the simulator alone; the firmware has its own, so that one's mistake is not hidden by the other.
"""

from __future__ import annotations

PREAMBLE_SYMBOLS = 8
"""LoRaWAN, EU868 (RP002-1.0.4 section 2.4)."""

_CODING_RATE = 1  # 4/5
_LOW_DATA_RATE_NS = 16_000_000  # symbols longer than 16 ms are sent with low data rate optimisation
_SYNC_QUARTERS = 17  # 4.25 symbols of sync word and start of frame


def symbol_ns(sf: int, bandwidth: int) -> int:
    """Duration of one symbol; `bandwidth` in Hz (125, 250 or 500 kHz, which make whole nanoseconds)."""
    if not 7 <= sf <= 12 or bandwidth not in (125_000, 250_000, 500_000):
        raise ValueError(f"no LoRaWAN modulation: SF{sf}, {bandwidth} Hz")
    return (1 << sf) * 1_000_000_000 // bandwidth


def airtime_ns(size: int, sf: int, bandwidth: int, *, crc: bool) -> int:
    """Duration of a frame of `size` bytes with explicit header; LoRaWAN sends a CRC on uplinks only."""
    symbol = symbol_ns(sf, bandwidth)
    low_data_rate = 1 if symbol > _LOW_DATA_RATE_NS else 0
    bits = 8 * size - 4 * sf + 28 + (16 if crc else 0)
    blocks = max(0, -(-bits // (4 * (sf - 2 * low_data_rate))))
    symbols = 8 + blocks * (_CODING_RATE + 4)
    return (4 * (PREAMBLE_SYMBOLS + symbols) + _SYNC_QUARTERS) * (symbol // 4)
