"""A node watched over its cable, second by second, while it counts and sends as always."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from zaehlwerk_tools.technician.board_transport import BoardProgramError, BoardTransport
from zaehlwerk_tools.technician.node_observer import MARK, Observer
from zaehlwerk_tools.technician.node_state import NodeState, seen_on_cable
from zaehlwerk_tools.technician.running_node import RunningNode, open_running
from zaehlwerk_tools.technician.troubles import CutOffError, NotRunningError, TechnicianError

SILENT_S = 30.0
"""A node says something every second, except while it closes intervals or loads code; so long is too long."""

Clock = Callable[[], float]


class CableWatch:
    """A node that tells of itself every second. Made by `watching`."""

    def __init__(self, node: RunningNode, clock: Clock) -> None:
        self._node = node
        self._clock = clock
        self._rest = b""
        self._heard_at = time.monotonic()
        self.notes: list[str] = []
        """What the node itself has printed, newest last."""

    def news(self, wait_s: float) -> list[NodeState]:
        """What it told since the last call, oldest first; waits at most so long for it. Raises CutOffError."""
        self._rest += self._node.heard(wait_s)
        *lines, self._rest = self._rest.split(b"\n")
        found = []
        for raw in lines:
            line = raw.decode(errors="replace").strip("\r\n\x04>")
            state = seen_on_cable(line, self._node.port, self._clock())
            if state is not None:
                found.append(state)
            elif line and MARK not in line:
                self.notes.append(line)
        if found:
            self._heard_at = time.monotonic()
        elif time.monotonic() - self._heard_at > SILENT_S:
            raise CutOffError(
                f"{self._node.port}: the node has said nothing for {SILENT_S:.0f} s: look at the cable, or run this again"
            )
        return found


def look_once(port: str, observer: Observer, clock: Clock) -> NodeState:
    """The node's state now; it is held for a moment and goes on. Raises TechnicianError."""
    with open_running(port) as node, _held(node, observer) as board:
        said = _told(board, observer, observer.once)
    for line in said.split("\n"):  # splitlines would end one at the mark
        state = seen_on_cable(line, port, clock())
        if state is not None:
            return state
    raise NotRunningError(f"{port}: the node says nothing of itself: try again")


@contextmanager
def watching(port: str, observer: Observer, clock: Clock) -> Iterator[CableWatch]:
    """The node at `port` tells of itself while the body runs; nothing of that stays. Raises TechnicianError."""
    with open_running(port) as node:
        with _held(node, observer) as board:
            _told(board, observer, observer.begin)
        try:
            yield CableWatch(node, clock)
        finally:
            # Where the cable is gone, or the node busy for long, the observer ends itself.
            with suppress(TechnicianError), node.held(observer.may_hold, again=False) as board:
                board.run(observer.end)


@contextmanager
def _held(node: RunningNode, observer: Observer) -> Iterator[BoardTransport]:
    try:
        with node.held(observer.may_hold) as board:
            observer.require_fits(board)
            yield board
    except BoardProgramError:
        # The expression, or what is of another firmware: its names are others.
        raise observer.misfit() from None


def _told(board: BoardTransport, observer: Observer, program: str) -> str:
    try:
        return board.run(program)
    except BoardProgramError as error:
        raise NotRunningError(
            f"the node cannot be watched ({error}); it goes on: try again, and if it stays so, flash it with {observer.folder}"
        ) from None
