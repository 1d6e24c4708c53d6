"""The table of cells: merging what a frame says, and finding the neighbourhood that it touches."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from zaehlwerk_bridge.ledger.cell import Cell, Row

FAR = 1 << 62
"""Beyond every number."""


class Line:
    """The cells of one chain in one numbering, in the transaction of `database`."""

    def __init__(
        self, database: sqlite3.Connection, chain: int, epoch: int, unsynced: bool, forgotten: int | None
    ) -> None:
        self._database = database
        self.chain = chain
        self.epoch = epoch
        self.unsynced = unsynced
        self.forgotten = forgotten
        """The interval up to which nothing is kept but its full total; None: everything is kept."""

    def merge(self, cells: Sequence[Cell]) -> list[Cell]:
        """Put `cells` to what is known of their intervals; returns the outcome where that was anything new.

        What is said of forgotten intervals changes nothing.
        """
        if self.forgotten is not None:
            cells = [cell for cell in cells if cell.number > self.forgotten]
        if not cells:
            return []
        numbers = [cell.number for cell in cells]
        held = {cell.number: cell for cell in self._range(min(numbers) - 1, max(numbers))}
        new = []
        for cell in cells:
            known = held.get(cell.number)
            merged = cell if known is None else known.merged(cell)
            if merged != known:
                self._put(merged)
                new.append(merged)
        return new

    def _put(self, merged: Cell) -> None:
        mask, worst = (None, None) if merged.cover is None else merged.cover
        self._database.execute(
            "INSERT OR REPLACE INTO cell VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self.chain,
                self.unsynced,
                merged.number,
                _text(merged.counts),
                mask,
                worst,
                merged.missing,
                _text(merged.total),
                merged.seen_ns,
                merged.heard_ns,
                _text(merged.anchor),
                _text(merged.whole),
            ),
        )

    def point_before(self, number: int) -> Cell | None:
        """The nearest known total before the end of interval `number`."""
        return self._one(
            "SELECT * FROM cell WHERE chain = ? AND unsynced = ? AND number < ? AND total IS NOT NULL"
            " ORDER BY number DESC LIMIT 1",
            number,
        )

    def point_after(self, number: int) -> Cell | None:
        """The nearest known total after the end of interval `number`."""
        return self._one(
            "SELECT * FROM cell WHERE chain = ? AND unsynced = ? AND number > ? AND total IS NOT NULL"
            " ORDER BY number LIMIT 1",
            number,
        )

    def anchored_before(self, number: int) -> Cell | None:
        """The nearest total before the end of interval `number` that is known in full."""
        return self._one(
            "SELECT * FROM cell WHERE chain = ? AND unsynced = ? AND number < ? AND whole IS NOT NULL"
            " ORDER BY number DESC LIMIT 1",
            number,
        )

    def anchored_from(self, number: int) -> Cell | None:
        """The nearest total at or after the end of interval `number` that is known in full."""
        return self._one(
            "SELECT * FROM cell WHERE chain = ? AND unsynced = ? AND number >= ? AND whole IS NOT NULL"
            " ORDER BY number LIMIT 1",
            number,
        )

    def beginning(self) -> Cell | None:
        """The total that the line begins with because what was before it is forgotten; None: with its first cell."""
        if self.forgotten is None:
            return None
        return self._one("SELECT * FROM cell WHERE chain = ? AND unsynced = ? AND number = ?", self.forgotten)

    def between(self, before: Cell | None, last: Cell | None) -> list[Cell]:
        """All cells in (before, last], in order; None: from the beginning, or to the end."""
        return self._range(-FAR if before is None else before.number, FAR if last is None else last.number)

    def _range(self, before: int, last: int) -> list[Cell]:
        rows = self._database.execute(
            "SELECT * FROM cell WHERE chain = ? AND unsynced = ? AND number > ? AND number <= ? ORDER BY number",
            (self.chain, self.unsynced, before, last),
        )
        return [_cell(row) for row in rows]

    def newest_number(self) -> int | None:
        """The highest number known."""
        row = self._database.execute(
            "SELECT max(number) FROM cell WHERE chain = ? AND unsynced = ?", (self.chain, self.unsynced)
        ).fetchone()
        return None if row[0] is None else int(row[0])

    def set_whole(self, number: int, whole: Row) -> None:
        """Note the full totals of a point."""
        self._database.execute(
            "UPDATE cell SET whole = ? WHERE chain = ? AND unsynced = ? AND number = ?",
            (_text(whole), self.chain, self.unsynced, number),
        )

    def _one(self, query: str, number: int) -> Cell | None:
        row = self._database.execute(query, (self.chain, self.unsynced, number)).fetchone()
        return None if row is None else _cell(row)


def _text(row: Row | None) -> str | None:
    return None if row is None else ",".join(map(str, row))


def _row(text: str | None) -> Row | None:
    return None if text is None else tuple(map(int, text.split(",")))


def _cell(row: tuple[Any, ...]) -> Cell:
    _, _, number, counts, mask, worst, missing, total, seen_ns, heard_ns, anchor, whole = row
    return Cell(
        number,
        _row(counts),
        None if mask is None else (mask, worst),
        bool(missing),
        _row(total),
        seen_ns,
        heard_ns,
        _row(anchor),
        _row(whole),
    )
