"""How messages leave the outbox: deleted when the broker has taken them, or put aside when none can take them.

Neither is waited for: what turns up while the store is at it follows together. While transactions follow each other anyway
one takes along what is to be deleted, and saves the disk a wait.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from zaehlwerk_bridge.clock import Clock
from zaehlwerk_bridge.failpoints import failpoint
from zaehlwerk_bridge.outbox import OutboxRow
from zaehlwerk_bridge.station_queues import StationQueues


class OutboxEnds(Protocol):
    """What is asked of the store."""

    async def acknowledged(self, rows: Sequence[OutboxRow]) -> None:
        """Delete rows that the broker took."""
        ...

    async def quarantine(self, row: OutboxRow, reason: str, now_ns: int) -> None:
        """Move a row that the broker can never take to the rejected ones."""
        ...


class Leaving:
    """Messages that are dealt with and still in the outbox. `clock` stamps what is put aside."""

    def __init__(self, store: OutboxEnds, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._taken: list[OutboxRow] = []
        self._going: list[OutboxRow] = []  # are being deleted
        self._along: list[OutboxRow] = []  # are being deleted by a transaction that has more to do
        self._alone = asyncio.Event()
        self._alone.set()
        self._too_large: list[tuple[OutboxRow, str]] = []

    @property
    def rows(self) -> list[OutboxRow]:
        """All of them."""
        return [*self._taken, *self._going, *self._along, *(row for row, _ in self._too_large)]

    @property
    def to_delete(self) -> bool:
        """Whether there is something for `delete`."""
        return bool(self._taken)

    @property
    def to_put_aside(self) -> bool:
        """Whether there is something for `put_aside`."""
        return bool(self._too_large)

    def taken(self, *rows: OutboxRow) -> None:
        """The broker has taken `rows`, and nothing else waits for them."""
        self._taken += rows

    def too_large(self, row: OutboxRow, reason: str) -> None:
        """No broker can take `row`."""
        self._too_large.append((row, reason))

    async def delete(self, queues: StationQueues) -> None:
        """Delete what was taken, until there is nothing more; `queues` forget it."""
        while self._taken:
            self._going, self._taken = self._taken, []
            failpoint("delete.before")
            await self._store.acknowledged(self._going)
            failpoint("delete.after")
            for row in self._going:
                queues.forget(row)
            self._going = []

    def take_along(self) -> Sequence[OutboxRow]:
        """What a transaction that is about to begin is to delete: `left` or `stayed` says what it did."""
        self._along, self._taken = self._taken, []
        self._alone.clear()
        return self._along

    def left(self, queues: StationQueues) -> None:
        """The transaction deleted what it took along; `queues` forget it."""
        for row in self._along:
            queues.forget(row)
        self._along = []
        self._alone.set()

    def stayed(self) -> None:
        """The transaction was undone."""
        self._taken = [*self._along, *self._taken]
        self._along = []
        self._alone.set()

    async def alone(self) -> None:
        """Return when no transaction takes anything along."""
        await self._alone.wait()

    async def put_aside(self, queues: StationQueues) -> None:
        """Put aside what no broker can take; `queues` forget it."""
        too_large, self._too_large = self._too_large, []
        for row, reason in too_large:
            failpoint("quarantine.before")
            await self._store.quarantine(row, reason, self._clock.now_ns())
            failpoint("quarantine.after")
            queues.more()  # the store says in a message of its own that this one was rejected
            queues.forget(row)
