"""How long a LoRa packet is on the air, in integers: Semtech AN1200.13 section 4, SX1276 datasheet section 4.1.1.7.

LoRa pays in symbols: several lengths cost the same. Nothing here allocates more than small integers.
"""

PREAMBLE = 8
"""Symbols of preamble in EU868 (RP002-1.0.4 section 2.4.2)."""
OVERHEAD = 13
"""Bytes around an application payload: MHDR 1, FHDR 7 without FOpts, FPort 1, MIC 4 (LoRaWAN L2 1.0.4 section 4)."""
MAX_PHY = 255
"""Bytes of the longest LoRa packet."""

# The last symbols of a preamble are 4.25 long: sync word and start of frame.
_SYNC_QUARTERS = 17
# Beyond 16 ms a symbol needs the low data rate optimisation (SX1276 datasheet section 4.1.1.6): SF11 and SF12 at 125 kHz.
_LONG_SYMBOL_US = 16000


def symbol_us(sf: int, bandwidth: int = 125000) -> int:
    """Return the length of a symbol in µs for spreading factor 7..12 and a `bandwidth` in Hz (multiple of 100)."""
    if not 7 <= sf <= 12:
        raise ValueError(f"spreading factor {sf}: 7 to 12 are possible")
    if bandwidth not in (125000, 250000, 500000):
        raise ValueError(f"bandwidth {bandwidth} Hz: 125000, 250000 and 500000 are possible")
    return (1 << sf) * 1000 // (bandwidth // 1000)


def payload_symbols(
    length: int, sf: int, bandwidth: int = 125000, crc: bool = True, coding_rate: int = 1
) -> int:
    """Return the symbols after the preamble of a packet of `length` bytes with explicit header.

    coding_rate 1..4 stands for 4/5..4/8. Uplinks have a `crc`, LoRaWAN downlinks have none.
    """
    if not 0 <= length <= MAX_PHY:
        raise ValueError(f"{length} bytes: 0 to {MAX_PHY} are possible")
    slow = symbol_us(sf, bandwidth) > _LONG_SYMBOL_US
    bits = 8 * length - 4 * sf + 28 + (16 if crc else 0)
    bits_per_block = 4 * (sf - 2 if slow else sf)
    blocks = (bits + bits_per_block - 1) // bits_per_block if bits > 0 else 0
    return 8 + blocks * (coding_rate + 4)


def airtime_us(
    length: int,
    sf: int,
    bandwidth: int = 125000,
    crc: bool = True,
    coding_rate: int = 1,
    preamble: int = PREAMBLE,
) -> int:
    """Return the time on air in µs of a packet of `length` bytes (PHY payload), rounded down by less than 1 µs."""
    quarters = 4 * (preamble + payload_symbols(length, sf, bandwidth, crc, coding_rate)) + _SYNC_QUARTERS
    return quarters * symbol_us(sf, bandwidth) // 4


def longest_payload(size: int, sf: int, bandwidth: int = 125000, options: int = 0) -> int:
    """Return the longest application payload that takes no more airtime than one of `size` bytes.

    options: bytes of MAC commands (FOpts) that go in the same uplink.
    """
    around = OVERHEAD + options
    symbols = payload_symbols(around + size, sf, bandwidth)
    while around + size < MAX_PHY and payload_symbols(around + size + 1, sf, bandwidth) == symbols:
        size += 1
    return size
