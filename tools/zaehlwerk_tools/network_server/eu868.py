"""EU868 as data (LoRaWAN Regional Parameters RP002-1.0.3, 2.5 EU863-870MHz band), as ChirpStack's eu868 region sets it."""

from __future__ import annotations

REGION = "eu868"
NET_ID = 0
RX1_DELAY_S = 1
JOIN_ACCEPT_DELAY_S = 5
RX2_FREQUENCY = 869_525_000
RX2_DATA_RATE = 0
BANDWIDTH = 125_000

SPREADING_FACTORS = (12, 11, 10, 9, 8, 7)
"""By data rate 0..5 (RP002 table 6); the server handles these only."""

MAX_DATA_RATE = 5
MAX_TX_POWER_INDEX = 7
"""RP002 table 8: 0 is 16 dBm EIRP, each step 2 dB less."""

MAX_PAYLOAD = (51, 51, 51, 115, 222, 222)
"""N, the longest FRMPayload without FOpts by data rate, repeater compatible (RP002 table 9): FOpts share it."""

REQUIRED_SNR_DB = {12: -20.0, 11: -17.5, 10: -15.0, 9: -12.5, 8: -10.0, 7: -7.5}
"""The demodulation floor by spreading factor (SX1276 datasheet, table 13)."""

DEFAULT_CHANNELS = (868_100_000, 868_300_000, 868_500_000)
EXTRA_CHANNELS = (867_100_000, 867_300_000, 867_500_000, 867_700_000, 867_900_000)
CHANNELS = DEFAULT_CHANNELS + EXTRA_CHANNELS

CF_LIST = b"".join((f // 100).to_bytes(3, "little") for f in EXTRA_CHANNELS) + b"\x00"
"""CFListType 0: five frequencies of three bytes in units of 100 Hz (RP002 2.5.4)."""


def data_rate(sf: int, bandwidth: int) -> int:
    """Data rate index of an uplink's modulation; ValueError if the server does not handle it."""
    if bandwidth != BANDWIDTH or sf not in SPREADING_FACTORS:
        raise ValueError(f"SF{sf} at {bandwidth} Hz is none of EU868's data rates 0 to 5")
    return SPREADING_FACTORS.index(sf)


def downlink_power(frequency: int) -> int:
    """EIRP of a downlink in dBm: 29 in the 10 % sub-band around RX2 (869.4 to 869.65 MHz), 16 elsewhere."""
    return 29 if 869_400_000 <= frequency < 869_650_000 else 16
