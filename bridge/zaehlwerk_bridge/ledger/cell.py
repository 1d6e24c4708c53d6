"""A cell: what is known of one interval of one line. Merging is commutative, so the order of frames cannot matter."""

from typing import NamedTuple

Row = tuple[int, ...]
"""One number per channel."""


class Cell(NamedTuple):
    """Interval `number` of a line: a slot of UTC, or an interval in the node's own numbering."""

    number: int
    counts: Row | None = None
    cover: tuple[int, int] | None = None  # (mask, worst 0..254); None: not known
    missing: bool = False  # the node has no record of it
    total: Row | None = None  # at its end, mod 2^16
    seen_ns: int | None = None  # when a total of it was first received
    heard_ns: int = 0  # when anything of it was first received
    anchor: Row | None = None  # full totals that a status frame gave for it
    whole: Row | None = None  # full totals, as far as anchors reach; derived

    def merged(self, other: "Cell") -> "Cell":
        """Both together. Where they contradict each other the same one wins in either order."""
        return Cell(
            self.number,
            _greater(self.counts, other.counts),
            _worse(self.cover, other.cover),
            self.missing or other.missing,
            _greater(self.total, other.total),
            _earlier(self.seen_ns, other.seen_ns),
            min(self.heard_ns, other.heard_ns),
            _greater(self.anchor, other.anchor),
            self.whole,
        )

    def told(self, counts: Row) -> "Cell":
        """This cell with its counts."""
        return Cell(
            self.number,
            counts,
            self.cover,
            self.missing,
            self.total,
            self.seen_ns,
            self.heard_ns,
            self.anchor,
            self.whole,
        )

    def reaching(self, whole: Row) -> "Cell":
        """This cell with its full totals."""
        return Cell(
            self.number,
            self.counts,
            self.cover,
            self.missing,
            self.total,
            self.seen_ns,
            self.heard_ns,
            self.anchor,
            whole,
        )


def _earlier(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


def _greater(one: Row | None, other: Row | None) -> Row | None:
    if one is None or other is None:
        return one if other is None else other
    return max(one, other)


def _worse(one: tuple[int, int] | None, other: tuple[int, int] | None) -> tuple[int, int] | None:
    if one is None or other is None:
        return one if other is None else other
    return max(one, other, key=lambda cover: (cover[0], -cover[1]))
