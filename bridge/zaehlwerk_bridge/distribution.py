"""How often a value was how large: what a histogram shows."""

from bisect import bisect_left
from collections.abc import Sequence


class Distribution:
    """Counts values by upper `bounds`, which rise. One thread observes; others may look at any time."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self._counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count `value`."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def cumulative(self) -> list[tuple[str, float]]:
        """For each bound, and for no bound (`+Inf`), how many values were at most that."""
        below = 0
        found = []
        for bound, count in zip((*map(str, map(float, self.bounds)), "+Inf"), self._counts, strict=True):
            below += count
            found.append((bound, float(below)))
        return found
