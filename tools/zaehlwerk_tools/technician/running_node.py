"""A node that is spoken to while it runs: held for a moment between two of its tasks, and let go on where it was.

Ctrl-C takes MicroPython out of asyncio's loop. Where it strikes while the loop waits, as it does nearly always, no task is
harmed: variables, tasks, hardware counters and interrupts stay, and `run_forever` goes on with all of them. So nothing is
reset and no pulse is lost. Where it strikes within a task that task is gone: the node is started anew, and that is told.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport
from serial import SerialException

from zaehlwerk_tools.technician.board_transport import (
    BoardProgramError,
    BoardTransport,
    enter_raw,
    open_serial,
)
from zaehlwerk_tools.technician.troubles import CutOffError, NotRunningError

CTRL_C = b"\x03"
STOPPING_S = 3.0
"""So long a program may need to say that it was interrupted."""
MARGIN_MS = 3000
"""A node whose interval ends sooner is left alone: the reading at the boundary must not wait."""
AGAIN_S = 1.0
RESTART_S = 10.0
"""A node is put together within this time."""
TRIES = 40
"""At the lowest data rate a transmission and its windows take about five seconds; a boundary may come on top."""

_BETWEEN_TASKS = b"wait_io_event"
"""What asyncio's loop waits in: the innermost line of the traceback if no task was at work."""
_INTERRUPTED = b"KeyboardInterrupt"
_ENDINGS = (b">>> ", b"\x04>")
_GO_ON = "import asyncio\nasyncio.get_event_loop().run_forever()"
_IS_NODE = "print('node' in globals())"


class RunningNode:
    """A node at an open port. Made by `open_running`."""

    def __init__(self, port: str, serial: SerialTransport) -> None:
        self.port = port
        self._serial = serial

    @contextmanager
    def held(self, may_hold: str = "True", *, again: bool = True) -> Iterator[BoardTransport]:
        """The node stands still while the body runs; keep it short. It goes on afterwards, whatever happened.

        `may_hold`: an expression that the board answers; if it is false the node goes on at once and is tried again. `again`: a
        node that had to be started anew is waited for, once. Raises NoBoardError, NotRunningError, CutOffError, and
        BoardProgramError if the expression fails.
        """
        for left in reversed(range(TRIES)):
            said = self._interrupt()
            enter_raw(self.port, self._serial, soft_reset=False)
            board = BoardTransport(self.port, self._serial)
            if _INTERRUPTED in said and _BETWEEN_TASKS not in said:
                board.reset()
                struck = (
                    f"{self.port}: the node was interrupted in the middle of something ({_place(said)}), so it was started anew; "
                    "what that cost is flagged in its counts"
                )
                if not again:
                    raise NotRunningError(f"{struck}: try again in a minute")
                again = False
                sys.stderr.write(f"zaehlwerk: {struck}; waiting for it\n")
                time.sleep(RESTART_S)
                continue
            self._require_node(board, said)
            try:
                if bool(board.value_of(f"print({may_hold})")):
                    yield board
                    return
            finally:
                self._go_on()
            if not left:
                raise NotRunningError(f"{self.port}: the node has been busy for {TRIES} s: try again")
            time.sleep(AGAIN_S)

    def heard(self, wait_s: float) -> bytes:
        """What the node printed meanwhile, after at most `wait_s` if that is nothing. Raises CutOffError."""
        until = time.monotonic() + wait_s
        try:
            while not self._serial.serial.in_waiting and time.monotonic() < until:
                time.sleep(0.01)
            return bytes(self._serial.serial.read(self._serial.serial.in_waiting or 0))
        except (SerialException, OSError) as error:
            raise CutOffError(
                f"{self.port}: the port is gone ({error}): look at the cable; the node goes on counting"
            ) from None

    def _interrupt(self) -> bytes:
        """Stop what runs; what it said to that."""
        said = b""
        try:
            self._serial.serial.write(CTRL_C)
        except (SerialException, OSError) as error:
            raise CutOffError(f"{self.port}: the port is gone ({error}): look at the cable") from None
        until = time.monotonic() + STOPPING_S
        while not said.endswith(_ENDINGS) and time.monotonic() < until:
            said += self.heard(0.1)
        return said

    def _require_node(self, board: BoardTransport, said: bytes) -> None:
        """Raises NotRunningError unless it was a node that was stopped."""
        if _INTERRUPTED not in said:
            raise NotRunningError(
                f"{self.port}: no program runs on the board: start the node with "
                f"`mpremote connect {self.port} reset`, or set it up with `zaehlwerk flash` and `provision`"
            )
        try:
            if board.value_of(_IS_NODE):
                return
        except (BoardProgramError, ValueError, SyntaxError):
            pass
        board.reset()
        raise NotRunningError(
            f"{self.port}: what runs on the board is no node of ours; it was started again: `zaehlwerk flash` and `provision` "
            "make it one"
        )

    def _go_on(self) -> None:
        with suppress(TransportError, SerialException, OSError):
            self._serial.exec_raw_no_follow(_GO_ON)


def _place(said: bytes) -> str:
    """The innermost line of a traceback, for people."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if "File " in line]
    return lines[-1].removeprefix("File ").replace('"', "") if lines else "nobody knows where"


@contextmanager
def open_running(port: str) -> Iterator[RunningNode]:
    """The node at `port`, which is not touched yet. Raises NoBoardError."""
    with open_serial(port) as serial:
        yield RunningNode(port, serial)
