"""How messages leave the outbox: by themselves, or along with a transaction that has more to do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bridge.tests.service.manual_clock import ManualClock
from zaehlwerk_bridge.leaving import Leaving
from zaehlwerk_bridge.outbox import OutboxRow
from zaehlwerk_bridge.station_queues import StationQueues


class Store:
    """Notes what it is asked to delete."""

    def __init__(self) -> None:
        self.deleted: list[int] = []

    async def acknowledged(self, rows: Sequence[OutboxRow]) -> None:
        self.deleted += [row.seq for row in rows]

    async def quarantine(self, row: OutboxRow, reason: str, now_ns: int) -> None:
        raise AssertionError("nothing is put aside")


def row(seq: int) -> OutboxRow:
    return OutboxRow(seq, f"station-{seq}", "zaehlwerk/v1/count", b"{}", False, {})


def sent(queues: StationQueues, *seqs: int) -> list[OutboxRow]:
    """All of the outbox is read, sent and taken by the broker, and still there."""
    rows = [row(seq) for seq in seqs]
    reading = queues.reading()
    assert reading is not None
    queues.refill(reading, rows)
    while (one := queues.next()) is not None:
        queues.done(one)
    return rows


async def test_what_a_transaction_took_along_has_left_when_it_is_done() -> None:
    store, queues = Store(), StationQueues(10)
    leaving = Leaving(store, ManualClock(0))
    leaving.taken(*sent(queues, 1, 2))
    assert [one.seq for one in leaving.take_along()] == [1, 2]
    assert not leaving.to_delete
    assert [one.seq for one in leaving.rows] == [1, 2]
    assert not queues.empty
    leaving.left(queues)
    assert leaving.rows == []
    assert queues.empty
    await leaving.delete(queues)
    assert store.deleted == []


async def test_what_a_transaction_that_was_undone_took_along_is_deleted_by_the_next_or_by_itself() -> None:
    store, queues = Store(), StationQueues(10)
    leaving = Leaving(store, ManualClock(0))
    one, two = sent(queues, 1, 2)
    leaving.taken(one)
    leaving.take_along()
    leaving.taken(two)
    leaving.stayed()
    assert [taken.seq for taken in leaving.take_along()] == [1, 2]
    leaving.stayed()
    await leaving.delete(queues)
    assert store.deleted == [1, 2]
    assert queues.empty


async def test_who_needs_the_outbox_as_it_is_waits_for_what_is_taken_along() -> None:
    queues = StationQueues(10)
    leaving = Leaving(Store(), ManualClock(0))
    await leaving.alone()
    leaving.taken(*sent(queues, 1))
    leaving.take_along()
    waiting = asyncio.create_task(leaving.alone())
    await asyncio.sleep(0)
    assert not waiting.done()
    leaving.left(queues)
    await waiting
