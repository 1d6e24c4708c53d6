"""The table of gaps: what history may still resolve, what waits for an anchor, and what nodes are asked for."""

from dataclasses import dataclass

from zaehlwerk_bridge.database import Database
from zaehlwerk_bridge.ledger.cell_table import Line
from zaehlwerk_bridge.ledger.memory import Memory
from zaehlwerk_protocol.receiver import MODULUS

NS = 1_000_000_000
MAX_TRIES = 6
REACH = 96
"""Intervals back that a node has for certain, and as many as are asked for at once."""

OF_LINE = "SELECT number FROM gap WHERE chain = ? AND unsynced = ?"


@dataclass(frozen=True, slots=True)
class Want:
    """Intervals that a backfill command would bring: `index` mod 2^16, `count` of them."""

    dev_eui: str
    unsynced: bool
    index: int
    count: int
    chain: int
    number: int  # of the cell that ends the gap


class GapTable:
    """Gaps of all chains in the transaction of `database`."""

    def __init__(self, database: Database, memory: Memory) -> None:
        self._database = database
        self._memory = memory
        self._known: dict[tuple[int, bool], set[int]] = memory.kind()  # by line: what ends its gaps

    def put(
        self, line: Line, number: int, due_ns: int | None, wanted: tuple[int, int] | None, ask_ns: int
    ) -> None:
        """There is a gap before the total of interval `number`; it becomes a span at `due_ns`, None: it is one, or held.

        wanted: first and last interval to ask for, the first time at `ask_ns`; asking goes on where it was.
        """
        first, last = wanted or (number, number)
        if self._memory.trusted:
            self._of(line).add(number)
        self._database.execute(
            "INSERT INTO gap (chain, unsynced, number, due_ns, first, last, tries, ask_ns) VALUES (?, ?, ?, ?, ?, ?, 0, ?)"
            " ON CONFLICT (chain, unsynced, number) DO UPDATE SET due_ns = excluded.due_ns, first = excluded.first, last = excluded.last,"
            " ask_ns = CASE WHEN excluded.ask_ns IS NULL OR gap.tries = 0 THEN excluded.ask_ns ELSE gap.ask_ns END",
            (line.chain, line.unsynced, number, due_ns, first, last, None if wanted is None else ask_ns),
        )

    def drop(self, line: Line, number: int) -> None:
        """There is no gap (any more) before the total of interval `number`."""
        if self._memory.trusted:
            known = self._of(line)
            if number not in known:
                return
            known.discard(number)
        self._database.execute(
            "DELETE FROM gap WHERE chain = ? AND unsynced = ? AND number = ?",
            (line.chain, line.unsynced, number),
        )

    def _of(self, line: Line) -> set[int]:
        found = self._known.get((line.chain, line.unsynced))
        if found is None:
            rows = self._database.execute(OF_LINE, (line.chain, line.unsynced))
            found = self._known[line.chain, line.unsynced] = {number for (number,) in rows}
        return found

    def due(self, now_ns: int) -> list[tuple[int, bool, int]]:
        """(chain, unsynced, number) of the gaps whose grace is over."""
        rows = self._database.execute(
            "SELECT chain, unsynced, number FROM gap WHERE due_ns <= ? ORDER BY due_ns, chain, unsynced, number",
            (now_ns,),
        )
        return [(chain, bool(unsynced), number) for chain, unsynced, number in rows]

    def next_due_ns(self) -> int | None:
        """When the next gap's grace, or the pause before asking for one, is over."""
        row = self._database.execute(
            "SELECT min(at) FROM (SELECT min(due_ns) AS at FROM gap UNION ALL SELECT min(ask_ns) FROM gap) AS times"
        ).fetchone()
        return None if row[0] is None else int(row[0])

    def wanted(self, now_ns: int) -> list[Want]:
        """What to ask for now."""
        rows = self._database.execute(
            "SELECT chain.dev_eui, gap.unsynced, gap.first, gap.last, gap.chain, gap.number"
            " FROM gap JOIN chain ON chain.id = gap.chain WHERE ask_ns <= ? ORDER BY ask_ns, gap.chain, gap.number",
            (now_ns,),
        )
        return [
            Want(dev_eui, bool(unsynced), first % MODULUS, min(last - first + 1, REACH), chain, number)
            for dev_eui, unsynced, first, last, chain, number in rows
        ]

    def asked(self, want: Want, now_ns: int) -> None:
        """Note a try; the next one waits twice as long, after the last there is none."""
        self._database.execute(
            "UPDATE gap SET tries = tries + 1, ask_ns = CASE WHEN tries + 1 >= ? THEN NULL ELSE"
            " ? + (SELECT interval_s FROM chain WHERE id = gap.chain) * ? * (1 << CAST(tries AS INTEGER)) END"
            " WHERE chain = ? AND unsynced = ? AND number = ?",
            (MAX_TRIES, now_ns, NS, want.chain, want.unsynced, want.number),
        )

    def give_up(self, chain: int, number: int, *, unsynced: bool) -> None:
        """Ask no more for the gap before the total of interval `number`: the node has said that it cannot help."""
        self._database.execute(
            "UPDATE gap SET tries = CASE WHEN tries < 1 THEN 1 ELSE tries END, ask_ns = NULL"
            " WHERE chain = ? AND unsynced = ? AND number = ?",
            (chain, unsynced, number),
        )
