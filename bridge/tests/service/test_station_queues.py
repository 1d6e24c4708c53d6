"""The order of messages: a station's own is kept whatever is refused, and no station waits for another."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from zaehlwerk_bridge.outbox import OutboxRow
from zaehlwerk_bridge.station_queues import StationQueues


def row(seq: int, station: str) -> OutboxRow:
    return OutboxRow(seq, station, f"zaehlwerk/v1/{station}/count", b"{}", False, {})


class Outbox:
    """Stands for the table."""

    def __init__(self, *stations: str) -> None:
        self.rows = {seq: row(seq, station) for seq, station in enumerate(stations, 1)}

    def fill(self, queues: StationQueues) -> None:
        while (reading := queues.reading()) is not None:
            found = [r for s, r in sorted(self.rows.items()) if s > reading.after_seq][: reading.limit]
            queues.refill(reading, found)

    def acknowledge(self, queues: StationQueues, done: OutboxRow) -> None:
        queues.done(done)
        del self.rows[done.seq]
        queues.forget(done)


def drain(queues: StationQueues) -> list[OutboxRow]:
    found = []
    while (next_row := queues.next()) is not None:
        found.append(next_row)
    return found


def test_one_message_of_each_station_is_out_at_a_time() -> None:
    outbox, queues = Outbox("a", "a", "b", "a"), StationQueues(10)
    outbox.fill(queues)
    assert [r.seq for r in drain(queues)] == [1, 3]
    outbox.acknowledge(queues, row(1, "a"))
    assert [r.seq for r in drain(queues)] == [2]


def test_a_held_station_keeps_one_message_in_memory_and_lets_the_others_through() -> None:
    outbox, queues = Outbox(*"a" * 50, *"b" * 5), StationQueues(8)
    outbox.fill(queues)
    first = queues.next()
    assert first is not None
    queues.hold(first)
    sent = []
    for _ in range(5):
        outbox.fill(queues)
        (sent_row,) = drain(queues)
        sent.append(sent_row.seq)
        outbox.acknowledge(queues, sent_row)
    outbox.fill(queues)
    assert sent == [51, 52, 53, 54, 55]
    assert len(queues) == 1
    assert queues.held == ["a"]


def test_a_held_station_goes_on_in_order_when_its_first_message_is_taken() -> None:
    outbox, queues = Outbox(*"aaab"), StationQueues(10)
    outbox.fill(queues)
    a, b = drain(queues)
    queues.hold(a)
    outbox.acknowledge(queues, b)
    outbox.fill(queues)
    assert drain(queues) == []
    queues.retry("a")
    queues.retry("a")
    assert drain(queues) == [a]
    outbox.acknowledge(queues, a)
    seqs = []
    for _ in range(2):
        outbox.fill(queues)
        (next_row,) = drain(queues)
        seqs.append(next_row.seq)
        outbox.acknowledge(queues, next_row)
    outbox.fill(queues)
    assert seqs == [2, 3]
    assert queues.empty


def test_what_is_added_while_the_outbox_is_read_is_not_overlooked() -> None:
    outbox, queues = Outbox("a"), StationQueues(10)
    reading = queues.reading()
    assert reading is not None
    found = list(outbox.rows.values())
    outbox.rows[2] = row(2, "b")
    queues.more()
    queues.refill(reading, found)
    assert not queues.empty
    outbox.fill(queues)
    assert [r.seq for r in drain(queues)] == [1, 2]


@settings(max_examples=200)
@given(
    stations=st.lists(st.sampled_from("abcd"), max_size=60),
    most=st.integers(1, 8),
    script=st.lists(st.integers(0, 9), max_size=300),
)
def test_every_message_leaves_once_and_in_the_order_of_its_station(
    stations: list[str], most: int, script: list[int]
) -> None:
    """Whatever is refused, retried or added in between; memory stays bounded; in the end the outbox is empty."""
    outbox, queues = Outbox(*stations), StationQueues(most)
    in_flight: list[OutboxRow] = []
    left: dict[str, list[int]] = {}
    added = 0

    def step(action: int) -> None:
        nonlocal added
        if action <= 2:
            outbox.fill(queues)
        elif action <= 5:
            sent = queues.next()
            if sent is not None:
                assert all(sent.station != other.station for other in in_flight)
                in_flight.append(sent)
        elif action == 6 and in_flight:
            queues.hold(in_flight.pop())
        elif action == 7 and queues.held:
            queues.retry(queues.held[added % len(queues.held)])
        elif action == 8 and in_flight:
            done = in_flight.pop(0)
            left.setdefault(done.station, []).append(done.seq)
            outbox.acknowledge(queues, done)
        elif action == 9 and added < 5:
            added += 1
            seq = len(stations) + added
            outbox.rows[seq] = row(seq, "abcd"[seq % 4])
            queues.more()
        assert len(queues) <= most + len(queues.held) + len(in_flight)

    for action in script:
        step(action)
    total = len(stations) + added
    for _ in range(40 * (total + 5)):
        for station in queues.held:
            queues.retry(station)
        for action in (0, 3, 8):
            step(action)
    assert not outbox.rows
    assert queues.empty
    assert sum(len(seqs) for seqs in left.values()) == total
    assert all(seqs == sorted(seqs) for seqs in left.values())
