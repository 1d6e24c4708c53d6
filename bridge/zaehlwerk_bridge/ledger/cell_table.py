"""The table of cells: merging what a frame says, and finding the neighbourhood that it touches."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import replace

from zaehlwerk_bridge.ledger.cell import Cell, Row

_COLUMNS = "unsynced, number, at_s, counts, mask, worst, missing, total, seen_ns, anchor, whole, station"
# The order of `Cell.key`, as SQL.
_ORDER = "at_s, 1 - unsynced, number"


class CellTable:
    """Cells of all chains in the transaction of `database`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def merge(self, chain: int, cell: Cell) -> Cell | None:
        """Put `cell` to what is known of its interval. Returns the outcome, None if it was nothing new."""
        row = self._database.execute(
            f"SELECT {_COLUMNS} FROM cell WHERE chain = ? AND unsynced = ? AND number = ?",
            (chain, cell.unsynced, cell.number),
        ).fetchone()
        if row is None:
            self.put(chain, cell)
            return cell
        held = _cell(row)
        merged = held.merged(cell)
        if merged == held:
            return None
        self.put(chain, merged)
        return merged

    def put(self, chain: int, cell: Cell) -> None:
        """Write `cell` as it is."""
        mask, worst = (None, None) if cell.cover is None else cell.cover
        self._database.execute(
            f"INSERT OR REPLACE INTO cell (chain, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                chain,
                cell.unsynced,
                cell.number,
                cell.at_s,
                _text(cell.counts),
                mask,
                worst,
                cell.missing,
                _text(cell.total),
                cell.seen_ns,
                _text(cell.anchor),
                _text(cell.whole),
                cell.station,
            ),
        )

    def point_before(self, chain: int, cell: Cell) -> Cell | None:
        """The nearest known total before `cell`."""
        return self._one(
            f"total IS NOT NULL AND at_s <= ? AND ({_ORDER}) < (?, ?, ?)",
            chain,
            (cell.at_s, *cell.key),
            f"{_descending()}",
        )

    def point_from(self, chain: int, cell: Cell) -> Cell | None:
        """The nearest known total at or after `cell`."""
        return self._one(
            f"total IS NOT NULL AND at_s >= ? AND ({_ORDER}) >= (?, ?, ?)",
            chain,
            (cell.at_s, *cell.key),
            _ORDER,
        )

    def point_after(self, chain: int, cell: Cell) -> Cell | None:
        """The nearest known total after `cell`."""
        return self._one(
            f"total IS NOT NULL AND at_s >= ? AND ({_ORDER}) > (?, ?, ?)",
            chain,
            (cell.at_s, *cell.key),
            _ORDER,
        )

    def cells(self, chain: int, before: Cell | None, last: Cell | None) -> list[Cell]:
        """All cells in (before, last], in order; None: from the beginning, or to the end."""
        where, values = "chain = ?", [chain]
        if before is not None:
            where += f" AND at_s >= ? AND ({_ORDER}) > (?, ?, ?)"
            values += [before.at_s, *before.key]
        if last is not None:
            where += f" AND at_s <= ? AND ({_ORDER}) <= (?, ?, ?)"
            values += [last.at_s, *last.key]
        rows = self._database.execute(f"SELECT {_COLUMNS} FROM cell WHERE {where} ORDER BY {_ORDER}", values)
        return [_cell(row) for row in rows]

    def points(self, chain: int) -> list[Cell]:
        """All cells with totals, in order."""
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM cell WHERE chain = ? AND total IS NOT NULL ORDER BY {_ORDER}", (chain,)
        )
        return [_cell(row) for row in rows]

    def cell(self, chain: int, unsynced: int, number: int) -> Cell | None:
        """One cell by its number."""
        return self._one("unsynced = ? AND number = ?", chain, (unsynced, number), _ORDER)

    def newest_number(self, chain: int, *, unsynced: bool) -> int | None:
        """The highest number known."""
        row = self._database.execute(
            "SELECT max(number) FROM cell WHERE chain = ? AND unsynced = ?", (chain, unsynced)
        ).fetchone()
        return None if row[0] is None else int(row[0])

    def set_whole(self, chain: int, cell: Cell, whole: Row | None) -> Cell:
        """Note the full totals of `cell`; returns it with them."""
        self._database.execute(
            "UPDATE cell SET whole = ? WHERE chain = ? AND unsynced = ? AND number = ?",
            (_text(whole), chain, cell.unsynced, cell.number),
        )
        return replace(cell, whole=whole)

    def _one(self, where: str, chain: int, values: Iterable[object], order: str) -> Cell | None:
        row = self._database.execute(
            f"SELECT {_COLUMNS} FROM cell WHERE chain = ? AND {where} ORDER BY {order} LIMIT 1",
            (chain, *values),
        ).fetchone()
        return None if row is None else _cell(row)


def _descending() -> str:
    return ", ".join(f"{column} DESC" for column in _ORDER.split(", "))


def _text(row: Row | None) -> str | None:
    return None if row is None else json.dumps(row, separators=(",", ":"))


def _row(text: str | None) -> Row | None:
    return None if text is None else tuple(json.loads(text))


def _cell(row: tuple[object, ...]) -> Cell:
    unsynced, number, at_s, counts, mask, worst, missing, total, seen_ns, anchor, whole, station = row
    return Cell(
        bool(unsynced),
        number,  # type: ignore[arg-type]
        at_s,  # type: ignore[arg-type]
        _row(counts),  # type: ignore[arg-type]
        None if mask is None else (mask, worst),  # type: ignore[arg-type]
        bool(missing),
        _row(total),  # type: ignore[arg-type]
        seen_ns,  # type: ignore[arg-type]
        _row(anchor),  # type: ignore[arg-type]
        _row(whole),  # type: ignore[arg-type]
        station,  # type: ignore[arg-type]
    )
