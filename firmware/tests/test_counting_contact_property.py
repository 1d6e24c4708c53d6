"""Contacts, presences and directions: whatever keeps the stated limits is counted exactly, whatever does not is flagged.

The interrupts are modelled as the ESP32 has them: a handler takes its time, a queue holds eight of them and drops
what does not fit, and in a stall of the flash all edges of a pin become one. Signals are in whole us, ticks in ms.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from dataclasses import dataclass, field

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from counting import AMBIGUOUS, CHATTER, MERGED, MISSED, SHORT, TICKS
from counting.crossing import MARGIN_MS, Crossing, horizon
from counting.debounce import ENDED, STALL_MS, Debounce

DEBOUNCE, GAP = 10, 100
QUEUE = 8
HANDLER_US = 150
BOUNCE_US = 8000
LOST = MISSED | SHORT | MERGED

# What one passage does: ms active, ms inactive afterwards, and where the bounces lie at either end, in us.
BOUNCES = st.lists(st.integers(1, BOUNCE_US), max_size=20, unique=True).map(sorted)


def edges_of(passages: list[tuple[int, int, list[int], list[int]]], start: int = 1_000_000) -> list[int]:
    """Edge times of a train. Each change has an odd number of edges, so that it ends where it leads."""
    edges, now = [], start
    for active_ms, idle_ms, closing, opening in passages:
        for length, bounces in ((active_ms, closing), (idle_ms, opening)):
            even = bounces[: len(bounces) // 2 * 2]
            edges += [now, *[now + at for at in even]]
            now += length * 1000
    return edges


def legal(active: st.SearchStrategy[int], idle: st.SearchStrategy[int]) -> st.SearchStrategy[list]:
    return st.lists(st.tuples(active, idle, BOUNCES, BOUNCES), min_size=1, max_size=12)


# From a change to the next there is the time of its bounces, and the debounce time besides.
ACTIVE = st.integers(BOUNCE_US // 1000 + DEBOUNCE + 1, 400)
IDLE = st.integers(GAP + 1, 600)
IDLE_MS = 300


@dataclass
class Pin:
    """A level that changes at `edges`, first low."""

    edges: list[int]

    def level(self, at: int) -> int:
        return bisect_right(self.edges, at) % 2

    def count(self, at: int) -> int:
        return bisect_right(self.edges, at)


@dataclass
class Interrupts:
    """When the handlers of some pins run. stalls: (begin, end, whether the chip takes no interrupts meanwhile)."""

    pins: list[Pin]
    stalls: list[tuple[int, int, bool]] = field(default_factory=list)
    handler_us: int = HANDLER_US

    def calls(self) -> list[tuple[int, int]]:
        """[(time, pin)] of the handlers that run, in order."""
        raised = []
        for number, pin in enumerate(self.pins):
            latched = {}
            for edge in pin.edges:
                deaf = next(
                    (end for begin, end, no_isr in self.stalls if no_isr and begin <= edge < end), None
                )
                if deaf is None:
                    raised.append((edge, number))
                else:
                    latched[deaf] = number
            raised += latched.items()
        calls: list[tuple[int, int]] = []
        waiting: list[int] = []
        free = 0
        for edge, number in sorted(raised):
            waiting = [end for end in waiting if end > edge]
            if len(waiting) >= QUEUE:
                continue
            start = max(edge, free)
            for begin, end, _ in sorted(self.stalls):
                if begin <= start < end:
                    start = end
            free = start + self.handler_us
            waiting.append(free)
            calls.append((start, number))
        return calls


@dataclass
class Contact:
    """A `Debounce` that is fed by interrupts and ticks; the ticks of the clock begin at `offset` ms."""

    pin: Pin
    offset: int = 0
    counter: bool = True
    gap: int = GAP
    dead: int = 0
    passages: list[tuple[int, int]] = field(default_factory=list)
    handled: int = 0

    def __post_init__(self) -> None:
        self.logic = Debounce(DEBOUNCE, self.gap, self.dead, self.ticks(0), 0, 0)

    def ticks(self, at: int) -> int:
        return (at // 1000 + self.offset) & TICKS

    def look(self, at: int, edge: bool) -> None:
        self.handled += edge
        edges = self.pin.count(at) if self.counter else self.handled
        if self.logic.sample(self.ticks(at), self.pin.level(at), edges) == ENDED:
            self.passages.append((self.logic.begun, self.logic.ended))

    def run(self, stalls: list[tuple[int, int, bool]] | None = None, reading_us: int = 60_000_000) -> None:
        end = (self.pin.edges[-1] if self.pin.edges else 0) + 20_000_000
        looks = [(at, True) for at, _ in Interrupts([self.pin], stalls or []).calls()]
        looks += [(at, False) for at in range(reading_us, end, reading_us)] + [(end, False)]
        for at, edge in sorted(looks):
            self.look(at, edge)


OFFSETS = st.sampled_from([0, TICKS - 1000, TICKS - 1500, TICKS // 2 - 1200])


@given(legal(ACTIVE, IDLE), OFFSETS, st.booleans())
@settings(deadline=None)
def test_every_train_within_the_limits_is_counted_exactly_over_any_wrap(
    train: list, offset: int, counter: bool
) -> None:
    contact = Contact(Pin(edges_of(train)), offset, counter)
    contact.run()
    assert contact.logic.count == len(train)
    assert len(contact.passages) == len(train)
    if counter:
        assert not contact.logic.notes
        assert not contact.logic.blind


@given(st.lists(st.tuples(BOUNCES, BOUNCES), min_size=40, max_size=40), OFFSETS)
@settings(deadline=None)
def test_a_burst_at_the_stated_maximum_is_counted_exactly(bounces: list, offset: int) -> None:
    """One passage after the other, each as short and as close as the settings allow: 8 a second with the defaults."""
    shortest = BOUNCE_US // 1000 + DEBOUNCE + 1
    contact = Contact(Pin(edges_of([(shortest, GAP + 1, *both) for both in bounces])), offset)
    contact.run()
    assert contact.logic.count == len(bounces)
    assert not contact.logic.notes


@given(legal(ACTIVE, IDLE))
@settings(deadline=None)
def test_a_presence_lasts_from_its_first_edge_to_the_first_of_its_end(train: list) -> None:
    contact = Contact(Pin(edges_of(train)))
    contact.run()
    lasted = [(ended - begun) & TICKS for begun, ended in contact.passages]
    # A handler that waits for eight others is a ms late.
    assert all(abs(ms - active) <= 2 for ms, (active, *_) in zip(lasted, train, strict=True))
    assert contact.logic.longest == max(lasted)
    assert contact.logic.busy == sum(lasted)


STALLS = st.lists(
    st.tuples(st.integers(-60_000, 20_000), st.integers(1_000, STALL_MS * 1000), st.booleans()),
    min_size=1,
    max_size=4,
)


@given(legal(ACTIVE, IDLE), STALLS, st.data(), OFFSETS, st.booleans())
@settings(max_examples=300, deadline=None)
def test_in_stalls_of_the_interrupts_nothing_is_invented_and_what_is_lost_is_flagged(
    train: list, stalls: list, data: st.DataObject, offset: int, counter: bool
) -> None:
    edges = edges_of(train)
    # Stalls where they hurt: around an edge.
    windows = []
    for shift, length, no_isr in stalls:
        at = data.draw(st.sampled_from(edges)) + shift
        windows.append((at, at + length, no_isr))
    windows.sort()
    # A stall right after a stall is one that is longer than promised.
    assume(all(b[0] - a[1] > 150_000 for a, b in itertools.pairwise(windows)))
    contact = Contact(Pin(edges), offset, counter)
    contact.run(windows)
    assert contact.logic.count <= len(train)
    if contact.logic.count < len(train):
        assert contact.logic.notes & LOST
    if contact.logic.notes & MISSED:
        assert contact.logic.blind


def test_a_passage_that_hides_in_a_stall_is_not_counted_and_the_time_is_blind() -> None:
    contact = Contact(Pin(edges_of([(30, 500, [], []), (30, 500, [], []), (30, 500, [], [])])))
    contact.run([(1_520_000, 1_570_000, True)])
    assert contact.logic.count == 2
    assert contact.logic.notes == MISSED
    assert contact.logic.blind >= 500


def test_bounces_faster_than_the_interrupts_are_no_loss() -> None:
    fast = [20 * i for i in range(1, 21)]
    contact = Contact(Pin(edges_of([(60, 500, fast, fast)] * 20)))
    contact.run()
    assert contact.logic.count == 20
    assert not contact.logic.notes
    assert not contact.logic.blind


@given(
    legal(ACTIVE, IDLE),
    st.one_of(
        st.tuples(st.integers(1, DEBOUNCE - 1), IDLE, st.just(SHORT)),
        st.tuples(ACTIVE, st.integers(DEBOUNCE + 1, GAP - 1), st.just(MERGED)),
    ),
    legal(ACTIVE, IDLE),
)
@settings(deadline=None)
def test_a_train_that_breaks_a_limit_is_flagged_and_not_overcounted(
    before: list, bad: tuple[int, int, int], after: list
) -> None:
    active, idle, code = bad
    contact = Contact(Pin(edges_of([*before, (active, idle, [], []), *after])))
    contact.run()
    assert contact.logic.notes == code
    assert contact.logic.count == len(before) + len(after)


# What no bounce looks like, and no boundary: whichever side of one a train is on, the other lies two ms away.
ANY_ACTIVE = st.integers(1, 400).filter(lambda ms: abs(ms - DEBOUNCE) > 1)
ANY_IDLE = st.integers(1, 600).filter(lambda ms: abs(ms - DEBOUNCE) > 1 and abs(ms - GAP) > 1)
ANY_TRAIN = st.lists(st.tuples(ANY_ACTIVE, ANY_IDLE), min_size=1, max_size=12).map(
    lambda train: [(active, idle, [], []) for active, idle in train]
)


def looks_like_bounces(train: list) -> int:
    """How many of the passages no one could tell from the bounces of a change.

    Changes that follow each other within the debounce are a change that bounces, if there is an odd number of them.
    """
    lengths = [ms for active, idle, *_ in train for ms in (active, idle)]
    hidden, edges = 0, 1
    # After the last one nothing changes any more.
    for ms in [*lengths[:-1], GAP]:
        if ms < DEBOUNCE:
            edges += 1
            continue
        hidden += edges // 2 if edges % 2 else 0
        edges = 1
    return hidden


@given(ANY_TRAIN, OFFSETS, st.booleans())
@settings(max_examples=500, deadline=None)
def test_whatever_a_contact_does_it_is_exact_or_noted_and_never_more(
    train: list, offset: int, counter: bool
) -> None:
    contact = Contact(Pin(edges_of(train)), offset, counter)
    contact.run()
    seen = len(train) - looks_like_bounces(train)
    assert contact.logic.count <= seen
    assert contact.logic.count == seen or contact.logic.notes
    if all(active > DEBOUNCE for active, *_ in train) and all(idle > GAP for _, idle, *_ in train[:-1]):
        assert not contact.logic.notes


@given(ANY_TRAIN)
@settings(max_examples=200, deadline=None)
def test_whatever_a_presence_does_its_time_is_right_but_for_what_no_debounced_contact_shows(
    train: list,
) -> None:
    contact = Contact(Pin(edges_of(train)))
    contact.run()
    there = sum(active for active, *_ in train)
    quick = sum(ms for active, idle, *_ in train for ms in (active, idle) if ms < DEBOUNCE)
    assert abs(contact.logic.busy - there) <= quick + 2 * len(train)


@given(legal(ACTIVE, IDLE), st.integers(1, DEBOUNCE - 2), legal(ACTIVE, IDLE))
@settings(deadline=None)
def test_two_passages_with_a_gap_as_short_as_a_bounce_are_one_and_noted(
    before: list, gap: int, after: list
) -> None:
    (active, _, closing, opening), *rest = after
    # Only what touches the gap has no bounces: an opening so short is a bounce itself.
    both = [(60, gap, closing, []), (60, IDLE_MS, [], opening)]
    contact = Contact(Pin(edges_of([*before, *both, (active, IDLE_MS, [], []), *rest])))
    contact.run()
    assert contact.logic.count == len(before) + 1 + len(after)
    assert contact.logic.notes == MERGED


@given(st.lists(st.integers(3_000, 9_000), min_size=450, max_size=500))
@settings(deadline=None)
def test_a_contact_that_does_not_come_to_rest_is_a_fault_and_blind(gaps: list[int]) -> None:
    edges = [1_000_000]
    for gap in gaps:
        edges.append(edges[-1] + gap)
    contact = Contact(Pin(edges))
    contact.run()
    assert contact.logic.notes & CHATTER
    assert contact.logic.blind >= 1000
    assert contact.logic.count <= 1


@given(legal(ACTIVE, IDLE), st.integers(0, 5000))
@settings(deadline=None)
def test_within_the_dead_time_nothing_counts_and_that_is_flagged(train: list, dead: int) -> None:
    contact = Contact(Pin(edges_of(train)), dead=dead)
    contact.run()
    begins, last = [], None
    now = 1000
    for active, idle, *_ in train:
        if last is None or now - last >= dead:
            begins.append(now)
            last = now
        now += active + idle
    assert contact.logic.count == len(begins)
    assert bool(contact.logic.notes & MERGED) == (len(begins) < len(train))


@given(st.integers(0, 40), st.integers(0, 3))
@settings(deadline=None)
def test_weeks_without_an_edge_lose_nothing(days: int, more: int) -> None:
    """Ticks wrap every 12.4 days; the tick of every reading keeps all differences short."""
    logic = Debounce(DEBOUNCE, GAP, 5000, 0, 0, 0)
    now = 0
    for _ in range(days * 24 + more):
        now += 3_600_000
        logic.sample(now & TICKS, 0, 0)
    for level, ms, edges in ((1, 200, 1), (0, 100, 2)):
        logic.sample(now & TICKS, level, edges)
        now += ms
    logic.sample(now & TICKS, 0, 2)
    assert logic.count == 1
    assert not logic.notes
    assert logic.busy == 200


def test_a_level_that_lasts_for_weeks_never_seems_young_again() -> None:
    logic = Debounce(DEBOUNCE, GAP, 0, 0, 0, 0)
    logic.sample(1000, 1, 1)
    hour = 3_600_000
    for at in range(1000 + hour, 3 * TICKS, hour):
        logic.sample(at & TICKS, 1, 1)
        assert (logic.at - logic.since) & TICKS >= min(at - 1000, TICKS // 2 - hour)


def test_a_passage_a_whole_period_of_the_ticks_after_another_is_not_in_its_dead_time() -> None:
    logic = Debounce(DEBOUNCE, GAP, 5000, 0, 0, 0)
    edges = 0
    for begin in (1000, 1000 + TICKS + 1 + 2000):
        for at in range(begin - TICKS, begin, 3_600_000):
            if at > 2000:
                logic.sample(at & TICKS, 0, edges)
        for at, level in ((begin, 1), (begin + 100, 0), (begin + 500, 0)):
            edges += at < begin + 500
            logic.sample(at & TICKS, level, edges)
    assert logic.count == 2
    assert not logic.notes


def test_a_contact_that_is_active_at_the_start_is_in_a_passage_that_is_nobodys() -> None:
    logic = Debounce(DEBOUNCE, GAP, 0, 0, 1, 0)
    told = [logic.sample(at, level, edges) for at, level, edges in ((500, 1, 0), (1000, 0, 1), (2000, 0, 1))]
    assert told == [0, 0, 0]
    assert (logic.count, logic.notes, logic.busy) == (0, 0, 1000)


# --- direction

WINDOW = 1000


@dataclass
class TwoContacts:
    """A and B with a `Crossing`, as the sensor puts them together; a reading takes place every `reading_us`."""

    pins: tuple[Pin, Pin]
    offset: int = 0
    stalls: list[tuple[int, int, bool]] = field(default_factory=list)
    reading_us: int = 7_000_000
    counts: list[int] = field(default_factory=lambda: [0, 0, 0])
    notes: int = 0

    def __post_init__(self) -> None:
        contacts = [Contact(pin, self.offset) for pin in self.pins]
        crossing = Crossing(WINDOW)
        end = max(pin.edges[-1] for pin in self.pins) + 22_000_000
        looks = [(at, number) for at, number in Interrupts(list(self.pins), self.stalls).calls()]
        looks += [(at, 2) for at in range(self.reading_us, end, self.reading_us)]
        for at, number in sorted(looks):
            if number < 2:
                contacts[number].look(at, True)
                continue
            for side, contact in enumerate(contacts):
                contact.look(at, False)
                for begun, ended in contact.passages:
                    crossing.passage(side, begun, ended)
                contact.passages.clear()
                self.notes |= contact.logic.notes
                contact.logic.notes = 0
            crossing.settle(contacts[0].ticks(at), [horizon(contact.logic, False) for contact in contacts])
            self.counts = [a + b for a, b in zip(self.counts, crossing.counts, strict=True)]
            crossing.counts = [0, 0, 0]
            self.notes |= crossing.notes


# One crossing: which way, ms from first to second, how long each is active, ms to the next, and bounces.
CROSSINGS = st.lists(
    st.tuples(
        st.booleans(),
        st.integers(MARGIN_MS + 2, WINDOW - 5),
        ACTIVE,
        st.integers(-300, 300),
        st.integers(WINDOW + 500, 4000),
        BOUNCES,
        BOUNCES,
    ),
    min_size=1,
    max_size=10,
)


def two_pins(crossings: list) -> tuple[Pin, Pin]:
    """Both signals. Whoever begins first ends first: the second lasts as long as needed."""
    edges: tuple[list[int], list[int]] = ([], [])
    now = 1_000_000
    for back, apart, active, longer, rest, closing, opening in crossings:
        second = max(active - apart + MARGIN_MS + 12, active + longer, BOUNCE_US // 1000 + DEBOUNCE + 1)
        for side, begin, length in ((back, now, active), (not back, now + apart * 1000, second)):
            edges[side].extend(edges_of([(length, 0, closing, opening)], begin))
        now += (apart + max(active, second) + rest) * 1000
    return Pin(sorted(edges[0])), Pin(sorted(edges[1]))


@given(CROSSINGS, OFFSETS)
@settings(deadline=None)
def test_whoever_begins_and_ends_first_at_one_sensor_has_a_direction_overlapping_or_not(
    crossings: list, offset: int
) -> None:
    got = TwoContacts(two_pins(crossings), offset)
    back = sum(crossing[0] for crossing in crossings)
    assert got.counts == [len(crossings) - back, back, 0]
    assert not got.notes


@given(CROSSINGS, OFFSETS)
@settings(max_examples=40, deadline=None)
def test_the_moment_of_a_reading_decides_nothing(crossings: list, offset: int) -> None:
    pins = two_pins(crossings)
    assert TwoContacts(pins, offset, reading_us=130_000).counts == TwoContacts(pins, offset).counts


@given(CROSSINGS, STALLS, st.data())
@settings(max_examples=200, deadline=None)
def test_a_stall_never_turns_a_direction_round_and_never_makes_a_passage(
    crossings: list, stalls: list, data: st.DataObject
) -> None:
    pins = two_pins(crossings)
    windows = []
    for shift, length, no_isr in stalls:
        at = data.draw(st.sampled_from(pins[0].edges + pins[1].edges)) + shift
        windows.append((at, at + length, no_isr))
    windows.sort()
    assume(all(b[0] - a[1] > 150_000 for a, b in itertools.pairwise(windows)))
    got = TwoContacts(pins, stalls=windows)
    back = sum(crossing[0] for crossing in crossings)
    truth = [len(crossings) - back, back]
    assert got.counts[0] <= truth[0]
    assert got.counts[1] <= truth[1]
    assert sum(got.counts) <= len(crossings)
    if got.counts != [*truth, 0]:
        assert got.notes & (LOST | AMBIGUOUS)


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 20_000), st.integers(10, 900)), min_size=1, max_size=40
    ),
    OFFSETS,
)
@settings(deadline=None)
def test_whatever_comes_as_many_are_counted_as_the_busier_sensor_saw_and_no_more_than_both(
    passages: list, offset: int
) -> None:
    crossing = Crossing(WINDOW)
    for side, begun, lasted in passages:
        crossing.passage(side, (offset + begun) & TICKS, (offset + begun + lasted) & TICKS)
    crossing.settle((offset + 60_000) & TICKS, [(offset + 60_000) & TICKS])
    at_a = sum(side == 0 for side, *_ in passages)
    assert max(at_a, len(passages) - at_a) <= sum(crossing.counts) <= len(passages)
    assert bool(crossing.notes) == bool(crossing.counts[2])


# Which way, ms from first to second, how long each sensor is active.
WALKS = st.tuples(st.integers(0, 1), st.integers(MARGIN_MS, WINDOW), st.integers(100, 900))


@given(WALKS, WALKS, st.integers(0, 4000), OFFSETS)
@settings(max_examples=300, deadline=None)
def test_two_who_cross_at_any_moment_are_counted_or_noted_unless_a_sensor_saw_them_as_one(
    one: tuple[int, int, int], other: tuple[int, int, int], later: int, offset: int
) -> None:
    passages = []
    for (back, apart, active), start in ((one, 0), (other, later)):
        passages += [(back, start, start + active), (1 - back, start + apart, start + apart + active)]
    for side in (0, 1):
        first, second = sorted(passage[1:] for passage in passages if passage[0] == side)
        # Else the contact makes one of them, and notes it (MERGED) as long as there was a gap.
        assume(second[0] - first[1] >= GAP)
    crossing = Crossing(WINDOW)
    for side, begun, ended in passages:
        crossing.passage(side, (offset + begun) & TICKS, (offset + ended) & TICKS)
    crossing.settle((offset + 60_000) & TICKS, [(offset + 60_000) & TICKS])
    truth = [0, 0, 0]
    truth[one[0]] += 1
    truth[other[0]] += 1
    assert crossing.counts == truth or crossing.notes & AMBIGUOUS


# Which way, ms from first to second, how long each sensor is active, ms from the one before's begin.
WALKERS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.integers(MARGIN_MS + 2, WINDOW - 5),
        st.integers(BOUNCE_US // 1000 + DEBOUNCE + 1, 400),
        st.integers(0, 1500) | st.integers(WINDOW + 500, 4000),
    ),
    min_size=1,
    max_size=8,
)


def side_edges(stays: list[tuple[int, int]]) -> list[int]:
    """What a sensor makes of stays [(begin, end)] in us that may overlap."""
    edges: list[int] = []
    for begin, end in sorted(stays):
        if edges and begin <= edges[-1]:
            edges[-1] = max(edges[-1], end)
        else:
            edges += [begin, end]
    return edges


@given(WALKERS, OFFSETS)
@settings(max_examples=300, deadline=None)
def test_walkers_at_any_moments_are_exact_or_noted_as_long_as_one_sensor_sees_each_by_himself(
    walkers: list, offset: int
) -> None:
    stays: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
    now, truth = 1_000_000, [0, 0, 0]
    for back, apart, active, later in walkers:
        now += later * 1000
        truth[back] += 1
        for side, begin in ((back, now), (1 - back, now + apart * 1000)):
            stays[side].append((begin, begin + active * 1000))
    sides = [side_edges(stay) for stay in stays]
    # What nobody sees a gap in, nobody tells apart.
    assume(max(map(len, sides)) == 2 * len(walkers))
    got = TwoContacts((Pin(sides[0]), Pin(sides[1])), offset)
    assert got.counts == truth or got.notes
    assert sum(got.counts) <= 2 * len(walkers)


@given(st.integers(WINDOW + STALL_MS + 2, 20_000), ACTIVE, st.booleans(), OFFSETS)
@settings(deadline=None)
def test_one_who_is_slower_than_the_window_is_noted(apart: int, active: int, back: bool, offset: int) -> None:
    edges = [edges_of([(active, 1000, [], [])], 1_000_000 + at * 1000) for at in (0, apart)]
    got = TwoContacts((Pin(edges[back]), Pin(edges[not back])), offset)
    assert got.counts == [0, 0, 2]
    assert got.notes == AMBIGUOUS


def test_what_is_ambiguous_is_unknown() -> None:
    cases = {
        "seen by A only": ([(0, 0, 100)], 1),
        "turned round: began at A first and left it last": ([(0, 0, 900), (1, 200, 600)], 1),
        "two that met": ([(0, 0, 200), (1, 50, 250), (1, 400, 600), (0, 450, 650)], 2),
        "both at the same time": ([(0, 0, 100), (1, 3, 110)], 1),
        "one behind the other within the window": (
            [(0, 0, 100), (1, 100, 200), (0, 500, 600), (1, 600, 700)],
            2,
        ),
        "too slow": ([(0, 0, 100), (1, 1500, 1600)], 2),
    }
    for name, (passages, expected) in cases.items():
        crossing = Crossing(WINDOW)
        for side, begun, ended in passages:
            crossing.passage(side, begun, ended)
        crossing.settle(60_000, [60_000])
        assert crossing.counts == [0, 0, expected], name
        assert crossing.notes == AMBIGUOUS, name


def test_a_passage_that_still_lasts_holds_up_its_group_until_it_is_told() -> None:
    crossing = Crossing(WINDOW)
    crossing.passage(0, 1000, 1300)
    crossing.passage(0, 9000, 9100)
    crossing.settle(20_000, [20_000, 1200])
    assert crossing.counts == [0, 0, 0]
    crossing.passage(1, 1200, 19_000)
    crossing.settle(30_000, [30_000, 30_000])
    assert crossing.counts == [1, 0, 1]


def test_a_passage_that_may_just_begin_holds_up_its_group_too() -> None:
    crossing, at_b = Crossing(WINDOW), Debounce(DEBOUNCE, GAP, 0, 0, 0, 0)
    crossing.passage(0, 1000, 1300)
    begin = 1000 + WINDOW + STALL_MS
    at_b.sample(begin, 1, 1)
    at_b.sample(begin + DEBOUNCE - 1, 1, 1)
    crossing.settle(begin + DEBOUNCE - 1, [begin + DEBOUNCE - 1, horizon(at_b, stuck=False)])
    assert crossing.counts == [0, 0, 0]


def test_a_second_sensor_that_is_told_late_is_still_within_the_window() -> None:
    got = TwoContacts(
        (Pin([1_000_000, 1_020_000]), Pin([1_994_000, 2_013_000])), stalls=[(1_994_000, 2_001_000, False)]
    )
    assert sum(got.counts) == 1
