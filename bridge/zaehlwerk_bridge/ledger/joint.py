"""Resolves consecutive segments together: where a total may have gone round, only what anchors enclose can be told.

Totals that no difference connects to an anchored one say nothing of the gaps on either side of them. The gaps between
two anchored totals are then one span together, around what is known in between.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zaehlwerk_bridge.ledger.cell import Cell, Row
from zaehlwerk_bridge.ledger.segment import (
    Draft,
    Kind,
    Segment,
    baseline,
    difference,
    over,
    remainder,
    resolved,
    told,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The records of some segments that belong together.

    late: the one of `drafts` that may wait, because history can still resolve it. gaps: the segments in which
    intervals have no count of their own yet; held: and nothing can be said of their sum either. begins: up to the
    end of that interval they account for all that was counted from the beginning on, though nothing may have been before
    the first of them.
    """

    drafts: tuple[Draft, ...]
    late: Draft | None = None
    gaps: tuple[Segment, ...] = ()
    held: bool = False
    begins: int | None = None


def outcomes(parts: Sequence[Segment], is_ambiguous: Callable[[Cell, Cell], bool]) -> list[Outcome]:
    """What `parts`, consecutive, the first of them from the beginning or from an anchored total if any is, amount to."""
    found: list[Outcome] = []
    pending: list[tuple[Segment, list[Draft]]] = []  # from the first gap that cannot be told
    anchored: Cell | None = None
    for part in parts:
        counted = _counted(part, is_ambiguous)
        drafts = told(part) if counted is None else resolved(part, counted)
        if pending or (counted is None and part.after is not None):
            if not pending:
                anchored = part.before
            pending.append((part, drafts))
        else:
            found.append(_plain(part, drafts))
        if pending and part.after is not None and part.after.whole is not None:
            if anchored is None or anchored.whole is not None:
                found.append(_joint(anchored, part.after, part.after.whole, pending, is_ambiguous))
            else:
                found += _apart(pending, is_ambiguous)
            pending = []
    return found + _apart(pending, is_ambiguous)


def _counted(part: Segment, is_ambiguous: Callable[[Cell, Cell], bool]) -> Row | None:
    if part.before is None or part.after is None:
        return None
    return difference(part, ambiguous=is_ambiguous(part.before, part.after))


def _plain(part: Segment, drafts: Sequence[Draft]) -> Outcome:
    late = next((draft for draft in drafts if draft.kind in (Kind.SPAN, Kind.CONFLICT)), None)
    return Outcome(tuple(drafts), late, (part,) if late is not None and part.unknown() else ())


def _apart(
    pending: Sequence[tuple[Segment, list[Draft]]], is_ambiguous: Callable[[Cell, Cell], bool]
) -> list[Outcome]:
    """No anchor encloses them: each by itself, and of some nothing can be told."""
    return [
        _plain(part, drafts)
        if part.after is None or _counted(part, is_ambiguous) is not None
        else Outcome(tuple(drafts), gaps=(part,), held=True)
        for part, drafts in pending
    ]


def _joint(
    before: Cell | None,
    after: Cell,
    whole: Row,
    pending: Sequence[tuple[Segment, list[Draft]]],
    is_ambiguous: Callable[[Cell, Cell], bool],
) -> Outcome:
    """All from `before` (None: the beginning) to `after`, whose full totals are `whole`."""
    published = [draft for _, drafts in pending for draft in drafts]
    gaps = tuple(part for part, _ in pending if part.unknown() and _counted(part, is_ambiguous) is None)
    if before is None:
        drafts = baseline(after, whole, published)
        late = next((draft for draft in drafts if draft.kind is Kind.BASELINE), None)
        return Outcome(tuple(drafts), late if gaps else None, gaps, begins=after.number)
    assert before.whole is not None
    counted = tuple(b - a for a, b in zip(before.whole, whole, strict=True))
    rest = remainder(counted, published)
    unknown = [number for gap in gaps for number in gap.unknown()]
    if min(rest) < 0 or not unknown:
        if not any(rest):
            return Outcome(tuple(published))
        conflict = Draft(Kind.CONFLICT, before.number + 1, after.number, counted)
        return Outcome((conflict,), conflict, gaps)
    span = over(unknown, rest, published, [cell for part, _ in pending for cell in part.cells])
    late = span if span.kind is Kind.SPAN else None
    return Outcome((*published, span), late, gaps if late else ())
