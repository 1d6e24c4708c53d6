"""Alarm, port 5: something that cannot wait for the next interval, raised and cleared.

[index, state, kind, raised, mask, at / null, value / null, * extra]
"""

from . import fields
from .errors import FrameError
from .frame import MAX_PAYLOAD, Frame, close_array, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

STUCK = 1
"""A sensor reports the same without end. value: seconds."""
SILENT = 2
"""A channel has counted nothing for longer than it is set to. value: seconds."""
TAMPER = 3
"""The case was opened."""
LOW_BATTERY = 4
"""value: mV."""
CLOCK_LOST = 5
"""The clock's error may exceed what a slot bears. value: bound of the error in ms."""
CONGESTION = 6
"""Occupancy above, or speed below, its threshold. value: occupancy per mille, or the speed in 0.1 km/h as negative number."""

_U32 = 0xFFFFFFFF


class Alarm(Frame):
    """An alarm.

    index: number of the interval that was open then, of the space that UNSYNCED in `state` names
    kind: one of the constants here; an unknown one is kept, and shown as its number
    raised: True when it begins, False when it is over
    mask: the channels concerned, bit 0 the first; 0 is the node as a whole
    at: Unix seconds; None if the clock is not set
    value: what was measured, its unit by kind; None if there is nothing to say
    """

    PORT = 5
    FIELDS = ("index", "state", "kind", "raised", "mask", "at", "value", "extra")

    def __init__(
        self,
        index: int,
        state: int,
        kind: int,
        raised: bool,
        mask: int = 0,
        at: int | None = None,
        value: int | None = None,
        extra: "Sequence[object]" = (),
    ) -> None:
        self.index = index
        self.state = state
        self.kind = kind
        self.raised = raised
        self.mask = mask
        self.at = at
        self.value = value
        self.extra = tuple(extra)

    def encode(self, limit: int = MAX_PAYLOAD) -> bytes:
        """Return the frame, at most 26 bytes; FrameError if a field is out of range or it is longer than `limit`."""
        items: list[object] = [
            self.index,
            self.state,
            self.kind,
            self.raised,
            self.mask,
            self.at,
            self.value,
        ]
        _check(items)
        return within(close_array("alarm", items, [], self.extra), limit, "alarm")

    @classmethod
    def decode(cls, data: bytes) -> "Alarm":
        """Return the frame in `data`; FrameError if it is none."""
        from .frame_reader import open_array

        known, extra = open_array(data, "alarm", 7, 0)
        _check(known)
        # `_check` has looked at every type.
        return cls(*known, extra)  # type: ignore[arg-type, call-arg]


def _check(items: "Sequence[object]") -> None:
    fields.index(items[0], "alarm")
    fields.state(items[1], "alarm")
    fields.integer(items[2], 1, 0xFF, "alarm.kind")
    if items[3] is not True and items[3] is not False:
        raise FrameError(f"alarm.raised: {items[3]!r} is neither true nor false")
    fields.integer(items[4], 0, 0xFF, "alarm.mask")
    fields.optional_integer(items[5], 0, _U32, "alarm.at")
    fields.optional_integer(items[6], -0x80000000, _U32, "alarm.value")
