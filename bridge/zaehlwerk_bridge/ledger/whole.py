"""Full totals: from the ones that status frames gave, along differences that are certain, to every known total."""

from collections.abc import Callable
from typing import Protocol

from zaehlwerk_bridge.ledger.cell import Cell, Row
from zaehlwerk_protocol.receiver import MODULUS


class Points(Protocol):
    """The known totals of a line, in order."""

    def point_before(self, number: int) -> Cell | None:
        """The nearest before interval `number`."""

    def point_after(self, number: int) -> Cell | None:
        """The nearest after interval `number`."""

    def set_whole(self, number: int, whole: Row) -> None:
        """Note the full totals of a point."""


def carry(point: Cell, points: Points, is_ambiguous: Callable[[Cell, Cell], bool]) -> list[Cell]:
    """Give `point`, new or changed, its full totals, and carry them to where they now reach; returns who got some.

    A total is counted on from the point before, else back from the one behind, and never across a difference that
    may have gone round. What a status frame gave stays as it is.
    """
    before, after = points.point_before(point.number), points.point_after(point.number)
    if point.anchor is not None:
        whole = point.anchor
    elif before is not None and before.whole is not None and not is_ambiguous(before, point):
        whole = _plus(before.whole, step(before, point))
    elif after is not None and after.whole is not None and not is_ambiguous(point, after):
        whole = _minus(after.whole, step(point, after))
    else:
        return []
    if whole == point.whole:
        return []
    here = point.reaching(whole)
    given = [here]
    onward = whole
    while after is not None and after.anchor is None and not is_ambiguous(here, after):
        onward = _plus(onward, step(here, after))
        if onward == after.whole:
            break
        here = after.reaching(onward)
        given.append(here)
        after = points.point_after(here.number)
    here, back = given[0], whole
    while before is not None and before.whole is None and not is_ambiguous(before, here):
        back = _minus(back, step(before, here))
        here = before.reaching(back)
        given.append(here)
        before = points.point_before(here.number)
    for cell in given:
        assert cell.whole is not None
        points.set_whole(cell.number, cell.whole)
    return given


def step(before: Cell, after: Cell) -> Row:
    """The difference of two known totals, if none of them went round meanwhile."""
    assert before.total is not None
    assert after.total is not None
    return tuple((b - a) % MODULUS for a, b in zip(before.total, after.total, strict=True))


def _plus(totals: Row, counts: Row) -> Row:
    return tuple(total + count for total, count in zip(totals, counts, strict=True))


def _minus(totals: Row, counts: Row) -> Row:
    return tuple(total - count for total, count in zip(totals, counts, strict=True))
