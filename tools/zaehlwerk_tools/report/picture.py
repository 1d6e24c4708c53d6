"""Pictures as inline SVG: curves over a day or a week, bars per day, sparklines. Each stands beside its table.

The SVG is stretched to its frame and holds lines only; every letter is HTML over or beside it, so that a telephone
shows the same picture narrower and its text as large as elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 1000, 200  # the SVG's own units, stretched to the frame
SPARK_HEIGHT = 100
STEPS = (2, 4, 6, 8, 10, 12, 16)


@dataclass(frozen=True, slots=True)
class Band:
    """Part of the width in which the curve is not known."""

    begin: float  # 0..1
    end: float
    label: str  # HTML


@dataclass(frozen=True, slots=True)
class Mark:
    """A label on the time axis."""

    at: float  # 0..1
    label: str  # HTML
    line: bool = True


def scale(highest: int) -> int:
    """A round number at or above `highest` that has a round half; at least 2."""
    power = 1
    while True:
        for step in STEPS:
            if step * power >= highest:
                return step * power
        power *= 10


def curves(
    lines: Sequence[Sequence[int | None]],
    top: int,
    marks: Iterable[Mark],
    bands: Iterable[Band],
    labelled_by: str,
) -> str:
    """A frame with one curve per direction, each with a dash pattern of its own, over values of equal distance.

    `None` interrupts a curve. `top` is the value at the upper edge. `labelled_by`: id of what names the picture.
    """
    marks = tuple(marks)
    shapes = [
        f'<line class="grid" x1="0" x2="{WIDTH}" y1="{y:g}" y2="{y:g}"/>'
        for y in (0.5, HEIGHT / 2, HEIGHT - 0.5)
    ]
    shapes += [
        f'<line class="grid" x1="{mark.at * WIDTH:g}" x2="{mark.at * WIDTH:g}" y1="0" y2="{HEIGHT}"/>'
        for mark in marks
        if mark.line
    ]
    for index, line in enumerate(lines):
        shapes += [f'<path class="c{index % 4}" d="{path}"/>' for path in _paths(line, top, HEIGHT) if path]
    svg = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        f"{''.join(shapes)}</svg>"
    )
    hatched = "".join(
        f'<div class="band" style="left:{band.begin:.2%};width:{band.end - band.begin:.2%}"><span>{band.label}</span></div>'
        for band in bands
    )
    axis = "".join(
        f'<span class="{_edge(mark.at)}" style="left:{mark.at:.2%}">{mark.label}</span>'
        for mark in marks
        if mark.label
    )
    return (
        f'<div class="plot" role="img" aria-labelledby="{escape(labelled_by)}">'
        f'<div class="y" aria-hidden="true"><span>{top}</span><span>{top // 2}</span><span>0</span></div>'
        f'<div class="frame">{svg}{hatched}</div>'
        f'<div class="x" aria-hidden="true">{axis}</div></div>'
    )


def bars(values: Sequence[tuple[str, int]], labelled_by: str, shown: Sequence[str]) -> str:
    """One bar per (label HTML, value), with the value `shown` above it."""
    top = max((value for _, value in values), default=0) or 1
    columns = "".join(
        f'<div class="bar"><span class="value">{text}</span>'
        f'<span class="column" style="height:{value / top * 8:.2f}rem"></span><span>{label}</span></div>'
        for (label, value), text in zip(values, shown, strict=True)
    )
    return f'<div class="bars" role="img" aria-labelledby="{escape(labelled_by)}">{columns}</div>'


def sparkline(values: Sequence[int | None]) -> str:
    """A small filled curve, decoration beside a number that is in the table."""
    top = max((value for value in values if value is not None), default=0) or 1
    areas = "".join(f'<path class="area" d="{path}"/>' for path in _areas(values, top))
    return (
        f'<svg class="spark" viewBox="0 0 {WIDTH} {SPARK_HEIGHT}" preserveAspectRatio="none" aria-hidden="true" '
        f'focusable="false">{areas}</svg>'
    )


def _edge(at: float) -> str:
    return "first" if at < 0.02 else "last" if at > 0.98 else ""


def _runs(values: Sequence[int | None]) -> Iterable[list[tuple[int, int]]]:
    """(index, value) of every uninterrupted part."""
    run: list[tuple[int, int]] = []
    for index, value in enumerate(values):
        if value is None:
            if run:
                yield run
            run = []
        else:
            run.append((index, value))
    if run:
        yield run


def _paths(values: Sequence[int | None], top: int, height: int) -> Iterable[str]:
    step = WIDTH / max(1, len(values))
    for run in _runs(values):
        points = [
            f"{(index + 0.5) * step:.1f} {height - min(value, top) / top * height:.1f}"
            for index, value in run
        ]
        if len(points) == 1:  # a point alone would be invisible: as wide as its quarter-hour
            index, value = run[0]
            y = f"{height - min(value, top) / top * height:.1f}"
            yield f"M{index * step:.1f} {y}H{(index + 1) * step:.1f}"
        else:
            yield "M" + "L".join(points)


def _areas(values: Sequence[int | None], top: int) -> Iterable[str]:
    step = WIDTH / max(1, len(values))
    for run in _runs(values):
        points = "L".join(
            f"{(i + 0.5) * step:.0f} {SPARK_HEIGHT * (1 - value / top):.0f}" for i, value in run
        )
        first, last = (run[0][0] + 0.5) * step, (run[-1][0] + 0.5) * step
        yield f"M{first:.0f} {SPARK_HEIGHT}L{points}L{last:.0f} {SPARK_HEIGHT}Z"
