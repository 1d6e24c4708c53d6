"""From port and payload to frame: for those who read all of them. A node imports the frames it sends one by one."""

from . import ports
from .alarm import Alarm
from .answer import Answer
from .backfill import Backfill
from .command import Command
from .counts import Counts
from .errors import FrameError
from .flow import Flow
from .frame import Frame
from .status import Status

BY_PORT: dict[int, type[Counts | Status | Flow | Backfill | Alarm | Answer | Command]] = {
    ports.COUNTS: Counts,
    ports.STATUS: Status,
    ports.FLOW: Flow,
    ports.BACKFILL: Backfill,
    ports.ALARM: Alarm,
    ports.ANSWER: Answer,
    ports.COMMAND: Command,
}


def decode(port: int, data: bytes) -> Counts | Status | Flow | Backfill | Alarm | Answer | Command:
    """Return the frame that `data`, a payload received on FPort `port`, holds.

    Raises FrameError, and nothing else, if the port is none of this protocol or the bytes are no frame of that port.
    """
    frame = BY_PORT.get(port)
    if frame is None:
        raise FrameError(
            f"port {port}: no frame of this protocol; known are {', '.join(str(p) for p in sorted(BY_PORT))}"
        )
    return frame.decode(data)


__all__ = ["Frame", "decode"]
