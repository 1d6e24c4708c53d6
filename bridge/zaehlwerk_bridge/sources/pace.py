"""A measured pace: so many starts in a second, so that a server is not met by thousands at once."""

import asyncio

from zaehlwerk_bridge.clock import Clock


class Pace:
    """Lets callers pass at `per_s` a second, one after the other, after a first `burst` that need not wait."""

    def __init__(self, clock: Clock, per_s: float, burst: int) -> None:
        self._clock = clock
        self._gap_ns = int(1e9 / per_s)
        self._credit_ns = self._gap_ns * (burst - 1)
        self._next_ns = clock.now_ns() - self._credit_ns
        self._turn = asyncio.Lock()

    async def wait(self) -> None:
        """Return when it is the caller's turn."""
        async with self._turn:
            now = self._clock.now_ns()
            self._next_ns = max(self._next_ns, now - self._credit_ns)
            if self._next_ns > now:
                await self._clock.sleep((self._next_ns - now) / 1e9)
            self._next_ns += self._gap_ns
