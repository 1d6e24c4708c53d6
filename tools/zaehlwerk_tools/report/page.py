"""The page: a report for citizens, one file that needs nothing else, in German and English."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from html import escape
from importlib.resources import files

from zaehlwerk_tools.comparison import Comparison, StationComparison, Verdict
from zaehlwerk_tools.plan import Plan
from zaehlwerk_tools.report import figures, words
from zaehlwerk_tools.report.bilingual import Text, both, both_html, decimal, long_day, number, span_of_days
from zaehlwerk_tools.report.picture import scale, sparkline
from zaehlwerk_tools.report.quality import ALL, badges
from zaehlwerk_tools.report.series import Direction, days_of, directions, what_is_counted
from zaehlwerk_tools.result import CityResult

SPARK_SLOTS = 2  # quarter-hours to a point of a sparkline, times the number of days


def report(plan: Plan, result: CityResult, comparison: Comparison) -> str:
    """The whole page as HTML."""
    days = days_of(plan.slots)
    counted = what_is_counted(comparison.stations)
    per_station = [(station, directions(station)) for station in comparison.stations]
    body = "".join(
        (
            _top(plan, days, counted),
            "<main>",
            _facts(plan, result, comparison, counted),
            words.explanation(counted),
            _days(days, per_station) if len(days) > 1 else "",
            _overview(days, per_station, counted),
            _stations(days, per_station, counted),
            _check(plan, result, comparison),
            "</main>",
            _foot(plan),
        )
    )
    style = files("zaehlwerk_tools.report").joinpath("page.css").read_text(encoding="utf-8")
    script = files("zaehlwerk_tools.report").joinpath("page.js").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="de">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
        f"<title>Zählwerk, Verkehrszählung · {escape(str(days[0]))}</title>\n"
        f"<style>\n{style}</style>\n</head>\n<body>\n{body}\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _top(plan: Plan, days: Sequence[date], counted: Text) -> str:
    when = long_day(days[0]) if len(days) == 1 else span_of_days(days[0], days[-1])
    title: Text = (
        (f"{counted[0]} am {when[0]}", f"{counted[1].capitalize()} on {when[1]}")
        if len(days) == 1
        else (f"{counted[0]}, {when[0]}", f"{counted[1].capitalize()}, {when[1]}")
    )
    return (
        '<input type="radio" name="language" id="language-de" aria-label="Deutsch" checked>'
        '<input type="radio" name="language" id="language-en" aria-label="English">'
        '<header><div class="top"><p class="brand"><strong>Zählwerk</strong> '
        f"{both(('Verkehrszählung', 'traffic counting'))}</p>"
        '<div class="languages"><label for="language-de" class="keep" lang="de">Deutsch</label>'
        '<label for="language-en" class="keep" lang="en">English</label></div></div>'
        f"<h1>{both(title)}</h1><p class=lead>{both(words.lead(len(plan.stations)))}</p></header>"
    )


def _facts(plan: Plan, result: CityResult, comparison: Comparison, counted: Text) -> str:
    published = comparison.total("published")
    share = 100 * result.uplinks_lost / result.uplinks_sent if result.uplinks_sent else 0.0
    percent = decimal(share)
    tiles = [
        (number(published), (f"{counted[0]} gezählt", f"{counted[1]} counted")),
        (number(len(plan.stations)), ("Zählstellen", "stations")),
        (
            both((f"{percent[0]} %", f"{percent[1]} %")),
            ("der Funksprüche gingen verloren", "of the radio messages were lost"),
        ),
        (
            number(comparison.total("lost")),
            ("Zählungen fehlen am Ende", "counts are missing in the end"),
        ),
    ]
    items = "".join(f"<li><strong>{value}</strong> {both(text)}" for value, text in tiles)
    return f'<ul class="facts">{items}</ul>'


_Stations = Sequence[tuple[StationComparison, tuple[Direction, ...]]]


def _days(days: Sequence[date], per_station: _Stations) -> str:
    totals = [
        sum(
            point.count or 0
            for _, found in per_station
            for direction in found
            for point in direction.of_day(day)
        )
        for day in days
    ]
    heading = both(("Die Tage im Überblick", "The days at a glance"))
    return f'<section aria-labelledby="days"><h2 id="days">{heading}</h2>{figures.days_figure("all", days, totals)}</section>'


def _overview(days: Sequence[date], per_station: _Stations, counted: Text) -> str:
    head = "".join(
        f"<th scope=col>{both(text)}"
        for text in (
            ("Zählstelle", "Station"),
            counted,
            ("Verlauf", "Course"),
            ("Güte der Zahlen", "Quality of the numbers"),
        )
    )
    rows = []
    for station, found in per_station:
        total = sum(direction.total for direction in found)
        shown = "".join(badge.html() for badge in badges(station))
        spark = sparkline(_coarse(found, SPARK_SLOTS * len(days)))
        rows.append(
            f'<tr><th scope=row><a href="#{station.station.slug}">{escape(station.station.name)}</a>'
            f"<td class=total>{number(total)}<td class=course>{spark}<td class=quality>{shown}"
        )
    legend = "".join(f"<div><dt>{badge.html()}<dd>{both(badge.meaning)}</div>" for badge in ALL)
    return (
        f'<section aria-labelledby="overview"><h2 id="overview">{both(("Alle Zählstellen", "All stations"))}</h2>'
        f"<table class=overview><thead><tr>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
        f"<details class=legend><summary>{both(('Was die Güte bedeutet', 'What the quality means'))}</summary>"
        f"<dl>{legend}</dl></details></section>"
    )


def _coarse(found: Sequence[Direction], width: int) -> list[int | None]:
    """All directions together, `width` quarter-hours to a point; None where nothing at all is known."""
    rows = list(zip(*(direction.points for direction in found), strict=True))
    coarse: list[int | None] = []
    for begin in range(0, len(rows), width):
        known = [
            point.count for row in rows[begin : begin + width] for point in row if point.count is not None
        ]
        coarse.append(sum(known) if known else None)
    return coarse


def _stations(days: Sequence[date], per_station: _Stations, counted: Text) -> str:
    sections = "".join(_station(days, station, found, counted) for station, found in per_station)
    heading = both(("Jede Zählstelle im Einzelnen", "Every station in detail"))
    return f'<section aria-labelledby="stations"><h2 id="stations">{heading}</h2>{sections}</section>'


def _station(
    days: Sequence[date], station: StationComparison, found: Sequence[Direction], counted: Text
) -> str:
    name = station.station.slug
    shown = "".join(badge.html() for badge in badges(station))
    sums = "".join(
        f"<li>{both(direction.name)}: <strong>{number(direction.total)}</strong>"
        + (
            both((f" ({direction.channels} Spuren)", f" ({direction.channels} lanes)"))
            if direction.channels > 1
            else ""
        )
        for direction in found
    )
    total = number(sum(direction.total for direction in found))
    known = [point.count for direction in found for point in direction.points if point.count is not None]
    top = scale(max(known, default=0))
    pictures = [figures.day_figure(f"{name}-{day}", found, day, top) for day in days]
    if len(days) == 1:
        shown_pictures = pictures[0]
    else:
        by_day = both(("Tag für Tag", "Day by day"))
        shown_pictures = (
            figures.week_figure(f"{name}-days", found, days)
            + f"<details class=days><summary>{by_day}</summary>{''.join(pictures)}</details>"
        )
    return (
        f'<article id="{name}" aria-labelledby="{name}-name"><h3 id="{name}-name">{escape(station.station.name)}</h3>'
        f"<p class=badges>{shown}</p><p><strong class=big>{total}</strong> {both(counted)}</p>"
        f"<ul class=sums>{sums}</ul>{shown_pictures}{figures.spans_list(found)}</article>"
    )


def _check(plan: Plan, result: CityResult, comparison: Comparison) -> str:
    rows = "".join(
        f"<tr><th scope=row>{both(name)}<td>{value}" for name, value in _numbers(plan, result, comparison)
    )
    verdict = words.EXACT if comparison.exact else words.NOT_EXACT
    kind = "good" if comparison.exact else "bad"
    return (
        f'<section aria-labelledby="check"><h2 id="check">{both(("Nachgerechnet", "Checked"))}</h2>'
        f"<p>{both(words.CHECK)}</p><p class='verdict {kind}'>{both(verdict)}</p>"
        f"<table class=numbers><tbody>{rows}</tbody></table></section>"
    )


def _numbers(plan: Plan, result: CityResult, comparison: Comparison) -> Iterator[tuple[Text, str]]:
    exact = comparison.count(Verdict.EXACT, Verdict.NOT_OBSERVED)
    yield ("in der Tabelle der Stadt", "in the city's table"), number(comparison.total("pulses"))
    yield ("über MQTT angekommen", "arrived over MQTT"), number(comparison.total("published"))
    yield ("verloren", "lost"), number(comparison.total("lost"))
    yield ("doppelt", "doubled"), number(comparison.total("duplicated") + comparison.stranger_pulses)
    yield (
        ("in einer falschen Viertelstunde", "in a wrong quarter-hour"),
        number(comparison.total("misplaced")),
    )
    of = both_html(
        (f"{number(exact)} von {number(plan.intervals)}", f"{number(exact)} of {number(plan.intervals)}")
    )
    yield ("Viertelstunden je Zählkanal genau", "quarter-hours of channels exact"), of
    yield ("davon nicht beobachtet", "of these not observed"), number(comparison.count(Verdict.NOT_OBSERVED))
    yield ("nur als Summe bekannt", "known only as a sum"), number(comparison.count(Verdict.IN_SPAN))
    yield ("Funksprüche gesendet", "radio messages sent"), number(result.uplinks_sent)
    yield ("davon verloren", "of these lost"), number(result.uplinks_lost)
    mean = result.count_payload_bytes / result.count_frames if result.count_frames else 0.0
    german, english = decimal(mean)
    yield ("Bytes je Zähl-Funkspruch im Mittel", "bytes per count message, mean"), both((german, english))


def _foot(plan: Plan) -> str:
    source = escape(plan.city.source) or both(words.NO_SOURCE)
    return (
        f"<footer><h2>{both(('Quelle der Daten', 'Source of the data'))}</h2><p>{escape(plan.city.title)}</p>"
        f"<p>{source}</p><p>{both(words.MADE_BY)}</p></footer>"
    )
