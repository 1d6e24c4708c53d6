"""The comparison finds what is wrong with a platform, and finds nothing where all is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tools.tests.city.conftest import (
    BUNDLED,
    DAY,
    Tables,
    local_times,
    perfect,
    plan_of,
    record,
    span,
    table_text,
)
from zaehlwerk_tools.comparison import Comparison, Verdict, compare
from zaehlwerk_tools.local_time import NS, SLOT_S
from zaehlwerk_tools.plan import Outage, OutageKind, Plan
from zaehlwerk_tools.records import ChannelCount, Published

AT = 40  # the quarter-hour that the tests spoil: 6 in channel 0, 2 in channel 1


@pytest.fixture
def plan(tables: Tables) -> Plan:
    """One station, two channels, 1 + row % 7 and 2 + row % 5 a quarter-hour; channel 0 blind in 60..62."""
    tables.write(
        "a.csv",
        table_text(
            local_times(DAY),
            lambda row, channel: (
                "" if channel == 0 and 60 <= row < 63 else ((2 + row % 5) if channel else (1 + row % 7))
            ),
        ),
    )
    return tables.plan(DAY)


def _numbers(comparison: Comparison) -> tuple[int, int, int]:
    return comparison.total("lost"), comparison.total("duplicated"), comparison.total("misplaced")


def _verdicts(comparison: Comparison, row: int, station: int = 0) -> list[Verdict]:
    return [channel.cells[row].verdict for channel in comparison.stations[station].channels]


def _with_channel(held: Published, number: int, **changes: object) -> Published:
    channels: list[ChannelCount] = list(held.channels)
    channels[number] = replace(channels[number], **changes)  # type: ignore[arg-type]
    return replace(held, channels=tuple(channels))


def test_a_perfect_platform_is_exact(plan: Plan) -> None:
    comparison = compare(plan, perfect(plan))
    assert comparison.exact
    assert _numbers(comparison) == (0, 0, 0)
    assert comparison.total("pulses") == comparison.total("published") == plan.pulses > 0
    assert comparison.count(Verdict.EXACT) == 192 - 3
    assert comparison.count(Verdict.NOT_OBSERVED) == 3


def test_a_perfect_platform_of_the_real_day_is_exact() -> None:
    real = plan_of(BUNDLED, DAY)
    comparison = compare(real, perfect(real))
    assert comparison.exact
    assert comparison.total("published") == 146_121


def test_a_record_that_never_came_is_lost(plan: Plan) -> None:
    held = perfect(plan)
    gone = held.pop(AT)
    comparison = compare(plan, held)
    assert not comparison.exact
    assert _numbers(comparison) == (sum(c.count or 0 for c in gone.channels), 0, 0)
    assert _verdicts(comparison, AT) == [Verdict.MISSING, Verdict.MISSING]


def test_a_record_of_zeros_that_never_came_is_found_too(tables: Tables) -> None:
    """Nothing is lost in number, but the platform does not know that there was nothing."""
    tables.write("a.csv", table_text(local_times(DAY), lambda row, channel: 0))
    quiet = tables.plan(DAY)
    comparison = compare(quiet, perfect(quiet)[1:])
    assert _numbers(comparison) == (0, 0, 0)
    assert not comparison.exact


def test_a_record_under_two_ids_is_doubled(plan: Plan) -> None:
    held = perfect(plan)
    again = replace(held[AT], id="another")
    comparison = compare(plan, [*held, again])
    assert _numbers(comparison) == (0, sum(c.count or 0 for c in again.channels), 0)
    assert _verdicts(comparison, AT) == [Verdict.TWICE, Verdict.TWICE]


def test_a_record_of_zeros_under_two_ids_is_found_too(tables: Tables) -> None:
    tables.write("a.csv", table_text(local_times(DAY), lambda row, channel: 0))
    quiet = tables.plan(DAY)
    held = perfect(quiet)
    assert not compare(quiet, [*held, replace(held[3], id="another")]).exact


def test_a_record_shifted_by_one_interval_is_misplaced(plan: Plan) -> None:
    held = perfect(plan)
    late = held[AT]
    assert late.start_s is not None
    assert late.end_s is not None
    held[AT] = replace(late, start_s=late.start_s + SLOT_S, end_s=late.end_s + SLOT_S)
    comparison = compare(plan, held)
    assert _numbers(comparison) == (0, 0, sum(c.count or 0 for c in late.channels))
    assert not comparison.exact


def test_all_records_shifted_by_one_interval_are_found(plan: Plan) -> None:
    held = [
        replace(r, start_s=(r.start_s or 0) + SLOT_S, end_s=(r.end_s or 0) + SLOT_S) for r in perfect(plan)
    ]
    assert not compare(plan, held).exact


def test_a_record_shifted_by_a_few_minutes_is_found(plan: Plan) -> None:
    held = perfect(plan)
    held[AT] = replace(held[AT], start_s=(held[AT].start_s or 0) + 60, end_s=(held[AT].end_s or 0) + 60)
    assert not compare(plan, held).exact


def test_a_record_shorter_than_its_quarter_hour_is_found(plan: Plan) -> None:
    held = perfect(plan)
    held[AT] = replace(held[AT], end_s=(held[AT].end_s or 0) - 60)
    assert _verdicts(compare(plan, held), AT) == [Verdict.WRONG, Verdict.WRONG]


def test_a_record_whose_clock_was_not_set_is_in_no_quarter_hour(plan: Plan) -> None:
    held = perfect(plan)
    held[AT] = replace(held[AT], clock="unsynced")
    comparison = compare(plan, held)
    assert _numbers(comparison) == (0, 0, 8)
    assert not comparison.exact


def test_an_invented_split_with_the_right_sum_is_misplaced(plan: Plan) -> None:
    """Two quarter-hours' sum spread by guess: equal in the sum, wrong in both."""
    held = perfect(plan)
    first, second = held[AT].channels[1].count or 0, held[AT + 1].channels[1].count or 0
    held[AT] = _with_channel(held[AT], 1, count=first + 1)
    held[AT + 1] = _with_channel(held[AT + 1], 1, count=second - 1)
    comparison = compare(plan, held)
    assert _numbers(comparison) == (0, 0, 1)
    assert _verdicts(comparison, AT) == [Verdict.EXACT, Verdict.WRONG]
    assert not comparison.exact


@pytest.mark.parametrize(("change", "numbers"), [(1, (0, 1, 0)), (-1, (1, 0, 0))])
def test_one_pulse_too_many_or_too_few_is_found(
    plan: Plan, change: int, numbers: tuple[int, int, int]
) -> None:
    held = perfect(plan)
    held[AT] = _with_channel(held[AT], 0, count=(held[AT].channels[0].count or 0) + change)
    comparison = compare(plan, held)
    assert _numbers(comparison) == numbers
    assert not comparison.exact


def test_counts_of_swapped_channels_are_found(plan: Plan) -> None:
    held = perfect(plan)
    one, other = held[AT].channels
    held[AT] = replace(held[AT], channels=(replace(one, count=other.count), replace(other, count=one.count)))
    assert not compare(plan, held).exact


def test_zero_where_nobody_observed_is_found(plan: Plan) -> None:
    held = perfect(plan)
    held[60] = _with_channel(held[60], 0, count=0, coverage=1.0, quality="ok")
    comparison = compare(plan, held)
    assert _numbers(comparison) == (0, 0, 0)
    assert _verdicts(comparison, 60) == [Verdict.INVENTED, Verdict.EXACT]
    assert not comparison.exact


def test_zero_of_unknown_coverage_claims_nothing_and_is_not_called_exact(plan: Plan) -> None:
    """A count that follows from the totals alone, without the frame that would have told the coverage."""
    held = perfect(plan)
    held[60] = _with_channel(held[60], 0, count=0, coverage=None, quality="unknown")
    comparison = compare(plan, held)
    assert _verdicts(comparison, 60) == [Verdict.UNCONFIRMED, Verdict.EXACT]
    assert comparison.exact
    assert comparison.count(Verdict.EXACT, Verdict.NOT_OBSERVED) == plan.intervals - 1


def test_not_observed_where_the_table_has_a_count_is_found(plan: Plan) -> None:
    held = perfect(plan)
    held[AT] = _with_channel(held[AT], 0, count=None, coverage=0.0, quality="not_observed")
    comparison = compare(plan, held)
    assert _verdicts(comparison, AT) == [Verdict.HIDDEN, Verdict.EXACT]
    assert comparison.total("lost") == 1 + AT % 7
    assert not comparison.exact


def test_no_count_without_saying_why_is_found(plan: Plan) -> None:
    held = perfect(plan)
    held[60] = _with_channel(held[60], 0, quality="ok")
    assert _verdicts(compare(plan, held), 60) == [Verdict.WRONG, Verdict.EXACT]


def _spanned(plan: Plan, first: int, last: int, keep: tuple[int, ...] = ()) -> list[Published]:
    """All rows from `first` to `last` become one span, but those in `keep`, which stay and are listed in `except`."""
    held = perfect(plan)
    merged = [held[row] for row in range(first, last + 1) if row not in keep]
    gaps = tuple((held[row].start_s or 0, held[row].end_s or 0) for row in keep)
    whole = span(merged, held[first].start_s or 0, held[last].end_s or 0, except_s=gaps)
    return [r for r in held if r not in merged] + [whole]


def test_a_span_with_the_right_sum_is_right_and_not_exact_in_time(plan: Plan) -> None:
    comparison = compare(plan, _spanned(plan, AT, AT + 4))
    assert comparison.exact
    assert comparison.spans == 1
    assert comparison.count(Verdict.IN_SPAN) == 10
    assert _verdicts(comparison, AT) == [Verdict.IN_SPAN, Verdict.IN_SPAN]
    assert comparison.total("published") == plan.pulses


def test_a_span_counts_for_all_of_its_time_but_what_it_excepts(plan: Plan) -> None:
    comparison = compare(plan, _spanned(plan, AT, AT + 6, keep=(AT + 2, AT + 3)))
    assert comparison.exact
    assert comparison.count(Verdict.IN_SPAN) == 10
    assert _verdicts(comparison, AT + 2) == [Verdict.EXACT, Verdict.EXACT]


def test_a_span_that_forgets_what_it_excepts_is_found(plan: Plan) -> None:
    held = _spanned(plan, AT, AT + 6, keep=(AT + 2, AT + 3))
    held[-1] = replace(held[-1], except_s=())
    assert not compare(plan, held).exact


def test_a_span_over_quarter_hours_that_are_not_all_observed_is_right_in_its_sum(plan: Plan) -> None:
    assert compare(plan, _spanned(plan, 58, 65)).exact


@pytest.mark.parametrize(("change", "numbers"), [(2, (0, 2, 0)), (-2, (2, 0, 0))])
def test_a_span_with_a_wrong_sum_is_found(plan: Plan, change: int, numbers: tuple[int, int, int]) -> None:
    held = _spanned(plan, AT, AT + 4)
    held[-1] = _with_channel(held[-1], 1, count=(held[-1].channels[1].count or 0) + change)
    comparison = compare(plan, held)
    assert _numbers(comparison) == numbers
    assert not comparison.exact


def test_a_span_beside_the_records_that_should_have_superseded_it_is_doubled(plan: Plan) -> None:
    held = perfect(plan)
    old = span(held[AT : AT + 3], held[AT].start_s or 0, held[AT + 2].end_s or 0)
    comparison = compare(plan, [*held, old])
    assert comparison.total("duplicated") == sum(c.count or 0 for c in old.channels)
    assert not comparison.exact


@pytest.mark.parametrize(
    "where", [{"start_s": None}, {"start_s": None, "end_s": None}, {"clock": "unsynced"}]
)
def test_pulses_counted_before_first_contact_or_of_no_time_are_too_many(
    plan: Plan, where: dict[str, object]
) -> None:
    held = perfect(plan)
    before = replace(held[0], id="baseline", resolution="span", **where)  # type: ignore[arg-type]
    comparison = compare(plan, [*held, before])
    assert comparison.total("duplicated") == sum(c.count or 0 for c in held[0].channels)
    assert not comparison.exact


def test_quiet_intervals_around_the_day_are_no_fault_but_counts_in_them_are(plan: Plan) -> None:
    quiet = record(plan, plan.slots.start - 1)
    zero = replace(quiet, channels=tuple(replace(c, count=0, quality="ok") for c in quiet.channels))
    assert compare(plan, [*perfect(plan), zero]).exact
    assert not compare(plan, [*perfect(plan), _with_channel(zero, 1, count=1)]).exact


@pytest.mark.parametrize("change", ["station", "channel"])
def test_a_record_of_a_station_or_channel_that_nobody_has_is_found(plan: Plan, change: str) -> None:
    held = perfect(plan)
    stranger = (
        replace(held[AT], id="x", station="elsewhere")
        if change == "station"
        else _with_channel(replace(held[AT], id="x"), 0, name="sideways")
    )
    comparison = compare(plan, [*held, stranger])
    assert comparison.strangers
    assert comparison.stranger_pulses > 0
    assert not comparison.exact


def _power_cut(minute: int, minutes: int) -> Outage:
    start_s = int(
        datetime(2026, 6, 18, 8, minute, tzinfo=UTC).timestamp()
    )  # 10:00 + minute, summer time: row 40
    return Outage(OutageKind.POWER, "a", start_s * NS, (start_s + minutes * 60) * NS)


def _darkened(plan: Plan, change: Callable[[Published], Published]) -> Comparison:
    cut = replace(plan, outages=(_power_cut(5, 8),))
    held = perfect(cut)
    held[AT] = change(held[AT])
    return compare(cut, held)


def test_what_passed_without_power_is_not_lost_if_the_record_says_so(plan: Plan) -> None:
    comparison = _darkened(plan, lambda r: _with_channel(r, 0, count=1, coverage=0.4, quality="partial"))
    assert comparison.exact
    assert comparison.total("unobserved") == AT % 7
    assert comparison.total("lost") == 0


def test_what_passed_without_power_is_lost_if_the_record_claims_to_be_whole(plan: Plan) -> None:
    comparison = _darkened(plan, lambda r: _with_channel(r, 0, count=1))
    assert comparison.total("lost") == AT % 7
    assert not comparison.exact


def test_a_power_cut_excuses_nothing_elsewhere_and_no_surplus(plan: Plan) -> None:
    cut = replace(plan, outages=(_power_cut(5, 8),))
    held = perfect(cut)
    held[AT + 3] = _with_channel(held[AT + 3], 0, count=0, coverage=0.5, quality="partial")
    assert not compare(cut, held).exact
    assert not _darkened(plan, lambda r: _with_channel(r, 0, count=99, coverage=0.4, quality="partial")).exact


def test_a_gateway_s_outage_excuses_nothing(plan: Plan) -> None:
    cut = replace(plan, outages=(replace(_power_cut(5, 8), kind=OutageKind.GATEWAY, station=""),))
    held = perfect(cut)
    held[AT] = _with_channel(held[AT], 0, count=0, coverage=0.4, quality="partial")
    assert not compare(cut, held).exact


def test_a_sensor_held_for_dead_where_the_table_has_zero_is_told_apart(tables: Tables) -> None:
    """The table publishes a dead sensor as zeros; the platform says that nobody counted. That is no fault."""
    tables.write("a.csv", table_text(local_times(DAY), lambda row, channel: 0))
    quiet = tables.plan(DAY)
    held = perfect(quiet)
    held[AT] = _with_channel(held[AT], 0, count=None, coverage=0.0, quality="not_observed")
    comparison = compare(quiet, held)
    assert _verdicts(comparison, AT) == [Verdict.SILENT, Verdict.EXACT]
    assert comparison.exact
    assert comparison.count(Verdict.EXACT) == quiet.intervals - 1
