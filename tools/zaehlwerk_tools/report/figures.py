"""A picture with its heading, its key and its table: over one day, over several days, and per day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from zaehlwerk_tools.local_time import start_of_slot
from zaehlwerk_tools.report.bilingual import Text, both, both_html, long_day, number, short_day
from zaehlwerk_tools.report.picture import Band, Mark, bars, curves, scale
from zaehlwerk_tools.report.series import Direction, Point

HOURS_MARKED = 6
QUARTERS = 4
SHOW_TABLE: Text = ("Als Tabelle", "As a table")
STATES: dict[str, Text] = {
    "not_observed": ("nicht beobachtet", "not observed"),
    "span": ("nur als Summe", "sum only"),
    "missing": ("fehlt", "missing"),
    "unconfirmed": ("unbestätigt", "unconfirmed"),
    "partial": ("unvollständig", "incomplete"),
}


def day_figure(name: str, directions: Sequence[Direction], day: date, top: int) -> str:
    """The curves of one day, per quarter-hour and direction. `name`: unique in the page, for ids; `top`: its scale."""
    points = [direction.of_day(day) for direction in directions]
    slots = [point.slot for point in points[0]]
    marks = [
        Mark(index / len(slots), f"{local.hour}:00", line=index > 0)
        for index, local in ((index, start_of_slot(slot)) for index, slot in enumerate(slots))
        if local.minute == 0 and local.hour % HOURS_MARKED == 0
    ]
    marks.append(Mark(1.0, "24:00", line=False))
    lines = [[point.count for point in of_direction] for of_direction in points]
    picture = curves(lines, top, marks, _bands(points), f"{name}-title")
    title: Text = (
        f"Tageslauf am {long_day(day)[0]}, je Viertelstunde",
        f"Course of {long_day(day)[1]}, per quarter-hour",
    )
    return _figure(name, title, directions, picture, _day_table(directions, points))


def week_figure(name: str, directions: Sequence[Direction], days: Sequence[date]) -> str:
    """The curves of several days, per hour and direction, and a table with each day's sum per direction."""
    hourly = [[_hours(direction.of_day(day)) for day in days] for direction in directions]
    lines = [[count for of_day in per_day for count in of_day] for per_day in hourly]
    length = max(1, len(lines[0]))
    marks = []
    at = 0
    for index, day in enumerate(days):
        marks.append(
            Mark(at / length, both(short_day(day)) if len(days) <= 8 else str(day.day), line=index > 0)
        )
        at += len(hourly[0][index])
    known = [count for line in lines for count in line if count is not None]
    picture = curves(lines, scale(max(known, default=0)), marks, (), f"{name}-title")
    title: Text = (f"{len(days)} Tage, je Stunde", f"{len(days)} days, per hour")
    head = "".join(f"<th scope=col>{both(direction.name)}" for direction in directions)
    rows = "".join(
        f"<tr><th scope=row>{both(short_day(day))}"
        + "".join(f"<td>{_sum(direction.of_day(day))}" for direction in directions)
        for day in days
    )
    table = _table(title, ("Tag", "Day"), head, rows)
    return _figure(name, title, directions, picture, table)


def days_figure(name: str, days: Sequence[date], totals: Sequence[int]) -> str:
    """Bars: what all stations counted on each day."""
    title: Text = ("Alle Zählstellen zusammen, je Tag", "All stations together, per day")
    labels = [(both(short_day(day)), total) for day, total in zip(days, totals, strict=True)]
    picture = bars(labels, f"{name}-title", [number(total) for total in totals])
    rows = "".join(
        f"<tr><th scope=row>{both(long_day(day))}<td>{number(total)}"
        for day, total in zip(days, totals, strict=True)
    )
    head = f"<th scope=col>{both(('gezählt', 'counted'))}"
    return _figure(name, title, (), picture, _table(title, ("Tag", "Day"), head, rows))


def spans_list(directions: Sequence[Direction]) -> str:
    """The sums that could not be told apart, in words; empty if there are none."""
    items = [
        f"<li>{both(direction.name)}: {_told_span(slots)}: <strong>{number(count)}</strong>"
        for direction in directions
        for slots, count in direction.spans
        if slots
    ]
    if not items:
        return ""
    words = both(
        (
            "Nur als Summe bekannt, weil mehrere Funksprüche hintereinander fehlten:",
            "Known only as a sum, because several radio messages in a row were missing:",
        )
    )
    return f"<p>{words}<ul>{''.join(items)}</ul>"


def _told_span(slots: tuple[int, ...]) -> str:
    begin, end = start_of_slot(slots[0]), start_of_slot(slots[-1] + 1)
    count = len(slots)
    times = (f"{begin:%H:%M}–{end:%H:%M}", f"{begin:%H:%M}–{end:%H:%M}")
    german, english = short_day(begin.date())
    return both(
        (f"{german} {times[0]} ({count} Viertelstunden)", f"{english} {times[1]} ({count} quarter-hours)")
    )


def _figure(name: str, title: Text, directions: Sequence[Direction], picture: str, table: str) -> str:
    key = "".join(
        f'<li><svg viewBox="0 0 36 8" aria-hidden="true" focusable="false"><path class="c{index % 4}" d="M0 4H36"/></svg>'
        f"{both(direction.name)}"
        for index, direction in enumerate(directions)
    )
    return (
        f'<figure><figcaption id="{name}-title">{both(title)}</figcaption>'
        + (f'<ul class="key">{key}</ul>' if key else "")
        + f"{picture}<details><summary>{both(SHOW_TABLE)}</summary>{table}</details></figure>"
    )


def _table(title: Text, first: Text, head: str, rows: str) -> str:
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title[0]} / {title[1]}"><table>'
        f"<thead><tr><th scope=col>{both(first)}{head}</thead><tbody>{rows}</tbody></table></div>"
    )


def _day_table(directions: Sequence[Direction], points: Sequence[Sequence[Point]]) -> str:
    head = "".join(f"<th scope=col>{both(direction.name)}" for direction in directions)
    rows = []
    for row in zip(*points, strict=True):
        local = start_of_slot(row[0].slot)
        again = both((" (Winterzeit)", " (winter time)")) if local.fold else ""
        cells = "".join(f"<td>{_told(point)}" for point in row)
        rows.append(f"<tr><th scope=row>{local:%H:%M}{again}{cells}")
    title: Text = ("Werte je Viertelstunde", "Values per quarter-hour")
    return _table(title, ("Beginn", "Begin"), head, "".join(rows))


def _told(point: Point) -> str:
    if point.count is None:
        return both(STATES[point.state])
    if point.state in STATES:
        return f"{number(point.count)} ({both(STATES[point.state])})"
    return number(point.count)


def _bands(points: Sequence[Sequence[Point]]) -> list[Band]:
    """Where at least one direction has no number of its own: from, to, and why."""
    length = max(1, len(points[0]))
    states = [
        next((point.state for point in row if point.count is None), "") for row in zip(*points, strict=True)
    ]
    bands: list[Band] = []
    begin = 0
    for index in range(1, length + 1):
        if index == length or states[index] != states[begin]:
            if states[begin]:
                # A label needs room: below three hours the hatching alone says it, and the table does.
                label = both(STATES[states[begin]]) if index - begin >= 12 else ""
                bands.append(Band(begin / length, index / length, label))
            begin = index
    return bands


def _hours(points: Sequence[Point]) -> list[int | None]:
    """Sums of four quarter-hours; None where one of them is not known."""
    hours: list[int | None] = []
    for begin in range(0, len(points), QUARTERS):
        counts = [point.count for point in points[begin : begin + QUARTERS]]
        known = [count for count in counts if count is not None]
        hours.append(sum(known) if len(known) == len(counts) else None)
    return hours


def _sum(points: Sequence[Point]) -> str:
    """A day's sum; with a sign where quarter-hours of it are not known or lie in a span."""
    total = number(sum(point.count or 0 for point in points))
    unknown = sum(point.count is None for point in points)
    if not unknown:
        return total
    words = both_html((f"ohne {unknown} Viertelstunden", f"without {unknown} quarter-hours"))
    return f"{total} ({words})"
