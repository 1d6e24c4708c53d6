"""What status, flow and alarm frames say, as the platform gets it. Pure."""

from datetime import UTC, datetime
from typing import Any

from zaehlwerk_bridge.station import Station
from zaehlwerk_protocol import alarm as alarms
from zaehlwerk_protocol import answer as answers
from zaehlwerk_protocol import note_codes
from zaehlwerk_protocol.alarm import Alarm
from zaehlwerk_protocol.flow import Flow
from zaehlwerk_protocol.state import FAULT, LOW_BATTERY, TAMPER, UNSYNCED
from zaehlwerk_protocol.status import Status

Content = dict[str, Any]

KINDS = {
    alarms.STUCK: "stuck",
    alarms.SILENT: "silent",
    alarms.TAMPER: "tamper",
    alarms.LOW_BATTERY: "low_battery",
    alarms.CLOCK_LOST: "clock_lost",
    alarms.CONGESTION: "congestion",
}
NOTES = {
    note_codes.MISSED: "missed",
    note_codes.SHORT: "short",
    note_codes.MERGED: "merged",
    note_codes.AMBIGUOUS: "ambiguous",
    note_codes.OVERFLOW: "overflow",
    note_codes.UNVERIFIED: "unverified",
    note_codes.CHATTER: "chatter",
    note_codes.STUCK: "stuck",
    note_codes.SILENT: "silent",
    note_codes.RESTARTED: "restarted",
    note_codes.GARBAGE: "garbage",
    note_codes.NO_SIGNAL: "no_signal",
}
RESULTS = {
    answers.OK: "ok",
    answers.UNKNOWN_KIND: "unknown_kind",
    answers.BAD_ARGS: "bad_args",
    answers.REFUSED: "refused",
    answers.NO_RECORD: "no_record",
    answers.INCOMPLETE: "incomplete",
}
"""In words; what a later version may add is passed on as its number."""


def utc(received_ns: int) -> str:
    """RFC 3339, to the second."""
    return datetime.fromtimestamp(received_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def state(bits: int) -> Content:
    """The state number of a frame in words."""
    return {
        "clock": "unsynced" if bits & UNSYNCED else "utc",
        "fault": bool(bits & FAULT),
        "low_battery": bool(bits & LOW_BATTERY),
        "tamper": bool(bits & TAMPER),
    }


def status(frame: Status, received_ns: int, station: Station) -> Content:
    """How the node is, and what its sensors noted; what it does not know is null."""
    health = frame.health
    content: Content = {
        "received": utc(received_ns),
        "protocol": frame.version,
        "epoch": f"{frame.epoch:08x}",
        "interval_s": frame.interval_s,
        **state(frame.state),
        "health": None,
        "notes": None if frame.notes is None else _notes(*frame.notes, station),
    }
    if health is not None:
        content["health"] = {
            "firmware": None if health.firmware is None else _version(health.firmware),
            "boots": health.boots,
            "reset_cause": health.reset_cause,
            "crash": None if health.crash is None else health.crash.decode("utf-8", "replace"),
            "uptime_s": health.uptime_s,
            "battery_mv": health.battery_mv,
            "temperature_c": None if health.temperature is None else health.temperature / 10,
            "clock_error_ms": health.clock_error_ms,
            "config_hash": None if health.config_hash is None else health.config_hash.hex(),
        }
    return content


def _notes(minutes: int, channels: tuple[tuple[int, int], ...], station: Station) -> Content:
    """What was noted in the `minutes` before, of the channels of which something was."""
    return {
        "minutes": minutes,
        "channels": [
            {
                "name": station.channel(number).name,
                "notes": [
                    NOTES.get(1 << bit, str(1 << bit))
                    for bit in range(codes.bit_length())
                    if codes >> bit & 1
                ],
                "share": percent / 100,
            }
            for number, (codes, percent) in enumerate(channels)
            if codes
        ],
    }


def flow(frame: Flow, end_s: int | None, station: Station) -> Content:
    """Speeds in km/h and occupancy as a share, per channel; null where not determinable."""
    return {
        "end": None if end_s is None else utc(end_s * 1_000_000_000),
        "channels": [
            {
                "name": station.channel(number).name,
                "mean_kmh": None if mean is None else mean / 10,
                "v85_kmh": None if v85 is None else v85 / 10,
                "occupancy": None if occupancy is None else occupancy / 1000,
            }
            for number, (mean, v85, occupancy) in enumerate(frame.rows, frame.first)
        ],
    }


def alarm(frame: Alarm, received_ns: int, station: Station) -> Content:
    """What was raised or is over, with the station's corridor and works, so that traffic can be led around it."""
    return {
        "received": utc(received_ns),
        "at": None if frame.at is None else utc(frame.at * 1_000_000_000),
        "kind": KINDS.get(frame.kind, str(frame.kind)),
        "raised": frame.raised,
        "channels": [station.channel(number).name for number in range(8) if frame.mask >> number & 1],
        "value": frame.value,
        "corridor": station.corridor or None,
        "works": station.works or None,
    }


def _version(number: int) -> str:
    return f"{number >> 16}.{number >> 8 & 0xFF}.{number & 0xFF}"
