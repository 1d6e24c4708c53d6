"""What is said of a node that nothing is missing of is said fast, and is byte for byte what the fold would say."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.tests.ledger.frames import SLOT, Device, at
from bridge.tests.ledger.node import Node, Totals
from bridge.tests.ledger.test_exactness import LATE_NS
from bridge.tests.ledger.test_memory import forgetful
from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.ledger.plain_frame import plain_counts
from zaehlwerk_bridge.store import Store
from zaehlwerk_protocol.counts import Counts


class Calm(Node):
    """A node of a quiet street: small counts, hardly ever a time that was not observed."""

    def _close(self, line: Totals, number: int, *, unsynced: bool) -> None:
        super()._close(line, number, unsynced=unsynced)
        if self.dice.random() < 0.95:
            before, _ = line.closed[number]
            counts = tuple(self.dice.choice([0, 1, 5, 60, 127, 130]) for _ in before)
            line.totals = [
                total - was + count for total, was, count in zip(line.totals, before, counts, strict=True)
            ]
            line.closed[number] = counts, (0, 0)
            self.truth[self.epoch, unsynced, number] = counts
            self.cover[self.epoch, unsynced, number] = (0, 0)


def _lived(seed: int, loss: float, steps: int) -> Node:
    node = Calm(random.Random(seed), loss=loss, stations=("Neutor", "Burgstraße"))
    node.live(steps)
    return node


lives = st.builds(
    _lived,
    seed=st.integers(0, 1 << 32),
    loss=st.sampled_from([0.0, 0.02, 0.1]),
    steps=st.integers(20, 60),
)


class Taken:
    """Counts what the short way took of a store, and what it left to the fold."""

    def __init__(self, store: Store) -> None:
        self.fast, self.others = 0, 0
        steady = store._fold.steady
        take = steady.take

        def counting(event: Event) -> object:
            found = take(event)
            if found is None:
                self.others += 1
            else:
                self.fast += 1
            return found

        steady.take = counting  # type: ignore[method-assign,assignment]


def same(one: Store, other: Store) -> None:
    assert one.outbox(0, 1 << 30) == other.outbox(0, 1 << 30)
    assert one.dump() == other.dump()
    assert one.next_deadline_ns() == other.next_deadline_ns()


@given(lives, st.integers(0, 1 << 32))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_happens_to_a_calm_node_the_fold_would_have_told_the_same(node: Node, seed: int) -> None:
    dice = random.Random(seed)
    store, plain = Store(":memory:"), forgetful()
    events = list(node.events)
    if dice.random() < 0.3:  # some come late, or twice
        for event in dice.choices(events, k=3):
            events.remove(event) if event in events else None
            events.insert(dice.randrange(len(events) + 1), event)
    now_ns = node.events[0].received_ns
    while events:
        batch = [events.pop(0) for _ in range(min(len(events), dice.choice([1, 2, 10])))]
        now_ns = max(now_ns, *(event.received_ns for event in batch))
        settles = dice.random() < 0.2
        for one in (store, plain):
            one.commit(batch, now_ns)
            if settles:
                one.settle(now_ns)
        same(store, plain)
    for one in (store, plain):
        one.settle(now_ns + LATE_NS)
    same(store, plain)
    store.close()
    plain.close()


def test_a_node_that_is_heard_every_time_takes_the_short_way() -> None:
    """But for the first frames: the run has to be found."""
    device, store = Device(), Store(":memory:")
    taken = Taken(store)
    events = [device.status(0, 10), device.count(1, 11), *(device.count(n, 10 + n, 1) for n in range(2, 40))]
    for event in events:
        assert not store.commit([event], event.received_ns).rejected
    assert taken.fast >= 35


def _run() -> tuple[Device, Store, Store]:
    """A device in a run up to interval 5, at total 15, and the same with a store that has to fold."""
    device, store, plain = Device(), Store(":memory:"), forgetful()
    events = [
        device.status(0, 10),
        device.count(1, 11),
        *(device.count(n, 10 + n, 1, 1) for n in range(3, 6)),
    ]
    events.insert(2, device.count(2, 12, 1))
    for one in (store, plain):
        one.commit(events, at(5))
    return device, store, plain


def _renamed(device: Device) -> Event:
    device.tags = {**device.tags, "station": "Ring"}
    return device.count(6, 16, 1)


def _with_channel(device: Device) -> Event:
    device.tags = {**device.tags, "channels": "in"}
    return device.count(6, 16, 1)


UNUSUAL = {
    "a gap": lambda device: device.count(7, 17),
    "an old frame": lambda device: device.count(3, 13, 1),
    "a partly observed interval": lambda device: device.count(6, 16, 1, cover=(1, 100)),
    "a history that contradicts the totals": lambda device: device.count(6, 16, 2),
    "a history that goes back before the run": lambda device: device.count(6, 16, 1, 1, 1, 1, 1, 0),
    "a count of more than a byte": lambda device: device.count(6, 16, 200),
    "another epoch's generation": lambda device: device.count(6, 16, 1, generation=1),
    "another station": _renamed,
    "another name of a channel": _with_channel,
    "a backfill": lambda device: device.backfill(2, 1, 1, after=5),
    "a status frame": lambda device: device.status(5, 15),
    "a status frame of another epoch": lambda device: device.status(5, 0, epoch=2, generation=1),
    "an interval without time": lambda device: device.own(0, 3, ns=at(6)),
    "another frame on the port": lambda device: device.event(b"\x84\x01", at(6)),
    "received before it was counted": lambda device: replace(device.count(6, 16, 1), received_ns=at(0)),
}


@pytest.mark.parametrize("what", UNUSUAL)
def test_the_unusual_is_left_to_the_fold_and_so_is_what_then_follows(what: str) -> None:
    device, store, plain = _run()
    taken = Taken(store)
    unusual = UNUSUAL[what](device)
    after = [device.count(n, 10 + n, 1, 1) for n in range(7, 12)]
    for event in [unusual, device.count(6, 16, 1), *after]:
        for one in (store, plain):
            one.commit([event], event.received_ns)
        same(store, plain)
        if event is unusual:
            assert taken.fast == 0
    for one in (store, plain):
        one.settle(at(20))
    same(store, plain)


def test_a_total_that_goes_round_is_counted_on() -> None:
    device, store, plain = Device(), Store(":memory:"), forgetful()
    taken = Taken(store)
    begin = 65_536 - 5
    events = [
        device.status(0, begin),
        *(device.count(n, begin + 2 * n, *[2] * min(n - 1, 2)) for n in range(1, 9)),
    ]
    for event in events:
        for one in (store, plain):
            one.commit([event], event.received_ns)
    same(store, plain)
    assert taken.fast >= 4
    assert '"total":65547' in store.dump().replace(" ", "")


def test_two_devices_of_one_station_share_its_revisions() -> None:
    store, plain = Store(":memory:"), forgetful()
    one, other = Device("0102030405060708"), Device("0102030405060709")
    taken = Taken(store)
    events = [
        event
        for n in range(1, 9)
        for event in (
            one.status(0, 10) if n == 1 else one.count(n, 10 + n, *[1] * min(n - 2, 2)),
            other.status(0, 5, epoch=2) if n == 1 else other.count(n, 5 + n, *[1] * min(n - 2, 2)),
        )
    ]
    for at_once in (events[:4], events[4:9], events[9:]):
        for each in (store, plain):
            each.commit(at_once, at(9))
        same(store, plain)
    assert taken.fast >= 4


def test_of_two_devices_that_describe_their_station_differently_the_newer_one_is_right() -> None:
    store, plain = Store(":memory:"), forgetful()
    one, other = Device("0102030405060708"), Device("0102030405060709", corridor="ring")
    events = [one.status(0, 10), other.status(0, 5, epoch=2)]
    events += [one.count(n, 10 + n, *[1] * min(n - 1, 2)) for n in range(1, 6)]
    events += [other.count(n, 5 + n, *[1] * min(n - 1, 2)) for n in range(1, 7)]
    events.append(one.count(6, 16, 1, 1))
    for event in events:
        for each in (store, plain):
            each.commit([event], event.received_ns)
        same(store, plain)


@st.composite
def frames(draw: st.DrawFn) -> Counts:
    channels = draw(st.integers(1, 8))
    counts = st.lists(st.integers(0, 140), min_size=channels, max_size=channels)
    rows = draw(st.lists(counts, max_size=3))
    return Counts(
        draw(st.one_of(st.integers(0, 300), st.integers(0, 0xFFFF))),
        draw(st.integers(0, 0xFF)),
        draw(st.lists(st.integers(0, 0xFFFF), min_size=channels, max_size=channels)),
        rows,
        draw(st.sampled_from([(), ((1, 100),)])),
    )


@settings(deadline=None, max_examples=400)
@given(frames(), st.data())
def test_a_frame_that_is_read_in_one_go_says_what_the_protocols_reader_says(
    frame: Counts, data: st.DataObject
) -> None:
    """Also of bytes that were changed on their way: what it reads, the other reads, and reads as the same."""
    packed = bytearray(frame.encode())
    for _ in range(data.draw(st.integers(0, 2))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(packed[: data.draw(st.sampled_from([len(packed), len(packed) - 1]))])
    plain = plain_counts(cut)
    if plain is None:
        return
    theirs = Counts.decode(cut)
    assert plain == (theirs.index, theirs.state, theirs.totals, theirs.history)
    assert (theirs.cover, theirs.extra) == ((), ())


@settings(deadline=None, max_examples=400)
@given(st.binary(max_size=40).map(lambda rest: b"\x84" + rest))
def test_bytes_that_are_no_frame_are_not_read_as_one(data: bytes) -> None:
    plain = plain_counts(data)
    if plain is not None:
        assert plain.totals == Counts.decode(data).totals


def test_the_usual_frame_is_read_in_one_go() -> None:
    frame = Counts(SLOT % 65_536, 0, [7, 65_535], [[1, 2], [0, 127]])
    assert plain_counts(frame.encode()) == (SLOT % 65_536, 0, (7, 65_535), ((1, 2), (0, 127)))
