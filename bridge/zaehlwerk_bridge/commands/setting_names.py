"""Names of a node's settings by the keys that its answers to `get_config` carry instead of them. Pure.

The table itself is the firmware's (its README lists it; a key never gets another meaning), and a bridge is installed without
the firmware. So names and keys stand here once more, and a test holds them against the firmware's table. What a later
firmware adds is passed on by its key.
"""

from collections.abc import Mapping
from typing import Any

CHANNELS = "channels"
"""The setting that is a list of objects, whose keys are those of CHANNEL_NAMES."""

NAMES = {
    "1": "dev_eui",
    "2": "join_eui",
    "3": "app_key",
    "4": "board",
    "5": "interval_s",
    "6": "history_bytes",
    "7": "uplink_offset_s",
    "8": "antenna_gain_db",
    "9": "rx_error_ms",
    "10": "grace_s",
    "11": "flow_every",
    "12": "tamper_pin",
    "13": CHANNELS,
    "14": "battery_permille",
    "15": "temperature_offset",
    "16": "sleep",
}
"""Of the node as a whole."""

CHANNEL_NAMES = {
    "1": "class",
    "2": "direction",
    "3": "sensor",
    "4": "shares",
    "5": "output",
    "6": "pin",
    "7": "pin_b",
    "8": "tx_pin",
    "9": "ok_pin",
    "10": "edge",
    "11": "pull",
    "12": "debounce_ms",
    "13": "gap_ms",
    "14": "dead_ms",
    "15": "window_ms",
    "16": "distance_mm",
    "17": "bounce_ms",
    "18": "uart",
    "19": "baud",
    "20": "unit",
    "21": "min_hits",
    "22": "quiet_ms",
    "23": "min_speed_kmh",
    "24": "stuck_s",
    "25": "silent_s",
    "26": "jam_occupancy",
    "27": "jam_kmh",
}
"""Of one channel."""


def named(document: Mapping[str, Any]) -> dict[str, Any]:
    """A node's document with names for keys, those of its channels too; what has no name, or has it twice, is left as it is."""
    settings = _named(document, NAMES)
    channels = settings.get(CHANNELS)
    if isinstance(channels, list):
        settings[CHANNELS] = [
            _named(channel, CHANNEL_NAMES) if isinstance(channel, dict) else channel for channel in channels
        ]
    return settings


def _named(document: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {
        key if names.get(key, key) in document else names.get(key, key): value
        for key, value in document.items()
    }
