"""Collecting the copies of an uplink that several gateways heard."""

from __future__ import annotations

from collections.abc import Callable

from . import eu868
from .identities import Identities
from .reception import Heard, Reception, Uplink
from .scheduler import NS_PER_MS, Scheduler

LOCK_FACTOR = 2
"""A copy within this many windows after the first one is swallowed; a later one counts as a transmission of its own."""

LOCK_LAG_NS = 2 * NS_PER_MS
"""The lock is set that much after the frame came: measured, a copy 400.6 ms late is still swallowed."""


class Deduplication:
    """Hands each frame on once, `window_ns` after its first copy, as `Uplink`.

    A copy is the same PHY payload on the same frequency and data rate. ChirpStack's lock outlives its collection, so that
    copies between the end of the window and twice its length vanish without a trace; so do they here.
    """

    def __init__(
        self, scheduler: Scheduler, identities: Identities, window_ns: int, complete: Callable[[Uplink], None]
    ) -> None:
        self._scheduler = scheduler
        self._identities = identities
        self._window_ns = window_ns
        self._complete = complete
        self._windows: dict[tuple[int, int, int, bytes], list[Heard]] = {}

    def put(self, at_ns: int, phy: bytes, reception: Reception) -> None:
        """One gateway heard a frame that ended at `at_ns`. ValueError if its modulation is none of the region's."""
        data_rate = eu868.data_rate(reception.sf, reception.bandwidth)
        key = (reception.frequency, reception.sf, reception.bandwidth, phy)
        identities, gateway_id = self._identities, reception.gateway_id
        uplink_id, context = reception.uplink_id, reception.context
        heard = Heard(
            reception,
            at_ns,
            identities.uplink_id(gateway_id) if uplink_id is None else uplink_id,
            identities.context(gateway_id) if context is None else context,
        )
        window = self._windows.get(key)
        if window:
            window.append(heard)
            return
        window = self._windows[key] = [heard]
        begun_ns = self._scheduler.now_ns
        self._scheduler.at(begun_ns + self._window_ns, lambda: self._close(window, phy, data_rate))
        unlock_ns = begun_ns + LOCK_FACTOR * self._window_ns + LOCK_LAG_NS
        self._scheduler.at(unlock_ns, lambda: self._unlock(key))

    def _close(self, window: list[Heard], phy: bytes, data_rate: int) -> None:
        # Each gateway counts once: the set in ChirpStack's Redis holds equal events once, too.
        by_gateway = {one.reception.gateway_id: one for one in reversed(window)}
        heard = tuple(one for one in window if by_gateway[one.reception.gateway_id] is one)
        self._complete(Uplink(self._identities.uuid("deduplication"), phy, data_rate, heard))

    def _unlock(self, key: tuple[int, int, int, bytes]) -> None:
        del self._windows[key]
