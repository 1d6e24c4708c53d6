"""The table of chains: a node's epochs with their generation, interval, channels and mappings."""

from functools import lru_cache

from zaehlwerk_bridge.database import Database
from zaehlwerk_bridge.ledger.cell_table import PUT, Line
from zaehlwerk_bridge.ledger.epochs import Epoch, in_order
from zaehlwerk_bridge.ledger.memory import Memory
from zaehlwerk_bridge.ledger.timeline import Mapping, Timeline
from zaehlwerk_protocol.receiver import unwrap
from zaehlwerk_protocol.state import GENERATION
from zaehlwerk_protocol.status import Status

EPOCHS = "SELECT id, dev_eui, epoch, generation, interval_s, named_ns, max_rate FROM chain WHERE dev_eui = ?"
CHANNELS = "SELECT channels FROM chain WHERE id = ?"
FORGOTTEN = "SELECT number FROM forgotten WHERE chain = ? AND unsynced = ?"


class Chains:
    """Chains in the transaction of `database`."""

    def __init__(self, database: Database, memory: Memory) -> None:
        self._database = database
        self._memory = memory
        self._epochs: dict[str, list[Epoch]] = memory.kind()
        self._channels: dict[int, int] = memory.kind()
        self._lines: dict[tuple[int, bool], Line] = memory.kind()
        self._changed: dict[Line, None] = memory.kind()
        memory.on_commit("cell", self._write)

    def _write(self) -> None:
        """Write the cells that were only remembered."""
        rows = [row for line in self._changed for row in line.rows()]
        self._changed.clear()
        if rows:
            self._database.executemany(PUT, rows)

    def epochs(self, dev_eui: str) -> list[Epoch]:
        """The node's epochs as they followed each other."""
        if not self._memory.trusted:
            return self._read_epochs(dev_eui)
        found = self._epochs.get(dev_eui)
        if found is None:
            found = self._epochs[dev_eui] = self._read_epochs(dev_eui)
        return found

    def _read_epochs(self, dev_eui: str) -> list[Epoch]:
        rows = self._database.execute(EPOCHS, (dev_eui,))
        return in_order([Epoch(*row) for row in rows])

    def chain(self, number: int) -> Epoch:
        """A chain by its number."""
        row = self._database.execute(
            "SELECT id, dev_eui, epoch, generation, interval_s, named_ns, max_rate FROM chain WHERE id = ?",
            (number,),
        ).fetchone()
        return Epoch(*row)

    def name(self, dev_eui: str, frame: Status, received_ns: int, max_rate: int) -> Epoch:
        """The epoch that a status frame names; new, or known and perhaps named earlier than was known.

        A stated maximum rate that was raised bears on what is folded from then on.
        """
        self._epochs.pop(dev_eui, None)
        row = self._database.execute(
            "INSERT INTO chain (dev_eui, epoch, generation, interval_s, named_ns, max_rate) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (dev_eui, epoch) DO UPDATE SET named_ns = CASE WHEN"
            " excluded.named_ns < chain.named_ns THEN excluded.named_ns ELSE chain.named_ns END, max_rate = CASE WHEN"
            " excluded.max_rate > chain.max_rate THEN excluded.max_rate ELSE chain.max_rate END RETURNING id",
            (dev_eui, frame.epoch, frame.state & GENERATION, frame.interval_s, received_ns, max_rate),
        ).fetchone()
        return self.chain(row[0])

    def has_channels(self, chain: int, channels: int) -> bool:
        """Whether a frame of so many channels fits the chain; the first one decides."""
        if chain in self._channels:
            return self._channels[chain] == channels
        row = self._database.execute(CHANNELS, (chain,)).fetchone()
        if row[0] is None:
            self._database.execute("UPDATE chain SET channels = ? WHERE id = ?", (channels, chain))
        fits = row[0] is None or int(row[0]) == channels
        if fits and self._memory.trusted:
            self._channels[chain] = channels
        return fits

    def channels(self, chain: int) -> int:
        """How many channels the chain has; one if that is not known yet."""
        row = self._database.execute(CHANNELS, (chain,)).fetchone()
        return int(row[0] or 1)

    def line(self, chain: Epoch, *, unsynced: bool) -> Line:
        """The chain's cells in one numbering."""
        if not self._memory.trusted:
            return self._line(chain, unsynced, None)
        found = self._lines.get((chain.chain, unsynced))
        if found is None:
            found = self._lines[chain.chain, unsynced] = self._line(chain, unsynced, self._changed)
        return found

    def _line(self, chain: Epoch, unsynced: bool, changed: dict[Line, None] | None) -> Line:
        self._database.touches(chain.dev_eui)
        row = self._database.execute(FORGOTTEN, (chain.chain, unsynced)).fetchone()
        forgotten = None if row is None else int(row[0])
        return Line(self._database, chain.chain, chain.epoch, unsynced, forgotten, changed)

    def timeline(self, chain: Epoch, *, unsynced: bool) -> Timeline:
        """Where the chain's intervals lie, in one numbering."""
        if not unsynced:
            return _of_slots(chain.interval_s)
        newest = self.line(chain, unsynced=True).newest_number()
        rows = self._database.execute(
            "SELECT first, start_s, told_ns FROM mapping WHERE chain = ?", (chain.chain,)
        )
        return Timeline(chain.interval_s, [Mapping(*row) for row in rows], newest)

    def map(self, chain: Epoch, mapping: tuple[int, int], received_ns: int) -> bool:
        """Note where an interval, (index mod 2^16, UTC Unix seconds), began. Whether that may move anything."""
        index, start_s = mapping
        newest = self.line(chain, unsynced=True).newest_number()
        number = index if newest is None else unwrap(index, newest)
        found = self._database.execute(
            "INSERT INTO mapping VALUES (?, ?, ?, ?) ON CONFLICT (chain, first) DO UPDATE SET"
            " start_s = excluded.start_s, told_ns = excluded.told_ns WHERE excluded.told_ns < mapping.told_ns",
            (chain.chain, number, start_s, received_ns),
        )
        return bool(found.rowcount)


@lru_cache(maxsize=256)
def _of_slots(interval_s: int) -> Timeline:
    return Timeline(interval_s, (), None)
