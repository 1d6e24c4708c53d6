"""Arithmetic over a region's data: sub-bands, airtime, receive windows. Integers only, no state.

A region is a module such as `lorawan.eu868`.
"""

from micropython import const

# MHDR, DevAddr, FCtrl, FCnt, MIC of a data frame, and the FPort that comes with a payload (LoRaWAN 1.0.4 section 4).
OVERHEAD = const(12)
# LoRaWAN: preamble 8 symbols, CR 4/5, explicit header (RP002-1.0.4 section 2.4.2).
_PREAMBLE = const(8)
_LOW_RATE_SYMBOL_US = const(16000)


def sub_band(region, frequency):
    """Index of the sub-band that holds `frequency` in Hz, None when it may not be sent on."""
    for i, (first, last, _) in enumerate(region.SUB_BANDS):
        if first <= frequency <= last:
            return i
    return None


def max_payload(region, data_rate, fopts_length):
    """Bytes of FRMPayload that fit at `data_rate` beside `fopts_length` bytes of MAC commands."""
    return region.MAX_PAYLOAD[data_rate] - fopts_length


def symbol_us(sf, bandwidth):
    """Length of a symbol in microseconds (rounded down; exact for 125 kHz)."""
    return (1000000 << sf) // bandwidth


def airtime_us(sf, bandwidth, length, crc=True):
    """Time on air in microseconds of a PHY payload of `length` bytes (SX1276 datasheet section 4.1.1.7)."""
    symbol = symbol_us(sf, bandwidth)
    low_rate = 2 if symbol >= _LOW_RATE_SYMBOL_US else 0
    bits = 8 * length - 4 * sf + 28 + (16 if crc else 0)
    per_block = 4 * (sf - low_rate)
    blocks = max(0, (bits + per_block - 1) // per_block)
    # 4.25 symbols of sync word and start of frame follow the preamble.
    return (4 * (_PREAMBLE + 8 + 5 * blocks) + 17) * symbol // 4


# Fewest symbols a radio needs to detect a preamble (LoRaMac-node RegionCommon.c, MinRxSymbols).
_MIN_SYMBOLS = const(6)


def window(sf, bandwidth, error_us):
    """(early_us, symbols) of a receive window that still hears a preamble `error_us` early or late.

    Open `early_us` before the nominal start (negative: after it) and listen for `symbols`: the middle of the
    preamble is in the middle of the window (LoRaMac-node RegionCommonComputeRxWindowParameters).
    """
    symbol = symbol_us(sf, bandwidth)
    symbols = (2 * _MIN_SYMBOLS - 8) + (2 * error_us + symbol - 1) // symbol
    symbols = max(symbols, _MIN_SYMBOLS)
    return symbols * symbol // 2 - 4 * symbol, symbols


def eirp(region, tx_power):
    """EIRP in dBm of the TXPower index."""
    return region.MAX_EIRP - 2 * tx_power
