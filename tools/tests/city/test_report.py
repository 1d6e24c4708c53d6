"""The report: one valid file that needs nothing else, in two languages, a table beside every picture."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser

import pytest

from tools.tests.city.conftest import (
    BUNDLED,
    DAY,
    Tables,
    local_times,
    perfect,
    plan_of,
    result_of,
    span,
    table_text,
)
from zaehlwerk_tools.comparison import compare
from zaehlwerk_tools.plan import Plan
from zaehlwerk_tools.records import Published
from zaehlwerk_tools.report import report
from zaehlwerk_tools.report.bilingual import long_day, number, span_of_days
from zaehlwerk_tools.report.picture import scale

VOID = {"meta", "input", "path", "line", "br", "link"}
CLOSED_BY_OTHERS = {"th", "td", "tr", "li", "p", "dd", "dt"}
"""Elements whose end tag HTML lets one leave out."""


class Page(HTMLParser):
    """Counts elements, keeps ids, references, texts per language, and complains about what is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.addresses: list[str] = []
        self.figures: list[Counter[str]] = []
        self.text: dict[str, str] = {"de": "", "en": "", "": ""}
        self.headings: list[int] = []
        self._open: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert [tag for tag, _ in self._open if tag not in CLOSED_BY_OTHERS] == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags[tag] += 1
        if tag == "figure":
            self.figures.append(Counter())
        elif any(opened == "figure" for opened, _ in self._open):
            self.figures[-1][given.get("role") if given.get("role") == "img" else tag] += 1
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if "id" in given:
            self.ids.append(given["id"])
        self.targets += [given[name] for name in ("aria-labelledby", "for") if name in given]
        if given.get("href", "").startswith("#"):
            self.targets.append(given["href"][1:])
        self.addresses += [
            given[name] for name in ("src", "href", "action", "srcset", "data") if name in given
        ]
        if tag not in VOID:
            self._open.append((tag, given.get("lang", "")))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open[-1][0] != tag:
            opened, _ = self._open.pop()
            assert opened in CLOSED_BY_OTHERS, f"</{tag}> closes <{opened}>"
        assert self._open, f"</{tag}> without a beginning"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        opened = [tag for tag, _ in self._open]
        if "style" not in opened and "script" not in opened:
            languages = [lang for tag, lang in self._open if lang and tag != "html"]
            self.text[languages[-1] if languages else ""] += data


def _page(plan: Plan, records: list[Published] | None = None) -> tuple[str, Page]:
    held = perfect(plan) if records is None else records
    html = report(plan, result_of(held), compare(plan, held))
    return html, Page(html)


@pytest.fixture(scope="module")
def real_day() -> tuple[str, Page]:
    return _page(plan_of(BUNDLED, DAY))


def test_it_is_well_formed_with_ids_that_are_unique_and_found(real_day: tuple[str, Page]) -> None:
    _, page = real_day
    assert len(page.ids) == len(set(page.ids))
    assert set(page.targets) <= set(page.ids)
    assert len(page.targets) > 50


def test_it_needs_nothing_from_any_network(real_day: tuple[str, Page]) -> None:
    html, page = real_day
    assert page.tags["link"] == page.tags["img"] == page.tags["iframe"] == 0
    assert all(address.startswith("#") for address in page.addresses)
    assert "url(" not in html
    assert "@import" not in html
    assert not re.search(r"\bfetch\(|XMLHttpRequest|import\(", html)
    assert "default-src 'none'" in html


def test_every_picture_has_a_table_beside_it(real_day: tuple[str, Page]) -> None:
    _, page = real_day
    assert len(page.figures) == 23
    for figure in page.figures:
        assert (figure["img"], figure["table"], figure["details"], figure["figcaption"]) == (1, 1, 1, 1)


def test_the_table_beside_a_picture_has_every_quarter_hour(tables: Tables) -> None:
    tables.write("a.csv", table_text(local_times(DAY), lambda row, channel: 1000 + row if channel else row))
    html, page = _page(tables.plan(DAY))
    rows = re.findall(r"<tr><th scope=row>(\d\d:\d\d)<td>([^<]*)<td>([^<]*)", html)
    assert rows == [(f"{row // 4:02}:{row % 4 * 15:02}", str(row), number(1000 + row)) for row in range(96)]
    assert len(page.figures) == 1


def test_all_stations_are_in_the_overview_with_their_totals(real_day: tuple[str, Page]) -> None:
    html, page = real_day
    assert "Hüfferstraße" in page.text[""]
    assert f"<td class=total>{number(10703)}" in html
    assert html.count('class="spark"') == 23


def test_both_languages_are_there_in_full(real_day: tuple[str, Page]) -> None:
    html, page = real_day
    assert "Fahrräder am Donnerstag, 18. Juni 2026" in page.text["de"]
    assert "Bicycles on Thursday, 18 June 2026" in page.text["en"]
    assert html.count('<span lang="de">') == html.count('<span lang="en">') > 100
    for german, english in (
        ("nichts gesehen", "nothing seen"),
        ("Keine Bilder", "No images"),
        ("10,0 %", "10.0 %"),
    ):
        assert german in page.text["de"]
        assert english in page.text["en"]
        assert english not in page.text["de"]


def test_the_languages_switch_without_a_script(real_day: tuple[str, Page]) -> None:
    html, _ = real_day
    assert '<input type="radio" name="language" id="language-de" aria-label="Deutsch" checked>' in html
    assert '#language-de:checked ~ * [lang="en"]:not(.keep)' in html


def test_headings_skip_no_level(real_day: tuple[str, Page]) -> None:
    _, page = real_day
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(page.headings, page.headings[1:], strict=False))


def test_it_says_where_the_data_come_from(real_day: tuple[str, Page]) -> None:
    html, _ = real_day
    assert "Stadt Münster" in html
    assert "dl-de/by-2-0" in html


def test_names_from_a_table_cannot_become_markup(tables: Tables) -> None:
    tables.write("a.csv", table_text(local_times(DAY), headings=("1 (FR <b>&)", "2 (x)")))
    tables.write(
        "README.md",
        "# A & <i>B</i>\n\nSource: <script>alert(1)</script>\n\n| file | station |\n|-|-|\n| a.csv | <img src=x> |\n",
    )
    html, page = _page(tables.plan(DAY))
    assert page.tags["img"] == page.tags["i"] == page.tags["b"] == 0
    assert page.tags["script"] == 1
    assert "&lt;img src=x&gt;" in html


def _badges(html: str) -> list[str]:
    article = html[html.index("<article") : html.index("</article>")]
    return re.findall(r'class="badge \w+"><span aria-hidden="true">.</span><span lang="de">([^<]+)', article)


def test_a_badge_says_in_words_that_all_is_well(one_station: Plan) -> None:
    assert _badges(_page(one_station)[0]) == ["vollständig"]


def test_not_observed_is_hatched_and_told_and_no_zero(tables: Tables) -> None:
    tables.write(
        "a.csv", table_text(local_times(DAY), lambda row, channel: "" if channel and 20 <= row < 40 else row)
    )
    html, _ = _page(tables.plan(DAY))
    assert _badges(html) == ["zeitweise nicht beobachtet"]
    assert html.count('class="band"') == 1
    assert 'style="left:20.83%;width:20.83%"' in html
    assert '<tr><th scope=row>05:00<td>20<td><span lang="de">nicht beobachtet</span>' in html


def test_a_span_is_told_as_a_sum_and_not_split(one_station: Plan) -> None:
    held = perfect(one_station)
    whole = span(held[20:24], held[20].start_s or 0, held[23].end_s or 0)
    html, page = _page(one_station, [*held[:20], whole, *held[24:]])
    assert _badges(html) == ["zeitweise nur als Summe"]
    assert "05:00–06:00 (4 Viertelstunden)" in page.text["de"]
    assert f"<strong>{whole.channels[0].count}</strong>" in html


def test_a_dead_sensor_is_pointed_out(tables: Tables) -> None:
    """A day of zeros is published as such, and the reader is told what that probably means."""
    tables.write("a.csv", table_text(local_times(DAY), lambda row, channel: 0 if channel else 5))
    assert _badges(_page(tables.plan(DAY))[0]) == ["eine Spur zählt nichts, bitte prüfen"]
    tables.write("a.csv", table_text(local_times(DAY), lambda row, channel: 0))
    assert _badges(_page(tables.plan(DAY))[0]) == ["durchgehend null, bitte prüfen"]


def test_what_deviates_from_the_table_is_said_first(one_station: Plan) -> None:
    held = perfect(one_station)
    html, page = _page(one_station, held[:40] + held[41:])
    assert _badges(html)[0] == "weicht ab"
    assert "Nicht alles stimmt" in page.text["de"]
    assert '<tr><th scope=row>10:00<td><span lang="de">fehlt</span>' in html


def test_an_incomplete_quarter_hour_is_marked_as_such(one_station: Plan) -> None:
    held = perfect(one_station)
    held[40] = replace(
        held[40], channels=tuple(replace(c, quality="partial", coverage=0.5) for c in held[40].channels)
    )
    html, _ = _page(one_station, held)
    assert _badges(html) == ["zeitweise unvollständig"]
    assert '(<span lang="de">unvollständig</span>' in html


def test_a_count_of_unknown_coverage_is_shown_and_marked(one_station: Plan) -> None:
    held = perfect(one_station)
    held[40] = replace(
        held[40], channels=tuple(replace(c, quality="unknown", coverage=None) for c in held[40].channels)
    )
    html, _ = _page(one_station, held)
    assert _badges(html) == ["zeitweise unbestätigt"]
    assert '(<span lang="de">unbestätigt</span>' in html


def test_a_week_has_an_overview_of_its_days_and_every_day_s_curves() -> None:
    html, page = _page(plan_of(BUNDLED, date(2026, 6, 15), days=7, stations="neutor,bohlweg"))
    assert "Fahrräder, 15. bis 21. Juni 2026" in page.text["de"]
    assert len(page.figures) == 1 + 2 * (1 + 7)
    assert html.count('class="bar"') == 7
    assert all((figure["img"], figure["table"]) == (1, 1) for figure in page.figures)


@pytest.mark.parametrize(("day", "rows"), [(date(2026, 3, 29), 92), (date(2026, 10, 25), 100)])
def test_days_of_23_and_25_hours_have_their_own_length(tables: Tables, day: date, rows: int) -> None:
    tables.write("a.csv", table_text([at for at in local_times(day) if not at.fold]))
    html, _ = _page(tables.plan(day))
    table = html[html.index('<div class="scroll"') : html.index("</article>")]
    assert table.count("<tr><th scope=row>") == rows
    assert table.count("Winterzeit") == (4 if rows == 100 else 0)


@pytest.mark.parametrize(
    ("highest", "top"),
    [(0, 2), (1, 2), (2, 2), (3, 4), (9, 10), (11, 12), (13, 16), (17, 20), (329, 400), (1601, 2000)],
)
def test_scales_are_round_and_have_a_round_half(highest: int, top: int) -> None:
    assert scale(highest) == top
    assert top % 2 == 0


def test_dates_are_written_as_people_write_them() -> None:
    assert long_day(date(2026, 3, 1)) == ("Sonntag, 1. März 2026", "Sunday, 1 March 2026")
    assert span_of_days(date(2025, 12, 30), date(2026, 1, 2)) == (
        "30. Dezember 2025 bis 2. Januar 2026",
        "30 December 2025 to 2 January 2026",
    )


def _contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_colours_have_the_contrast_that_wcag_aa_asks_for(real_day: tuple[str, Page]) -> None:
    """4.5 to 1 for text, 3 to 1 for curves (WCAG 2.1, 1.4.3 and 1.4.11), in light and in dark."""
    html, _ = real_day
    themes = [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", html, re.DOTALL)
    ][:2]
    assert len(themes) == 2
    for theme in themes:
        pairs = [
            ("ink", "paper"),
            ("ink", "wash"),
            ("soft", "paper"),
            ("soft", "wash"),
            ("accent", "paper"),
            ("paper", "accent"),
        ]
        pairs += [(kind, f"{kind}-wash") for kind in ("good", "note", "bad")]
        for text, ground in pairs:
            assert _contrast(theme[text], theme[ground]) >= 4.5, (text, ground)
        for curve in ("first", "second", "third", "fourth"):
            assert _contrast(theme[curve], theme["paper"]) >= 3, curve
