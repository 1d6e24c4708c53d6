"""The reading half of `backfill`."""

from . import cover as covers
from . import fields
from .backfill import MAX_ROWS, Backfill
from .counts import MAX_COUNT
from .errors import FrameError
from .frame import MAX_PAYLOAD
from .frame_reader import open_array
from .varint_reader import read as read_number


def read(data: bytes) -> Backfill:
    """Return the frame in `data`; FrameError if it is none."""
    known, extra = open_array(data, "backfill", 4, 1)
    channels = fields.integer(known[2], 1, fields.MAX_CHANNELS, "backfill.channels")
    rows = _rows(fields.byte_string(known[3], 1, MAX_PAYLOAD, "backfill.runs"), channels)
    cover: list[tuple[int, int]] = []
    if known[4] is not None:
        cover = _cover(fields.byte_string(known[4], 3, MAX_PAYLOAD, "backfill.cover"), len(rows))
    frame = Backfill(
        fields.index(known[0], "backfill"),
        fields.state(known[1], "backfill"),
        channels,
        rows,
        cover,
        extra,
    )
    frame.check()
    return frame


def _rows(data: bytes, channels: int) -> list[list[int] | None]:
    rows: list[list[int] | None] = []
    at = 0
    while at < len(data):
        head, at = read_number(data, at, MAX_ROWS << 1 | 1, "backfill.runs")
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
                count, at = read_number(data, at, MAX_COUNT, "backfill.runs")
                row.append(count)
            rows.append(row)
    return rows


def _cover(data: bytes, rows: int) -> list[tuple[int, int]]:
    cover: list[tuple[int, int]] = []
    at = 0
    while at < len(data):
        gap, at = read_number(data, at, rows, "backfill.cover")
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
