"""The simulator's time: a conservative discrete-event scheduler in asyncio, integer nanoseconds of UTC Unix time.

An event at t is only run when every gate (a board that computes in its own process) has said that it can no longer
do anything at or before t. Events run by (time, owner, order within the owner), so the order does not depend on who
answered first. Where the outside world has to keep up, `hold` makes time stand.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

FOREVER = 1 << 63
NS = 1_000_000_000
STALL_S = 120.0
"""Wall seconds without any progress of a board after which something is wrong with it, not with the machine."""

Callback = Callable[[], Awaitable[object] | None]


class SchedulerError(RuntimeError):
    """An event in the past, or a board that makes no progress; the text says which."""


class Gate(Protocol):
    """Somebody who computes on his own: promises that nothing of his happens before `bound_ns` any more."""

    @property
    def bound_ns(self) -> int:
        """UTC Unix ns; only ever rises, except when the gate is answered what it waited for."""
        ...

    @property
    def name(self) -> str:
        """For messages."""
        ...


class Handle:
    """A scheduled event; `cancel()` makes it not happen."""

    __slots__ = ("callback", "key")

    def __init__(self, key: tuple[int, int, int], callback: Callback) -> None:
        self.key = key
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Harmless when the event has happened already."""
        self.callback = None

    def __lt__(self, other: Handle) -> bool:
        return self.key < other.key


class Scheduler:
    """Runs events in order. `pace`: virtual seconds per wall second, None as fast as possible."""

    def __init__(self, start_ns: int, *, pace: float | None = None, stall_s: float = STALL_S) -> None:
        if pace is not None and pace <= 0:
            raise ValueError(f"pace {pace}: must be positive, 1.0 is real time")
        self._now = start_ns
        self._pace = pace
        self._stall_s = stall_s
        self._queue: list[Handle] = []
        self._orders: dict[int, int] = {}
        self._gates: list[Gate] = []
        self._holds: set[asyncio.Future[object]] = set()
        self._progress = asyncio.Event()
        self._waiting_for = -1  # while waiting for gates: the time they must have passed
        self._failure: BaseException | None = None
        self._anchor: tuple[float, int] | None = None  # (wall, virtual) when a paced run began
        self._horizon = start_ns
        self.events = 0

    @property
    def now_ns(self) -> int:
        """The time of the event being run; in a paced run it moves on between events."""
        if self._anchor is not None and self._pace is not None:
            wall, virtual = self._anchor
            moved = virtual + int((time.monotonic() - wall) * self._pace * NS)
            self._now = max(self._now, min(moved, self._horizon))
        return self._now

    def at(self, t_ns: int, callback: Callback, *, owner: int = 0) -> Handle:
        """Run `callback` at `t_ns`. If it returns an awaitable, time stands until that is done.

        `owner`: a board's number, for events that it causes while it runs ahead. SchedulerError if t_ns has passed.
        """
        if t_ns < self._now:
            raise SchedulerError(f"event at {t_ns} ns, but it is {self._now} ns already (owner {owner})")
        order = self._orders.get(owner, 0)
        self._orders[owner] = order + 1
        handle = Handle((t_ns, owner, order), callback)
        heapq.heappush(self._queue, handle)
        if self._pace is not None:
            self._progress.set()
        return handle

    def cancel(self, handle: Handle) -> None:
        """Same as `handle.cancel()`."""
        handle.cancel()

    def hold(self, awaitable: Awaitable[object]) -> None:
        """Time stands until `awaitable` is done; what it raises, `run` raises."""
        future = asyncio.ensure_future(awaitable)
        self._holds.add(future)

    def add_gate(self, gate: Gate) -> None:
        """From now on no event runs that `gate` has not passed."""
        self._gates.append(gate)

    def remove_gate(self, gate: Gate) -> None:
        """Nobody waits for `gate` any more."""
        self._gates.remove(gate)
        self._progress.set()

    def moved(self, bound_ns: int) -> None:
        """A gate's bound rose to `bound_ns`: go on if that is what was waited for."""
        if bound_ns > self._waiting_for:
            self._progress.set()

    def fail(self, error: BaseException) -> None:
        """End the run: `run` raises `error`."""
        if self._failure is None:
            self._failure = error
        self._progress.set()

    async def run(self, until_ns: int) -> None:
        """Run all events up to and including `until_ns`; the boards have passed it then."""
        if self._pace is not None and self._anchor is None:
            self._anchor = (time.monotonic(), self._now)
        while True:
            if self._failure is not None:
                raise self._failure
            if self._holds:
                await self._stand()
                continue
            event = self._first()
            target = until_ns if event is None else min(event.key[0], until_ns)
            if not all(gate.bound_ns > target for gate in self._gates):
                await self._wait_for_gates(target)
                continue
            self._horizon = target
            if self._pace is not None and not await self._wall_reached(target):
                continue
            if event is None or event.key[0] > until_ns:
                self._now = max(self._now, until_ns)
                return
            heapq.heappop(self._queue)
            self._now = target
            self.events += 1
            if event.callback is not None:
                result = event.callback()
                if result is not None:
                    self.hold(result)
            # The boards' pipes and the outside world get their turn.
            await asyncio.sleep(0)

    def _first(self) -> Handle | None:
        while self._queue and self._queue[0].callback is None:
            heapq.heappop(self._queue)
        return self._queue[0] if self._queue else None

    async def _stand(self) -> None:
        done, self._holds = self._holds, set()
        pending = done
        try:
            finished, pending = await asyncio.wait(done, return_when=asyncio.FIRST_EXCEPTION)
        except asyncio.CancelledError:
            for future in pending:
                future.cancel()
            raise
        self._holds |= pending
        for future in finished:
            future.result()

    async def _wait_for_gates(self, target: int) -> None:
        self._waiting_for = target
        self._progress.clear()
        try:
            async with asyncio.timeout(self._stall_s):
                await self._progress.wait()
        except TimeoutError:
            late = [gate.name for gate in self._gates if gate.bound_ns <= target]
            raise SchedulerError(
                f"no progress for {self._stall_s:.0f} s at {target / NS:.3f} s UTC: waiting for {', '.join(late)}; "
                "a program that loops without reading a clock or sleeping makes no virtual time"
            ) from None
        finally:
            self._waiting_for = -1

    async def _wall_reached(self, target: int) -> bool:
        assert self._anchor is not None
        assert self._pace is not None
        wall, virtual = self._anchor
        left = wall + (target - virtual) / (self._pace * NS) - time.monotonic()
        if left <= 0:
            return True
        self._progress.clear()
        try:
            async with asyncio.timeout(left):
                await self._progress.wait()
        except TimeoutError:
            return True
        return False
