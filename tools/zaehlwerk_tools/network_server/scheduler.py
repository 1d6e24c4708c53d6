"""What the network server needs of a scheduler. The simulator's scheduler has more; this is all that is relied upon here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


class Handle(Protocol):
    """One planned call."""

    def cancel(self) -> object:
        """Drop the call if it has not been made yet."""


class Scheduler(Protocol):
    """A clock in int nanoseconds of UTC Unix time, and calls at moments of it."""

    @property
    def now_ns(self) -> int:
        """The present moment."""

    def at(self, t_ns: int, fn: Callable[[], None], /) -> Handle:
        """Call `fn` at `t_ns`; calls of the same moment are made in the order in which they were planned."""
