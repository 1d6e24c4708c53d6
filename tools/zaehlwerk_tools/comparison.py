"""What the platform knows against what the city's table says: channel by channel, quarter-hour by quarter-hour.

Reads only the records that came over MQTT, the table, and the plan's power cuts. Every record is a claim over the
quarter-hours that it counts for; each quarter-hour of each channel must be claimed exactly once and rightly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from zaehlwerk_tools.city_table import Station
from zaehlwerk_tools.local_time import NS, SLOT_S
from zaehlwerk_tools.plan import Outage, OutageKind, Plan
from zaehlwerk_tools.records import ChannelCount, Published

BEFORE_CUT_S = 60
AFTER_CUT_S = 120
"""Around a power cut: what was counted but not yet stored is gone with it, and a board needs a while to start."""


class Verdict(StrEnum):
    """What became of one quarter-hour of one channel."""

    EXACT = "exact"  # published as counted
    NOT_OBSERVED = "not observed"  # the table has no count, and it was published as not observed
    SILENT = "silent"  # the table has zero, of a sensor that the node held for dead: said to be not observed
    IN_SPAN = "in a span"  # the sum over some quarter-hours is exact, which of them is not known
    UNCONFIRMED = "unconfirmed"  # zero where nobody observed, said to be of unknown coverage: claims nothing
    POWER_CUT = "power cut"  # the board had no power: fewer, and marked as not wholly observed
    MISSING = "missing"  # nothing was published for it
    WRONG = "wrong"  # another number was published
    TWICE = "twice"  # more than one record counts for it
    INVENTED = "invented"  # a number, if only zero, where nobody observed
    HIDDEN = "hidden"  # not observed was published where the table has a count


SOUND = frozenset(
    {
        Verdict.EXACT,
        Verdict.NOT_OBSERVED,
        Verdict.SILENT,
        Verdict.IN_SPAN,
        Verdict.UNCONFIRMED,
        Verdict.POWER_CUT,
    }
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One quarter-hour of one channel."""

    slot: int
    table: int | None  # None: not observed
    published: int | None  # None: not observed, or known only as part of a span, or missing
    quality: str  # the record's; empty if there is none
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class SpanShown:
    """A count over several quarter-hours that could not be told apart."""

    slots: tuple[int, ...]
    count: int


@dataclass(frozen=True, slots=True)
class ChannelComparison:
    """One channel over the plan's quarter-hours. Pulses unless said otherwise."""

    channel: str  # the name in the records
    cells: tuple[Cell, ...]
    spans: tuple[SpanShown, ...]
    pulses: int  # in the table
    published: int
    lost: int
    duplicated: int
    misplaced: int  # published, but in another quarter-hour
    unobserved: int  # passed while the board had no power

    def count(self, *verdicts: Verdict) -> int:
        """How many quarter-hours got one of these verdicts."""
        return sum(cell.verdict in verdicts for cell in self.cells)


@dataclass(frozen=True, slots=True)
class StationComparison:
    """One station, its channels in the table's order."""

    station: Station
    channels: tuple[ChannelComparison, ...]

    @property
    def faults(self) -> int:
        """Quarter-hours of channels that are not as they must be."""
        return sum(cell.verdict not in SOUND for channel in self.channels for cell in channel.cells)

    @property
    def exact(self) -> bool:
        """True if nothing was lost, doubled, put elsewhere or shown wrongly."""
        return not self.faults and not any(c.lost or c.duplicated or c.misplaced for c in self.channels)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The whole city."""

    stations: tuple[StationComparison, ...]
    spans: int  # records of resolution span that stand
    strangers: tuple[
        str, ...
    ]  # records of a station or channel that nobody has, or of no place in time; in words
    stranger_pulses: int  # what these count

    def total(self, of: str) -> int:
        """The sum of a ChannelComparison's number over all channels."""
        return sum(getattr(channel, of) for station in self.stations for channel in station.channels)

    def count(self, *verdicts: Verdict) -> int:
        """How many quarter-hours of channels got one of these verdicts."""
        return sum(channel.count(*verdicts) for station in self.stations for channel in station.channels)

    @property
    def exact(self) -> bool:
        """True if the platform knows what the table says, and nothing else."""
        return not self.strangers and all(station.exact for station in self.stations)


def compare(plan: Plan, records: Iterable[Published]) -> Comparison:
    """Compares the standing `records` with the plan's tables."""
    by_channel: dict[tuple[str, str], list[_Claim]] = defaultdict(list)
    known = {(station.slug, channel.name) for station in plan.stations for channel in station.channels}
    strangers: list[str] = []
    stranger_pulses = spans = 0
    for record in records:
        spans += record.resolution == "span"
        for channel in record.channels:
            if (record.station, channel.name) not in known:
                strangers.append(f"{record.id}: nobody has channel '{channel.name}' at '{record.station}'")
                stranger_pulses += channel.count or 0
            else:
                by_channel[record.station, channel.name].append(_Claim.of(record, channel))
    stations = []
    for station in plan.stations:
        dark = _dark_slots(plan.outages, station)
        channels = tuple(
            _compare_channel(station, number, plan.slots, dark, by_channel[station.slug, channel.name])
            for number, channel in enumerate(station.channels)
        )
        stations.append(StationComparison(station, channels))
    return Comparison(tuple(stations), spans, tuple(strangers), stranger_pulses)


@dataclass(frozen=True, slots=True)
class _Claim:
    """What one record says of one channel, and of which slots."""

    slots: tuple[int, ...]
    aligned: bool
    interval: bool
    count: int | None
    quality: str

    @classmethod
    def of(cls, record: Published, channel: ChannelCount) -> _Claim:
        interval = record.resolution == "interval"
        if record.start_s is None or record.end_s is None or record.clock != "utc":
            return cls(
                (), True, interval, channel.count, channel.quality
            )  # of no slot: all it counts is too much
        edges = [record.start_s, record.end_s, *(edge for gap in record.except_s for edge in gap)]
        apart = {slot for start, end in record.except_s for slot in range(start // SLOT_S, end // SLOT_S)}
        whole = range(record.start_s // SLOT_S, -(-record.end_s // SLOT_S))
        slots = tuple(slot for slot in whole if slot not in apart)
        aligned = not any(edge % SLOT_S for edge in edges) and not (interval and len(slots) != 1)
        return cls(slots, aligned, interval, channel.count, channel.quality)


@dataclass(slots=True)
class _Tally:
    """Deficits and surpluses of one channel; a pulse missing here and too much there was misplaced."""

    too_few: int = 0
    too_many: int = 0
    unobserved: int = 0
    cells: dict[int, Cell] = field(default_factory=dict)

    def differ(self, table: int, published: int) -> None:
        self.too_few += max(0, table - published)
        self.too_many += max(0, published - table)


def _compare_channel(
    station: Station, number: int, slots: range, dark: frozenset[int], claims: Sequence[_Claim]
) -> ChannelComparison:
    table = {slot: station.row(slot)[number] for slot in slots}
    tally = _Tally()
    claimed: dict[int, list[int]] = defaultdict(list)
    for index, claim in enumerate(claims):
        for slot in claim.slots:
            claimed[slot].append(index)
    for group in _overlapping(claims, claimed):
        if len(group) > 1:
            _judge_overlap([claims[index] for index in group], table, tally)
        else:
            _judge(claims[group[0]], table, dark, tally)
    for slot, count in table.items():
        if slot not in claimed:
            if slot in dark:
                tally.unobserved += count or 0
            else:
                tally.differ(count or 0, 0)
            verdict = Verdict.POWER_CUT if slot in dark else Verdict.MISSING
            tally.cells[slot] = Cell(slot, count, None, "", verdict)
    misplaced = min(tally.too_few, tally.too_many)
    return ChannelComparison(
        channel=station.channels[number].name,
        cells=tuple(tally.cells[slot] for slot in slots),
        spans=tuple(
            SpanShown(claim.slots, claim.count or 0) for claim in claims if not claim.interval and claim.slots
        ),
        pulses=sum(count or 0 for count in table.values()),
        published=sum(claim.count or 0 for claim in claims),
        lost=tally.too_few - misplaced,
        duplicated=tally.too_many - misplaced,
        misplaced=misplaced,
        unobserved=tally.unobserved,
    )


def _judge(claim: _Claim, table: dict[int, int | None], dark: frozenset[int], tally: _Tally) -> None:
    """A claim whose slots nobody else claims."""
    inside = [slot for slot in claim.slots if slot in table]
    expected = sum(table[slot] or 0 for slot in inside)
    count = claim.count or 0
    observed = any(table[slot] is not None for slot in inside)
    in_the_dark = sum(table[slot] or 0 for slot in inside if slot in dark)
    marked = claim.count is None or claim.quality != "ok"
    if 0 < expected - count <= in_the_dark and marked:
        tally.unobserved += expected - count
        verdict = Verdict.POWER_CUT
    else:
        tally.differ(expected, count)
        verdict = _verdict(claim, expected, observed, any(slot in dark for slot in inside))
    published = claim.count if claim.interval else None
    for slot in inside:
        tally.cells[slot] = Cell(slot, table[slot], published, claim.quality, verdict)


def _verdict(claim: _Claim, expected: int, observed: bool, dark: bool) -> Verdict:
    if not claim.aligned or (claim.count or 0) != expected:
        return Verdict.HIDDEN if claim.count is None else Verdict.WRONG
    if claim.count is None:
        if observed and not dark:
            return Verdict.SILENT if claim.interval and claim.quality == "not_observed" else Verdict.HIDDEN
        return (
            Verdict.NOT_OBSERVED if claim.quality == "not_observed" or not claim.interval else Verdict.WRONG
        )
    if not claim.interval:
        return Verdict.IN_SPAN
    if observed:
        return Verdict.EXACT
    return Verdict.UNCONFIRMED if claim.quality == "unknown" else Verdict.INVENTED


def _judge_overlap(claims: Sequence[_Claim], table: dict[int, int | None], tally: _Tally) -> None:
    """Claims that share slots: only their sums can be compared, and none of them is right."""
    slots = sorted({slot for claim in claims for slot in claim.slots})
    tally.differ(sum(table.get(slot) or 0 for slot in slots), sum(claim.count or 0 for claim in claims))
    for slot in slots:
        if slot in table:
            shown = next((claim for claim in claims if claim.interval and slot in claim.slots), None)
            quality = shown.quality if shown else "unknown"
            tally.cells[slot] = Cell(
                slot, table[slot], shown.count if shown else None, quality, Verdict.TWICE
            )


def _overlapping(claims: Sequence[_Claim], claimed: dict[int, list[int]]) -> Iterable[list[int]]:
    """The claims' indices in groups; two claims that share a slot are in one group."""
    group_of: dict[int, list[int]] = {index: [index] for index in range(len(claims))}
    for indices in claimed.values():
        first = group_of[indices[0]]
        for other in indices[1:]:
            group = group_of[other]
            if group is not first:
                first.extend(group)
                for index in group:
                    group_of[index] = first
    return list({id(group): group for group in group_of.values()}.values())


def _dark_slots(outages: Iterable[Outage], station: Station) -> frozenset[int]:
    """The slots in which the station's board was without power for a part at least."""
    dark: set[int] = set()
    for outage in outages:
        if outage.kind is OutageKind.POWER and outage.station == station.slug:
            start_s, end_s = outage.start_ns // NS - BEFORE_CUT_S, outage.end_ns // NS + AFTER_CUT_S
            dark.update(range(start_s // SLOT_S, -(-end_s // SLOT_S)))
    return frozenset(dark)
