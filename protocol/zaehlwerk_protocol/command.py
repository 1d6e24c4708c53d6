"""Command, port 10, the only downlink: what the bridge asks of a node. The node answers on port 6 (answer.py).

[token, kind, arguments, * extra]
"""

from . import fields
from .errors import FrameError
from .frame import MAX_PAYLOAD, Frame, close_array, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SET_CONFIG = 1
"""(part from 0, parts, first 4 bytes of the SHA-256 of the whole, piece of the settings document)"""
GET_CONFIG = 2
"""(part from 0,) -> (parts, piece)"""
BACKFILL = 3
"""(1 for the unsynced space else 0, first index modulo 2^16, number of intervals 1..512)"""
STATUS = 4
"""() -> a status frame follows"""
REBOOT = 5
"""()"""
REJOIN = 6
"""()"""
IDENTIFY = 7
"""(seconds 1..3600,): show yourself to who stands before you"""
TIME = 8
"""() ask the network for the time; or (Unix seconds,) as a hint that the network's time is checked against"""
CLEAR_ALARM = 9
"""(kind of alarm, mask of channels)"""

MAX_TOKEN = 0xFFFF
MAX_PARTS = 64
_U32 = 0xFFFFFFFF

# Per kind: least number of arguments, then the (lowest, highest) of each; a byte string has (shortest, longest, bytes).
_ARGUMENTS = {
    SET_CONFIG: (4, (0, MAX_PARTS - 1), (1, MAX_PARTS), (4, 4, bytes), (1, MAX_PAYLOAD, bytes)),
    GET_CONFIG: (1, (0, MAX_PARTS - 1)),
    BACKFILL: (3, (0, 1), (0, 0xFFFF), (1, 512)),
    STATUS: (0,),
    REBOOT: (0,),
    REJOIN: (0,),
    IDENTIFY: (1, (1, 3600)),
    TIME: (0, (0, _U32)),
    CLEAR_ALARM: (2, (1, 0xFF), (0, (1 << fields.MAX_CHANNELS) - 1)),
}


class Command(Frame):
    """A command.

    token: of the one who asks, 0..65535; a node stores it before it acts, and only answers one that it has stored
    kind: one of the constants here
    args: as the constant's text says; `arguments_fit` looks at them
    extra: elements that this version does not know
    """

    PORT = 10
    FIELDS = ("token", "kind", "args", "extra")

    def __init__(
        self, token: int, kind: int, args: "Sequence[object]" = (), extra: "Sequence[object]" = ()
    ) -> None:
        self.token = token
        self.kind = kind
        self.args = tuple(args)
        self.extra = tuple(extra)

    def encode(self, limit: int = MAX_PAYLOAD) -> bytes:
        """Return the frame; FrameError if a field is out of range or it is longer than `limit`.

        Whether the arguments fit the kind is not looked at: what `decode` accepted can be written again. Whoever asks
        something of a node calls `arguments_fit` first.
        """
        items: list[object] = [
            fields.integer(self.token, 0, MAX_TOKEN, "command.token"),
            fields.integer(self.kind, 1, 0xFF, "command.kind"),
            self.args,
        ]
        return within(close_array("command", items, [], self.extra), limit, "command")

    @classmethod
    def decode(cls, data: bytes) -> "Command":
        """Return the frame in `data`; FrameError if it is none.

        An unknown kind or arguments that do not fit are no error here: a node has to answer that it cannot do this.
        """
        from .frame_reader import open_array

        known, extra = open_array(data, "command", 3, 0)
        args = known[2]
        if not isinstance(args, tuple):
            raise FrameError(f"command.args: {args!r} is no array")
        return cls(
            fields.integer(known[0], 0, MAX_TOKEN, "command.token"),
            fields.integer(known[1], 1, 0xFF, "command.kind"),
            args,
            extra,
        )


def arguments_fit(kind: int, args: tuple[object, ...]) -> bool | None:
    """Return whether `args` are what `kind` takes; None if this version does not know the kind."""
    pattern = _ARGUMENTS.get(kind)
    if pattern is None:
        return None
    least = pattern[0]
    expected = pattern[1:]
    if not least <= len(args) <= len(expected):  # type: ignore[operator]  # the first of a pattern is a number
        return False
    for at in range(len(args)):
        value = args[at]
        bounds: tuple[int, ...] = expected[at]  # type: ignore[assignment]  # all others are tuples
        if len(bounds) == 3:
            if not isinstance(value, bytes) or not bounds[0] <= len(value) <= bounds[1]:
                return False
        elif type(value) is not int or not bounds[0] <= value <= bounds[1]:
            return False
    return True
