"""Whether the bridge moves: the event loop and the store's thread each leave a mark every second."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from zaehlwerk_bridge.clock import Clock

EVERY_S = 1.0
LOOP_LATE_S = 10.0
"""An event loop that stood still for so long hangs: nothing on it may take more than milliseconds."""
STORE_LATE_S = 60.0
"""A store's thread may wait for a slow disk, for another program's transaction, or make a large one."""


class Heartbeat:
    """Beats until cancelled. May be looked at from any thread.

    `touch_store` returns when the store's thread has done what it was asked before. `wall` is real time; `monotonic`
    gives its seconds, whatever is done to the machine's clock.
    """

    def __init__(
        self,
        wall: Clock,
        touch_store: Callable[[], Awaitable[None]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._touch_store = touch_store
        self._monotonic = monotonic
        self._loop_at = self._store_at = monotonic()
        self._beating = False
        self.lag_s = 0.0
        """So much later than asked the loop came to the last beat."""

    @property
    def loop_age_s(self) -> float:
        """Seconds since the loop's last mark."""
        return self._monotonic() - self._loop_at if self._beating else 0.0

    @property
    def store_age_s(self) -> float:
        """Seconds since the store's last mark."""
        return self._monotonic() - self._store_at if self._beating else 0.0

    def troubles(self) -> dict[str, str]:
        """What stands still and for how long; empty if everything moves."""
        ages = {
            "loop": (self.loop_age_s, LOOP_LATE_S, "the event loop"),
            "store": (self.store_age_s, STORE_LATE_S, "the store's thread"),
        }
        return {
            side: f"{what} has not moved for {age_s:.0f} s"
            for side, (age_s, most_s, what) in ages.items()
            if age_s > most_s
        }

    async def run(self) -> None:
        """Beat."""
        self._loop_at = self._store_at = self._monotonic()
        self._beating = True
        touching: asyncio.Task[None] | None = None
        try:
            while True:
                if touching is not None and touching.done():
                    touching.result()  # what broke the store's thread breaks the bridge
                    touching = None
                if touching is None:
                    touching = asyncio.create_task(self._touch())
                before = self._monotonic()
                await self._wall.sleep(EVERY_S)
                self._loop_at = self._monotonic()
                self.lag_s = max(0.0, self._loop_at - before - EVERY_S)
        finally:
            self._beating = False
            if touching is not None:
                touching.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await touching

    async def _touch(self) -> None:
        await self._touch_store()
        self._store_at = self._monotonic()
