"""The interval engine: every pulse in exactly one record, boundaries of UTC slots, coverage, restarts, no clock."""

from app.intervals import BIN_MS, FULL, MAX_BINS, NO_SLOT, Intervals
from app.unplaced import MAX_GAP, _restart

LENGTH = 900000
START = 1780000200000  # a boundary: 1780000200 = 1977778 * 900
SLOT = START // LENGTH


class Bench:
    """Intervals of one or more channels, the records they closed, and a clock of uptime + offset."""

    def __init__(self, channels=1, interval_s=900, generation=1):
        self.records = []
        self.epochs = []
        self.generation = generation
        self.it = Intervals(channels, interval_s, generation, self.records.append, self.new_epoch)
        self.now = 0
        self.offset = START

    def new_epoch(self, last_slot):
        self.epochs.append(last_slot)
        self.generation = (self.generation + 1) % 4
        return self.generation

    def utc(self, uptime):
        return uptime + self.offset

    def read(self, at, *counts, observed=None):
        """Read at uptime `at`: pulses since the last reading; all of the time was observed unless said otherwise."""
        passed = at - self.now
        self.now = at
        self.it.read(at, counts, [passed if observed is None else observed] * len(counts))

    def run(self, until, count=0):
        """Minutes of `count` pulses each, closing what is due."""
        while self.now < until:
            self.read(min(self.now + BIN_MS, until), count)
            if self.it.live:
                self.it.close_due(self.utc(self.now))

    def place(self):
        self.it.place(self.utc)

    def closed(self):
        return [(r.unsynced, r.index, r.totals[0], r.counts[0], r.covers[0]) for r in self.records]


def live(**options):
    bench = Bench(**options)
    bench.it.begin(0)
    bench.place()
    return bench


def restarted(bench, down_ms, offset=None):
    """The power was gone for down_ms: a new engine with what was stored, its uptime from 0."""
    again = Bench(generation=bench.generation)
    again.records = bench.records
    again.it._append = bench.records.append
    old = bench.it
    it = again.it
    it.slot, it.unsynced_index = old.slot, old.unsynced_index
    it.pulses, it.unsynced_totals = list(old.pulses), list(old.unsynced_totals)
    it.start, it.seen = list(old.start), list(old.seen)
    it.known = [old.pulses[0] - old.unsynced_totals[0]] if old.live else list(old.known)
    again.offset = bench.utc(bench.now) + down_ms if offset is None else offset
    it.begin(0)
    return again


def test_slots_close_at_their_boundaries_with_what_was_counted():
    bench = live()
    bench.run(3 * LENGTH, 2)
    assert bench.closed() == [
        (False, SLOT, 30, 30, FULL),
        (False, SLOT + 1, 60, 30, FULL),
        (False, SLOT + 2, 90, 30, FULL),
    ]


def test_first_partial_slot_is_closed_with_its_cover():
    bench = Bench()
    bench.offset = START + LENGTH // 3
    bench.it.begin(0)
    bench.place()
    bench.run(LENGTH * 2 // 3, 1)
    assert bench.closed() == [(False, SLOT, 10, 10, 170)]


def test_channels_are_kept_apart():
    bench = live(channels=2)
    bench.read(LENGTH, 5, 7, observed=None)
    bench.it.close_due(bench.utc(bench.now))
    assert bench.records[0].totals == [5, 7]
    assert bench.records[0].counts == [5, 7]


def test_a_channel_that_was_not_observed_says_so_and_the_other_does_not():
    bench = live(channels=2)
    bench.it.read(LENGTH, (0, 7), (0, LENGTH))
    bench.it.close_due(bench.utc(LENGTH))
    assert list(bench.records[0].covers) == [0, FULL]


def test_coverage_is_rounded_down_and_full_only_within_half_a_step():
    for seen, share in (
        (LENGTH, FULL),
        (LENGTH - LENGTH // 510, FULL),
        (LENGTH - LENGTH // 510 - 1, 254),
        (2000, 0),
        (LENGTH // 2, 127),
    ):
        bench = live()
        bench.read(LENGTH, 0, observed=seen)
        bench.it.close_due(bench.utc(LENGTH))
        assert bench.records[0].covers[0] == share


def test_nothing_closes_before_the_boundary():
    bench = live()
    bench.read(LENGTH - 1, 3)
    assert not bench.it.close_due(bench.utc(bench.now))
    bench.read(LENGTH, 1)
    assert bench.it.close_due(bench.utc(bench.now))
    assert bench.closed() == [(False, SLOT, 4, 4, FULL)]


def test_a_small_step_back_makes_the_interval_longer_and_the_index_never_goes_back():
    bench = live()
    bench.run(LENGTH, 1)
    bench.offset -= 300000
    bench.run(LENGTH + 600000, 1)
    assert len(bench.records) == 1
    bench.run(2 * LENGTH + 300000, 1)
    assert [r.index for r in bench.records] == [SLOT, SLOT + 1]
    assert bench.records[1].counts == [20]


def test_a_small_step_ahead_makes_the_interval_shorter():
    bench = live()
    bench.run(600000, 1)
    bench.offset += 200000
    bench.run(700000, 1)
    assert bench.closed() == [(False, SLOT, 12, 12, 198)]


def test_a_confirmed_jump_ahead_closes_a_partial_interval():
    bench = live()
    bench.run(300000, 1)
    bench.offset += 10 * LENGTH
    bench.it.jump(bench.utc(bench.now))
    assert bench.closed() == [(False, SLOT, 5, 5, 85)]
    assert bench.it.slot == SLOT + 10
    bench.run(LENGTH, 1)
    assert bench.closed()[1] == (False, SLOT + 10, 15, 10, 170)


def test_a_confirmed_jump_back_begins_a_new_epoch_whose_totals_start_at_zero():
    bench = live()
    bench.run(LENGTH + 300000, 1)
    bench.offset -= 10 * LENGTH
    bench.it.jump(bench.utc(bench.now))
    assert bench.closed()[-1] == (False, SLOT + 1, 20, 5, 85)
    assert bench.epochs == [SLOT + 1]
    bench.run(2 * LENGTH, 1)
    last = bench.records[-1]
    assert (last.generation, last.index, last.totals, last.counts) == (2, SLOT - 9, [10], [10])


def test_a_standstill_of_the_program_leaves_slots_without_a_record():
    bench = live()
    bench.read(5 * LENGTH, 50)
    bench.it.close_due(bench.utc(bench.now))
    # Nobody knows when they came.
    assert bench.closed() == [(False, SLOT, 50, 50, 1)]
    assert bench.it.slot == SLOT + 5


def test_bins_before_the_clock_are_placed_into_their_slots():
    bench = Bench()
    bench.offset = START - 5 * BIN_MS
    bench.it.begin(0)
    bench.run(12 * BIN_MS, 3)
    assert bench.records == []
    bench.place()
    assert bench.closed() == [(False, SLOT - 1, 15, 15, 85)]
    bench.run(20 * BIN_MS, 3)
    assert bench.closed()[1] == (False, SLOT, 60, 45, FULL)


def test_a_bin_across_a_boundary_goes_to_its_longer_side_and_both_slots_say_that_they_are_not_whole():
    for before, expected in ((40000, [6, 3]), (20000, [3, 6])):
        bench = Bench()
        bench.offset = START - before - BIN_MS
        bench.it.begin(0)
        bench.run(3 * BIN_MS, 3)
        bench.place()
        bench.run(LENGTH + BIN_MS + before, 0)
        assert [r.counts[0] for r in bench.records] == expected
        assert bench.records[0].covers[0] == 17
        assert bench.records[1].covers[0] < FULL


def test_an_empty_bin_across_a_boundary_is_divided_exactly():
    bench = Bench()
    bench.offset = START - 20000
    bench.it.begin(0)
    bench.run(BIN_MS, 0)
    bench.place()
    bench.run(LENGTH + 20000, 0)
    assert bench.records[1].covers[0] == FULL


def test_restart_within_the_slot_goes_on_with_its_start():
    bench = live()
    bench.run(LENGTH + 300000, 1)
    again = restarted(bench, 60000)
    again.run(120000, 1)
    again.place()
    again.run(540000, 1)
    assert again.closed()[-1] == (False, SLOT + 1, 29, 14, 238)


def test_restart_in_a_later_slot_closes_the_old_one_and_says_that_nothing_was_observed_between():
    bench = live()
    bench.run(LENGTH + 300000, 1)
    again = restarted(bench, 2 * LENGTH)
    again.run(120000, 1)
    again.place()
    again.run(600000, 1)
    assert again.closed()[1:] == [
        (False, SLOT + 1, 20, 5, 85),
        (False, SLOT + 2, 20, 0, 0),
        (False, SLOT + 3, 30, 10, 170),
    ]


def test_a_long_time_without_power_fills_no_more_than_the_ring_holds():
    bench = live()
    bench.run(60000, 1)
    again = restarted(bench, 1000 * LENGTH)
    again.read(1000, 0)
    again.place()
    assert len(again.records) == 1 + MAX_GAP
    indices = [r.index for r in again.records]
    assert indices[0] == SLOT
    assert indices[1:] == list(range(SLOT + 1000 - MAX_GAP, SLOT + 1000))


def test_restart_shortly_before_the_stored_slot_by_the_new_clock_stays_in_it():
    """The old clock was half a second ahead: no new epoch for that."""
    bench = live()
    bench.run(LENGTH, 1)
    again = restarted(bench, 0, offset=START + LENGTH - 500)
    again.run(60000, 1)
    again.place()
    assert again.epochs == []
    assert again.it.slot == SLOT + 1
    again.run(LENGTH + 500, 1)
    assert again.closed()[1][:4] == (False, SLOT + 1, 31, 16)


def test_restart_long_before_the_stored_slot_begins_a_new_epoch():
    bench = live()
    bench.run(LENGTH + 300000, 1)
    again = restarted(bench, 0, offset=START - 50 * LENGTH)
    again.run(60000, 4)
    again.place()
    assert again.epochs == [SLOT + 1]
    assert again.closed()[1] == (False, SLOT + 1, 20, 5, 85)
    assert again.it.slot == SLOT - 50
    assert again.it.pulses == [4]


def test_without_a_clock_but_with_a_network_intervals_are_closed_under_the_unsynced_index():
    bench = Bench()
    bench.it.begin(0)
    bench.run(LENGTH + 120000, 2)
    assert bench.it.close_unsynced() == 0
    assert bench.it.close_unsynced(True) == 1
    assert bench.closed() == [(True, 0, 30, 30, FULL)]
    assert bench.it.mapping == (0, 0)
    bench.run(2 * LENGTH, 2)
    bench.it.close_unsynced(True)
    assert bench.closed()[1] == (True, 1, 60, 30, FULL)


def test_full_bins_are_closed_even_without_a_network():
    bench = Bench()
    bench.it.begin(0)
    bench.run((MAX_BINS - 1) * BIN_MS, 1)
    assert bench.it.close_unsynced() == 0
    bench.run(MAX_BINS * BIN_MS, 1)
    assert bench.it.close_unsynced() == 1
    assert bench.closed() == [(True, 0, 15, 15, FULL)]


def test_what_was_closed_unsynced_is_not_in_the_totals_of_the_slots():
    """Each space alone: difference of totals = sum of counts; together: all pulses, once."""
    bench = Bench()
    bench.it.begin(0)
    bench.run(LENGTH + 300000, 1)
    bench.it.close_unsynced(True)
    bench.place()
    assert bench.it.slot == SLOT + 1
    bench.run(2 * LENGTH, 1)
    assert bench.closed() == [(True, 0, 15, 15, FULL), (False, SLOT + 1, 15, 15, FULL)]
    assert bench.it.pulses == [30]


def test_a_start_that_never_learnt_the_time_leaves_an_unsynced_interval():
    bench = live()
    bench.run(LENGTH + 300000, 1)
    second = restarted(bench, 60000)
    second.run(180000, 1)
    third = restarted(second, 10 * LENGTH)
    third.run(60000, 1)
    third.place()
    # What the first start knew closes its slot; three pulses of the second are nowhere else.
    assert third.closed()[1] == (False, SLOT + 1, 20, 5, 85)
    assert third.closed()[2] == (True, 0, 3, 3, 1)
    assert sum(r.counts[0] for r in third.records) + 1 == third.it.pulses[0]


def test_a_start_that_never_learnt_the_time_within_the_slot_is_part_of_it():
    bench = live()
    bench.run(300000, 1)
    second = restarted(bench, 0)
    second.run(60000, 1)
    third = restarted(second, 0, offset=START + 420000)
    third.run(60000, 1)
    third.place()
    third.run(480000, 1)
    assert third.closed() == [(False, SLOT, 14, 14, 221)]


def test_the_unsynced_index_never_restarts():
    bench = Bench()
    bench.it.begin(0)
    bench.run(LENGTH, 1)
    bench.it.close_unsynced(True)
    _restart(bench.it, SLOT)
    assert bench.it.unsynced_index == 1
    assert bench.it.unsynced_totals == [0]


def test_totals_wrap_at_32_bits_and_counts_do_not():
    bench = live()
    bench.it.pulses = [0xFFFFFFFE]
    bench.it.start = [0xFFFFFFFE]
    bench.run(LENGTH, 1)
    assert bench.closed() == [(False, SLOT, 13, 15, FULL)]


def test_no_slot_was_open_before_the_first_time():
    assert Bench().it.slot == NO_SLOT


def test_a_stall_over_a_boundary_marks_the_interval_before_it_and_the_one_after():
    bench = live()
    bench.run(LENGTH - BIN_MS, 60)
    # The reading that closes it comes 110 s late and brings pulses of both.
    bench.read(LENGTH + 110000, 170)
    bench.it.close_due(bench.utc(bench.now))
    bench.run(2 * LENGTH, 60)
    (_, _, _, first, marked), (_, _, _, second, rest) = bench.closed()
    assert first + second >= 2 * 890
    assert marked == rest == (LENGTH - 110000) * FULL // LENGTH


def test_an_interval_that_a_small_step_back_makes_longer_is_marked():
    bench = live()
    bench.run(LENGTH + BIN_MS, 60)
    bench.offset -= 440000
    bench.run(2 * LENGTH + 440000, 60)
    long = bench.closed()[1]
    assert 1340 <= long[3] <= 1400
    assert long[4] == (LENGTH - 440000) * FULL // LENGTH
