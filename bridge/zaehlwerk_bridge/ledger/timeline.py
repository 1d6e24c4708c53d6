"""Where the intervals of one epoch lie: indices mod 2^16 are unwrapped, and the node's own numbering is put in its place."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from zaehlwerk_protocol.receiver import newest_slot, unwrap

NS = 1_000_000_000


@dataclass(frozen=True, slots=True, order=True)
class Mapping:
    """Interval `first` of the node's own numbering began at `start_s`, UTC Unix seconds; said at `told_ns`, not before."""

    first: int
    start_s: int
    told_ns: int


class Timeline:
    """Where the intervals of one epoch lie. `newest`: the highest of the node's own numbers known, None without."""

    def __init__(self, interval_s: int, mappings: Sequence[Mapping], newest: int | None) -> None:
        self.interval_s = interval_s
        self._mappings = sorted(mappings)
        self._firsts = [mapping.first for mapping in self._mappings]
        self._newest = newest

    def number(self, index: int, received_ns: int, *, unsynced: bool) -> int:
        """The interval that `index` mod 2^16 means in a frame received at `received_ns`."""
        if unsynced:
            return index if self._newest is None else unwrap(index, self._newest)
        return unwrap(index, newest_slot(received_ns // NS, self.interval_s))

    def end_s(self, number: int, *, unsynced: bool) -> int | None:
        """When the interval ends, UTC Unix seconds; None if it has no place in time (yet).

        A mapping is good for the intervals since its first up to when it was told: the clock had been found by then,
        and later intervals of the node's own numbering come after another start, with another mapping.
        """
        if not unsynced:
            return (number + 1) * self.interval_s
        at = bisect_right(self._firsts, number) - 1
        if at < 0:
            return None
        mapping = self._mappings[at]
        end_s = mapping.start_s + (number - mapping.first + 1) * self.interval_s
        return end_s if end_s * NS <= mapping.told_ns else None
