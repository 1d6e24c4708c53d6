"""Backfill, port 4: rows of the stored past, on request or after an outage.

    [index, state, channels, runs, ? cover, * extra]

runs: LEB128 numbers. A run begins with its length << 1 | 1 if it is of records, whose counts follow row by row; without the
1 it is of intervals that have no record, and nothing follows. Runs of the two kinds alternate.
cover: for every row that was observed in part: LEB128 number of rows since the last such one, mask, share.
"""

from . import cbor, fields, varint
from . import cover as covers
from .counts import MAX_COUNT
from .errors import FrameError
from .frame import MAX_PAYLOAD, Frame, close_array, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_ROWS = 512
"""Rows of a frame: what a run of intervals without a record may grow to in a reader's memory."""


class Backfill(Frame):
    """Rows from interval `index` on, oldest first.

    state: its generation and UNSYNCED are those of the rows, which need not be the node's present ones
    channels: how many counts a row has
    rows: per interval a tuple of counts, or None where the node has no record
    cover: pairs (cover.py), one per row from the first on, also where a row is None; full ones at the end left out
    extra: elements that this version does not know
    """

    PORT = 4
    FIELDS = ("index", "state", "channels", "rows", "cover", "extra")

    def __init__(
        self,
        index: int,
        state: int,
        channels: int,
        rows: "Sequence[Sequence[int] | None]",
        cover: "Sequence[tuple[int, int]]" = (),
        extra: "Sequence[object]" = (),
    ) -> None:
        self.index = index
        self.state = state
        self.channels = channels
        self.rows = tuple(None if row is None else tuple(row) for row in rows)
        self.cover = covers.trimmed(tuple(cover))
        self.extra = tuple(extra)

    def encode(self, limit: int = MAX_PAYLOAD) -> bytes:
        """Return the frame with as many rows from the front as fit `limit`; `fit` says which they are.

        Raises FrameError if a field is out of range or not even one row fits.
        """
        frame = self.fit(limit)
        runs = _runs(frame.rows)
        packed = bytearray()
        gap = 0
        for pair in frame.cover:
            if pair == covers.FULL:
                gap += 1
                continue
            varint.write(packed, gap)
            packed.extend(bytes(pair))
            gap = 0
        required: list[object] = [
            fields.index(self.index, "backfill"),
            fields.state(self.state, "backfill"),
            self.channels,
            runs,
        ]
        data = close_array("backfill", required, [bytes(packed) if packed else None], self.extra)
        return within(data, limit, "backfill")

    def fit(self, limit: int = MAX_PAYLOAD) -> "Backfill":
        """Return this frame with as many of its first rows as fit `limit` bytes; FrameError if none does."""
        self.check()
        # Without runs and cover; the array's head counts both, and `extra` behind no cover takes a null in its place.
        fixed = len(close_array("backfill", [self.index, self.state, self.channels, 0], [0], self.extra)) - 2
        if self.extra and not self.cover:
            fixed += 1
        taken = 0
        done = 0  # bytes of the runs before the present one
        run = 0  # rows of the present run
        body = 0  # bytes of its counts
        covered = 0  # bytes of the cover
        gap = 0
        for row in self.rows[:MAX_ROWS]:
            if taken and (row is None) != (self.rows[taken - 1] is None):
                done += varint.size(run << 1) + body
                run = body = 0
            run += 1
            if row is not None:
                body += sum(varint.size(count) for count in row)
            if taken < len(self.cover):
                if self.cover[taken] == covers.FULL:
                    gap += 1
                else:
                    covered += varint.size(gap) + 2
                    gap = 0
            runs = done + varint.size(run << 1) + body
            size = fixed + cbor.head_size(runs) + runs
            if covered:
                size += cbor.head_size(covered) + covered
            elif self.cover and self.extra:
                size += 1
            if size > limit:
                break
            taken += 1
        if taken == 0:
            raise FrameError(f"backfill: not one row fits {limit} bytes")
        return Backfill(
            self.index, self.state, self.channels, self.rows[:taken], self.cover[:taken], self.extra
        )

    @staticmethod
    def decode(data: bytes) -> "Backfill":
        """Return the frame in `data`; FrameError if it is none."""
        # A node writes such frames and reads none.
        from .backfill_reader import read

        return read(data)

    def check(self) -> None:
        """Raise FrameError if a field is out of range."""
        fields.index(self.index, "backfill")
        fields.state(self.state, "backfill")
        fields.integer(self.channels, 1, fields.MAX_CHANNELS, "backfill.channels")
        if not self.rows:
            raise FrameError("backfill.rows: none")
        for row in self.rows:
            if row is None:
                continue
            if len(row) != self.channels:
                raise FrameError(
                    f"backfill.rows: a row of {len(row)} counts, the frame has {self.channels} channels"
                )
            for count in row:
                fields.integer(count, 0, MAX_COUNT, "backfill.rows")
        covers.check(self.cover, self.channels, len(self.rows), "backfill.cover")
        for row, pair in zip(self.rows, self.cover):  # noqa: B905  (MicroPython's zip knows no strict)
            if row is None and pair != covers.FULL:
                raise FrameError("backfill.cover: coverage of an interval without a record")


def _runs(rows: tuple[tuple[int, ...] | None, ...]) -> bytes:
    out = bytearray()
    at = 0
    while at < len(rows):
        end = at
        while end < len(rows) and (rows[end] is None) == (rows[at] is None):
            end += 1
        varint.write(out, end - at << 1 | (rows[at] is not None))
        for row in rows[at:end]:
            for count in row or ():
                varint.write(out, count)
        at = end
    return bytes(out)
