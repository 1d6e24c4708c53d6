"""The order of messages: a station's own is kept whatever is refused, and no station waits for another."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from zaehlwerk_bridge.outbox import OutboxRow
from zaehlwerk_bridge.station_queues import Reading, StationQueues
from zaehlwerk_bridge.suspects import Suspects


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


def test_what_the_outbox_holds_of_a_station_now_takes_the_place_of_what_was_read() -> None:
    """Whether the station was held or just had its turn before it."""
    for hold in (True, False):
        outbox, queues = Outbox(*"aab"), StationQueues(10)
        outbox.fill(queues)
        if hold:
            first = queues.next()
            assert first is not None
            queues.hold(first)
        del outbox.rows[1], outbox.rows[2]
        outbox.rows |= {seq: row(seq, "a") for seq in (4, 5)}
        queues.again("a")
        outbox.fill(queues)
        assert len(queues) == 3
        assert [r.seq for r in drain(queues)] == [3, 4]


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


def test_what_was_just_put_into_the_outbox_need_not_be_read() -> None:
    outbox, queues = Outbox("a"), StationQueues(10)
    outbox.fill(queues)
    outbox.rows |= {2: row(2, "b"), 4: row(4, "c")}  # 3 was overtaken in its transaction
    assert queues.offer([row(2, "b"), row(4, "c")])
    assert queues.reading() is None
    assert [r.seq for r in drain(queues)] == [1, 2, 4]
    outbox.rows[5] = row(5, "d")
    assert queues.offer([row(5, "d")])
    assert [r.seq for r in drain(queues)] == [5]


def test_what_is_offered_while_the_outbox_is_read_is_sent_once() -> None:
    """The reading saw it too, and says so when it has been sent, taken and deleted."""
    outbox, queues = Outbox("a"), StationQueues(10)
    reading = queues.reading()
    assert reading is not None
    queues.refill(reading, list(outbox.rows.values()))
    queues.more()
    reading = queues.reading()
    assert reading is not None
    outbox.rows[2] = row(2, "b")
    found = [outbox.rows[2]]
    assert queues.offer([row(2, "b")])
    for sent in drain(queues):
        outbox.acknowledge(queues, sent)
    queues.refill(reading, found)
    assert drain(queues) == []
    assert queues.empty


def test_what_was_read_before_it_is_offered_is_sent_once() -> None:
    outbox, queues = Outbox("a"), StationQueues(10)
    outbox.fill(queues)
    outbox.rows |= {2: row(2, "b"), 3: row(3, "c")}
    queues.more()
    outbox.fill(queues)
    assert queues.offer([row(2, "b"), row(3, "c")])
    assert [r.seq for r in drain(queues)] == [1, 2, 3]


def test_what_somebody_else_put_into_the_outbox_before_is_read_first() -> None:
    outbox, queues = Outbox("a"), StationQueues(10)
    outbox.fill(queues)
    outbox.rows |= {2: row(2, "b"), 3: row(3, "b")}
    assert not queues.offer([row(3, "b")])
    outbox.fill(queues)
    sent = drain(queues)
    assert [r.seq for r in sent] == [1, 2]
    outbox.acknowledge(queues, sent[1])
    assert [r.seq for r in drain(queues)] == [3]


def test_what_does_not_fit_stays_in_the_outbox_until_there_is_room() -> None:
    outbox, queues = Outbox("a", "b"), StationQueues(3)
    outbox.fill(queues)
    new = [row(3, "c"), row(4, "d")]
    outbox.rows |= {r.seq: r for r in new}
    assert not queues.offer(new)
    assert len(queues) == 2
    for done in drain(queues):
        outbox.acknowledge(queues, done)
    outbox.fill(queues)
    assert [r.seq for r in drain(queues)] == [3, 4]


def test_nothing_is_overlooked_that_came_to_the_front_of_the_outbox() -> None:
    outbox, queues = Outbox("a", "a"), StationQueues(10)
    adopted = outbox.rows.pop(1)
    outbox.fill(queues)
    outbox.rows[1] = adopted
    queues.more()
    outbox.fill(queues)
    assert len(queues) == 1
    queues.reload()
    outbox.fill(queues)
    assert len(queues) == 2


def test_what_left_the_outbox_while_it_was_read_again_is_not_sent_twice() -> None:
    """A station that was held is read from its first message on, over those of others that are in flight."""
    outbox, queues = Outbox("a", "a", "b"), StationQueues(4)
    outbox.fill(queues)
    held, other = drain(queues)
    queues.hold(held)
    queues.retry("a")
    assert drain(queues) == [held]
    outbox.acknowledge(queues, held)
    reading = queues.reading()
    assert reading is not None
    found = [outbox.rows[2], outbox.rows[3]]
    outbox.acknowledge(queues, other)
    queues.refill(reading, found)
    assert [one.seq for one in drain(queues)] == [2]


class Queues(RuleBasedStateMachine):
    """Messages are added, sent, refused, retried and acknowledged in any order."""

    @initialize(most=st.integers(1, 8), stations=st.lists(st.sampled_from("abcd"), max_size=40))
    def start(self, most: int, stations: list[str]) -> None:
        self.most = most
        self.outbox, self.queues = Outbox(*stations), StationQueues(most)
        self.in_flight: list[OutboxRow] = []
        self.left: dict[str, list[int]] = {}
        self.added = len(stations)
        self.readings: list[
            tuple[Reading, list[OutboxRow]]
        ] = []  # at most one, and nothing is read meanwhile

    @precondition(lambda self: not self.readings)
    @rule()
    def read(self) -> None:
        self.outbox.fill(self.queues)

    @rule(station=st.sampled_from("abcd"))
    def add(self, station: str) -> None:
        self.added += 1
        self.outbox.rows[self.added] = row(self.added, station)
        self.queues.more()

    @rule(stations=st.lists(st.sampled_from("abcd"), min_size=1, max_size=4))
    def offer(self, stations: list[str]) -> None:
        new = [row(self.added + number, station) for number, station in enumerate(stations, 1)]
        self.added += len(new)
        self.outbox.rows |= {r.seq: r for r in new}
        self.queues.offer(new)

    @precondition(lambda self: not self.readings)
    @rule()
    def begin_to_read(self) -> None:
        reading = self.queues.reading()
        if reading is not None:
            found = [r for s, r in sorted(self.outbox.rows.items()) if s > reading.after_seq][: reading.limit]
            self.readings.append((reading, found))

    @precondition(lambda self: self.readings)
    @rule()
    def end_to_read(self) -> None:
        self.queues.refill(*self.readings.pop())

    @rule()
    def send(self) -> None:
        sent = self.queues.next()
        if sent is not None:
            assert all(sent.station != other.station for other in self.in_flight)
            self.in_flight.append(sent)

    @precondition(lambda self: self.in_flight)
    @rule(which=st.integers(0, 9))
    def refuse(self, which: int) -> None:
        self.queues.hold(self.in_flight.pop(which % len(self.in_flight)))

    @precondition(lambda self: self.queues.held)
    @rule(which=st.integers(0, 9))
    def retry(self, which: int) -> None:
        self.queues.retry(self.queues.held[which % len(self.queues.held)])

    @precondition(lambda self: self.in_flight)
    @rule(which=st.integers(0, 9))
    def acknowledge(self, which: int) -> None:
        done = self.in_flight.pop(which % len(self.in_flight))
        self.left.setdefault(done.station, []).append(done.seq)
        self.outbox.acknowledge(self.queues, done)

    @invariant()
    def memory_is_bounded(self) -> None:
        if hasattr(self, "most"):
            assert len(self.queues) <= self.most + len(self.queues.held) + len(self.in_flight)

    @invariant()
    def stations_keep_their_order(self) -> None:
        if hasattr(self, "left"):
            assert all(seqs == sorted(seqs) for seqs in self.left.values())

    def teardown(self) -> None:
        """Once the broker takes everything, everything leaves, each message once."""
        if not hasattr(self, "left"):
            return
        if self.readings:
            self.end_to_read()
        for _ in range(2 * self.added + 10):
            for station in self.queues.held:
                self.queues.retry(station)
            self.read()
            self.send()
            if self.in_flight:
                self.acknowledge(which=0)
        assert not self.outbox.rows
        assert self.queues.empty
        assert sorted(seq for seqs in self.left.values() for seq in seqs) == list(range(1, self.added + 1))
        self.stations_keep_their_order()


TestEveryMessageLeavesOnceAndInTheOrderOfItsStation = Queues.TestCase
TestEveryMessageLeavesOnceAndInTheOrderOfItsStation.settings = settings(max_examples=100, deadline=None)


def test_a_message_that_was_alone_when_connections_ended_is_held_and_gets_another_chance() -> None:
    suspects = Suspects()
    one, two = row(1, "a"), row(2, "b")
    assert suspects.ended([one, two]) is None
    assert suspects.one_by_one
    suspects.cleared(two)
    assert suspects.ended([one]) == one
    assert not suspects.convicts(one)
    assert suspects.ended([one]) == one
    assert suspects.convicts(one)
    suspects.passed(one)
    assert not suspects.one_by_one
    assert not suspects.convicts(one)


def test_a_message_that_the_broker_answers_is_no_longer_suspected() -> None:
    suspects = Suspects()
    one = row(1, "a")
    suspects.ended([one])
    suspects.ended([one])
    suspects.cleared(one)
    assert not suspects.convicts(one)
    assert not suspects.one_by_one


def test_messages_that_have_got_their_turn_are_read_from_where_they_are() -> None:
    """Another bridge had to publish first; what was read behind them meanwhile is not read into memory twice."""
    outbox, queues = Outbox("b", "b", "a", "b"), StationQueues(8)
    waiting = outbox.rows.pop(3)
    outbox.fill(queues)
    assert [one.seq for one in drain(queues)] == [1]
    outbox.rows[3] = waiting
    queues.reload(2)
    reading = queues.reading()
    assert reading is not None
    assert reading.after_seq == 2
    outbox.fill(queues)
    assert [one.seq for one in drain(queues)] == [3]
    assert len(queues) == 4
