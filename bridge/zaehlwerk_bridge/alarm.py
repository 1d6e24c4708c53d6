"""An action that happens at a time of the handed clock, or at once when it is rung."""

import asyncio
from collections.abc import Awaitable, Callable

from zaehlwerk_bridge.clock import Clock

LOOK_S = 60.0
"""A longer wait looks at the clock so often: one that was stepped meanwhile says another time than the seconds that passed."""


class Alarm:
    """Runs `action` when its time has come, never twice at once.

    The task that sleeps is the task that acts: a virtual clock sees it as awake until the action is done, so time
    does not run ahead of it. What the action raises goes to `failed`.
    """

    def __init__(
        self, clock: Clock, action: Callable[[], Awaitable[None]], failed: Callable[[BaseException], None]
    ) -> None:
        self._clock = clock
        self._action = action
        self._failed = failed
        self._task: asyncio.Task[None] | None = None
        self._at_ns: int | None = None
        self._again = False
        self._closed = False
        self.acting = False

    @property
    def at_ns(self) -> int | None:
        """When it will ring, nanoseconds UTC; None if it is not set."""
        return self._at_ns

    @property
    def due(self) -> bool:
        """Whether its action runs or should be running by the clock."""
        return self.acting or (self._at_ns is not None and self._at_ns <= self._clock.now_ns())

    def set(self, at_ns: int | None) -> None:
        """Ring at `at_ns`. A time that is set already and is earlier stays: ringing too early must be harmless."""
        if at_ns is None or self._closed or (self._at_ns is not None and self._at_ns <= at_ns):
            return
        self._at_ns = at_ns
        if not self.acting:
            self._start(at_ns)

    def ring(self) -> None:
        """Act now, without waiting for the clock; while the action runs: once more after it."""
        if self._closed:
            return
        if self.acting:
            self._again = True
            return
        self._at_ns = self._clock.now_ns()
        self._start(None)

    async def close(self) -> None:
        """Never ring again; an action that runs is cancelled."""
        self._closed = True
        self._at_ns = None
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _start(self, at_ns: int | None) -> None:
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._task = asyncio.create_task(self._run(at_ns))

    async def _run(self, at_ns: int | None) -> None:
        # Also where the action is due already: a virtual clock stands for whoever it woke, and for nobody else.
        await self._clock.sleep(0)
        while at_ns is not None and (left_s := (at_ns - self._clock.now_ns()) / 1e9) > 0:
            await self._clock.sleep(min(left_s, LOOK_S))
        self.acting = True
        try:
            while True:
                self._at_ns = None
                self._again = False
                await self._action()
                if not self._again:
                    break
        except Exception as error:  # noqa: BLE001 - handed on, whatever it is
            self._failed(error)
        finally:
            self.acting = False
        if self._at_ns is not None and not self._closed:
            self._start(self._at_ns)
