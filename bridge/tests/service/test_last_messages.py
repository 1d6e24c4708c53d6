"""A station's `last`: after what was told of it, once however much that was, and never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from zaehlwerk_bridge.last_messages import READ_MOST, LastMessages
from zaehlwerk_bridge.messages import Message
from zaehlwerk_bridge.outbox import OutboxRow


class Ledger:
    """Knows the newest interval of all stations but those `without`; answers when it is let."""

    def __init__(self, *without: str) -> None:
        self._without = without
        self.asked: list[list[str]] = []
        self.payload = b"{}"
        self.answers = asyncio.Event()
        self.answers.set()

    async def newest(self, stations: Collection[str]) -> Mapping[str, Message]:
        self.asked.append(list(stations))
        await self.answers.wait()
        return {
            name: Message(name, f"zaehlwerk/v1/{name}/last", self.payload, retain=True)
            for name in stations
            if name not in self._without
        }


def row(seq: int, station: str) -> OutboxRow:
    return OutboxRow(seq, station, f"zaehlwerk/v1/{station}/count", b"{}", False, {})


def send(lasts: LastMessages, first_mid: int = 1) -> list[str]:
    """Send what is ready; returns the stations, in order."""
    sent = []
    while (one := lasts.next) is not None:
        lasts.sent(first_mid + len(sent))
        sent.append(one.station)
    return sent


async def test_a_row_stays_until_the_last_that_follows_it_is_answered() -> None:
    lasts = LastMessages(Ledger())
    assert lasts.follows(row(1, "a")) is None
    assert lasts.to_read
    assert await lasts.read() == []
    assert send(lasts) == ["a"]
    assert [one.seq for one in lasts.rows] == [1]
    answered = lasts.answered(1)
    assert answered is not None
    assert answered.row == row(1, "a")
    assert (len(lasts), lasts.rows, lasts.answered(1)) == (0, [], None)


async def test_however_much_is_told_of_a_station_its_last_is_sent_once() -> None:
    ledger = Ledger()
    lasts = LastMessages(ledger)
    lasts.follows(row(1, "a"))
    assert lasts.follows(row(2, "a")) == row(1, "a")
    assert lasts.follows(row(3, "a")) == row(2, "a")
    await lasts.read()
    assert ledger.asked == [["a"]]
    assert send(lasts) == ["a"]
    assert lasts.rows == [row(3, "a")]


async def test_of_a_station_without_an_interval_there_is_nothing_to_say() -> None:
    lasts = LastMessages(Ledger("a"))
    lasts.follows(row(1, "a"))
    assert await lasts.read() == [row(1, "a")]
    assert (lasts.next, len(lasts)) == (None, 0)


async def test_what_is_told_while_the_ledger_is_asked_is_followed_by_another() -> None:
    ledger = Ledger()
    lasts = LastMessages(ledger)
    lasts.follows(row(1, "a"))
    ledger.answers.clear()
    reading = asyncio.create_task(lasts.read())
    await asyncio.sleep(0)
    assert not lasts.to_read
    lasts.follows(row(2, "a"))
    ledger.answers.set()
    await reading
    assert send(lasts) == ["a"]
    assert lasts.to_read
    await lasts.read()
    assert send(lasts, 2) == ["a"]
    first, second = lasts.answered(1), lasts.answered(2)
    assert first is not None
    assert second is not None
    assert (first.row, second.row) == (row(1, "a"), row(2, "a"))


async def test_not_more_than_some_are_in_memory_at_once() -> None:
    ledger = Ledger()
    lasts = LastMessages(ledger)
    for number in range(2 * READ_MOST + 1):
        lasts.follows(row(number, f"s{number}"))
    await lasts.read()
    assert not lasts.to_read
    assert len(send(lasts)) == READ_MOST
    assert lasts.to_read
    assert len(ledger.asked[0]) == READ_MOST


async def test_after_an_end_all_are_due_again_and_their_rows_can_leave() -> None:
    """The broker has taken the rows: they must not come twice."""
    ledger = Ledger()
    lasts = LastMessages(ledger)
    for seq, station in enumerate("abcd", 1):
        lasts.follows(row(seq, station))
    await lasts.read()
    lasts.sent(1)
    lasts.sent(2)
    lasts.follows(row(5, "e"))
    ledger.answers.clear()
    reading = asyncio.create_task(lasts.read())
    await asyncio.sleep(0)
    assert {one.seq for one in lasts.ended(0)} == {1, 2, 3, 4, 5}
    assert (lasts.rows, lasts.in_flight, lasts.next) == ([], 0, None)
    ledger.answers.set()
    assert await reading == []
    await lasts.read()
    assert sorted(send(lasts)) == ["a", "b", "c", "d", "e"]


async def test_one_that_may_have_ended_the_connection_goes_out_alone_and_then_not_before_something_is_new() -> (
    None
):
    lasts = LastMessages(Ledger())
    lasts.follows(row(1, "a"))
    lasts.follows(row(2, "b"))
    await lasts.read()
    send(lasts)
    lasts.ended(0)
    assert lasts.one_by_one
    await lasts.read()
    first = lasts.next
    assert first is not None
    lasts.sent(1)
    lasts.ended(0)  # it was alone
    await lasts.read()
    assert send(lasts, 2) == [station for station in "ab" if station != first.station]
    lasts.answered(2)
    assert not lasts.one_by_one
    lasts.follows(row(3, first.station))
    await lasts.read()
    assert send(lasts, 3) == [first.station]


async def test_where_others_tell_of_the_same_stations_the_newest_of_all_is_said_in_the_end() -> None:
    """Another bridge said something newer, and this one's older message came after it."""
    ledger = Ledger()
    lasts = LastMessages(ledger, shared=True)
    lasts.follows(row(1, "a"))
    await lasts.read()
    send(lasts)
    lasts.answered(1)
    ledger.payload = b"newer"
    await lasts.read()
    assert send(lasts, 2) == ["a"]
    lasts.answered(2)
    await lasts.read()
    assert (send(lasts, 3), len(lasts)) == ([], 0)


async def test_a_store_that_fails_while_it_is_asked_leaves_them_due() -> None:
    class Failing(Ledger):
        async def newest(self, stations: Collection[str]) -> Mapping[str, Message]:
            raise OSError("disk")

    lasts = LastMessages(Failing())
    lasts.follows(row(1, "a"))
    try:
        await lasts.read()
    except OSError:
        assert (lasts.to_read, lasts.rows) == (True, [row(1, "a")])
    else:
        raise AssertionError("what the store raised is raised")
