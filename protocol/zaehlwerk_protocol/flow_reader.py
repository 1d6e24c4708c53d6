"""The reading half of `flow`."""

from . import fields
from .errors import FrameError
from .flow import MAX_OCCUPANCY, MAX_SPEED, Flow
from .frame import MAX_PAYLOAD
from .frame_reader import open_array
from .varint_reader import read_all


def read(data: bytes) -> Flow:
    """Return the frame in `data`; FrameError if it is none."""
    known, extra = open_array(data, "flow", 4, 0)
    first = fields.integer(known[2], 0, fields.MAX_CHANNELS - 1, "flow.first")
    values = read_all(fields.byte_string(known[3], 3, MAX_PAYLOAD, "flow.rows"), MAX_SPEED + 1, "flow.rows")
    if len(values) % 3 or len(values) > 3 * (fields.MAX_CHANNELS - first):
        raise FrameError(f"flow.rows: {len(values)} numbers from channel {first} are no rows of three")
    rows: list[list[int | None]] = []
    for at in range(0, len(values), 3):
        if values[at + 2] > MAX_OCCUPANCY + 1:
            raise FrameError(f"flow.rows: occupancy {values[at + 2] - 1} is above {MAX_OCCUPANCY}")
        rows.append([value - 1 if value else None for value in values[at : at + 3]])
    return Flow(fields.index(known[0], "flow"), fields.state(known[1], "flow"), rows, first, extra)
