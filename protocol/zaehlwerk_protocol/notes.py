"""Notes: what a status frame says of its sensors, as one byte string; see note_codes.py for the codes.

LEB128: minutes, then per channel codes and percent of the minutes; channels at the end of which nothing was noted are left out.
"""

from . import fields, varint
from .errors import FrameError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_NOTED = 0xFFFF
"""The largest number of minutes, and of codes added up; what lasts longer says this."""


def packed(minutes: int, channels: "Sequence[tuple[int, int]]") -> bytes:
    """Return the byte string; FrameError if something is out of range."""
    check(minutes, channels)
    out = bytearray()
    varint.write(out, minutes)
    for codes, percent in channels:
        varint.write(out, codes)
        varint.write(out, percent)
    return bytes(out)


def check(minutes: int, channels: "Sequence[tuple[int, int]]") -> None:
    """Raise FrameError if notes are out of range, or end with a channel of which nothing was noted."""
    fields.integer(minutes, 0, MAX_NOTED, "status.notes minutes")
    if len(channels) > fields.MAX_CHANNELS:
        raise FrameError(f"status.notes: {len(channels)} channels, up to {fields.MAX_CHANNELS} are possible")
    for codes, percent in channels:
        fields.integer(codes, 0, MAX_NOTED, "status.notes codes")
        fields.integer(percent, 1 if codes else 0, 100 if codes else 0, "status.notes percent")
    if channels and not channels[-1][0]:
        raise FrameError("status.notes: ends with a channel of which nothing was noted")
