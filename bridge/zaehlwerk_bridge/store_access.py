"""How the bridge asks its store: in order, never on the event loop, and again while the disk is full or the server away."""

import asyncio
import random
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from structlog.typing import FilteringBoundLogger

from zaehlwerk_bridge.backoff import Backoff
from zaehlwerk_bridge.clock import Clock
from zaehlwerk_bridge.database import FAULTS, MAY_PASS, passes, sqlite_code
from zaehlwerk_bridge.errors import BridgeError, BridgeStopped
from zaehlwerk_bridge.messages import Message
from zaehlwerk_bridge.outbox import OutboxRow
from zaehlwerk_bridge.reconciling import Reconciled
from zaehlwerk_bridge.store import Store
from zaehlwerk_bridge.store_figures import disk_free_bytes

_P = ParamSpec("_P")
_T = TypeVar("_T")


_OF_THE_PATH = frozenset((sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY))
"""When a store is opened these say that the path or its rights are wrong, unless the disk is full to the last byte."""
_NOTHING_FREE_BYTES = 1_000_000

BACKOFF_FIRST_S = 0.5
BACKOFF_MOST_S = 30.0
CLOSE_S = 0.5
"""So long the store may take to finish what it does when it is closed: another program may hold the database."""


class Workplace(Protocol):
    """Where the store is and works: every call is made there, in the order in which they were asked for."""

    @property
    def shared(self) -> bool:
        """Whether other bridges may work on the database as well."""
        ...

    @property
    def holds_back(self) -> bool:
        """Whether messages may wait for other bridges'. May be asked from any thread."""
        ...

    @property
    def left_alone(self) -> bool:
        """Whether a store that could not be closed in time would hold up the end of the program."""
        ...

    async def open(self) -> None:
        """Open the store; raises what that raises, and may be tried again."""
        ...

    async def touch(self) -> None:
        """Return when what was asked before is done."""
        ...

    async def call(
        self, function: Callable[Concatenate[Store, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Return `function(store, *args)`. Once begun it runs to its end, also if the caller is cancelled."""
        ...

    async def close(self, within_s: float) -> bool:
        """Finish what was begun and close the store; whether that was done in time. Nothing can be asked afterwards."""
        ...


class StoreAccess:
    """The store at its workplace. `wall` is the disk's time: real. `path`: of SQLite's file, None: the store is a server's.

    `changed` is called when `trouble` has another value.
    """

    def __init__(
        self,
        path: Path | None,
        place: Workplace,
        wall: Clock,
        rng: random.Random,
        log: FilteringBoundLogger,
        changed: Callable[[], None],
    ) -> None:
        self.path = path
        self._place = place
        self._wall = wall
        self._rng = rng
        self._log = log
        self._changed = changed
        self._opened = asyncio.Event()
        self._open = False
        self._closed = False
        self.trouble = ""
        """What keeps the database from being written, empty if nothing does."""
        self.left_alone = False
        """Whether the store was still at work when it was closed, in a way that holds up the end of the program."""

    async def open(self) -> None:
        """Open the store; while its disk is full or fails, again and again. Raises BridgeError for anything else."""
        backoff = Backoff(self._rng, BACKOFF_FIRST_S, BACKOFF_MOST_S)
        while True:
            try:
                await self._place.open()
            except FAULTS as error:
                if not self._may_pass(error):
                    raise BridgeError(f"the database cannot be opened: {error}") from error
                self._troubled(f"the database cannot be opened: {error}")
                await self._wall.sleep(backoff.next())
                continue
            self._mended()
            self._open = True
            self._opened.set()
            return

    def _may_pass(self, error: Exception) -> bool:
        if self.path is not None and sqlite_code(error) in _OF_THE_PATH:
            try:
                return disk_free_bytes(self.path) < _NOTHING_FREE_BYTES
            except OSError:
                return False
        return passes(error)

    async def touch(self) -> None:
        """Return when the store has done what it was asked before; at once while it is being opened.

        To bring a large database forward takes as long as it takes: who ended a bridge for that would do it for ever.
        """
        if self._open:
            await self._place.touch()

    async def call(
        self, function: Callable[Concatenate[Store, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Return `function(store, *args)`, called once the store is open.

        Once begun it runs to its end, also if the caller is cancelled. Of a server it is asked `durably`: a look at what is
        there may fail as well.
        """
        await self._opened.wait()
        if self._place.shared:
            return await self.durably(function, *args, **kwargs)
        return await self._once(function, *args, **kwargs)

    async def _once(
        self, function: Callable[Concatenate[Store, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        await self._opened.wait()
        if not self._open or self._closed:
            raise BridgeStopped("the store is closed")
        return await self._place.call(function, *args, **kwargs)

    async def durably(
        self, function: Callable[Concatenate[Store, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """As `call`, again and again while the disk is full or fails: `trouble` says so meanwhile.

        `function` is one transaction, so a failed one has changed nothing.
        """
        backoff = Backoff(self._rng, BACKOFF_FIRST_S, BACKOFF_MOST_S)
        while True:
            try:
                value = await self._once(function, *args, **kwargs)
            except MAY_PASS as error:
                if not passes(error):
                    raise
                self._troubled(f"the database cannot be written: {error}")
                await self._wall.sleep(backoff.next())
                continue
            self._mended()
            return value

    def _troubled(self, trouble: str) -> None:
        if trouble != self.trouble:
            self._log.error("database fails", reason=trouble)
            self.trouble = trouble
            self._changed()

    def _mended(self) -> None:
        if self.trouble:
            self._log.info("database can be written again")
            self.trouble = ""
            self._changed()

    async def close(self) -> None:
        """Finish what was begun and close the store, or leave it alone if that takes too long.

        SQLite undoes what was not committed then, as after a power cut.
        """
        if not self._closed:
            self._closed = True
            if not await self._place.close(CLOSE_S):
                self.left_alone = self._place.left_alone
                self._log.warning("database does not answer", reason="it is left as after a power cut")
        self._opened.set()  # whoever waits for it is told that it is closed

    @property
    def holds_back(self) -> bool:
        """Whether messages may wait for other bridges'. May be asked from any thread."""
        return self._place.holds_back

    async def rows(self, after_seq: int, limit: int) -> list[OutboxRow]:
        """Read the outbox."""
        return await self.durably(Store.outbox, after_seq, limit)

    async def acknowledged(self, rows: Sequence[OutboxRow]) -> None:
        """Delete rows that the broker took."""
        await self.durably(Store.acknowledged, [row.seq for row in rows])
        if self._place.shared:
            retained = [row for row in rows if row.retain]
            if retained:
                await self.durably(Store.say_again, retained, self._wall.now_ns())

    async def newest(self, stations: Collection[str]) -> Mapping[str, Message]:
        """Return the retained messages with the newest interval of stations."""
        return await self.durably(Store.newest, stations)

    async def unverified(self, stations: Collection[str]) -> list[set[str]]:
        """Stations, with their company, of which nothing may be published before they are reconciled, in groups."""
        return await self.durably(Store.unverified_groups, stations)

    async def reconcile(self, checkpoints: Mapping[str, bytes | None], now_ns: int) -> Reconciled:
        """Take what the broker holds of a group of stations."""
        return await self.durably(Store.reconcile, checkpoints, now_ns)

    async def quarantine(self, row: OutboxRow, reason: str, now_ns: int) -> None:
        """Move a row that the broker can never take to the rejected ones."""
        await self.durably(Store.quarantine, row, reason, now_ns)
