"""The clock that is handed to programs outside the simulation, above all to the bridge.

Its time is virtual and stands while one of its users works.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from zaehlwerk_tools.simulator.scheduler import NS, Scheduler

GRACE_S = 2.0
"""Wall seconds a woken user may work before time goes on without him: he then waits for something that is not time."""

_PASSES = 5
"""Turns of the event loop after a sleeping task has ended, for whoever awaited it."""


class VirtualClock:
    """`now_ns()` and `sleep()` on the scheduler's time.

    A task that `sleep` has woken makes time stand until it sleeps again or ends; a sleep of 0 seconds does so at once. A
    task that goes on to wait for something else (a stream) says so with `away()`, or is counted in `overdue` after
    `grace_s` wall seconds.
    """

    def __init__(self, scheduler: Scheduler, *, grace_s: float = GRACE_S) -> None:
        self._scheduler = scheduler
        self._grace_s = grace_s
        self._awake: dict[asyncio.Task[object], asyncio.Future[None]] = {}
        self.overdue = 0

    def now_ns(self) -> int:
        """UTC Unix nanoseconds."""
        return self._scheduler.now_ns

    def sleep(self, seconds: float) -> Coroutine[Any, Any, None]:
        """Return when virtual time has moved by `seconds`. The user is the task that calls, not one made of the call."""
        task = asyncio.current_task()
        assert task is not None
        return self._sleep(task, seconds)

    async def _sleep(self, task: asyncio.Task[object], seconds: float) -> None:
        if seconds <= 0:
            self._now_awake(task)
            return
        self._back(task)
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)
                self._now_awake(task)

        handle = self._scheduler.at(self._scheduler.now_ns + max(0, round(seconds * NS)), wake)
        try:
            await woken
        finally:
            handle.cancel()

    def away(self) -> None:
        """The calling task now waits for something that is not time: time may go on."""
        task = asyncio.current_task()
        assert task is not None
        self._back(task)

    @contextmanager
    def standing(self) -> Iterator[None]:
        """Time stands while the body runs, for work that no sleep has begun (a callback, a thread's result)."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._scheduler.hold(done)
        try:
            yield
        finally:
            done.set_result(None)

    def _now_awake(self, task: asyncio.Task[object]) -> None:
        self._back(task)
        if task.done():
            return
        back: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awake[task] = back
        task.add_done_callback(self._back)
        self._scheduler.hold(self._until_back(task, back))

    async def _until_back(self, task: asyncio.Task[object], back: asyncio.Future[None]) -> None:
        try:
            async with asyncio.timeout(self._grace_s):
                await back
        except TimeoutError:
            self.overdue += 1
            self._back(task)
            return
        if task.done():
            for _ in range(_PASSES):
                await asyncio.sleep(0)

    def _back(self, task: asyncio.Task[object]) -> None:
        back = self._awake.pop(task, None)
        task.remove_done_callback(self._back)
        if back is not None and not back.done():
            back.set_result(None)
