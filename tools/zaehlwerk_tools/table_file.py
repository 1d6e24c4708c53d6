"""One station's CSV file, read strictly: a table is used as it was meant or refused with file, line and reason."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from zaehlwerk_tools.errors import TableError
from zaehlwerk_tools.local_time import exists, namings, slot_of

TIME_COLUMN = "start_local"
MAX_CHANNELS = 8  # protocol, counts frame: 1 to 8 channels
MAX_COUNT = 0xFFFF  # a node's totals travel mod 2^16: no interval may hold more
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}")
_NUMBER = re.compile(r"[0-9]+")

Row = tuple[int | None, ...]
_Line = tuple[int, datetime, Row]


@dataclass(frozen=True, slots=True)
class TableFile:
    """What the file says: its channels' headings, and a count per channel (None = not observed) for its slots."""

    headings: tuple[str, ...]
    counts: Mapping[int, Row]
    whole_days: frozenset[date]  # local days with all their quarter-hours


def read_table(path: Path) -> TableFile:
    """Reads the file whole. Raises TableError for the first thing that is not as it must be."""
    lines = list(_lines(path, decoded(path)))
    if not lines:
        raise TableError(path, 1, f"empty; expected a heading '{TIME_COLUMN},<channel>,…'")
    headings = _headings(path, *lines[0])
    rows = [_row(path, line, cells, len(headings)) for line, cells in lines[1:]]
    if not rows:
        raise TableError(path, lines[0][0], "a heading but no quarter-hour below it")
    counts: dict[int, Row] = {}
    whole: set[date] = set()
    days = _by_day(path, rows)
    for number, (day, of_day) in enumerate(days):
        placed, is_whole = _place(path, day, of_day, number == 0, number == len(days) - 1)
        counts.update(placed)
        if is_whole:
            whole.add(day)
    return TableFile(tuple(headings), counts, frozenset(whole))


def decoded(path: Path) -> str:
    """The file's text. Raises TableError if it cannot be read or is not UTF-8 (a byte order mark is allowed)."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TableError(path, None, f"cannot be read: {error.strerror}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TableError(
            path,
            line,
            f"not UTF-8 (byte 0x{data[error.start]:02x}); save the table as UTF-8",
        ) from error


def _lines(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """The table's lines with their numbers; blank lines are allowed at the end only."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    blank: int | None = None
    try:
        for cells in reader:
            if not cells:
                blank = blank or reader.line_num
                continue
            if blank is not None:
                raise TableError(path, blank, "a blank line inside the table")
            yield reader.line_num, cells
    except csv.Error as error:
        raise TableError(path, reader.line_num, f"not a CSV line: {error}") from error


def _headings(path: Path, line: int, cells: list[str]) -> list[str]:
    if cells[0] != TIME_COLUMN:
        raise TableError(
            path,
            line,
            f"bad heading '{cells[0][:40]}': expected '{TIME_COLUMN}' and a column per channel, by commas",
        )
    headings = cells[1:]
    if not 1 <= len(headings) <= MAX_CHANNELS:
        raise TableError(
            path,
            line,
            f"bad heading: {len(headings)} channels, expected 1 to {MAX_CHANNELS}",
        )
    for number, heading in enumerate(headings, start=2):
        if not heading.strip():
            raise TableError(path, line, f"bad heading: column {number} has no name")
        if heading in headings[: number - 2]:
            raise TableError(path, line, f"bad heading: two columns are named '{heading}'")
    return headings


def _row(path: Path, line: int, cells: list[str], channels: int) -> _Line:
    if len(cells) != channels + 1:
        raise TableError(path, line, f"{len(cells)} columns where the heading has {channels + 1}")
    text = cells[0]
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        local = datetime.fromisoformat(text)
    except ValueError:
        raise TableError(path, line, f"bad time '{text[:40]}': expected YYYY-MM-DD HH:MM") from None
    if local.minute % 15:
        raise TableError(path, line, f"bad time '{text}': not the start of a quarter-hour")
    return (
        line,
        local,
        tuple(_count(path, line, number, cell) for number, cell in enumerate(cells[1:], start=2)),
    )


def _count(path: Path, line: int, column: int, cell: str) -> int | None:
    if cell == "":
        return None
    if not _NUMBER.fullmatch(cell):
        what = "is negative" if re.fullmatch(r"-[0-9]+", cell) else "is not a whole number"
        raise TableError(
            path,
            line,
            f"column {column}: '{cell[:40]}' {what}; an empty cell means not observed",
        )
    if len(cell) > 9 or int(cell) > MAX_COUNT:
        raise TableError(
            path,
            line,
            f"column {column}: '{cell[:40]}' is more than {MAX_COUNT} in a quarter-hour",
        )
    return int(cell)


def _by_day(path: Path, rows: list[_Line]) -> list[tuple[date, list[_Line]]]:
    days: list[tuple[date, list[_Line]]] = []
    for row in rows:
        line, local, counts = row
        if not exists(local):
            # Spreadsheets list 96 quarter-hours every day; a row that claims nothing does no harm.
            if any(count is not None for count in counts):
                raise TableError(
                    path,
                    line,
                    f"{_told(local)} does not exist: the clocks skip it that night",
                )
            continue
        if days and local.date() == days[-1][0]:
            days[-1][1].append(row)
        elif days and local.date() < days[-1][0]:
            raise TableError(
                path,
                line,
                f"{_told(local)} is out of order: {days[-1][0]} came before it",
            )
        else:
            days.append((local.date(), [row]))
    return days


def _place(
    path: Path, day: date, rows: list[_Line], may_begin_late: bool, may_end_early: bool
) -> tuple[dict[int, Row], bool]:
    """Puts the rows of one day into slots; whether the day is whole. Raises TableError at the first wrong time."""
    named = [local for _, local, _ in rows]
    best: list[datetime] = []
    matched = -1
    for naming in namings(day):
        # Only the file's first day may begin within the day; `fold` is no part of a comparison of naive times.
        begin = naming.index(named[0]) if may_begin_late and named[0] in naming else 0
        expected = list(naming[begin:])
        same = next(
            (i for i, (a, b) in enumerate(zip(expected, named, strict=False)) if a != b),
            None,
        )
        same = min(len(expected), len(named)) if same is None else same
        if (same, same == len(expected)) > (matched, matched == len(best)):
            best, matched = expected, same
    if matched < len(named):
        line, local, _ = rows[matched]
        raise TableError(path, line, _wrong_time(local, named[:matched], best[matched:]))
    if matched < len(best) and not may_end_early:
        raise TableError(path, rows[-1][0], f"{_told(best[matched])} is missing after this line")
    placed = {slot_of(local): counts for local, (_, _, counts) in zip(best, rows, strict=False)}
    return placed, len(named) == len(best) and any(len(best) == len(naming) for naming in namings(day))


def _wrong_time(local: datetime, before: list[datetime], expected: list[datetime]) -> str:
    if local in before:
        return (
            f"{_told(local)} is there twice"
            if local == before[-1]
            else f"{_told(local)} is out of order or twice"
        )
    if not expected:
        return f"{_told(local)} is more than the day has"
    if local < expected[0]:
        return f"{_told(local)} is out of order: expected {_told(expected[0])}"
    return f"{_told(expected[0])} is missing before {_told(local)}"


def _told(local: datetime) -> str:
    return f"{local:%Y-%m-%d %H:%M}"
