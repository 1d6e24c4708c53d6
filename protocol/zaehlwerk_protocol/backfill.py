"""Backfill, port 4: rows of the stored past, on request or after an outage.

    [index, state, channels, runs, ? cover, * extra]

runs: LEB128 numbers. A run begins with its length << 1 | 1 if it is of records, whose counts follow row by row; without the
1 it is of intervals that have no record, and nothing follows. Runs of the two kinds alternate.
cover: for every row that was observed in part: LEB128 number of rows since the last such one, mask, share.
"""

from . import cbor, fields, varint
from . import cover as covers
from .channel import MAX_CHANNELS
from .counts import MAX_COUNT
from .errors import FrameError
from .frame import MAX_PAYLOAD, Frame, close_array, open_array, within

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
        self._check()
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

    @classmethod
    def decode(cls, data: bytes) -> "Backfill":
        """Return the frame in `data`; FrameError if it is none."""
        known, extra = open_array(data, "backfill", 4, 1)
        channels = fields.integer(known[2], 1, MAX_CHANNELS, "backfill.channels")
        rows = _rows(fields.byte_string(known[3], 1, MAX_PAYLOAD, "backfill.runs"), channels)
        cover: list[tuple[int, int]] = []
        if known[4] is not None:
            cover = _cover(fields.byte_string(known[4], 3, MAX_PAYLOAD, "backfill.cover"), len(rows))
        frame = cls(
            fields.index(known[0], "backfill"),
            fields.state(known[1], "backfill"),
            channels,
            rows,
            cover,
            extra,
        )
        frame._check()
        return frame

    def _check(self) -> None:
        fields.index(self.index, "backfill")
        fields.state(self.state, "backfill")
        fields.integer(self.channels, 1, MAX_CHANNELS, "backfill.channels")
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


def _rows(data: bytes, channels: int) -> list[list[int] | None]:
    rows: list[list[int] | None] = []
    at = 0
    while at < len(data):
        head, at = varint.read(data, at, MAX_ROWS << 1 | 1, "backfill.runs")
        length = head >> 1
        if length == 0:
            raise FrameError("backfill.runs: an empty run")
        if rows and (rows[-1] is not None) == bool(head & 1):
            raise FrameError("backfill.runs: two runs of the same kind in a row")
        if len(rows) + length > MAX_ROWS:
            raise FrameError(f"backfill.runs: more than {MAX_ROWS} rows")
        for _ in range(length):
            if not head & 1:
                rows.append(None)
                continue
            row = []
            for _ in range(channels):
                count, at = varint.read(data, at, MAX_COUNT, "backfill.runs")
                row.append(count)
            rows.append(row)
    return rows


def _cover(data: bytes, rows: int) -> list[tuple[int, int]]:
    cover: list[tuple[int, int]] = []
    at = 0
    while at < len(data):
        gap, at = varint.read(data, at, rows, "backfill.cover")
        if len(cover) + gap >= rows:
            raise FrameError("backfill.cover: reaches beyond the last row")
        if at + 2 > len(data):
            raise FrameError("backfill.cover: ends inside a pair")
        if data[at] == 0:
            raise FrameError("backfill.cover: an entry without a channel")
        cover.extend([covers.FULL] * gap)
        cover.append((data[at], data[at + 1]))
        at += 2
    return cover
