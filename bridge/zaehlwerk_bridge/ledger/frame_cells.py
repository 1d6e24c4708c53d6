"""From a frame to cells: what it says about which intervals."""

from zaehlwerk_bridge.ledger.cell import Cell
from zaehlwerk_bridge.ledger.timeline import Timeline
from zaehlwerk_protocol.backfill import Backfill
from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.receiver import MODULUS
from zaehlwerk_protocol.state import UNSYNCED
from zaehlwerk_protocol.status import Status

WHOLE = (0, 0)
"""A cover: everything was observed."""


def of_counts(frame: Counts, received_ns: int, line: Timeline) -> list[Cell]:
    """The interval that it closes, with totals, and the ones of its history."""
    unsynced = bool(frame.state & UNSYNCED)
    number = line.number(frame.index, received_ns, unsynced=unsynced)
    cover = (*frame.cover, *[WHOLE] * (len(frame.history) + 1 - len(frame.cover)))
    closed = Cell(number, cover=cover[0], total=frame.totals, seen_ns=received_ns, heard_ns=received_ns)
    history = [
        Cell(number - 1 - back, counts=row, cover=cover[back + 1], heard_ns=received_ns)
        for back, row in enumerate(frame.history)
    ]
    if unsynced and number == len(history):
        # The node's own numbering begins at 0 with its first life: before that nothing was counted in it.
        nothing = (0,) * len(frame.totals)
        history.append(Cell(-1, total=nothing, seen_ns=received_ns, heard_ns=received_ns, anchor=nothing))
    return [closed, *history]


def of_backfill(frame: Backfill, received_ns: int, line: Timeline) -> list[Cell]:
    """Its rows; a row without a record is marked missing."""
    number = line.number(frame.index, received_ns, unsynced=bool(frame.state & UNSYNCED))
    cover = (*frame.cover, *[WHOLE] * (len(frame.rows) - len(frame.cover)))
    return [
        Cell(number + ahead, missing=True, heard_ns=received_ns)
        if row is None
        else Cell(number + ahead, counts=row, cover=cover[ahead], heard_ns=received_ns)
        for ahead, row in enumerate(frame.rows)
    ]


def of_anchor(frame: Status, received_ns: int, line: Timeline) -> list[Cell]:
    """The interval that its full totals anchor; none without an anchor."""
    if frame.anchor is None:
        return []
    index, totals = frame.anchor
    number = line.number(index, received_ns, unsynced=bool(frame.state & UNSYNCED))
    low = tuple(total % MODULUS for total in totals)
    return [Cell(number, total=low, seen_ns=received_ns, heard_ns=received_ns, anchor=tuple(totals))]
