"""Answer, port 6: what became of a command (command.py).

[token, kind, result, ? data, * extra]
"""

from . import fields
from .errors import FrameError
from .frame import MAX_PAYLOAD, Frame, close_array, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

OK = 0
"""Done, or begun where it takes the node off the air."""
UNKNOWN_KIND = 1
"""This firmware does not know such a command."""
BAD_ARGS = 2
"""The arguments do not fit the kind; of a configuration: the whole is not valid."""
REFUSED = 3
"""Understood, but not now or never on this node."""
NO_RECORD = 4
"""The node has nothing stored of what was asked for."""
INCOMPLETE = 5
"""Taken; further parts are missing."""


class Answer(Frame):
    """An answer.

    token, kind: those of the command
    result: one of the constants here; a reader takes an unknown one for a refusal
    data: what the kind of command promises, else empty
    extra: elements that this version does not know
    """

    PORT = 6
    FIELDS = ("token", "kind", "result", "data", "extra")

    def __init__(
        self,
        token: int,
        kind: int,
        result: int,
        data: "Sequence[object]" = (),
        extra: "Sequence[object]" = (),
    ) -> None:
        self.token = token
        self.kind = kind
        self.result = result
        self.data = tuple(data)
        self.extra = tuple(extra)

    def encode(self, limit: int = MAX_PAYLOAD) -> bytes:
        """Return the frame; FrameError if a field is out of range or it is longer than `limit`."""
        items: list[object] = [
            fields.integer(self.token, 0, 0xFFFF, "answer.token"),
            fields.integer(self.kind, 1, 0xFF, "answer.kind"),
            fields.integer(self.result, 0, 0xFF, "answer.result"),
        ]
        return within(close_array("answer", items, [self.data or None], self.extra), limit, "answer")

    @classmethod
    def decode(cls, data: bytes) -> "Answer":
        """Return the frame in `data`; FrameError if it is none."""
        from .frame_reader import open_array

        known, extra = open_array(data, "answer", 3, 1)
        said = known[3]
        # An empty array says what leaving it out says, so there is only one form of it.
        if said is not None and (not isinstance(said, tuple) or not said):
            raise FrameError(f"answer.data: {said!r} is no array with something in it")
        return cls(
            fields.integer(known[0], 0, 0xFFFF, "answer.token"),
            fields.integer(known[1], 1, 0xFF, "answer.kind"),
            fields.integer(known[2], 0, 0xFF, "answer.result"),
            said or (),
            extra,
        )
