"""Text in German and English at once: both are in the page, and the reader's choice shows one of them."""

from __future__ import annotations

from datetime import date
from html import escape

DAYS_DE = ("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag")
DAYS_EN = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS_DE = (
    *("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli"),
    *("August", "September", "Oktober", "November", "Dezember"),
)
MONTHS_EN = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
NARROW_SPACE = "\u202f"

Text = tuple[str, str]
"""The same in German and in English, plain text."""


def both(text: Text) -> str:
    """HTML of `text` in both languages, escaped."""
    return both_html((escape(text[0]), escape(text[1])))


def both_html(html: Text) -> str:
    """HTML of what is HTML already, in both languages; once if they are the same."""
    if html[0] == html[1]:
        return html[0]
    return f'<span lang="de">{html[0]}</span><span lang="en">{html[1]}</span>'


def number(value: int) -> str:
    """Digits in threes with a narrow space, as both languages read it."""
    return f"{value:,}".replace(",", NARROW_SPACE)


def decimal(value: float, places: int = 1) -> Text:
    """A decimal number, comma in German and point in English."""
    english = f"{value:.{places}f}"
    return english.replace(".", ","), english


def long_day(day: date) -> Text:
    """Weekday and date in words."""
    return (
        f"{DAYS_DE[day.weekday()]}, {day.day}. {MONTHS_DE[day.month - 1]} {day.year}",
        f"{DAYS_EN[day.weekday()]}, {day.day} {MONTHS_EN[day.month - 1]} {day.year}",
    )


def short_day(day: date) -> Text:
    """Weekday in two or three letters and the date without the year."""
    return (
        f"{DAYS_DE[day.weekday()][:2]} {day.day}.{day.month}.",
        f"{DAYS_EN[day.weekday()][:3]} {day.day} {MONTHS_EN[day.month - 1][:3]}",
    )


def span_of_days(first: date, last: date) -> Text:
    """From a day to another, naming month and year once where they are the same."""
    german_month, english_month = MONTHS_DE[first.month - 1], MONTHS_EN[first.month - 1]
    year = "" if first.year == last.year else f" {first.year}"
    same = (first.year, first.month) == (last.year, last.month)
    german = f"{first.day}." if same else f"{first.day}. {german_month}{year}"
    english = f"{first.day}" if same else f"{first.day} {english_month}{year}"
    return (
        f"{german} bis {last.day}. {MONTHS_DE[last.month - 1]} {last.year}",
        f"{english} to {last.day} {MONTHS_EN[last.month - 1]} {last.year}",
    )
