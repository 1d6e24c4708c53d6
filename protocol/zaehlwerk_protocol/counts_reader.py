"""The reading half of `counts`."""

from . import cover as covers
from . import fields
from .counts import MAX_COUNT, MAX_SIZE, Counts
from .errors import FrameError
from .frame import MAX_PAYLOAD
from .frame_reader import open_array
from .varint_reader import read_all


def read(data: bytes) -> Counts:
    """Return the frame in `data`; FrameError if it is none."""
    known, extra = open_array(data, "counts", 4, 1, MAX_SIZE)
    packed = fields.byte_string(known[2], 2, 2 * fields.MAX_CHANNELS, "counts.totals")
    if len(packed) & 1:
        raise FrameError(f"counts.totals: {len(packed)} bytes are not two per channel")
    channels = len(packed) // 2
    totals = [packed[2 * i] << 8 | packed[2 * i + 1] for i in range(channels)]
    history = fields.byte_string(known[3], 0, MAX_PAYLOAD, "counts.history")
    values = read_all(history, MAX_COUNT, "counts.history")
    if len(values) % channels:
        raise FrameError(f"counts.history: {len(values)} counts are no rows of {channels}")
    rows = [values[i : i + channels] for i in range(0, len(values), channels)]
    cover: list[tuple[int, int]] = []
    if known[4] is not None:
        pairs = fields.byte_string(known[4], 2, 2 * (len(rows) + 1), "counts.cover")
        if len(pairs) & 1:
            raise FrameError(f"counts.cover: {len(pairs)} bytes are no pairs")
        cover = [(pairs[i], pairs[i + 1]) for i in range(0, len(pairs), 2)]
        # Looked at before the constructor trims it: a full interval at the end has no business on the air.
        covers.check(tuple(cover), channels, len(rows) + 1, "counts.cover")
    return Counts(
        fields.index(known[0], "counts"), fields.state(known[1], "counts"), totals, rows, cover, extra
    )
