"""A scheduler that moves when it is told to."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable


class Planned:
    def __init__(self, fn: Callable[[], None]) -> None:
        self.fn: Callable[[], None] | None = fn

    def cancel(self) -> None:
        self.fn = None


class ManualScheduler:
    """Virtual time in ns; calls of one moment in the order in which they were planned."""

    def __init__(self, now_ns: int = 1_781_733_600_000_000_000) -> None:
        self.now_ns = now_ns
        self._plan: list[tuple[int, int, Planned]] = []
        self._number = itertools.count()

    def at(self, t_ns: int, fn: Callable[[], None]) -> Planned:
        assert t_ns >= self.now_ns, "planned into the past"
        planned = Planned(fn)
        heapq.heappush(self._plan, (t_ns, next(self._number), planned))
        return planned

    def run_until(self, t_ns: int) -> None:
        while self._plan and self._plan[0][0] <= t_ns:
            self.now_ns, _, planned = heapq.heappop(self._plan)
            if planned.fn:
                planned.fn()
        self.now_ns = max(self.now_ns, t_ns)

    def run_for(self, seconds: float) -> None:
        self.run_until(self.now_ns + round(seconds * 1e9))

    @property
    def planned(self) -> int:
        """Calls that are still to be made."""
        return sum(planned.fn is not None for _, _, planned in self._plan)
