"""Unsigned integers of variable length (LEB128, DWARF 5 section 7.6), low seven bits first, canonical.

Counts are mostly small: below 128 they take one byte. Canonical means that no value has a second, longer form.
"""


def write(out: bytearray, value: int) -> None:
    """Append `value` (>= 0) to `out`."""
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def size(value: int) -> int:
    """Return how many bytes `value` takes."""
    length = 1
    while value > 0x7F:
        value >>= 7
        length += 1
    return length
