"""The usual count frame, read in one go: fully observed, small counts. What is not just that, the protocol's own reader reads.

[index, state, totals, history]         SPECIFICATION.md, port 1; CBOR, RFC 8949
"""

from struct import Struct
from typing import NamedTuple

from zaehlwerk_bridge.ledger.cell import Row
from zaehlwerk_protocol.counts import MAX_SIZE
from zaehlwerk_protocol.fields import MAX_CHANNELS
from zaehlwerk_protocol.state import MAX_STATE

_ARRAY_OF_4 = b"\x84"
_BYTES = 0x40
_ONE_BYTE, _TWO_BYTES = 0x18, 0x19  # RFC 8949, 3: the argument follows in so many
_SHORT = 24  # RFC 8949, 3: below that the argument is in the head; none has a longer form (4.2.1)
_TOTALS = [Struct(f">{channels}H") for channels in range(MAX_CHANNELS + 1)]


class PlainCounts(NamedTuple):
    """A count frame without cover. `index16`: modulo 2^16."""

    index16: int
    state: int
    totals: Row
    history: tuple[Row, ...]


def plain_counts(data: bytes) -> PlainCounts | None:
    """The frame in `data`; None: it is another, or none."""
    if len(data) > MAX_SIZE or data[:1] != _ARRAY_OF_4:
        return None
    try:
        index, at = _number(data, 1)
        state, at = _number(data, at)
        size = data[at] - _BYTES
        if not 2 <= size <= 2 * MAX_CHANNELS or size & 1:
            return None
        at += 1
        packed = data[at : at + size]
        at += size
        length = data[at] - _BYTES
    except (IndexError, ValueError):
        return None
    history = data[at + 1 :]
    channels = size >> 1
    if len(history) != length or length >= _SHORT or length % channels or state > MAX_STATE:
        return None
    if not history.isascii():  # a number of more than one byte: DWARF 5, 7.6
        return None
    rows = tuple([tuple(history[place : place + channels]) for place in range(0, length, channels)])
    return PlainCounts(index, state, _TOTALS[channels].unpack(packed), rows)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned number at `at`, and where the next item begins. Raises ValueError for anything else, and IndexError."""
    first = data[at]
    if first < _SHORT:
        return first, at + 1
    if first == _ONE_BYTE and data[at + 1] >= _SHORT:
        return data[at + 1], at + 2
    if first == _TWO_BYTES and data[at + 1]:
        return data[at + 1] << 8 | data[at + 2], at + 3
    raise ValueError
