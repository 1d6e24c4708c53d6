"""The fold: cells of one chain are merged, their neighbourhood is resolved anew, and what changed becomes messages."""

import sqlite3
from collections.abc import Callable, Sequence
from itertools import pairwise

from zaehlwerk_bridge.ledger.cell import Cell, Row
from zaehlwerk_bridge.ledger.cell_table import CellTable
from zaehlwerk_bridge.ledger.epochs import Epoch
from zaehlwerk_bridge.ledger.gap_table import REACH, GapTable
from zaehlwerk_bridge.ledger.record import body, record_id
from zaehlwerk_bridge.ledger.record_table import Made, RecordTable, body_text
from zaehlwerk_bridge.ledger.segment import Draft, Kind, Resolved, before_first, between, is_ambiguous
from zaehlwerk_bridge.ledger.whole import whole_totals
from zaehlwerk_bridge.messages import Message, Messages
from zaehlwerk_bridge.station import Station

NS = 1_000_000_000
GRACE_INTERVALS = 2.5
"""So long a gap waits after the frame that ends it: the next two frames' history may still resolve it."""
RECORDS_A_MESSAGE = 50
"""Intervals that belong to no healing need not share a message; more of them are split."""


class Fold:
    """Folds in the transaction of `database`. `station_of` gives a station by its slug."""

    def __init__(
        self, database: sqlite3.Connection, messages: Messages, station_of: Callable[[str], Station]
    ) -> None:
        self.cells = CellTable(database)
        self.gaps = GapTable(database)
        self.records = RecordTable(database)
        self._messages = messages
        self._station_of = station_of

    def add(self, chain: Epoch, max_rate: int, cells: Sequence[Cell], now_ns: int) -> list[Message]:
        """Fold `cells` into the chain; returns what the platform has to be told."""
        changed = [new for new in (self.cells.merge(chain.chain, cell) for cell in cells) if new is not None]
        if not changed:
            return []
        ends = [*changed, *self._whole_totals(chain, max_rate, changed)]
        first = min(ends, key=_key)
        last = max(ends, key=_key)
        before = self.cells.point_before(chain.chain, first)
        after = self.cells.point_from(chain.chain, last)
        if after is not None and after.key == last.key:
            # A total that became known, or whole, bears on the segment behind it too.
            after = self.cells.point_after(chain.chain, last)
        return self.refold(chain, max_rate, before, after, now_ns)

    def _whole_totals(self, chain: Epoch, max_rate: int, changed: Sequence[Cell]) -> list[Cell]:
        """Carry full totals to the cells that they now reach; returns those."""
        points = [cell for cell in changed if cell.total is not None]
        if not points:
            return []
        if len(points) == 1 and points[0].anchor is None:
            point = points[0]
            before = self.cells.point_before(chain.chain, point)
            if before is not None and self.cells.point_after(chain.chain, point) is None:
                whole = whole_totals(
                    [_anchored(before), point],
                    lambda one, other: is_ambiguous(one, other, chain.interval_s, max_rate),
                )[1]
                if whole == point.whole:
                    return []
                return [self.cells.set_whole(chain.chain, point, whole)]
        every = self.cells.points(chain.chain)
        wholes = whole_totals(every, lambda one, other: is_ambiguous(one, other, chain.interval_s, max_rate))
        return [
            self.cells.set_whole(chain.chain, point, whole)
            for point, whole in zip(every, wholes, strict=True)
            if whole != point.whole
        ]

    def refold(
        self, chain: Epoch, max_rate: int, before: Cell | None, after: Cell | None, now_ns: int
    ) -> list[Message]:
        """Resolve (before, after] anew, None: from the beginning, or to the end; returns what changed."""
        cells = self.cells.cells(chain.chain, before, after)
        live = self.records.live(chain.chain, before, after)
        spans_stand = any(resolution == "span" for _, resolution, _ in live.values())
        drafts: list[tuple[Draft, Row | None]] = []
        for start, end, within in _segments(before, cells):
            found = self._resolve(chain, max_rate, start, end, within)
            due_ns = None if end is None or end.seen_ns is None else end.seen_ns + _grace_ns(chain)
            waits = found.gap is not None and due_ns is not None and now_ns < due_ns and not spans_stand
            if found.held and spans_stand:
                return []  # what stands is exact; what would replace it cannot be told yet
            if end is not None:
                self._note_gap(chain, end, found, within, due_ns, waits=waits)
            totals = _totals(start, end, within)
            drafts += [
                (draft, totals.get(draft.last.key))
                for draft in found.drafts
                if not (waits and draft is found.span)
            ]
        return self._tell(
            chain, [made for made in (self._made(chain, *pair) for pair in drafts) if made], live
        )

    def _resolve(
        self, chain: Epoch, max_rate: int, start: Cell | None, end: Cell | None, within: Sequence[Cell]
    ) -> Resolved:
        if end is None:
            # Behind the last total: counts that history or backfill told are certain.
            return Resolved(
                tuple(
                    Draft(Kind.INTERVAL, cell, cell, cell.counts)
                    for cell in within
                    if cell.counts is not None
                )
            )
        if start is None:
            return before_first(end, within)
        return between(start, end, within, ambiguous=is_ambiguous(start, end, chain.interval_s, max_rate))

    def _note_gap(
        self,
        chain: Epoch,
        end: Cell,
        found: Resolved,
        within: Sequence[Cell],
        due_ns: int | None,
        *,
        waits: bool,
    ) -> None:
        if found.gap is None or not (found.held or found.span):
            self.gaps.drop(chain.chain, end)
            return
        missing = {cell.number for cell in within if cell.missing and cell.unsynced == found.gap.unsynced}
        unknown = set(range(found.gap.first, found.gap.last + 1)) - missing
        newest = self.cells.newest_number(chain.chain, unsynced=found.gap.unsynced) or 0
        can_help = bool(unknown) and max(unknown) > newest - REACH
        self.gaps.put(chain.chain, end, found.gap, due_ns if waits else None, due_ns if can_help else None)

    def _made(self, chain: Epoch, draft: Draft, total: Row | None) -> Made | None:
        slug = draft.last.station or (draft.first.station if draft.first else None)
        if slug is None:
            known = self.cells.point_from(chain.chain, draft.last) or self.cells.point_before(
                chain.chain, draft.last
            )
            slug = known.station if known else None
        if slug is None:
            return None
        record = record_id(slug, chain.epoch, draft)
        placed = not draft.last.unsynced or self._is_placed(chain, draft.last)
        made = body(draft, record, self._station_of(slug), chain.interval_s, placed=placed, total=total)
        return Made(slug, draft.last, made)

    def _is_placed(self, chain: Epoch, cell: Cell) -> bool:
        return self._placed(chain.chain, cell.number)

    _placed: Callable[[int, int], bool]

    def places_by(self, placed: Callable[[int, int], bool]) -> None:
        """Set how to tell whether an interval of the node's own numbering has a place in time: (chain, number)."""
        self._placed = placed

    def _tell(
        self, chain: Epoch, made: Sequence[Made], live: dict[str, tuple[str, str, str]]
    ) -> list[Message]:
        stands = {one.body["id"] for one in made}
        changed = [one for one in made if live.get(one.body["id"], ("", "", ""))[2] != body_text(one.body)]
        gone = [(record, station) for record, (station, _, _) in live.items() if record not in stands]
        messages: list[Message] = []
        for slug in sorted({one.station for one in changed} | {station for _, station in gone}):
            records = [self.records.write(chain.chain, one) for one in changed if one.station == slug]
            if not records:
                continue
            buried = sorted(record for record, station in gone if station == slug)
            for record in buried:
                self.records.bury(record)
            healing = bool(buried) or any(record["resolution"] == "span" for record in records)
            step = len(records) if healing else RECORDS_A_MESSAGE
            for at in range(0, len(records), step):
                messages.append(self._messages.records(slug, records[at : at + step], buried))
            newest = max(
                (one for one in records if one["resolution"] == "interval" and one["end"]),
                key=lambda one: str(one["end"]),
                default=None,
            )
            if newest is not None and self.records.is_newest(slug, newest["id"]):
                messages.append(self._messages.last(slug, newest))
        return messages


def _key(cell: Cell) -> tuple[int, int, int]:
    return cell.key


def _grace_ns(chain: Epoch) -> int:
    return int(GRACE_INTERVALS * chain.interval_s * NS)


def _anchored(point: Cell) -> Cell:
    """`point` with its derived full totals as if a status frame had given them."""
    return (
        point
        if point.whole is None
        else Cell(
            point.unsynced,
            point.number,
            point.at_s,
            total=point.total,
            seen_ns=point.seen_ns,
            anchor=point.whole,
        )
    )


def _segments(
    before: Cell | None, cells: Sequence[Cell]
) -> list[tuple[Cell | None, Cell | None, list[Cell]]]:
    """(known total, next known total, cells in between and at its end); the last may lack its end."""
    found: list[tuple[Cell | None, Cell | None, list[Cell]]] = []
    within: list[Cell] = []
    for cell in cells:
        within.append(cell)
        if cell.total is not None:
            found.append((before, cell, within))
            before, within = cell, []
    if within:
        found.append((before, None, within))
    return found


def _totals(start: Cell | None, end: Cell | None, within: Sequence[Cell]) -> dict[tuple[int, int, int], Row]:
    """Full totals at the ends of intervals, by key: from the known ones along counts that are known."""
    totals: dict[tuple[int, int, int], Row] = {}
    if end is not None and end.whole is not None:
        total = end.whole
        totals[end.key] = total
        for later, earlier in pairwise(reversed(within)):
            if later.counts is None or not _follows(earlier, later):
                break
            total = tuple(a - b for a, b in zip(total, later.counts, strict=True))
            totals[earlier.key] = total
    if start is not None and start.whole is not None:
        total = start.whole
        for earlier, later in pairwise([start, *within]):
            if later.counts is None or not _follows(earlier, later):
                break
            total = tuple(a + b for a, b in zip(total, later.counts, strict=True))
            totals.setdefault(later.key, total)
    return totals


def _follows(earlier: Cell, later: Cell) -> bool:
    return earlier.unsynced == later.unsynced and later.number == earlier.number + 1
