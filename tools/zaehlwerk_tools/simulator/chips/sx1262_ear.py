"""What the antenna tells an SX1262, put in order with what happens inside the chip at the same time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from zaehlwerk_tools.simulator.chips.antenna import Reception
from zaehlwerk_tools.simulator.chips.sx1262_timeline import Timeline


class Listener(Protocol):
    """Who makes something of it."""

    def preamble(self, at_ns: int) -> None:
        """As in `Hears`."""
        ...

    def header(self, at_ns: int) -> None:
        """As in `Hears`."""
        ...

    def frame(self, at_ns: int, reception: Reception) -> None:
        """As in `Hears`."""
        ...

    def lost(self, at_ns: int) -> None:
        """As in `Hears`."""
        ...


class Ear:
    """A chip's `Hears`: first the chip's own events up to that moment happen, and one of them may have closed the receiver.
    `changed` is called afterwards."""

    def __init__(self, timeline: Timeline, listener: Listener) -> None:
        self._timeline = timeline
        self._listener = listener
        self._is_open = False
        self.changed: Callable[[int], None] = lambda at_ns: None

    def open(self) -> None:
        """The receiver is (about to be) open."""
        self._is_open = True

    def close(self) -> None:
        """Nothing more is heard."""
        self._is_open = False

    def preamble(self, at_ns: int) -> None:
        """See `Hears`."""
        self._tell(at_ns, lambda: self._listener.preamble(at_ns))

    def header(self, at_ns: int) -> None:
        """See `Hears`."""
        self._tell(at_ns, lambda: self._listener.header(at_ns))

    def frame(self, at_ns: int, reception: Reception) -> None:
        """See `Hears`."""
        self._tell(at_ns, lambda: self._listener.frame(at_ns, reception))

    def lost(self, at_ns: int) -> None:
        """See `Hears`."""
        self._tell(at_ns, lambda: self._listener.lost(at_ns))

    def _tell(self, at_ns: int, what: Callable[[], None]) -> None:
        # Something heard in the very moment of a time-out comes in time.
        self._timeline.run(at_ns - 1)
        self._timeline.now = at_ns
        if self._is_open:
            what()
        self.changed(at_ns)
