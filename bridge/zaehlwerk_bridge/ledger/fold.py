"""The fold: cells of one line are merged, their neighbourhood is resolved anew, and what changed becomes messages.

What stands in the end follows from the set of cells alone; the order in which they came decides only what was told
meanwhile.
"""

from collections.abc import Callable, Sequence

from zaehlwerk_bridge.database import Database
from zaehlwerk_bridge.ledger.cell import Cell, Row
from zaehlwerk_bridge.ledger.cell_table import FAR, Line
from zaehlwerk_bridge.ledger.chains import Chains
from zaehlwerk_bridge.ledger.doubt import Range, without_doubt
from zaehlwerk_bridge.ledger.epochs import Epoch
from zaehlwerk_bridge.ledger.gap_table import REACH, GapTable
from zaehlwerk_bridge.ledger.joint import outcomes
from zaehlwerk_bridge.ledger.memory import Memory
from zaehlwerk_bridge.ledger.record import Body, body, body_text, read_id, record_id, withdrawn
from zaehlwerk_bridge.ledger.record_table import Made, RecordTable
from zaehlwerk_bridge.ledger.segment import Draft, Kind, Segment, is_ambiguous, segments
from zaehlwerk_bridge.ledger.steady import Steady
from zaehlwerk_bridge.ledger.telling import Telling
from zaehlwerk_bridge.ledger.timeline import Timeline
from zaehlwerk_bridge.ledger.whole import carry
from zaehlwerk_bridge.messages import Message, Messages
from zaehlwerk_bridge.station import Station
from zaehlwerk_bridge.stations import Stations

NS = 1_000_000_000
GRACE_INTERVALS = 2.5
"""So long a gap waits after the frame that ends it: the next two frames' history may still resolve it."""
MADE_KEPT = 4
"""Newest records of a chain that are remembered as they were made."""

_Grounds = tuple[Draft, Row | None, int | None, Station]
"""What a record of a slot follows from."""


class Fold:
    """Folds in the transaction of `database`."""

    def __init__(
        self,
        database: Database,
        chains: Chains,
        stations: Stations,
        messages: Messages,
        memory: Memory,
    ) -> None:
        self.gaps = GapTable(database, memory)
        self._memory = memory
        self._made_before: dict[tuple[int, int], tuple[_Grounds, Made]] = memory.kind()
        self._chains = chains
        self._stations = stations
        self.records = RecordTable(database, memory)
        self._telling = Telling(self.records, messages)
        self.steady = Steady(chains, stations, self.records, messages, memory)

    def add(self, chain: Epoch, cells: Sequence[Cell], now_ns: int, *, unsynced: bool) -> list[Message]:
        """Fold `cells` into the chain's line; returns what the platform has to be told."""
        line = self._chains.line(chain, unsynced=unsynced)
        touched = line.merge(cells)
        for point in [cell for cell in touched if cell.total is not None]:
            touched += carry(point, line, _ambiguity(chain))
        if not touched:
            return []
        numbers = [cell.number for cell in touched]
        return self._refold(chain, line, min(numbers), max(numbers), now_ns)

    def renew(self, chain: Epoch, now_ns: int) -> list[Message]:
        """All of the chain anew: its intervals were moved, in time or to another station."""
        messages = []
        for unsynced in (True, False):
            line = self._chains.line(chain, unsynced=unsynced)
            messages += self._tell(chain, line, line.beginning(), None, now_ns)
        return messages

    def settle(self, chain: Epoch, number: int, now_ns: int, *, unsynced: bool) -> list[Message]:
        """The grace of the gap that ends with `number` is over."""
        return self._refold(chain, self._chains.line(chain, unsynced=unsynced), number, number, now_ns)

    def _refold(self, chain: Epoch, line: Line, first: int, last: int, now_ns: int) -> list[Message]:
        """Resolve anew all that may follow from the intervals `first` to `last`."""
        before, after = self._bounds(line, first, last)
        while self.records.has_foreign:
            # Another store's span may have begun or ended where this one knows a total.
            reach = self.records.foreign_reach(line, before, after)
            if reach is None or (first <= reach[0] and reach[1] <= last):
                break
            first, last = min(first, reach[0]), max(last, reach[1])
            before, after = self._bounds(line, first, last)
        return self._tell(chain, line, before, after, now_ns)

    def _bounds(self, line: Line, first: int, last: int) -> tuple[Cell | None, Cell | None]:
        before = line.point_before(first)
        # A total bears on the segment behind it too.
        after = line.point_after(last)
        # What cannot be told by itself can be told of all that two anchored totals enclose.
        if before is not None and before.whole is None and line.anchored_from(before.number) is not None:
            before = line.anchored_before(before.number)
        if after is not None and after.whole is None:
            after = line.anchored_from(after.number) or after
        return before, after

    def _tell(
        self, chain: Epoch, line: Line, before: Cell | None, after: Cell | None, now_ns: int
    ) -> list[Message]:
        ended = self.steady.end(chain.dev_eui)
        parts = segments(before, line.between(before, after))
        live = self.records.live(line, before, after)
        # Of a span that stands, or may stand, what remains is told at once: sums stay whole.
        split = any(standing.resolution == "span" or standing.doubtful for standing in live.values())
        timeline = self._chains.timeline(chain, unsynced=line.unsynced)
        totals: dict[int, Row] = {}
        for part in parts:
            totals.update(_totals(part))
        heard = {cell.number: cell.heard_ns for part in parts for cell in part.cells}
        made: list[Made] = []
        quiet: list[Range] = []  # accounted for, because nothing was counted
        closed = {part.after.number for part in parts if part.after is not None}
        for outcome in outcomes(parts, _ambiguity(chain)):
            waits = not split and now_ns < max((_due_ns(gap, chain) for gap in outcome.gaps), default=0)
            for gap in outcome.gaps:
                closed -= self._note_gap(chain, line, gap, waits=waits and not outcome.held)
            if outcome.begins is not None and all(draft.first is not None for draft in outcome.drafts):
                firsts = [draft.first for draft in outcome.drafts if draft.first is not None]
                quiet.append((-FAR, min(firsts, default=outcome.begins + 1) - 1))
            for draft in outcome.drafts:
                if not (waits and draft is outcome.late):
                    heard_ns = heard.get(draft.last) or min(heard.values())
                    made.append(self._made(chain, line, timeline, draft, totals.get(draft.last), heard_ns))
        for number in closed:
            self.gaps.drop(line, number)
        told, compared = without_doubt(made, live, quiet)
        messages = self._telling.tell(
            line, told, compared, lambda record: self._nothing(chain, record, timeline)
        )
        if after is None and not split and _is_run(chain, line, parts, made):
            assert before is not None
            newest = parts[-1].cells[-1]
            assert newest.total is not None
            self.steady.begin(chain, line, before.number, newest.number, len(newest.total), ended)
        return messages

    def _nothing(self, chain: Epoch, record: str, timeline: Timeline) -> Body:
        """How a record that another store told says that it stands for nothing any more."""
        name = read_id(record)
        station = self._stations.present(name.station)
        assert station is not None
        kind = Kind.INTERVAL if name.single else Kind.SPAN if name.first is not None else Kind.BASELINE
        draft = Draft(kind, name.first, name.last, (0,) * self._chains.channels(chain.chain))
        return withdrawn(body(draft, record, station, timeline, unsynced=name.unsynced, total=None))

    def _note_gap(self, chain: Epoch, line: Line, gap: Segment, *, waits: bool) -> set[int]:
        """Keep the gap in mind; returns the interval that ends it, nothing if there is none."""
        unknown = gap.unknown()
        if not unknown or gap.after is None:
            return set()
        due_ns = _due_ns(gap, chain)
        missing = {cell.number for cell in gap.cells if cell.missing}
        reach = (line.newest_number() or 0) - REACH
        wanted = [number for number in unknown if number > reach and number not in missing]
        asked = (wanted[0], wanted[-1]) if wanted else None
        self.gaps.put(line, gap.after.number, due_ns if waits else None, asked, due_ns)
        return {gap.after.number}

    def _made(
        self,
        chain: Epoch,
        line: Line,
        timeline: Timeline,
        draft: Draft,
        total: Row | None,
        heard_ns: int,
    ) -> Made:
        end_s = timeline.end_s(draft.last, unsynced=line.unsynced)
        station = self._stations.at(chain.dev_eui, heard_ns if end_s is None else end_s * NS)
        # Most frames touch what the one before them told as well, and change nothing of it.
        place, grounds = (chain.chain, draft.last % MADE_KEPT), (draft, total, end_s, station)
        before = self._made_before.get(place)
        if before is not None and before[0] == grounds and not line.unsynced:
            return before[1]
        record = record_id(station.slug, chain.epoch, draft, unsynced=line.unsynced)
        made = body(draft, record, station, timeline, unsynced=line.unsynced, total=total)
        one = Made(station.slug, draft.last, end_s, made, body_text(made))
        # Where a slot of UTC lies never changes; an interval of the node's own numbering may find its place later.
        if self._memory.trusted and not line.unsynced:
            self._made_before[place] = (grounds, one)
        return one


def _ambiguity(chain: Epoch) -> Callable[[Cell, Cell], bool]:
    return lambda before, after: is_ambiguous(before, after, chain.interval_s, chain.max_rate)


def _is_run(chain: Epoch, line: Line, parts: Sequence[Segment], made: Sequence[Made]) -> bool:
    """Whether `parts`, up to the end of the line, are single intervals of UTC that full totals enclose, with a record each."""
    if line.unsynced or not parts or len(made) != len(parts):
        return False
    ambiguous = _ambiguity(chain)
    for part in parts:
        before, after = part.before, part.after
        if (
            before is None
            or after is None
            or before.whole is None
            or after.whole is None
            or after.number != before.number + 1
            or len(part.cells) != 1
            or ambiguous(before, after)
        ):
            return False
    return all(one.body["resolution"] == "interval" and one.station == made[0].station for one in made)


def _due_ns(gap: Segment, chain: Epoch) -> int:
    assert gap.after is not None
    assert gap.after.seen_ns is not None
    return gap.after.seen_ns + int(GRACE_INTERVALS * chain.interval_s * NS)


def _totals(part: Segment) -> dict[int, Row]:
    """Full totals at the ends of intervals, by number: from the known ones along counts that were told."""
    totals: dict[int, Row] = {}
    if part.after is not None and part.after.whole is not None:
        number, total = part.after.number, part.after.whole
        totals[number] = total
        for cell in reversed(part.cells):
            if cell.number != number or cell.counts is None:
                break
            number -= 1
            total = tuple(a - b for a, b in zip(total, cell.counts, strict=True))
            totals[number] = total
    if part.before is not None and part.before.whole is not None:
        number, total = part.before.number, part.before.whole
        for cell in part.cells:
            if cell.number != number + 1 or cell.counts is None:
                break
            number += 1
            total = tuple(a + b for a, b in zip(total, cell.counts, strict=True))
            totals.setdefault(number, total)
    return totals
