"""Level changes of a pin at exact times, as a sensor with all its bounces makes them, and what a hardware counter sees of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

RISING, FALLING = 1, 2


class EdgeTrain:
    """The level of one pin: `idle` until the first of `times` (UTC Unix ns, rising), then changing at each of them.

    Raises ValueError if two changes are not at least 1 us apart, or if `idle` is not a level.
    """

    def __init__(self, times: Sequence[int], idle: int = 0) -> None:
        if idle not in (0, 1):
            raise ValueError(f"idle level {idle}: 0 or 1")
        if any(b - a < 1000 for a, b in pairwise(times)):
            raise ValueError("the edges of a train must rise by a microsecond at least")
        self.times = times
        self.idle = idle
        self._filtered: dict[int, EdgeTrain] = {0: self}

    def level(self, t_ns: int) -> int:
        """The level at `t_ns`."""
        return self.idle ^ (bisect_right(self.times, t_ns) & 1)

    def after(self, t_ns: int, most: int) -> Sequence[int]:
        """The next `most` changes after `t_ns`."""
        first = bisect_right(self.times, t_ns)
        return self.times[first : first + most]

    def count_and_next(self, t_ns: int, edge: int) -> tuple[int, int | None]:
        """How many edges of the kind (RISING, FALLING or both) came up to `t_ns`, and when the next one comes."""
        done = bisect_right(self.times, t_ns)
        if edge == RISING | FALLING:
            return done, self.times[done] if done < len(self.times) else None
        # From `idle` on every second change is of one kind.
        first = int((edge == RISING) == bool(self.idle))
        following = done + (done + first) % 2
        count = (done + 1 - first) // 2
        return count, self.times[following] if following < len(self.times) else None

    def filtered(self, filter_ns: int) -> EdgeTrain:
        """What is behind a filter that lets a level through when it has lasted `filter_ns`, so much later."""
        if filter_ns not in self._filtered:
            times: list[int] = []
            level = self.idle
            for number, at in enumerate(self.times):
                new = self.idle ^ (~number & 1)
                lasts = number + 1 == len(self.times) or self.times[number + 1] - at >= filter_ns
                if lasts and new != level:
                    times.append(at + filter_ns)
                    level = new
            self._filtered[filter_ns] = EdgeTrain(times, self.idle)
        return self._filtered[filter_ns]
