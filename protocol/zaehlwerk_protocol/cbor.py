"""Strict deterministic CBOR, as far as the frames need it: integers, byte strings, arrays, booleans and null.

Deterministic as RFC 8949 section 4.2.1 has it: shortest heads, definite lengths. There is exactly one encoding of a value,
and `decode` accepts nothing else, so whatever it accepts encodes to the same bytes again.
"""

from .errors import FrameError

# RFC 8949 section 3.1: major types, the upper three bits of an item's first byte.
UNSIGNED = 0
NEGATIVE = 1
BYTES = 2
ARRAY = 4
# RFC 8949 section 3.3: major type 7, simple values 20 to 22, as whole bytes.
FALSE = 0xF4
TRUE = 0xF5
NULL = 0xF6

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
    # A node writes many frames and reads few: what reads them is loaded by whoever does.
    from . import cbor_reader

    value, end = cbor_reader.read(data, 0, max_depth, [max_items])
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
        out.append(NULL)
    elif value is True:
        out.append(TRUE)
    elif value is False:
        out.append(FALSE)
    elif isinstance(value, int):
        argument = value if value >= 0 else -1 - value
        if argument >> 64:
            raise FrameError(f"cbor: {value} does not fit 64 bits")
        _write_head(out, UNSIGNED if value >= 0 else NEGATIVE, argument)
    elif isinstance(value, (bytes, bytearray)):
        _write_head(out, BYTES, len(value))
        out.extend(value)
    elif isinstance(value, (tuple, list)):
        if depth == 0:
            raise FrameError("cbor: arrays nested too deep")
        _write_head(out, ARRAY, len(value))
        for item in value:
            _write(out, item, depth - 1, left)
    else:
        raise FrameError(f"cbor: no encoding for {type(value).__name__}")
