"""The clock that is handed in: whoever waits for time waits on it, so that a simulated day takes seconds.

Times are int nanoseconds of UTC Unix time, durations are float seconds.
"""

import asyncio
import contextlib
import time
from typing import Protocol


class Clock(Protocol):
    """What the bridge asks of a clock."""

    def now_ns(self) -> int:
        """Return the present, nanoseconds of UTC Unix time."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait until `seconds` of this clock have passed; cancelling the caller ends the wait."""
        ...

    def away(self) -> None:
        """Say that the calling task, woken by `sleep`, now waits for something that is not time.

        A virtual clock stands while a task that it woke is at work; it must not stand for one that waits for a peer.
        """
        ...


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        """Return the present, nanoseconds of UTC Unix time."""
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of real time."""
        await asyncio.sleep(seconds)

    def away(self) -> None:
        """Nothing to do: real time goes on by itself."""


async def sleep_until_set(clock: Clock, seconds: float | None, event: asyncio.Event) -> bool:
    """Wait until `event` is set or `seconds` of `clock` have passed (None: for the event alone).

    Returns True if the event is set. Whatever ends the wait, nothing of it goes on in the background.
    """
    if event.is_set():
        return True
    if seconds is None:
        await event.wait()
        return True
    sleeper = asyncio.ensure_future(clock.sleep(max(0.0, seconds)))
    waiter = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait((sleeper, waiter), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sleeper, waiter):
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
    if not sleeper.cancelled():
        sleeper.result()  # a clock that fails must not look like time that passed
    return event.is_set()
