"""The time of a run in front of a real network server: UTC as this machine knows it, going on steadily.

A test may let it run faster than the world: then everybody who shares the clock, both sides of the topics, must run on it.
"""

from __future__ import annotations

import asyncio
import time

NS = 1_000_000_000


class WallClock:
    """UTC at its making, from then on the machine's monotonic clock, `pace` times as fast. A clock for the bridge."""

    def __init__(self, start_ns: int | None = None, pace: float = 1.0) -> None:
        if not pace > 0:
            raise ValueError(f"pace {pace}: must be positive")
        self.pace = pace
        self._start_ns = time.time_ns() if start_ns is None else start_ns
        self._origin_ns = time.monotonic_ns()

    def now_ns(self) -> int:
        """UTC Unix nanoseconds."""
        return self._start_ns + round((time.monotonic_ns() - self._origin_ns) * self.pace)

    async def sleep(self, seconds: float) -> None:
        """Wait until so much of this clock's time has passed."""
        await asyncio.sleep(max(0.0, seconds) / self.pace)

    def away(self) -> None:
        """Nothing to do: this time goes on by itself."""

    def drift_ns(self) -> int:
        """How far the machine's UTC has moved away from this clock since it was made, at pace 1: it was set, or slewed."""
        return time.time_ns() - self.now_ns()
