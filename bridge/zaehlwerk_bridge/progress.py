"""A mark that work leaves behind at every step, with how long the next one may take: what stands still is told from what waits."""

import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

PATIENCE_S = 60.0
"""So long after it was woken, or after what it had to wait for, a side may take to its next step: the store may be slow."""


class Progress:
    """One side's mark. May be looked at from any thread. `monotonic` gives seconds, whatever is done to the clock."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._due = float("inf")

    def step(self, patience_s: float) -> None:
        """It moves; the next step comes within `patience_s` seconds, or something is wrong with it."""
        self._due = self._monotonic() + patience_s

    @property
    def late_s(self) -> float:
        """Seconds since the next step was due; 0 if it is not due, or nothing was begun."""
        return max(0.0, self._monotonic() - self._due)


@runtime_checkable
class Moving(Protocol):
    """Whoever leaves such marks."""

    progress: Progress
