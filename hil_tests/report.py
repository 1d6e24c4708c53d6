"""The report of a run: one HTML page that needs nothing else, with a picture of each test, for the file of a release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
WIDTH, HEIGHT, LANE = 720.0, 120.0, 66.0
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5c6b7a; --line: #c9d2da; --good: #1a7f4b; --bad: #b3261e;
  --skip: #8a6d00; --a: #1f5fa8; --b: #c2571a; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --soft: #9fb0c0; --line: #3a4650; --good: #58c48b;
  --bad: #ff8a80; --skip: #e0c04a; --a: #7db4f0; --b: #f0a06a; --paper: #14191e; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto; max-width: 60rem;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; } dt { color: var(--soft); } dd { margin: 0; }
section { border-top: 1px solid var(--line); padding: .8rem 0; }
.passed { color: var(--good); } .failed { color: var(--bad); } .skipped { color: var(--skip); }
.place, figcaption { color: var(--soft); font-size: .85rem; } figure { margin: .5rem 0; }
svg { width: 100%; height: auto; } pre { overflow-x: auto; font-size: .8rem; border-left: 3px solid var(--bad); padding-left: .8rem; }
text { fill: var(--soft); font-size: 11px; }
"""


@dataclass(frozen=True, slots=True)
class Result:
    """A test: its pytest id, outcome, seconds of the machine, what it said, and what `trace` kept."""

    test: str
    outcome: str
    seconds: float
    said: str = ""
    trace: dict[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The test's name as a sentence."""
        name = self.test.rpartition("::")[2]
        plain, bracket, case = name.partition("[")
        return plain.removeprefix("test_").replace("_", " ") + (f" ({case.rstrip(']')})" if bracket else "")

    @property
    def place(self) -> str:
        """Where it stands."""
        return self.test.partition("::")[0]


def page(facts: dict[str, str], results: Sequence[Result]) -> str:
    """The page. `facts`: what was tested with what, for its head."""
    counts = {
        outcome: sum(one.outcome == outcome for one in results) for outcome in (PASSED, FAILED, SKIPPED)
    }
    summary = ", ".join(
        f'<span class="{outcome}">{number} {outcome}</span>' for outcome, number in counts.items()
    )
    told = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    order = {FAILED: 0, SKIPPED: 1, PASSED: 2}
    tests = "".join(_section(one) for one in sorted(results, key=lambda one: (order[one.outcome], one.test)))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>Zählwerk, test rig</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Zählwerk, test rig</h1>\n<p>{summary}</p>\n<dl>{told}</dl>\n{tests}\n</body>\n</html>\n"
    )


def _section(one: Result) -> str:
    said = f"<pre>{escape(one.said)}</pre>" if one.said else ""
    return (
        f'<section><h2><span class="{one.outcome}">{one.outcome}</span> {escape(one.words)}</h2>'
        f'<p class="place">{escape(one.place)}, {one.seconds:.1f} s</p>{said}{_figure(one)}</section>\n'
    )


def _figure(one: Result) -> str:
    trace = one.trace
    frames, totals = trace.get("frames", []), trace.get("totals", [])
    if not frames and not trace.get("unheard"):
        return ""
    everything = [*(at for at, *_ in frames), *(at for at, *_ in trace.get("unheard", [])), 1.0]
    end = max(*everything, trace.get("seconds", 0))
    starts = trace.get("starts", [])
    told = (
        f"; {len(starts)} starts: {', '.join(starts[:6])}{' …' if len(starts) > 6 else ''}"
        if len(starts) > 1
        else ""
    )
    pictures = _counts(totals, trace.get("played", []), end) if totals else ""
    return (
        f"<figure>{pictures}{_air(frames, trace.get('unheard', []), end)}<figcaption>{len(frames)} uplinks in "
        f"{_duration(end)}{escape(told)}</figcaption></figure>"
    )


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 7200 else f"{seconds / 60:.0f} min"


def _counts(totals: list[Any], played: list[Any], end: float) -> str:
    """Steps: what was told, per channel; a line: what was played."""
    highest = max([1, *(max(row) for _, row in totals), *(points[-1][1] for points in played if points)])

    def place(at: float, value: float) -> str:
        return f"{min(at, end) / end * WIDTH:.1f},{HEIGHT - 4 - value / highest * (HEIGHT - 20):.1f}"

    lines = "".join(
        f'<polyline points="{" ".join(place(at, value) for at, value in points)}" fill="none" stroke="var(--b)" '
        'stroke-width="3" stroke-opacity=".5"/>'
        for points in played
        if points
    )
    for channel in range(len(totals[0][1])):
        points, before = [place(0, 0)], 0.0
        for at, row in totals:
            points += [place(at, before), place(at, row[channel])]
            before = row[channel]
        lines += f'<polyline points="{" ".join(points)}" fill="none" stroke="var(--a)" stroke-width="1.5"/>'
    return (
        f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" aria-label="counts over time">'
        f'<text x="0" y="11">pulses played (wide) and totals told (thin), up to {highest}</text>{lines}</svg>'
    )


def _air(frames: list[Any], unheard: list[Any], end: float) -> str:
    """A tick for each uplink, by data rate."""
    ticks = "".join(
        _tick(at / end, rate, "var(--b)" if kind == "join" else "var(--a)", "1") for at, rate, kind in frames
    )
    ticks += "".join(_tick(at / end, rate, "var(--soft)", ".5") for at, rate in unheard)
    return (
        f'<svg viewBox="0 0 {WIDTH:.0f} {LANE:.0f}" role="img" aria-label="uplinks over time">'
        f'<text x="0" y="11">uplinks by data rate, DR5 above; joins orange, unheard grey</text>{ticks}</svg>'
    )


def _tick(share: float, rate: int, colour: str, opacity: str) -> str:
    x, y = share * (WIDTH - 2) + 1, 16 + (5 - rate) * 8
    return f'<path d="M{x:.1f} {y}v6" stroke="{colour}" stroke-width="1.5" stroke-opacity="{opacity}"/>'
