"""The reading half of `cbor.decode`."""

from .cbor import ARRAY, BYTES, FALSE, NEGATIVE, NULL, TRUE, UNSIGNED, head_size
from .errors import FrameError


def read(data: bytes, at: int, depth: int, left: list[int]) -> tuple[object, int]:
    """Return the item that starts at byte `at`, and where the next one would start."""
    left[0] -= 1
    if left[0] < 0:
        raise FrameError(f"cbor byte {at}: too many items")
    if at >= len(data):
        raise FrameError(f"cbor byte {at}: data ends where an item should start")
    first = data[at]
    if first in (NULL, TRUE, FALSE):
        return None if first == NULL else first == TRUE, at + 1
    major = first >> 5
    if major not in (UNSIGNED, NEGATIVE, BYTES, ARRAY):
        raise FrameError(f"cbor byte {at}: 0x{first:02x} starts a type that no frame uses")
    argument, end = _read_argument(data, at)
    if major in (UNSIGNED, NEGATIVE):
        return argument if major == UNSIGNED else -1 - argument, end
    # A string or an array of `argument` items needs as many bytes at least: checked before anything is allocated.
    if argument > len(data) - end:
        raise FrameError(f"cbor byte {at}: length {argument}, but {len(data) - end} bytes left")
    if major == BYTES:
        return bytes(data[end : end + argument]), end + argument
    return _read_array(data, at, end, argument, depth, left)


def _read_array(
    data: bytes, at: int, end: int, argument: int, depth: int, left: list[int]
) -> tuple[object, int]:
    """Return the array of `argument` items whose head is at `at` and whose first item is at `end`."""
    if depth == 0:
        raise FrameError(f"cbor byte {at}: arrays nested too deep")
    if argument > left[0]:
        raise FrameError(f"cbor byte {at}: too many items")
    items = []
    for _ in range(argument):
        item, end = read(data, end, depth - 1, left)
        items.append(item)
    return tuple(items), end


def _read_argument(data: bytes, at: int) -> tuple[int, int]:
    """Return a head's argument (RFC 8949 section 3) and where it ends; only the shortest form is accepted."""
    information = data[at] & 0x1F
    if information < 24:
        return information, at + 1
    if information > 27:
        raise FrameError(f"cbor byte {at}: indefinite length or reserved head 0x{data[at]:02x}")
    end = at + 1 + (1 << information - 24)
    if end > len(data):
        raise FrameError(f"cbor byte {at}: data ends inside a head")
    argument = int.from_bytes(data[at + 1 : end], "big")
    if head_size(argument) != end - at:
        raise FrameError(f"cbor byte {at}: {argument} is not in its shortest form")
    return argument, end
