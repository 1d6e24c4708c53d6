"""What two neighbouring known totals, and the counts known between them, say: intervals, and at most one span.

The whole difference of the totals is always accounted for: by intervals whose count is known or follows, and by one
span over those whose counts do not. A split is never invented.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from zaehlwerk_bridge.ledger.cell import Cell, Row
from zaehlwerk_protocol.receiver import MODULUS, wraps_possible


class Kind(Enum):
    """What a draft stands for."""

    INTERVAL = "interval"
    SPAN = "span"  # several intervals of which only the sum is known
    CONFLICT = "conflict"  # counts and totals disagree: the total wins, and is marked
    BASELINE = "baseline"  # counted before the first total that is known


@dataclass(frozen=True, slots=True)
class Draft:
    """A record in the making: `cells` are its first and last interval (equal for one), `counts` one per channel."""

    kind: Kind
    first: Cell | None  # None: from the beginning of the epoch
    last: Cell
    counts: Row
    known: tuple[Cell, ...] = ()  # intervals inside a span that are records of their own


@dataclass(frozen=True, slots=True)
class Gap:
    """Intervals first..last of one numbering whose counts are not known."""

    unsynced: bool
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Resolved:
    """A segment's records. `span` is among `drafts`; `held`: nothing can be said of the difference yet."""

    drafts: tuple[Draft, ...]
    span: Draft | None = None
    gap: Gap | None = None
    held: bool = False


def is_ambiguous(before: Cell, after: Cell, interval_s: int, max_rate: int) -> bool:
    """Whether a total may have gone round between the two, by the time between them and the stated maximum rate."""
    received = _elapsed_s(before, after)
    counted = (after.number - before.number) * interval_s if before.unsynced == after.unsynced else 0
    return wraps_possible(max(received, counted), max_rate / 3600)


def _elapsed_s(before: Cell, after: Cell) -> int:
    if before.seen_ns is None or after.seen_ns is None:
        return 0
    return abs(after.seen_ns - before.seen_ns) // 1_000_000_000


def difference(before: Cell, after: Cell, *, ambiguous: bool) -> Row | None:
    """What was counted from the end of `before` to the end of `after`; None if that cannot be told yet."""
    if before.whole is not None and after.whole is not None:
        counted = tuple(b - a for a, b in zip(before.whole, after.whole, strict=True))
        return counted if min(counted) >= 0 else None
    if ambiguous or before.total is None or after.total is None:
        return None
    return tuple((b - a) % MODULUS for a, b in zip(before.total, after.total, strict=True))


def between(before: Cell, after: Cell, cells: Sequence[Cell], *, ambiguous: bool) -> Resolved:
    """The records from the end of `before` to the end of `after`; `cells`: what is known in (before, after]."""
    known = [cell for cell in cells if cell.counts is not None]
    drafts = [_interval(cell) for cell in known]
    counted = difference(before, after, ambiguous=ambiguous)
    gap = _gap(before, after, known)
    if counted is None:
        # With all counts known there is nothing left to tell, however often the total went round.
        return Resolved(tuple(drafts), gap=gap, held=gap is not None)
    rest = _minus(counted, known)
    one_numbering = before.unsynced == after.unsynced
    if gap is None and one_numbering:
        if not any(rest):
            return Resolved(tuple(drafts))
        return _conflict(before, after, counted)
    if min(rest) < 0:
        return _conflict(before, after, counted)
    if gap is not None and gap.first == gap.last and one_numbering:
        only = _at(gap.first, before, after, cells)
        return Resolved((*drafts, Draft(Kind.INTERVAL, only, only, rest)))
    if not one_numbering and not any(rest):
        return Resolved(tuple(drafts))
    span = _span(before, after, cells, gap, rest)
    return Resolved((*drafts, span), span=span, gap=gap)


def before_first(first: Cell, cells: Sequence[Cell]) -> Resolved:
    """The records up to the end of `first`, the first known total of an epoch; `cells`: what is known up to it."""
    known = [cell for cell in cells if cell.counts is not None]
    drafts = [_interval(cell) for cell in known]
    if first.whole is None:
        return Resolved(tuple(drafts), held=True)
    rest = _minus(first.whole, known)
    if min(rest) < 0:
        return Resolved((Draft(Kind.BASELINE, None, first, first.whole),))
    if not any(rest):
        return Resolved(tuple(drafts))
    baseline = Draft(Kind.BASELINE, None, first, rest, tuple(known))
    return Resolved((*drafts, baseline), span=baseline)


def _interval(cell: Cell) -> Draft:
    assert cell.counts is not None
    return Draft(Kind.INTERVAL, cell, cell, cell.counts)


def _minus(counted: Row, known: Sequence[Cell]) -> Row:
    rest = list(counted)
    for cell in known:
        assert cell.counts is not None
        rest = [left - count for left, count in zip(rest, cell.counts, strict=True)]
    return tuple(rest)


def _gap(before: Cell, after: Cell, known: Sequence[Cell]) -> Gap | None:
    numbers = {cell.number for cell in known if cell.unsynced == after.unsynced}
    begin = before.number + 1 if before.unsynced == after.unsynced else min([after.number, *numbers])
    unknown = [number for number in range(begin, after.number + 1) if number not in numbers]
    return Gap(after.unsynced, unknown[0], unknown[-1]) if unknown else None


def _conflict(before: Cell, after: Cell, counted: Row) -> Resolved:
    draft = Draft(Kind.CONFLICT, _following(before, after), after, counted)
    return Resolved((draft,), span=draft)


def _following(before: Cell, after: Cell) -> Cell:
    """The interval that begins where `before` ends, as far as it is known: only its number and time."""
    if before.unsynced == after.unsynced:
        length = (after.at_s - before.at_s) // max(1, after.number - before.number)
        return Cell(after.unsynced, before.number + 1, before.at_s + length)
    return Cell(before.unsynced, before.number + 1, before.at_s)


def _span(before: Cell, after: Cell, cells: Sequence[Cell], gap: Gap | None, rest: Row) -> Draft:
    known = [cell for cell in cells if cell.counts is not None]
    if gap is None or before.unsynced != after.unsynced:
        return Draft(Kind.SPAN, _following(before, after), after, rest, tuple(known))
    first = _at(gap.first, before, after, cells)
    last = _at(gap.last, before, after, cells)
    inside = tuple(cell for cell in known if first.number < cell.number < last.number)
    return Draft(Kind.SPAN, first, last, rest, inside)


def _at(number: int, before: Cell, after: Cell, cells: Sequence[Cell]) -> Cell:
    """Interval `number` between the two, as far as it is known."""
    for cell in (*cells, after):
        if cell.number == number and cell.unsynced == after.unsynced:
            return cell
    length = (after.at_s - before.at_s) // (after.number - before.number)
    return Cell(after.unsynced, number, before.at_s + (number - before.number) * length)
