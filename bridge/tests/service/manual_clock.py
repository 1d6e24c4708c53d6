"""A clock that moves when the test moves it."""

from __future__ import annotations

import asyncio
import heapq
import itertools


class ManualClock:
    """Time stands until `move`; sleepers whose time has come are woken in its order."""

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self.slept: list[float] = []

    def now_ns(self) -> int:
        return self._now_ns

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return
        self.slept.append(seconds)
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_ns + int(seconds * 1e9), next(self._order), woken))
        await woken

    def away(self) -> None:
        """Nothing to do: this clock does not wait for those that it woke."""

    async def move(self, seconds: float) -> None:
        """Let time pass."""
        until = self._now_ns + int(seconds * 1e9)
        while self._sleepers and self._sleepers[0][0] <= until:
            at, _, woken = heapq.heappop(self._sleepers)
            self._now_ns = max(self._now_ns, at)
            if not woken.done():
                woken.set_result(None)
                for _ in range(10):
                    await asyncio.sleep(0)
        self._now_ns = until
