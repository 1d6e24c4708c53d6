"""Strict deterministic CBOR, as far as the frames need it: integers, byte strings, arrays, booleans and null.

Deterministic as RFC 8949 section 4.2.1 has it: shortest heads, definite lengths. There is exactly one encoding of a value,
and `decode` accepts nothing else, so whatever it accepts encodes to the same bytes again.
"""

from .errors import FrameError

# RFC 8949 section 3.1: major types, the upper three bits of an item's first byte.
_UNSIGNED = 0
_NEGATIVE = 1
_BYTES = 2
_ARRAY = 4
# RFC 8949 section 3.3: major type 7, simple values 20 to 22, as whole bytes.
_FALSE = 0xF4
_TRUE = 0xF5
_NULL = 0xF6

MAX_DEPTH = 4
"""Arrays inside arrays; a frame itself is one level."""
MAX_ITEMS = 64
"""Items of a whole document, arrays counted: the bound of the memory that untrusted bytes can ask for."""


def encode(value: object, max_depth: int = MAX_DEPTH, max_items: int = MAX_ITEMS) -> bytes:
    """Return the only encoding of `value`: int in -2^64..2^64-1, bytes, bool, None, or a tuple or list of such.

    Raises FrameError for any other type, a larger integer, deeper nesting or more items than `decode` would take.
    """
    out = bytearray()
    _write(out, value, max_depth, [max_items])
    return bytes(out)


def decode(data: bytes, max_depth: int = MAX_DEPTH, max_items: int = MAX_ITEMS) -> object:
    """Return the value that `data` encodes, arrays as tuples.

    Raises FrameError for anything that `encode` would not have written: longer heads than needed, indefinite lengths, other
    types, bytes after the end, too little data, more than `max_depth` levels or `max_items` items.
    """
    value, end = _read(data, 0, max_depth, [max_items])
    if end != len(data):
        raise FrameError(f"cbor byte {end}: {len(data) - end} more bytes after the end")
    return value


def head_size(argument: int) -> int:
    """Return how many bytes the head of an integer, byte string or array with this `argument` takes: 1, 2, 3, 5 or 9."""
    if argument < 24:
        return 1
    if argument < 0x100:
        return 2
    if argument < 0x10000:
        return 3
    return 5 if argument >> 32 == 0 else 9


def _write_head(out: bytearray, major: int, argument: int) -> None:
    size = head_size(argument)
    if size == 1:
        out.append(major << 5 | argument)
        return
    # Additional information 24, 25, 26, 27 announces 1, 2, 4, 8 bytes.
    out.append(major << 5 | (24 if size == 2 else 25 if size == 3 else 26 if size == 5 else 27))
    out.extend(argument.to_bytes(size - 1, "big"))


def _write(out: bytearray, value: object, depth: int, left: list[int]) -> None:
    left[0] -= 1
    if left[0] < 0:
        raise FrameError("cbor: too many items")
    if value is None:
        out.append(_NULL)
    elif value is True:
        out.append(_TRUE)
    elif value is False:
        out.append(_FALSE)
    elif isinstance(value, int):
        argument = value if value >= 0 else -1 - value
        if argument >> 64:
            raise FrameError(f"cbor: {value} does not fit 64 bits")
        _write_head(out, _UNSIGNED if value >= 0 else _NEGATIVE, argument)
    elif isinstance(value, (bytes, bytearray)):
        _write_head(out, _BYTES, len(value))
        out.extend(value)
    elif isinstance(value, (tuple, list)):
        if depth == 0:
            raise FrameError("cbor: arrays nested too deep")
        _write_head(out, _ARRAY, len(value))
        for item in value:
            _write(out, item, depth - 1, left)
    else:
        raise FrameError(f"cbor: no encoding for {type(value).__name__}")


def _read(data: bytes, at: int, depth: int, left: list[int]) -> tuple[object, int]:
    """Return the item that starts at byte `at`, and where the next one would start."""
    left[0] -= 1
    if left[0] < 0:
        raise FrameError(f"cbor byte {at}: too many items")
    if at >= len(data):
        raise FrameError(f"cbor byte {at}: data ends where an item should start")
    first = data[at]
    if first in (_NULL, _TRUE, _FALSE):
        return None if first == _NULL else first == _TRUE, at + 1
    major = first >> 5
    if major not in (_UNSIGNED, _NEGATIVE, _BYTES, _ARRAY):
        raise FrameError(f"cbor byte {at}: 0x{first:02x} starts a type that no frame uses")
    argument, end = _read_argument(data, at)
    if major in (_UNSIGNED, _NEGATIVE):
        return argument if major == _UNSIGNED else -1 - argument, end
    # A string or an array of `argument` items needs as many bytes at least: checked before anything is allocated.
    if argument > len(data) - end:
        raise FrameError(f"cbor byte {at}: length {argument}, but {len(data) - end} bytes left")
    if major == _BYTES:
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
        item, end = _read(data, end, depth - 1, left)
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
