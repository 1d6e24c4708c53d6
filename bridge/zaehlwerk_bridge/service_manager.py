"""What the service manager is told: started, stopping, how it goes, and that the bridge moves (sd_notify(3)).

The protocol is a datagram with lines to the socket that the environment names; a manager that has named none is told
nothing.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Mapping

from structlog.typing import FilteringBoundLogger

LOOK_S = 1.0
"""Between two looks at how it goes."""
FEEDS = 3
"""So many times in the manager's interval the watchdog is fed, so that one late beat does no harm."""
STANDING = 2
"""Looks in a row that have to find something standing: a machine that was paused comes back with everything late."""

Troubles = Callable[[], Mapping[str, str]]
"""What is wrong, by side; empty if nothing is."""


class ServiceManager:
    """The manager that `environment` names, if it names one; `pid`: of this process."""

    def __init__(self, environment: Mapping[str, str] | None = None, pid: int | None = None) -> None:
        environment = os.environ if environment is None else environment
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self.watchdog_s = _watchdog_s(environment, os.getpid() if pid is None else pid)
        """Seconds after which the manager ends a bridge that it has heard nothing of; None: it does not watch."""

    def tell(self, **assignments: str) -> bool:
        """Send assignments as sd_notify(3) lists them; whether somebody was told."""
        if self._address is None:
            return False
        lines = "\n".join(f"{name}={' '.join(value.split())}" for name, value in assignments.items())
        # A manager that is just starting again is told the next time.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(lines.encode(), self._address)
            return True
        return False


class Report:
    """Keeps `manager` informed until cancelled.

    `troubles`: what keeps the bridge from being ready. `stuck`: what stands still. `up`: whether the bridge has begun; a
    disk that is full or a broker that is away is no reason for a manager to give up waiting for it. `nudge` is called with
    every look: who waits for something shows with it that it still hears.
    """

    def __init__(
        self,
        manager: ServiceManager,
        *,
        troubles: Troubles,
        stuck: Troubles,
        up: Callable[[], bool],
        nudge: Callable[[], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._manager = manager
        self._troubles = troubles
        self._stuck = stuck
        self._up = up
        self._nudge = nudge
        self._log = log
        self._is_up = False
        self._status = ""
        self._standing = 0

    async def run(self) -> None:
        """Tell, feed, look again."""
        every_s = LOOK_S
        if self._manager.watchdog_s is not None:
            every_s = min(every_s, self._manager.watchdog_s / FEEDS)
        while True:
            self.look()
            await asyncio.sleep(every_s)

    def look(self) -> None:
        """Tell what is new, and feed the watchdog if everything moves."""
        self._nudge()
        if not self._is_up and self._up():
            self._is_up = True
            self._manager.tell(READY="1")
        stuck = self._stuck()
        self._say(stuck)
        standing = self._standing + 1 if stuck else 0
        if standing == STANDING:
            self._log.error("bridge stands still", **stuck)
        elif self._standing >= STANDING and not stuck:
            self._log.info("bridge moves again")
        self._standing = standing
        if not stuck and self._manager.watchdog_s is not None:
            self._manager.tell(WATCHDOG="1")

    def _say(self, stuck: Mapping[str, str]) -> None:
        troubles = self._troubles()
        status = "; ".join(f"{side}: {text}" for side, text in {**troubles, **stuck}.items()) or "ready"
        if status != self._status and self._manager.tell(STATUS=status):
            self._status = status


def _address(name: str) -> str | None:
    """The socket's address: a path, or a name in the abstract space, which is written with @."""
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else None


def _watchdog_s(environment: Mapping[str, str], pid: int) -> float | None:
    """sd_watchdog_enabled(3): an interval in microseconds, for this process unless another is named."""
    text, whose = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not text.isdecimal() or not int(text) or (whose and whose != str(pid)):
        return None
    return int(text) / 1e6
