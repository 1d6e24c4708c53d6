"""Watches the free space of the store's disk: below a low-water mark the bridge stops reading, before writing fails."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from zaehlwerk_bridge.clock import Clock
from zaehlwerk_bridge.store_figures import disk_free_bytes

EVERY_S = 2.0
ENOUGH = 1.1
"""Reading begins again at so many times the mark: space that comes and goes shall not switch it on and off."""
MB = 1_000_000


class DiskWatch:
    """Looks until cancelled. `reading` is set while there is space; `changed` is called when that changes.

    What is free is asked of `free_bytes`: 0 as low-water mark means that it does not matter, None as path that the
    database is not on a disk of this machine.
    """

    def __init__(
        self,
        path: Path | None,
        low_water_mb: int,
        wall: Clock,
        log: FilteringBoundLogger,
        changed: Callable[[], None],
        free_bytes: Callable[[Path], int] = disk_free_bytes,
    ) -> None:
        self._path = path
        self._mark = low_water_mb * MB
        self._wall = wall
        self._log = log
        self._changed = changed
        self._free_bytes = free_bytes
        self.reading = asyncio.Event()
        self.reading.set()
        self.trouble = ""
        """Why the bridge does not read, empty if it does."""

    async def run(self) -> None:
        """Look, again and again."""
        while True:
            self.look()
            await self._wall.sleep(EVERY_S)

    def look(self) -> None:
        """Compare what is free with the mark."""
        if not self._mark or self._path is None:
            return
        try:
            free = self._free_bytes(self._path)
        except OSError as error:
            if not self.trouble:
                self._log.warning("free space cannot be told", reason=str(error))
            return
        if free < self._mark and self.reading.is_set():
            self.trouble = f"disk: {free // MB} MB free, fewer than {self._mark // MB}; no more events are read until there is space"
            self._log.error(
                "disk is nearly full, nothing more is read", free_mb=free // MB, low_water_mb=self._mark // MB
            )
            self.reading.clear()
            self._changed()
        elif free >= self._mark * ENOUGH and not self.reading.is_set():
            self.trouble = ""
            self._log.info("disk has space again, reading goes on", free_mb=free // MB)
            self.reading.set()
            self._changed()
