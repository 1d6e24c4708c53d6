"""The network server in real time: its scheduler on an event loop, by a clock that is handed in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .scheduler import NS_PER_S


class WallScheduler:
    """`now_ns` is the clock, int nanoseconds of UTC Unix time; `pace`: its seconds per second of the event loop.

    To be used in the event loop that runs when a call is planned. One that is due already is made at the loop's next turn.
    """

    def __init__(self, now_ns: Callable[[], int], pace: float = 1.0) -> None:
        self._clock = now_ns
        self._pace = pace
        self._moment = 0

    @property
    def now_ns(self) -> int:
        """The present moment; it never goes back."""
        self._moment = max(self._moment, self._clock())
        return self._moment

    def at(self, t_ns: int, fn: Callable[[], None], /) -> asyncio.TimerHandle:
        """Call `fn` at `t_ns`."""
        wait_s = (t_ns - self._clock()) / NS_PER_S / self._pace
        return asyncio.get_running_loop().call_later(max(0.0, wait_s), fn)
