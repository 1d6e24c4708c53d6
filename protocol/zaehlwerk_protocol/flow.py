"""Flow, port 3: mean speed, 85th percentile of speed and occupancy per channel, for an interval that was closed.

    [index, state, first channel, rows, * extra]

rows: three LEB128 numbers per channel, each the value plus one, 0 where there is none.
"""

from . import fields, varint
from .errors import FrameError
from .frame import MAX_PAYLOAD, Frame, close_array, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_SPEED = 5000
"""0.1 km/h."""
MAX_OCCUPANCY = 1000
"""Per mille of the interval."""
_LIMITS = (MAX_SPEED, MAX_SPEED, MAX_OCCUPANCY)


class Flow(Frame):
    """What a speed or presence sensor saw in interval `index`.

    rows: per channel, from channel `first` on: (mean speed in 0.1 km/h, v85 in 0.1 km/h, occupancy per mille), each None
        where it was not measured (no vehicle, no such sensor)
    """

    PORT = 3
    FIELDS = ("index", "state", "rows", "first", "extra")

    def __init__(
        self,
        index: int,
        state: int,
        rows: "Sequence[Sequence[int | None]]",
        first: int = 0,
        extra: "Sequence[object]" = (),
    ) -> None:
        self.index = index
        self.state = state
        self.rows = tuple(tuple(row) for row in rows)
        self.first = first
        self.extra = tuple(extra)

    def encode(self, limit: int = MAX_PAYLOAD) -> bytes:
        """Return the frame; FrameError if a field is out of range or it is longer than `limit` (then see `split`)."""
        if (
            not 1
            <= len(self.rows)
            <= fields.MAX_CHANNELS - fields.integer(self.first, 0, fields.MAX_CHANNELS - 1, "flow.first")
        ):
            raise FrameError(
                f"flow.rows: {len(self.rows)} channels from {self.first}, {fields.MAX_CHANNELS} are possible"
            )
        out = bytearray()
        for row in self.rows:
            if len(row) != len(_LIMITS):
                raise FrameError(f"flow.rows: {row!r} is not mean, v85 and occupancy")
            for value, highest in zip(row, _LIMITS):  # noqa: B905  (MicroPython's zip knows no strict)
                checked = fields.optional_integer(value, 0, highest, "flow.rows")
                varint.write(out, 0 if checked is None else checked + 1)
        required: list[object] = [
            fields.index(self.index, "flow"),
            fields.state(self.state, "flow"),
            self.first,
            bytes(out),
        ]
        return within(close_array("flow", required, [], self.extra), limit, "flow")

    @staticmethod
    def decode(data: bytes) -> "Flow":
        """Return the frame in `data`; FrameError if it is none."""
        # A node writes such frames and reads none.
        from .flow_reader import read

        return read(data)

    def split(self, limit: int) -> "list[Flow]":
        """Return frames of at most `limit` bytes that together carry all rows; FrameError if one row does not fit."""
        parts: list[Flow] = []
        first = 0
        for end in range(1, len(self.rows) + 1):
            part = Flow(self.index, self.state, self.rows[first:end], self.first + first, self.extra)
            if end - first > 1 and len(part.encode()) > limit:
                first = end - 1
                part = Flow(self.index, self.state, self.rows[first:end], self.first + first, self.extra)
            elif parts:
                parts.pop()
            within(part.encode(), limit, "flow")
            parts.append(part)
        return parts
