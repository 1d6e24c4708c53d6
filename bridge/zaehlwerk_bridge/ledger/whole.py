"""Full totals: from the ones that status frames gave, along differences that are certain, to every known total."""

from collections.abc import Callable, Sequence

from zaehlwerk_bridge.ledger.cell import Cell, Row
from zaehlwerk_protocol.receiver import MODULUS


def whole_totals(points: Sequence[Cell], is_ambiguous: Callable[[Cell, Cell], bool]) -> list[Row | None]:
    """Full totals of `points` (cells with totals, in order), None where no anchor reaches."""
    found: list[Row | None] = [point.anchor for point in points]
    for at in range(1, len(points)):
        before = found[at - 1]
        if found[at] is None and before is not None and not is_ambiguous(points[at - 1], points[at]):
            found[at] = _plus(before, _step(points[at - 1], points[at]))
    for at in range(len(points) - 2, -1, -1):
        after = found[at + 1]
        if found[at] is None and after is not None and not is_ambiguous(points[at], points[at + 1]):
            step = _step(points[at], points[at + 1])
            found[at] = tuple(total - count for total, count in zip(after, step, strict=True))
    return found


def _step(before: Cell, after: Cell) -> Row:
    assert before.total is not None
    assert after.total is not None
    return tuple((b - a) % MODULUS for a, b in zip(before.total, after.total, strict=True))


def _plus(totals: Row, counts: Row) -> Row:
    return tuple(total + count for total, count in zip(totals, counts, strict=True))
