"""The table of cells: merging what a frame says, and finding the neighbourhood that it touches."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from zaehlwerk_bridge.database import Database, upsert
from zaehlwerk_bridge.ledger.cell import Cell, Row

FAR = 1 << 62
"""Beyond every number."""
PUT = upsert(
    "cell",
    "chain, unsynced, number, counts, mask, worst, missing, total, seen_ns, heard_ns, anchor, whole",
    "chain, unsynced, number",
)
NEWEST = "SELECT * FROM cell WHERE chain = ? AND unsynced = ? ORDER BY number DESC LIMIT ?"


TAIL = 12
"""Newest cells of a line that are remembered: what a frame of a node that is heard touches, and what lies around it."""


class Line:
    """The cells of one chain in one numbering, in the transaction of `database`.

    With `changed` its newest cells are remembered, and what changes of them is only put down there until `rows` is
    asked for what has to be written.
    """

    def __init__(
        self,
        database: Database,
        chain: int,
        epoch: int,
        unsynced: bool,
        forgotten: int | None,
        changed: "dict[Line, None] | None" = None,
    ) -> None:
        self._database = database
        self.chain = chain
        self.epoch = epoch
        self.unsynced = unsynced
        self.forgotten = forgotten
        """The interval up to which nothing is kept but its full total; None: everything is kept."""
        self._changed = changed
        self._tail: list[Cell] | None = None  # in order; all there are from `_from` on
        self._from = FAR
        self._unwritten: dict[int, Cell] = {}

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
                self.put(merged)
                new.append(merged)
        return new

    def put(self, cell: Cell) -> None:
        """Put `cell` in the place of what is known of its interval."""
        if self._remembers(cell.number):
            self._note(cell)
        else:
            self._database.execute(PUT, self._row_of(cell))

    def newest(self, cells: int) -> Sequence[Cell]:
        """The newest cells, in order: at most so many, and fewer if they are not remembered."""
        if not self._remembers(FAR):
            return ()
        assert self._tail is not None
        return self._tail[-cells:]

    def _note(self, cell: Cell) -> None:
        assert self._tail is not None
        assert self._changed is not None
        tail = self._tail
        if not tail or tail[-1].number < cell.number:
            tail.append(cell)
        else:
            at = bisect_left(tail, cell.number, key=_number)
            if tail[at].number == cell.number:
                tail[at] = cell
            else:
                tail.insert(at, cell)
        self._unwritten[cell.number] = cell
        self._changed[self] = None

    def rows(self) -> list[tuple[object, ...]]:
        """What has changed and was not written, for PUT; taken as written from now on."""
        rows = [self._row_of(cell) for cell in self._unwritten.values()]
        self._unwritten.clear()
        if self._tail is not None and len(self._tail) > 2 * TAIL:
            del self._tail[:-TAIL]
            self._from = self._tail[0].number
        return rows

    def _row_of(self, cell: Cell) -> tuple[object, ...]:
        mask, worst = (None, None) if cell.cover is None else cell.cover
        return (
            self.chain,
            self.unsynced,
            cell.number,
            _text(cell.counts),
            mask,
            worst,
            cell.missing,
            _text(cell.total),
            cell.seen_ns,
            cell.heard_ns,
            _text(cell.anchor),
            _text(cell.whole),
        )

    def _remembers(self, number: int) -> bool:
        """Whether everything from interval `number` on is remembered."""
        if self._changed is None:
            return False
        if self._tail is None:
            rows = self._database.execute(NEWEST, (self.chain, self.unsynced, TAIL)).fetchall()
            self._tail = [_cell(row) for row in reversed(rows)]
            self._from = self._tail[0].number if len(rows) == TAIL else -FAR
        return number >= self._from

    def _written(self) -> None:
        """Let the table say what is remembered."""
        if self._unwritten:
            self._database.executemany(PUT, [self._row_of(cell) for cell in self._unwritten.values()])
            self._unwritten.clear()

    def point_before(self, number: int) -> Cell | None:
        """The nearest known total before the end of interval `number`."""
        if self._remembers(number):
            assert self._tail is not None
            for cell in reversed(self._tail):
                if cell.total is not None and cell.number < number:
                    return cell
            if self._from == -FAR:
                return None
        return self._one(
            "SELECT * FROM cell WHERE chain = ? AND unsynced = ? AND number < ? AND total IS NOT NULL"
            " ORDER BY number DESC LIMIT 1",
            number,
        )

    def point_after(self, number: int) -> Cell | None:
        """The nearest known total after the end of interval `number`."""
        if self._remembers(number + 1):
            assert self._tail is not None
            return next(
                (cell for cell in self._tail if cell.number > number and cell.total is not None), None
            )
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
        if self._remembers(before + 1):
            assert self._tail is not None
            return [cell for cell in self._tail if before < cell.number <= last]
        self._written()
        rows = self._database.execute(
            "SELECT * FROM cell WHERE chain = ? AND unsynced = ? AND number > ? AND number <= ? ORDER BY number",
            (self.chain, self.unsynced, before, last),
        )
        return [_cell(row) for row in rows]

    def newest_number(self) -> int | None:
        """The highest number known."""
        if self._remembers(FAR):
            assert self._tail is not None
            return self._tail[-1].number if self._tail else None
        row = self._database.execute(
            "SELECT max(number) FROM cell WHERE chain = ? AND unsynced = ?", (self.chain, self.unsynced)
        ).fetchone()
        return None if row[0] is None else int(row[0])

    def set_whole(self, number: int, whole: Row) -> None:
        """Note the full totals of a point."""
        if self._remembers(number):
            assert self._tail is not None
            at = bisect_left(self._tail, number, key=_number)
            if at < len(self._tail) and self._tail[at].number == number:
                self._note(self._tail[at].reaching(whole))
            return
        self._database.execute(
            "UPDATE cell SET whole = ? WHERE chain = ? AND unsynced = ? AND number = ?",
            (_text(whole), self.chain, self.unsynced, number),
        )

    def _one(self, query: str, number: int) -> Cell | None:
        self._written()
        row = self._database.execute(query, (self.chain, self.unsynced, number)).fetchone()
        return None if row is None else _cell(row)


def _number(cell: Cell) -> int:
    return cell.number


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
