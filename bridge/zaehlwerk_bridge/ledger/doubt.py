"""Where another store may have told records that this one does not know: what may be told there, and what has to wait.

The platform holds what the other store told, and that is exact. So nothing in a place where such records may stand is
told before all of it can be: only then each of them is superseded by records that stand for all of its intervals. Pure.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence

from zaehlwerk_bridge.ledger.cell_table import FAR
from zaehlwerk_bridge.ledger.record import read_id
from zaehlwerk_bridge.ledger.record_table import Made, Standing

Range = tuple[int, int]
"""First and last interval."""


class Ranges:
    """The union of ranges."""

    def __init__(self, ranges: Iterable[Range]) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in sorted(ranges):
            if self._lasts and first <= self._lasts[-1] + 1:
                self._lasts[-1] = max(self._lasts[-1], last)
            else:
                self._firsts.append(first)
                self._lasts.append(last)

    def hold(self, one: Range) -> bool:
        """Whether all of `one` lies in them."""
        at = bisect_right(self._firsts, one[0]) - 1
        return at >= 0 and one[1] <= self._lasts[at]

    def touch(self, one: Range) -> bool:
        """Whether any of `one` lies in them."""
        at = bisect_left(self._lasts, one[0])
        return at < len(self._firsts) and self._firsts[at] <= one[1]


def range_of(record: str) -> Range:
    """The intervals that the record of this id stands for; those from the beginning begin far before all others."""
    name = read_id(record)
    return (-FAR if name.first is None else name.first), name.last


def without_doubt(
    made: Sequence[Made], live: Mapping[str, Standing], quiet: Sequence[Range]
) -> tuple[list[Made], dict[str, Standing]]:
    """Of the records `made` those that may be told, and of the `live` ones those that they are compared with.

    The others stay as they are at the platform, whatever that is. `quiet`: where nothing was counted, so that no
    record of it is made.
    """
    if not any(standing.doubtful for standing in live.values()):
        return list(made), dict(live)
    kept = {one.body["id"]: one for one in made}
    ranges = {record: range_of(record) for record in {*kept, *live}}
    still = list(quiet)
    while True:
        covered = Ranges([*still, *(ranges[record] for record in kept)])
        stuck = {record for record in live if record not in kept and not covered.hold(ranges[record])}
        left_alone = Ranges(ranges[record] for record in stuck)
        dropped = [record for record in kept if left_alone.touch(ranges[record])]
        loud = [one for one in still if left_alone.touch(one)]
        if not dropped and not loud:
            break
        still = [one for one in still if one not in loud]
        for record in dropped:
            del kept[record]
    # What stands where nothing was counted says so itself.
    told = Ranges(ranges[record] for record in kept)
    compared = {
        record: standing
        for record, standing in live.items()
        if record not in stuck and (not standing.doubtful or told.touch(ranges[record]))
    }
    return list(kept.values()), compared
