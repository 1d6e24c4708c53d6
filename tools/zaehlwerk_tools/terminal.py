"""What a run shows on a terminal: a progress bar, and at the end a table per station. Fits 80 columns, needs no colour."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich import box
from rich.console import Console, Group, JustifyMethod
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from zaehlwerk_tools.comparison import Comparison, StationComparison, Verdict
from zaehlwerk_tools.local_time import NS, SLOT_S, start_of_slot
from zaehlwerk_tools.plan import Plan
from zaehlwerk_tools.result import CityResult, Progress

LINE_S = 5.0  # between two lines of progress where there is no terminal
MB = 1_000_000
EDGES = 12  # columns of characters that the table's own spacing takes
_PHASES = {"start": "starting", "run": "counting", "settle": "settling"}


@contextmanager
def shown_progress(plan: Plan, console: Console) -> Iterator[Callable[[Progress], None]]:
    """Shows the progress of a run: a bar on a terminal, a line now and then elsewhere."""
    if console.is_terminal:
        with _bar(plan, console) as show:
            yield show
    else:
        yield _lines(plan, console)


@contextmanager
def _bar(plan: Plan, console: Console) -> Iterator[Callable[[Progress], None]]:
    columns = (
        TextColumn("{task.description:<8}"),
        TextColumn("{task.fields[clock]}"),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    bar = Bar(*columns, console=console, expand=True)
    task = bar.add_task(_PHASES["start"], total=1.0, clock="")
    numbers = Text()
    with Live(Group(bar, numbers), console=console, transient=True):

        def show(progress: Progress) -> None:
            bar.update(
                task,
                completed=_share(plan, progress),
                description=_PHASES.get(progress.phase, progress.phase),
                clock=_clock(progress),
            )
            numbers.plain = _told(progress)

        yield show


def _lines(plan: Plan, console: Console) -> Callable[[Progress], None]:
    last = monotonic() - LINE_S

    def show(progress: Progress) -> None:
        nonlocal last
        if monotonic() - last >= LINE_S:
            last = monotonic()
            console.print(
                f"{_PHASES.get(progress.phase, progress.phase)} {_clock(progress)} {_share(plan, progress):4.0%}: "
                f"{_told(progress)}",
                markup=False,
                highlight=False,
            )

    return show


def _share(plan: Plan, progress: Progress) -> float:
    return min(1.0, max(0.0, (progress.virtual_ns - plan.start_ns) / (plan.end_ns - plan.start_ns)))


def _told(progress: Progress) -> str:
    return (
        f"{progress.intervals:,} intervals, {progress.uplinks_sent:,} uplinks, {progress.uplinks_lost:,} lost, "
        f"{progress.published:,} published"
    )


def _clock(progress: Progress) -> str:
    minute = progress.virtual_ns // NS // 60
    local = start_of_slot(minute * 60 // SLOT_S).replace(minute=minute % 60)
    return f"{local:%a %H:%M}"


def print_result(plan: Plan, result: CityResult, comparison: Comparison, console: Console) -> None:
    """The table per station and what to know of the whole run."""
    print_stations(comparison, console)
    for line in _facts(plan, result, comparison):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_stations(comparison: Comparison, console: Console) -> None:
    """The table per station."""
    table = Table(box=box.SIMPLE_HEAD, show_footer=True, pad_edge=False, padding=(0, 1))
    total = comparison.total
    everything = _exact(comparison.stations)
    columns: tuple[tuple[str, str, JustifyMethod], ...] = (
        ("city's table", f"{total('pulses'):,}", "right"),
        ("over MQTT", f"{total('published') + comparison.stranger_pulses:,}", "right"),
        ("intervals", everything, "right"),
        ("result", _word(comparison.exact), "left"),
    )
    widths = (12, 9, max(9, len(everything)), 12)
    # Rich would shorten the last column too; names give way alone.
    names = max(12, console.width - sum(widths) - EDGES)
    table.add_column("station", "all stations", no_wrap=True, overflow="ellipsis", max_width=names)
    for (head, foot, justify), width in zip(columns, widths, strict=True):
        table.add_column(head, foot, justify=justify, no_wrap=True, min_width=width)
    for station in comparison.stations:
        table.add_row(
            escape(station.station.name),
            f"{sum(channel.pulses for channel in station.channels):,}",
            f"{sum(channel.published for channel in station.channels):,}",
            _exact((station,)),
            _result(station),
        )
    console.print(table)


def _facts(plan: Plan, result: CityResult, comparison: Comparison) -> Iterator[str]:
    total = comparison.total
    duplicated = total("duplicated") + comparison.stranger_pulses
    yield (
        f"lost {total('lost'):,}, doubled {duplicated:,}, in another interval {total('misplaced'):,} "
        f"of {total('pulses'):,} pulses"
    )
    exact = comparison.count(Verdict.EXACT, Verdict.NOT_OBSERVED)
    not_observed = comparison.count(Verdict.NOT_OBSERVED)
    yield (
        f"{exact:,} of {plan.intervals:,} intervals exact ({not_observed:,} not observed), "
        f"{comparison.count(Verdict.IN_SPAN):,} as a sum ({SUM}) in {comparison.spans:,} spans"
    )
    if result.alarms:
        told = Counter((alarm["kind"], alarm["raised"]) for alarm in map(json.loads, result.alarms))
        yield "alarms: " + ", ".join(
            f"{number} x {kind} {'raised' if raised else 'over'}"
            for (kind, raised), number in sorted(told.items())
        )
    silent = comparison.count(Verdict.SILENT)
    if silent:
        yield f"{silent:,} intervals ({DEAD}) with zero in the table: their node holds the sensor for dead"
    if total("unobserved"):
        yield f"{total('unobserved'):,} pulses passed while a board had no power; marked, not counted"
    share = result.uplinks_lost / result.uplinks_sent if result.uplinks_sent else 0
    mean = result.count_payload_bytes / result.count_frames if result.count_frames else 0
    yield (
        f"uplinks: {result.uplinks_sent:,} sent, {result.uplinks_lost:,} lost on the air ({share:.1%}), "
        f"{mean:.1f} B mean count frame"
    )
    dropped = "not told" if result.broker_dropped is None else f"{result.broker_dropped:,}"
    yield (
        f"messages: {result.messages:,} received, {result.redelivered:,} records redelivered, broker dropped {dropped}"
    )
    yield f"memory: {_megabytes(result.board_memory)} a board process, {_megabytes(result.run_memory)} the whole run"
    hours, minutes = divmod(round(result.virtual_s / 60), 60)
    yield f"time: {result.wall_s:.1f} s for {hours} h {minutes:02d} min of the city"
    if not result.settled:
        yield f"not settled: the ledger still waited after {plan.settle_intervals} more intervals"
    yield from (f"note: {told}" for told in result.fallbacks)
    yield from (f"fault: {told}" for told in _faults(comparison))
    yield from (f"fault: {told}" for told in result.broken_rules[:10])
    if len(result.broken_rules) > 10:
        yield f"fault: and {len(result.broken_rules) - 10:,} more rules broken"


def _faults(comparison: Comparison, most: int = 10) -> Iterator[str]:
    """The first few things that are not as they must be, in words."""
    told = 0
    for stranger in comparison.strangers[:most]:
        yield stranger
        told += 1
    for station in comparison.stations:
        for channel in station.channels:
            for cell in channel.cells:
                if cell.verdict in _BAD:
                    told += 1
                    if told <= most:
                        at = start_of_slot(cell.slot)
                        yield (
                            f"{station.station.name}, {channel.channel}, {at:%Y-%m-%d %H:%M}: {cell.verdict.value}, "
                            f"table {_shown(cell.table)}, over MQTT {_shown(cell.published)}"
                        )
    if told > most:
        yield f"and {told - most:,} more"


SUM, DEAD = "Σ", "∅"
_BAD = frozenset({Verdict.MISSING, Verdict.WRONG, Verdict.TWICE, Verdict.INVENTED, Verdict.HIDDEN})


def _shown(count: int | None) -> str:
    return "none" if count is None else f"{count:,}"


def _megabytes(count: int | None) -> str:
    return "not measured" if count is None else f"{count / MB:.1f} MB"


def _exact(stations: tuple[StationComparison, ...]) -> str:
    """Intervals that are exact, of all."""
    channels = [channel for station in stations for channel in station.channels]
    exact = sum(channel.count(Verdict.EXACT, Verdict.NOT_OBSERVED) for channel in channels)
    return f"{exact}/{sum(len(channel.cells) for channel in channels)}"


def _result(station: StationComparison) -> str:
    """Whether it is exact, and in how many intervals only as a sum (Σ), or as told by a sensor held for dead (∅)."""
    marked = {
        mark: sum(channel.count(verdict) for channel in station.channels)
        for mark, verdict in ((SUM, Verdict.IN_SPAN), (DEAD, Verdict.SILENT))
    }
    if station.exact and marked[DEAD] == sum(len(channel.cells) for channel in station.channels):
        return "silent"
    notes = [f"{number} {mark}" for mark, number in marked.items() if number and station.exact]
    return ", ".join([_word(station.exact), *notes])


def _word(exact: bool) -> str:
    return "exact" if exact else "NOT EXACT"
