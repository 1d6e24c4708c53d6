"""What known totals, and the counts known between them, say: intervals, and spans over what only has a sum.

The whole difference of the totals is always accounted for: by intervals whose count is known or follows, and by one
span over those whose counts do not. A split is never invented.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from zaehlwerk_bridge.ledger.cell import Cell, Row
from zaehlwerk_bridge.ledger.whole import step
from zaehlwerk_protocol.receiver import MODULUS, wraps_possible

SECONDS_AN_HOUR = 3600

Range = tuple[int, int]
"""First and last interval."""


class Kind(Enum):
    """What a draft stands for."""

    INTERVAL = "interval"
    SPAN = "span"  # several intervals of which only the sum is known
    CONFLICT = "conflict"  # counts and totals disagree: the total wins, and is marked
    BASELINE = "baseline"  # counted before the first total that is known


@dataclass(frozen=True, slots=True)
class Draft:
    """A record in the making, of intervals `first` to `last` (equal for one), with one count per channel."""

    kind: Kind
    first: int | None  # None: from the beginning of the epoch
    last: int
    counts: Row
    apart: tuple[Range, ...] = ()  # what lies inside and has a record of its own
    cover: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """From the end of `before`, a known total, to the end of `after`, the next one; `cells`: what is known in it.

    before None: from the beginning of the epoch. after None: nothing bounds it yet.
    """

    before: Cell | None
    after: Cell | None
    cells: tuple[Cell, ...]

    @property
    def known(self) -> list[Cell]:
        """The intervals whose counts history or backfill told."""
        return [cell for cell in self.cells if cell.counts is not None]

    def unknown(self) -> list[int]:
        """The intervals in it whose counts were not told; empty without both bounds."""
        if self.before is None or self.after is None:
            return []
        known = {cell.number for cell in self.known}
        return [
            number for number in range(self.before.number + 1, self.after.number + 1) if number not in known
        ]


def segments(before: Cell | None, cells: Sequence[Cell]) -> list[Segment]:
    """`cells`, all that follow `before` up to some total or the end, cut at the known totals."""
    found: list[Segment] = []
    within: list[Cell] = []
    for cell in cells:
        within.append(cell)
        if cell.total is not None:
            found.append(Segment(before, cell, tuple(within)))
            before, within = cell, []
    if within:
        found.append(Segment(before, None, tuple(within)))
    return found


def is_ambiguous(before: Cell, after: Cell, interval_s: int, max_rate: int) -> bool:
    """Whether a total may have gone round between the two, at `max_rate` pulses per hour.

    The time between them is that of their intervals: slots are unwrapped by the time of receipt, and in the node's own
    numbering an interval is the longest that was counted for it. So a copy that came late makes no gap longer.
    """
    return wraps_possible((after.number - before.number) * interval_s, max_rate / SECONDS_AN_HOUR)


def told(segment: Segment) -> list[Draft]:
    """The records of the intervals whose counts were told."""
    return [
        Draft(Kind.INTERVAL, cell.number, cell.number, cell.counts, cover=cell.cover)
        for cell in segment.known
        if cell.counts is not None
    ]


def difference(segment: Segment, *, ambiguous: bool) -> Row | None:
    """What was counted in the segment; None if that cannot be told."""
    before, after = segment.before, segment.after
    if before is None or after is None:
        return None
    if before.whole is not None and after.whole is not None:
        counted = tuple(b - a for a, b in zip(before.whole, after.whole, strict=True))
        if min(counted) >= 0:
            return counted
    return None if ambiguous else step(before, after)


def resolved(segment: Segment, counted: Row) -> list[Draft]:
    """The records of a segment in which `counted` was counted; at most one of them is no interval."""
    known = told(segment)
    unknown = segment.unknown()
    assert segment.before is not None
    assert segment.after is not None
    whole = Draft(Kind.CONFLICT, segment.before.number + 1, segment.after.number, counted)
    rest = remainder(counted, known)
    if not unknown:
        # Told counts that make the total go round more often than the rate allows are as good as any.
        return known if not any(left % MODULUS for left in rest) else [whole]
    if min(rest) < 0:
        return [whole]
    return [*known, over(unknown, rest, known, segment.cells)]


def over(unknown: Sequence[int], rest: Row, apart: Sequence[Draft], cells: Iterable[Cell]) -> Draft:
    """The record of `rest`, counted in the intervals `unknown` (not empty); `apart`: the other records around."""
    first, last = unknown[0], unknown[-1]
    if first == last:
        cover = next((cell.cover for cell in cells if cell.number == first), None)
        return Draft(Kind.INTERVAL, first, last, rest, cover=cover)
    return Draft(Kind.SPAN, first, last, rest, _apart(apart, first, last))


def baseline(first: Cell, whole: Row, published: Sequence[Draft]) -> list[Draft]:
    """The records up to the end of `first`, whose full totals are `whole`, around those `published` before it."""
    rest = remainder(whole, published)
    if min(rest) < 0:
        return [Draft(Kind.BASELINE, None, first.number, whole)]
    if not any(rest):
        return list(published)
    apart = _apart(published, min((_first(draft) for draft in published), default=0), first.number)
    return [*published, Draft(Kind.BASELINE, None, first.number, rest, apart)]


def remainder(counted: Row, drafts: Iterable[Draft]) -> Row:
    """`counted` without what `drafts` stand for."""
    rest = list(counted)
    for draft in drafts:
        rest = [left - count for left, count in zip(rest, draft.counts, strict=True)]
    return tuple(rest)


def _apart(drafts: Iterable[Draft], first: int, last: int) -> tuple[Range, ...]:
    """What of `drafts` lies from `first` to `last`; what lies inside another one goes without saying."""
    found: list[Range] = []
    for lies in sorted(
        ((_first(draft), draft.last) for draft in drafts), key=lambda lies: (lies[0], -lies[1])
    ):
        if first <= lies[0] and lies[1] <= last and not (found and lies[1] <= found[-1][1]):
            found.append(lies)
    return tuple(found)


def _first(draft: Draft) -> int:
    return draft.last if draft.first is None else draft.first
