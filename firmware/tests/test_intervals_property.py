"""Whatever is read, cut, placed and closed: every pulse is in exactly one record or still open, in both spaces."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from app.intervals import BIN_MS, Intervals, Record

LENGTH = 300
START = 1_780_000_200_000 // (LENGTH * 1000) * (LENGTH * 1000)

# A life of the node: minutes before it learns the time (None: never), minutes after, minutes off, step of the clock.
LIVES = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(0, 20)),
        st.integers(0, 30),
        st.integers(0, 40),
        st.integers(-140, 140),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


class World:
    """Engines in a row, each with what the one before had stored."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.generation = 0
        self.counted = 0
        self.offset = START
        self.it = self.engine()

    def engine(self) -> Intervals:
        return Intervals(1, LENGTH, self.generation, self.records.append, self.new_epoch)

    def new_epoch(self, last_slot: int) -> int:
        self.generation = (self.generation + 1) % 4
        return self.generation

    def restart(self) -> None:
        old, self.it = self.it, self.engine()
        for name in ("slot", "unsynced_index"):
            setattr(self.it, name, getattr(old, name))
        for name in ("pulses", "unsynced_totals", "start", "seen", "known"):
            setattr(self.it, name, list(getattr(old, name)))
        if old.live:
            self.it.known = [(old.pulses[0] - old.unsynced_totals[0]) & 0xFFFFFFFF]


@given(LIVES, st.lists(st.integers(0, 9), min_size=60, max_size=60))
@settings(deadline=None)
def test_no_pulse_is_lost_or_doubled_and_indices_only_rise(lives: list, counts: list[int]) -> None:
    world = World()
    turn = 0
    for before, after, off, step, has_network in lives:
        world.restart()
        it, offset = world.it, world.offset
        it.begin(0)
        now = 0
        for minute in range((30 if before is None else before) + after):
            if before is not None and minute == before:
                it.place(lambda uptime, offset=offset: uptime + offset)
            now += BIN_MS
            count = counts[turn % len(counts)]
            turn += 1
            world.counted += count
            it.read(now, [count], [BIN_MS])
            if it.live:
                it.close_due(now + offset)
            else:
                it.close_unsynced(has_network)
            if it.live and minute == before + 3:
                offset += step * 1000  # below half an interval: absorbed
        world.offset = offset + now + off * 60000
    open_pulses = world.it.pulses[0]
    closed: dict[tuple[int, bool], int] = {}
    last: dict[tuple[int, bool], Record] = {}
    for record in world.records:
        key = (record.generation, record.unsynced)
        if key in last:
            assert record.index > last[key].index
            assert record.totals[0] == last[key].totals[0] + record.counts[0]
        else:
            assert record.totals[0] == record.counts[0]
        closed[key] = closed.get(key, 0) + record.counts[0]
        last[key] = record
    in_epoch = sum(count for (generation, _), count in closed.items() if generation == world.generation)
    earlier = sum(closed.values()) - in_epoch
    assert earlier + open_pulses == world.counted
    assert in_epoch <= open_pulses
