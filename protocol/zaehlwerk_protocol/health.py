"""Health: what a status frame says about the node itself. Any field may be None: not known, or said in another frame."""

from . import fields
from .errors import FrameError
from .frame import Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_CRASH = 32
"""Bytes of the last crash that fit beside the rest."""
_U16 = 0xFFFF
_U24 = 0xFFFFFF
_U32 = 0xFFFFFFFF


class Health(Frame):
    """An array of ten inside a status frame.

    firmware: version as major << 16 | minor << 8 | patch
    boots: boots since the node was provisioned
    reset_cause: number that machine.reset_cause() gave at boot
    crash: end of the last crash's text, UTF-8, at most 32 bytes; None if there was none
    uptime_s: seconds since boot
    battery_mv: supply in mV
    temperature: inside the case, in 0.1 degrees Celsius
    clock_error_ms: bound of the clock's error in ms; None if the clock is not set
    config_hash: first 4 bytes of the SHA-256 of the settings in force
    channels: per channel (class code, direction code), see channel.py
    """

    FIELDS = (
        "firmware",
        "boots",
        "reset_cause",
        "crash",
        "uptime_s",
        "battery_mv",
        "temperature",
        "clock_error_ms",
        "config_hash",
        "channels",
    )

    def __init__(
        self,
        firmware: int | None = None,
        boots: int | None = None,
        reset_cause: int | None = None,
        crash: bytes | None = None,
        uptime_s: int | None = None,
        battery_mv: int | None = None,
        temperature: int | None = None,
        clock_error_ms: int | None = None,
        config_hash: bytes | None = None,
        channels: "Sequence[tuple[int, int]] | None" = None,
    ) -> None:
        self.firmware = firmware
        self.boots = boots
        self.reset_cause = reset_cause
        self.crash = crash
        self.uptime_s = uptime_s
        self.battery_mv = battery_mv
        self.temperature = temperature
        self.clock_error_ms = clock_error_ms
        self.config_hash = config_hash
        self.channels = None if channels is None else tuple((item[0], item[1]) for item in channels)

    def items(self) -> tuple[object, ...]:
        """Return the array as it is sent; FrameError if a field is out of range."""
        packed = None
        if self.channels is not None:
            if not 1 <= len(self.channels) <= fields.MAX_CHANNELS:
                raise FrameError(
                    f"health.channels: {len(self.channels)} channels, 1 to {fields.MAX_CHANNELS} are possible"
                )
            packed = bytes(
                fields.integer(kind, 0, 15, "health.channels class") << 4
                | fields.integer(direction, 0, 15, "health.channels direction")
                for kind, direction in self.channels
            )
        return checked(
            (
                self.firmware,
                self.boots,
                self.reset_cause,
                self.crash,
                self.uptime_s,
                self.battery_mv,
                self.temperature,
                self.clock_error_ms,
                self.config_hash,
                packed,
            )
        )


def checked(items: tuple[object, ...]) -> tuple[object, ...]:
    """Return the array of a health; FrameError if a field is out of range."""
    fields.optional_integer(items[0], 0, _U24, "health.firmware")
    fields.optional_integer(items[1], 0, _U32, "health.boots")
    fields.optional_integer(items[2], 0, 0xFF, "health.reset_cause")
    fields.optional_integer(items[4], 0, _U32, "health.uptime_s")
    fields.optional_integer(items[5], 0, _U16, "health.battery_mv")
    fields.optional_integer(items[6], -0x8000, 0x7FFF, "health.temperature")
    fields.optional_integer(items[7], 0, _U32, "health.clock_error_ms")
    for at, shortest, longest, where in (
        (3, 1, MAX_CRASH, "health.crash"),
        (8, 4, 4, "health.config_hash"),
        (9, 1, fields.MAX_CHANNELS, "health.channels"),
    ):
        if items[at] is not None:
            fields.byte_string(items[at], shortest, longest, where)
    return items
