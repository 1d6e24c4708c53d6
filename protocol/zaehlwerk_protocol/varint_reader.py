"""The reading half of `varint`."""

from .errors import FrameError


def read(data: bytes, at: int, maximum: int, where: str) -> tuple[int, int]:
    """Return the value that starts at byte `at` of `data`, and where the next one starts.

    Raises FrameError, naming `where`, if it is cut off, longer than needed, or above `maximum`.
    """
    value = 0
    shift = 0
    while True:
        if at >= len(data):
            raise FrameError(f"{where}: ends inside a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if value > maximum or maximum >> shift == 0:
            raise FrameError(f"{where}: a number above {maximum}")
        if byte < 0x80:
            if byte == 0 and shift:
                raise FrameError(f"{where}: a number longer than needed")
            return value, at
        shift += 7


def read_all(data: bytes, maximum: int, where: str) -> list[int]:
    """Return the values that fill `data`; FrameError as in `read`."""
    values = []
    at = 0
    while at < len(data):
        value, at = read(data, at, maximum, where)
        values.append(value)
    return values
