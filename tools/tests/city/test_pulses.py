"""A quarter-hour's count becomes exactly as many pulses, where a sensor could have given them."""

from __future__ import annotations

import itertools

import pytest

from tools.tests.city.conftest import BUNDLED, DAY, Tables, local_times, plan_of, table_text
from zaehlwerk_tools.local_time import NS, SLOT_S
from zaehlwerk_tools.plan import Plan
from zaehlwerk_tools.pulses import BLIND, GUARD_S, MIN_GAP_S, OBSERVING, channel_inputs, wire

SLOT_NS = SLOT_S * NS


def _per_slot(pulses: list[int], slots: range) -> list[int]:
    counts = dict.fromkeys(slots, 0)
    for at in pulses:
        counts[at // SLOT_NS] += 1
    return list(counts.values())


def test_every_quarter_hour_of_a_real_day_has_exactly_its_pulses() -> None:
    plan = plan_of(BUNDLED, DAY)
    total = 0
    for station in plan.stations:
        for number, channel in enumerate(channel_inputs(station, plan.slots, seed=1)):
            assert _per_slot(list(channel.pulses), plan.slots) == [
                station.row(slot)[number] or 0 for slot in plan.slots
            ]
            total += len(channel.pulses)
    assert total == plan.pulses == 146_121


def test_pulses_are_rising_and_keep_away_from_the_edges_and_from_each_other(one_station: Plan) -> None:
    for channel in channel_inputs(one_station.stations[0], one_station.slots, seed=3):
        times = list(channel.pulses)
        assert times == sorted(times)
        assert all(GUARD_S * NS <= at % SLOT_NS < SLOT_NS - GUARD_S * NS for at in times)
        gaps = [b - a for a, b in itertools.pairwise(times)]
        assert min(gaps) >= MIN_GAP_S * NS


def test_more_pulses_than_gaps_allow_come_closer_and_none_is_left_out(tables: Tables) -> None:
    tables.write("a.csv", table_text(local_times(DAY), lambda row, channel: 65535 if row == 3 else 0))
    plan = tables.plan(DAY)
    (channel, _) = channel_inputs(plan.stations[0], plan.slots, seed=1)
    times = list(channel.pulses)
    assert len(set(times)) == 65535
    assert times[0] >= plan.start_ns + 3 * SLOT_NS + GUARD_S * NS
    assert times[-1] < plan.start_ns + 4 * SLOT_NS - GUARD_S * NS


def test_the_same_seed_gives_the_same_pulses_and_another_seed_others(one_station: Plan) -> None:
    station, slots = one_station.stations[0], one_station.slots
    assert channel_inputs(station, slots, seed=1) == channel_inputs(station, slots, seed=1)
    assert (
        channel_inputs(station, slots, seed=1)[0].pulses != channel_inputs(station, slots, seed=2)[0].pulses
    )


def test_two_channels_with_the_same_counts_do_not_pulse_together(tables: Tables) -> None:
    tables.write("a.csv", table_text(local_times(DAY), lambda row, channel: 10))
    plan = tables.plan(DAY)
    first, second = channel_inputs(plan.stations[0], plan.slots, seed=1)
    assert not set(first.pulses) & set(second.pulses)


def test_a_day_is_the_same_whether_played_alone_or_in_a_week() -> None:
    week = plan_of(BUNDLED, DAY.replace(day=15), days=7, stations="neutor")
    day = plan_of(BUNDLED, DAY, stations="neutor")
    for of_week, of_day in zip(
        channel_inputs(week.stations[0], week.slots, seed=1),
        channel_inputs(day.stations[0], day.slots, seed=1),
        strict=True,
    ):
        assert [at for at in of_week.pulses if day.start_ns <= at < day.end_ns] == list(of_day.pulses)


def test_a_channel_that_is_always_observed_needs_no_ok_pin(one_station: Plan) -> None:
    assert [c.ok for c in channel_inputs(one_station.stations[0], one_station.slots, seed=1)] == [None, None]


def test_a_channel_is_blind_inside_the_quarter_hours_that_it_did_not_observe(tables: Tables) -> None:
    """Only inside: the neighbours stay whole although the node's clock is not exact."""
    blind = {4, 5, 20, 95}
    tables.write(
        "a.csv", table_text(local_times(DAY), lambda row, channel: "" if row in blind and not channel else 1)
    )
    plan = tables.plan(DAY)
    seen, other = channel_inputs(plan.stations[0], plan.slots, seed=1)
    assert other.ok is None
    assert seen.ok is not None
    assert seen.ok[0] == (0, OBSERVING)
    dark = [(a, b) for (a, level), (b, _) in itertools.pairwise(seen.ok) if level == BLIND]
    edges = [
        (plan.start_ns + begin * SLOT_NS, plan.start_ns + end * SLOT_NS)
        for begin, end in ((4, 6), (20, 21), (95, 96))
    ]
    assert len(dark) == 3
    for (begin, end), (edge_begin, edge_end) in zip(dark, edges, strict=True):
        assert edge_begin < begin < end < edge_end
        observed = (edge_end - edge_begin - (end - begin)) / SLOT_NS
        assert observed * 255 < 1, "what is still observed must round down to no coverage"
    assert not any(at // SLOT_NS - plan.slots.start in blind for at in seen.pulses)


def test_wired_inputs_count_and_show_the_sensor_s_state_at_their_pins(tables: Tables) -> None:
    tables.write(
        "a.csv", table_text(local_times(DAY), lambda row, channel: "" if row == 1 and channel else 3)
    )
    plan = tables.plan(DAY)
    inputs = wire(channel_inputs(plan.stations[0], plan.slots, seed=1), [(4, None), (5, 6)])
    assert inputs.count_until(4, plan.end_ns) == 96 * 3
    assert inputs.count_until(5, plan.end_ns) == 95 * 3
    middle = plan.start_ns + SLOT_NS // 2
    assert [inputs.level_and_next(6, middle + n * SLOT_NS)[0] for n in range(3)] == [1, 0, 1]


def test_a_channel_that_cannot_say_when_it_is_blind_is_not_wired(tables: Tables) -> None:
    tables.write("a.csv", table_text(local_times(DAY), lambda row, channel: "" if row == 1 else 3))
    plan = tables.plan(DAY)
    with pytest.raises(ValueError, match="needs an ok pin"):
        wire(channel_inputs(plan.stations[0], plan.slots, seed=1), [(4, None), (5, None)])


def test_guards_that_leave_nothing_of_the_quarter_hour_are_refused(one_station: Plan) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        channel_inputs(one_station.stations[0], one_station.slots, seed=1, guard_s=450)
