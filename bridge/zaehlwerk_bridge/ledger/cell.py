"""A cell: what is known of one interval of one chain. Merging is commutative, so the order of frames cannot matter."""

from dataclasses import dataclass, replace

Row = tuple[int, ...]
"""One number per channel."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Interval `number`, in the node's own numbering if `unsynced`, else a slot of UTC.

    at_s: its end, UTC Unix seconds, or when it was first heard of while it has no place in time.
    """

    unsynced: bool
    number: int
    at_s: int
    counts: Row | None = None
    cover: tuple[int, int] | None = None  # (mask, worst 0..254); None: not known
    missing: bool = False  # the node has no record of it
    total: Row | None = None  # at its end, mod 2^16
    seen_ns: int | None = None  # when a total of it was first received
    anchor: Row | None = None  # full totals that a status frame gave for it
    whole: Row | None = None  # full totals, derived
    station: str | None = None

    @property
    def key(self) -> tuple[int, int, int]:
        """Order in the chain: by time; where both numberings end together, the node's own came first."""
        return (self.at_s, 0 if self.unsynced else 1, self.number)

    def merged(self, other: "Cell") -> "Cell":
        """Both together. Where they contradict each other the same one wins in either order."""
        first = min((cell for cell in (self, other) if cell.seen_ns is not None), key=_seen, default=self)
        return replace(
            self,
            at_s=min(self.at_s, other.at_s),
            counts=_greater(self.counts, other.counts),
            cover=_worse(self.cover, other.cover),
            missing=self.missing or other.missing,
            total=_greater(self.total, other.total),
            seen_ns=first.seen_ns,
            anchor=_greater(self.anchor, other.anchor),
            whole=self.whole,
            station=first.station or self.station or other.station,
        )


def _seen(cell: Cell) -> tuple[int, str]:
    assert cell.seen_ns is not None
    return cell.seen_ns, cell.station or ""


def _greater(one: Row | None, other: Row | None) -> Row | None:
    if one is None or other is None:
        return one if other is None else other
    return max(one, other)


def _worse(one: tuple[int, int] | None, other: tuple[int, int] | None) -> tuple[int, int] | None:
    if one is None or other is None:
        return one if other is None else other
    return max(one, other, key=lambda cover: (cover[0], -cover[1]))
