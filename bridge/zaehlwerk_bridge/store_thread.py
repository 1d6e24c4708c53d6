"""The store on a thread of its own: SQLite's waits for the disk stay off the event loop, and all work stays in order."""

import asyncio
import random
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from structlog.typing import FilteringBoundLogger

from zaehlwerk_bridge.backoff import Backoff
from zaehlwerk_bridge.clock import Clock
from zaehlwerk_bridge.errors import BridgeError, BridgeStopped
from zaehlwerk_bridge.outbox import OutboxRow
from zaehlwerk_bridge.store import Store

_P = ParamSpec("_P")
_T = TypeVar("_T")


_OF_THE_DISK = frozenset(
    (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PROTOCOL,
    )
)
"""Primary result codes (sqlite.org/rescode.html) that may pass by themselves; all others are faults of the program."""
_PRIMARY = 0xFF

BACKOFF_FIRST_S = 0.5
BACKOFF_MOST_S = 30.0


class StoreThread:
    """Runs every call on one thread, in the order in which the calls were made. `wall` is the disk's time: real."""

    def __init__(
        self, open_store: Callable[[], Store], wall: Clock, rng: random.Random, log: FilteringBoundLogger
    ) -> None:
        self._open_store = open_store
        self._wall = wall
        self._rng = rng
        self._log = log
        self._executor = ThreadPoolExecutor(1, "store")
        self._store: Store | None = None
        self.trouble = ""

    async def open(self) -> None:
        """Open the store. Raises BridgeError if that fails."""
        try:
            self._store = await asyncio.get_running_loop().run_in_executor(self._executor, self._open_store)
        except sqlite3.Error as error:
            raise BridgeError(f"the database cannot be opened: {error}") from error

    async def call(
        self, function: Callable[Concatenate[Store, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Return `function(store, *args)`. Once begun it runs to its end, also if the caller is cancelled."""
        store = self._store
        if store is None:
            raise BridgeStopped("the store is not open")
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, lambda: function(store, *args, **kwargs)
        )

    async def durably(
        self, function: Callable[Concatenate[Store, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """As `call`, again and again while the disk is full or fails: `trouble` says so meanwhile.

        `function` is one transaction, so a failed one has changed nothing.
        """
        backoff = Backoff(self._rng, BACKOFF_FIRST_S, BACKOFF_MOST_S)
        while True:
            try:
                value = await self.call(function, *args, **kwargs)
            except sqlite3.OperationalError as error:
                if not _is_of_the_disk(error):
                    raise
                if str(error) != self.trouble:
                    self._log.error("database cannot be written", reason=str(error))
                self.trouble = str(error)
                await self._wall.sleep(backoff.next())
                continue
            if self.trouble:
                self._log.info("database can be written again")
                self.trouble = ""
            return value

    async def close(self) -> None:
        """Finish what was begun and close the store."""
        if self._store is not None:
            await self.call(Store.close)
            self._store = None
        self._executor.shutdown(wait=False)

    async def rows(self, after_seq: int, limit: int) -> list[OutboxRow]:
        """Read the outbox."""
        return await self.durably(Store.outbox, after_seq, limit)

    async def acknowledged(self, rows: Sequence[OutboxRow]) -> None:
        """Delete rows that the broker took."""
        await self.durably(Store.acknowledged, [row.seq for row in rows])

    async def quarantine(self, row: OutboxRow, reason: str, now_ns: int) -> None:
        """Move a row that the broker can never take to the rejected ones."""
        await self.durably(Store.quarantine, row, reason, now_ns)


def _is_of_the_disk(error: sqlite3.OperationalError) -> bool:
    # An error that Python raised itself has no code.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY in _OF_THE_DISK
