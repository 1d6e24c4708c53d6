"""From a frame to cells: what it says about which intervals, indices unwrapped, placed in time."""

from bisect import bisect_right
from collections.abc import Sequence

from zaehlwerk_bridge.ledger.cell import Cell
from zaehlwerk_protocol.backfill import Backfill
from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.receiver import MODULUS, unwrap
from zaehlwerk_protocol.state import UNSYNCED
from zaehlwerk_protocol.status import Status

NS = 1_000_000_000
WHOLE = (0, 0)

Mapping = tuple[int, int]
"""(first interval of the node's own numbering, UTC Unix seconds at which it began)."""


class Timeline:
    """Where the intervals of one epoch lie. `newest`: the highest of the node's own numbers known, None without."""

    def __init__(self, interval_s: int, mappings: Sequence[Mapping], newest: int | None) -> None:
        self.interval_s = interval_s
        self._mappings = sorted(mappings)
        self._newest = newest

    def number(self, index: int, received_ns: int, *, unsynced: bool) -> int:
        """The interval that `index` mod 2^16 means in a frame received at `received_ns`."""
        if unsynced:
            return index if self._newest is None else unwrap(index, self._newest)
        # A slot is closed before it is sent; one ahead is a clock that is a little fast.
        present = received_ns // NS // self.interval_s
        number = unwrap(index, present - 1)
        return number if number <= present else number - MODULUS

    def end_s(self, number: int, *, unsynced: bool) -> int | None:
        """When the interval ends, UTC Unix seconds; None if it has no place in time yet."""
        if not unsynced:
            return (number + 1) * self.interval_s
        at = bisect_right(self._mappings, (number, 1 << 62)) - 1
        if at < 0:
            return None
        first, start_s = self._mappings[at]
        return start_s + (number - first + 1) * self.interval_s

    def cell(self, number: int, received_ns: int, *, unsynced: bool) -> Cell:
        """An empty cell in its place."""
        end_s = self.end_s(number, unsynced=unsynced)
        return Cell(unsynced, number, received_ns // NS if end_s is None else end_s)


def of_counts(frame: Counts, received_ns: int, line: Timeline, station: str | None) -> list[Cell]:
    """The interval that it closes, with totals, and the ones of its history."""
    unsynced = bool(frame.state & UNSYNCED)
    number = line.number(frame.index, received_ns, unsynced=unsynced)
    cells = []
    for back in range(len(frame.history) + 1):
        empty = line.cell(number - back, received_ns, unsynced=unsynced)
        cells.append(
            Cell(
                unsynced,
                number - back,
                empty.at_s,
                counts=frame.history[back - 1] if back else None,
                cover=frame.cover[back] if back < len(frame.cover) else WHOLE,
                total=None if back else frame.totals,
                seen_ns=None if back else received_ns,
                station=station,
            )
        )
    return cells


def of_backfill(frame: Backfill, received_ns: int, line: Timeline, station: str | None) -> list[Cell]:
    """Its rows; a row without a record is marked missing."""
    unsynced = bool(frame.state & UNSYNCED)
    number = line.number(frame.index, received_ns, unsynced=unsynced)
    cells = []
    for ahead, row in enumerate(frame.rows):
        empty = line.cell(number + ahead, received_ns, unsynced=unsynced)
        cover = frame.cover[ahead] if ahead < len(frame.cover) else WHOLE
        cells.append(
            Cell(
                unsynced,
                number + ahead,
                empty.at_s,
                counts=row,
                cover=None if row is None else cover,
                missing=row is None,
                station=station,
            )
        )
    return cells


def of_anchor(frame: Status, received_ns: int, line: Timeline, station: str | None) -> list[Cell]:
    """The interval that its full totals anchor; none without an anchor."""
    if frame.anchor is None:
        return []
    unsynced = bool(frame.state & UNSYNCED)
    index, totals = frame.anchor
    number = line.number(index, received_ns, unsynced=unsynced)
    at_s = line.cell(number, received_ns, unsynced=unsynced).at_s
    low = tuple(total % MODULUS for total in totals)
    return [
        Cell(unsynced, number, at_s, total=low, seen_ns=received_ns, anchor=tuple(totals), station=station),
    ]
