"""Checks of single fields, the same before encoding and after decoding; each names the field that is wrong."""

from .errors import FrameError
from .state import MAX_STATE

MAX_INDEX = 0xFFFF
"""An index is sent modulo 2^16."""
MAX_CHANNELS = 8
"""Channels of a node; a mask of channels is one byte, bit 0 the first channel."""


def integer(value: object, lowest: int, highest: int, where: str) -> int:
    """Return `value` if it is an integer (no boolean) of lowest..highest, else raise FrameError."""
    if type(value) is int and lowest <= value <= highest:
        return value
    raise FrameError(f"{where}: {value!r} is no integer of {lowest} to {highest}")


def optional_integer(value: object, lowest: int, highest: int, where: str) -> int | None:
    """Return `value` if it is None or an integer of lowest..highest, else raise FrameError."""
    return None if value is None else integer(value, lowest, highest, where)


def byte_string(value: object, shortest: int, longest: int, where: str) -> bytes:
    """Return `value` if it is bytes of shortest..longest length, else raise FrameError."""
    if isinstance(value, bytes) and shortest <= len(value) <= longest:
        return value
    raise FrameError(f"{where}: {value!r} is no byte string of {shortest} to {longest} bytes")


def index(value: object, frame: str) -> int:
    """Return `value` if it is an index modulo 2^16."""
    return integer(value, 0, MAX_INDEX, frame + ".index")


def state(value: object, frame: str) -> int:
    """Return `value` if it can be a state (state.py)."""
    return integer(value, 0, MAX_STATE, frame + ".state")
