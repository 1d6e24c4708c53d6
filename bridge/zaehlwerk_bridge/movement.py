"""Whether source, store and publisher move, or wait for something that they may wait for: what a watchdog is fed by.

A broker or a server that is away, a full disk and an empty night are no reasons to start a bridge again: it waits, says so
and tries again. A side that does not come to its next step although nothing outside keeps it from that, is one.
"""

import time
from collections.abc import Callable

from zaehlwerk_bridge.progress import Moving
from zaehlwerk_bridge.service import Bridge

INTAKE_LATE_S = 120.0
"""Events wait in memory and none was stored for so long, on a disk that takes writes."""


class Movement:
    """Looks at `bridge`; may be asked from any thread."""

    def __init__(self, bridge: Bridge, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._bridge = bridge
        self._monotonic = monotonic
        self._stored = -1
        self._stored_at = monotonic()

    def stuck(self) -> dict[str, str]:
        """What stands still and for how long; empty if everything moves or waits lawfully."""
        bridge = self._bridge
        found = bridge.heartbeat.troubles()
        sides = {"source": bridge.source, "publisher": bridge.publisher}
        for side, what in sides.items():
            late_s = what.progress.late_s if isinstance(what, Moving) else 0.0
            if late_s and not bridge.disk_trouble:  # with a full disk everybody waits for the store
                found[side] = f"the {side} is {late_s:.0f} s late with its next step"
        waited_s = self._intake_waited_s()
        if waited_s > INTAKE_LATE_S:
            found["intake"] = f"{bridge.queued} events wait and none was stored for {waited_s:.0f} s"
        return found

    def _intake_waited_s(self) -> float:
        bridge = self._bridge
        stored = bridge.counts.transactions
        if stored != self._stored or not bridge.queued or bridge.disk_trouble:
            self._stored, self._stored_at = stored, self._monotonic()
        return self._monotonic() - self._stored_at
