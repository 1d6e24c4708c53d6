"""The table of chains: a node's epochs with their generation, interval, channels and mappings."""

import sqlite3
from bisect import bisect_right

from zaehlwerk_bridge.ledger.cell_table import CellTable
from zaehlwerk_bridge.ledger.epochs import Epoch
from zaehlwerk_bridge.ledger.frame_cells import Timeline
from zaehlwerk_protocol.receiver import unwrap
from zaehlwerk_protocol.state import GENERATION
from zaehlwerk_protocol.status import Status


class Chains:
    """Chains in the transaction of `database`."""

    def __init__(self, database: sqlite3.Connection, cells: CellTable) -> None:
        self._database = database
        self._cells = cells

    def epochs(self, dev_eui: str) -> list[Epoch]:
        """The node's epochs in the order in which they were named."""
        rows = self._database.execute(
            "SELECT id, epoch, generation, interval_s, named_ns FROM chain WHERE dev_eui = ? ORDER BY named_ns, epoch",
            (dev_eui,),
        )
        return [Epoch(*row) for row in rows]

    def chain(self, number: int) -> tuple[Epoch, int]:
        """A chain and its stated maximum rate, by its number."""
        row = self._database.execute(
            "SELECT id, epoch, generation, interval_s, named_ns, max_rate FROM chain WHERE id = ?", (number,)
        ).fetchone()
        return Epoch(*row[:5]), int(row[5])

    def name(self, dev_eui: str, frame: Status, received_ns: int, max_rate: int) -> Epoch:
        """The epoch that a status frame names; new, or known and perhaps named earlier than was known."""
        self._database.execute(
            "INSERT INTO chain (dev_eui, epoch, generation, interval_s, named_ns, max_rate) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (dev_eui, epoch) DO UPDATE SET named_ns = min(named_ns, excluded.named_ns),"
            " max_rate = max(max_rate, excluded.max_rate)",
            (dev_eui, frame.epoch, frame.state & GENERATION, frame.interval_s, received_ns, max_rate),
        )
        row = self._database.execute(
            "SELECT id FROM chain WHERE dev_eui = ? AND epoch = ?", (dev_eui, frame.epoch)
        ).fetchone()
        return self.chain(row[0])[0]

    def has_channels(self, chain: int, channels: int) -> bool:
        """Whether a frame of so many channels fits the chain; the first one decides."""
        self._database.execute(
            "UPDATE chain SET channels = coalesce(channels, ?) WHERE id = ?", (channels, chain)
        )
        row = self._database.execute("SELECT channels FROM chain WHERE id = ?", (chain,)).fetchone()
        return int(row[0]) == channels

    def timeline(self, chain: Epoch) -> Timeline:
        """Where the chain's intervals lie."""
        newest = self._cells.newest_number(chain.chain, unsynced=True)
        return Timeline(chain.interval_s, self._mappings(chain.chain), newest)

    def is_placed(self, chain: int, number: int) -> bool:
        """Whether an interval of the node's own numbering has a place in time."""
        return bisect_right(self._mappings(chain), (number, 1 << 62)) > 0

    def map(self, chain: Epoch, index: int, start_s: int) -> bool:
        """Note where interval `index` mod 2^16 began. False if that was known; else the chain must be refolded."""
        newest = self._cells.newest_number(chain.chain, unsynced=True)
        number = index if newest is None else unwrap(index, newest)
        if (number, start_s) in self._mappings(chain.chain):
            return False
        self._database.execute(
            "INSERT OR REPLACE INTO mapping (chain, first, start_s) VALUES (?, ?, ?)",
            (chain.chain, number, start_s),
        )
        self._place(chain)
        return True

    def _place(self, chain: Epoch) -> None:
        line = self.timeline(chain)
        for cell in self._cells.cells(chain.chain, None, None):
            end_s = line.end_s(cell.number, unsynced=True) if cell.unsynced else None
            if end_s is None or end_s == cell.at_s:
                continue
            for table in ("cell", "record"):
                self._database.execute(
                    f"UPDATE {table} SET at_s = ? WHERE chain = ? AND unsynced = 1 AND number = ?",
                    (end_s, chain.chain, cell.number),
                )

    def _mappings(self, chain: int) -> list[tuple[int, int]]:
        rows = self._database.execute(
            "SELECT first, start_s FROM mapping WHERE chain = ? ORDER BY first", (chain,)
        )
        return [(first, start_s) for first, start_s in rows]
