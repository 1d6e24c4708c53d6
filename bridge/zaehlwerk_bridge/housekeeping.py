"""Keeps the store small while the bridge works: forgets what is too old, gives pages back, empties the log.

Everything goes in steps of some milliseconds with pauses between them, so that events never wait long for their turn.
"""

from collections.abc import Callable
from operator import methodcaller

from structlog.typing import FilteringBoundLogger

from zaehlwerk_bridge.clock import Clock
from zaehlwerk_bridge.database import MAY_PASS
from zaehlwerk_bridge.settings import StoreSettings
from zaehlwerk_bridge.store import Store
from zaehlwerk_bridge.store_access import StoreAccess
from zaehlwerk_bridge.store_figures import wal_bytes

EVERY_S = 60.0
"""Between two rounds."""
FORGET_EVERY = 60
"""Rounds between two in which something is forgotten."""
ROWS = 500
PAGES = 200
PAUSE_S = 0.05
LOG_BYTES = 16_000_000
"""SQLite uses the log's space again after moving 1000 pages into the database; one that grew beyond this because somebody
was reading meanwhile is emptied."""
DAY_NS = 86_400 * 10**9


class Housekeeping:
    """Works until cancelled. `clock` says how old records are, `wall` is real time."""

    def __init__(
        self,
        settings: StoreSettings,
        store: StoreAccess,
        clock: Clock,
        wall: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._wall = wall
        self._log = log
        self._trouble = ""

    async def run(self) -> None:
        """Round after round."""
        rounds = 0
        while True:
            await self._wall.sleep(EVERY_S)
            rounds += 1
            try:
                if rounds % FORGET_EVERY == 1:
                    await self.forget()
                await self._store.call(Store.renew_life)
                await self.tidy()
            except (*MAY_PASS, OSError) as error:
                # A full or failing disk is told by who writes events; another round comes.
                if str(error) != self._trouble:
                    self._log.warning("housekeeping fails", reason=str(error))
                self._trouble = str(error)
            else:
                self._trouble = ""

    async def forget(self) -> None:
        """Delete what is older than the retention."""
        if not self._settings.retention_days:
            return
        before_ns = self._clock.now_ns() - self._settings.retention_days * DAY_NS
        await self._in_steps(methodcaller("forget", before_ns, ROWS))

    async def tidy(self) -> None:
        """Give free pages back, and empty the log if it has grown."""
        await self._in_steps(methodcaller("shrink", PAGES))
        if self._store.path is not None and wal_bytes(self._store.path) > LOG_BYTES:
            await self._store.call(Store.empty_log)

    async def _in_steps(self, step: Callable[[Store], bool]) -> None:
        while await self._store.call(step):
            await self._wall.sleep(PAUSE_S)
