"""The clock that is handed in: whoever waits for time waits on it, so that a simulated day takes seconds.

Times are int nanoseconds of UTC Unix time, durations are float seconds.
"""

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import Protocol

OFF_VARIABLE = "ZAEHLWERK_CLOCK_OFF"
"""Names a file with the seconds that the machine's clock is off: so tests step the clock of a bridge that runs."""


class Clock(Protocol):
    """What the bridge asks of a clock."""

    def now_ns(self) -> int:
        """Return the present, nanoseconds of UTC Unix time."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait until `seconds` of this clock have passed; cancelling the caller ends the wait.

        With 0 it returns at once, and a virtual clock takes the caller for one that it woke.
        """
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
        if seconds > 0:
            await asyncio.sleep(seconds)

    def away(self) -> None:
        """Nothing to do: real time goes on by itself."""


class SteadyClock(SystemClock):
    """The machine's time at the start and the seconds since, whatever is done to its clock meanwhile.

    For whoever waits: a clock that is put back by an hour must not make a wait of a second one of an hour.
    """

    def __init__(self) -> None:
        self._began_ns = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        """Return the present, by a clock that is never stepped."""
        return self._began_ns + time.monotonic_ns()


class StepsClock(SystemClock):
    """The machine's clock as if somebody had put it forwards or back, by as many seconds as the file at `path` says.

    The file is read each time, so another may be put in its place meanwhile. Raises OSError if it is not there, and
    ValueError if it holds no number.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.now_ns()

    def now_ns(self) -> int:
        """Return what the machine would take for the present."""
        return time.time_ns() + int(float(self._path.read_text(encoding="ascii")) * 1e9)


def machine_clock() -> Clock:
    """The machine's clock, with the steps that OFF_VARIABLE in the environment may ask for."""
    path = os.environ.get(OFF_VARIABLE)
    return StepsClock(Path(path)) if path else SystemClock()


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
