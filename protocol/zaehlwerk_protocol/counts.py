"""Counts, port 1: the totals at the end of an interval and, while they cost little, the counts of the intervals before it.

    [index, state, totals, history, ? cover, * extra]

The closed interval itself is not in the history: its count follows from the totals once those of the interval before are
known. What a receiver makes of it stands in receiver.py.
"""

from . import cover as covers
from . import fields, varint
from .errors import FrameError
from .frame import Frame, close_array, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_SIZE = 36
"""Bytes. No count frame of any version is longer, and a longer one is refused: with 15 B of MAC commands it still fits
the 51 B of DR0 (RP002-1.0.4 section 2.4.6). So what was accepted has room for all of its history when it is encoded again."""
MAX_COUNT = (1 << 21) - 1
"""The largest count a history carries (three bytes of LEB128); a larger one ends it."""


class Counts(Frame):
    """One closed interval.

    index: number of the interval modulo 2^16, of the space that UNSYNCED in `state` names
    totals: per channel (1 to 8) the total at the end of the interval modulo 2^16
    history: rows of counts per channel, newest first: intervals index-1, index-2, ...; ends at the first without a record
    cover: pairs (cover.py), first the one of `index`, then those of the history's rows; full ones at the end left out
    extra: elements that this version does not know
    """

    PORT = 1
    FIELDS = ("index", "state", "totals", "history", "cover", "extra")

    def __init__(
        self,
        index: int,
        state: int,
        totals: "Sequence[int]",
        history: "Sequence[Sequence[int]]" = (),
        cover: "Sequence[tuple[int, int]]" = (),
        extra: "Sequence[object]" = (),
    ) -> None:
        self.index = index
        self.state = state
        self.totals = tuple(totals)
        self.history = tuple(tuple(row) for row in history)
        self.cover = covers.trimmed(tuple(cover))
        self.extra = tuple(extra)

    def encode(self, limit: int = MAX_SIZE, longest: "Callable[[int], int] | None" = None) -> bytes:
        """Return the frame with as many rows of history as `history_rows` finds room for.

        Raises FrameError if a field is out of range or the frame without history is longer than `limit`.
        """
        return self._bytes(history_rows(self, limit, longest))

    def fit(self, limit: int = MAX_SIZE, longest: "Callable[[int], int] | None" = None) -> "Counts":
        """Return this frame with the history that `encode` would send."""
        rows = history_rows(self, limit, longest)
        return Counts(
            self.index, self.state, self.totals, self.history[:rows], self.cover[: rows + 1], self.extra
        )

    @staticmethod
    def decode(data: bytes) -> "Counts":
        """Return the frame in `data`; FrameError if it is none."""
        # A node writes such frames and reads none.
        from .counts_reader import read

        return read(data)

    def _bytes(self, rows: int) -> bytes:
        channels = len(self.totals)
        if not 1 <= channels <= fields.MAX_CHANNELS:
            raise FrameError(f"counts.totals: {channels} channels, 1 to {fields.MAX_CHANNELS} are possible")
        totals = bytearray()
        for total in self.totals:
            fields.integer(total, 0, 0xFFFF, "counts.totals")
            totals.append(total >> 8)
            totals.append(total & 0xFF)
        history = bytearray()
        for row in self.history[:rows]:
            if len(row) != channels:
                raise FrameError(
                    f"counts.history: a row of {len(row)} counts, the frame has {channels} channels"
                )
            for count in row:
                varint.write(history, fields.integer(count, 0, MAX_COUNT, "counts.history"))
        covers.check(self.cover, channels, len(self.history) + 1, "counts.cover")
        pairs = bytearray()
        for pair in covers.trimmed(self.cover[: rows + 1]):
            pairs.extend(bytes(pair))
        required: list[object] = [
            fields.index(self.index, "counts"),
            fields.state(self.state, "counts"),
            bytes(totals),
            bytes(history),
        ]
        return close_array("counts", required, [bytes(pairs) if pairs else None], self.extra)


def history_rows(
    counts: Counts, limit: int = MAX_SIZE, longest: "Callable[[int], int] | None" = None, least: int = 0
) -> int:
    """Return how many rows of `counts.history` to send: `least` of them, those that fit `limit` bytes, those that are free.

    longest(size) is the largest payload that takes no more airtime than one of `size` bytes (airtime.longest_payload, with
    what else is in the frame). LoRa pays in symbols, so a row may fit what has been paid for already; even with a `limit`
    below the bare frame's size the free rows go along. Never more than MAX_SIZE bytes, whatever `limit` says.
    Raises FrameError if the frame does not fit MAX_SIZE (without `longest`: `limit`) even without history.
    """
    limit = min(limit, MAX_SIZE)
    size = len(within(counts._bytes(0), limit if longest is None else MAX_SIZE, "counts"))
    rows, size = _rows_within(counts, 0, size, MAX_SIZE, least)
    rows, size = _rows_within(counts, rows, size, limit)
    if longest is not None:
        rows, size = _rows_within(counts, rows, size, min(MAX_SIZE, longest(size)))
    return rows


def airtime_rows(counts: Counts, least: int, limit: int, sf: int, options: int = 0) -> int:
    """Return `history_rows` for spreading factor `sf` (7..12, 125 kHz) with `options` bytes of MAC commands beside."""
    # A node whose MAC computes airtime itself need not carry the module.
    from .airtime import longest_payload

    return history_rows(counts, limit, lambda size: longest_payload(size, sf, options=options), least)


def _rows_within(
    counts: Counts, rows: int, size: int, limit: int, most: int | None = None
) -> tuple[int, int]:
    """Return how many rows fit `limit` bytes, and their size; `rows` of `size` bytes are known to be sent."""
    while rows < len(counts.history) and (most is None or rows < most):
        if any(type(count) is int and count > MAX_COUNT for count in counts.history[rows]):
            break
        longer = len(counts._bytes(rows + 1))
        if longer > limit:
            break
        rows += 1
        size = longer
    return rows, size
