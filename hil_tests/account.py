"""What a node's own frames say of its intervals, put together without any of the bridge's code; and what the air allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from hil_tests.air import Sent
from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.cover import channel_share
from zaehlwerk_protocol.state import UNSYNCED
from zaehlwerk_tools.simulator.duty_cycle import HOUR_NS, SUB_BANDS

WHOLE = 255


@dataclass(frozen=True, slots=True)
class Closed:
    """One interval of the UTC space, from a count frame of its own. `totals` modulo 2^16, `shares` of 255 per channel."""

    index: int
    totals: tuple[int, ...]
    shares: tuple[int, ...]


def closed_intervals(frames: Iterable[Counts]) -> list[Closed]:
    """In the order in which they were told."""
    return [
        Closed(
            frame.index,
            frame.totals,
            tuple(channel_share(frame.cover, 0, channel) for channel in range(len(frame.totals))),
        )
        for frame in frames
        if not frame.state & UNSYNCED
    ]


def broken_history(frames: Iterable[Counts]) -> list[str]:
    """Where two frames say different things of one interval, or counts do not add up to the totals; in words."""
    told: dict[tuple[int, int], tuple[int, ...]] = {}
    totals: dict[tuple[int, int], tuple[int, ...]] = {}
    wrong = []
    for frame in frames:
        if frame.state & UNSYNCED:
            continue
        generation = frame.state & 3
        totals[generation, frame.index] = frame.totals
        for back, row in enumerate(frame.history, 1):
            key = (generation, frame.index - back & 0xFFFF)
            if told.setdefault(key, tuple(row)) != tuple(row):
                wrong.append(f"interval {key[1]}: {told[key]} first, {tuple(row)} later")
    for (generation, index), row in told.items():
        before, after = totals.get((generation, index - 1 & 0xFFFF)), totals.get((generation, index))
        if before is None or after is None:
            continue
        moved = tuple((b - a) & 0xFFFF for a, b in zip(before, after, strict=True))
        if moved != row:
            wrong.append(f"interval {index}: totals moved by {moved}, its count is {row}")
    return wrong


def beyond_duty_cycle(sent: Sequence[Sent]) -> list[str]:
    """Every hour in which a sub-band was used for longer than ETSI EN 300 220 allows, by what gateways heard."""
    wrong = []
    for low, high, share in SUB_BANDS:
        band = [one for one in sent if low <= one.frequency < high]
        for last in band:
            since = last.end_ns - HOUR_NS
            used = sum(
                one.end_ns - max(one.begin_ns, since) for one in band if since < one.end_ns <= last.end_ns
            )
            if used > HOUR_NS * share // 1000:
                wrong.append(
                    f"{used / 1e9:.2f} s of an hour between {low / 1e6} and {high / 1e6} MHz, {share} per mille"
                )
    wrong += [
        f"{one.frequency} Hz is no frequency for devices"
        for one in sent
        if not any(low <= one.frequency < high for low, high, _ in SUB_BANDS)
    ]
    return wrong


def counters_not_rising(data: Sequence[Sent]) -> list[str]:
    """Frames whose counter is not above the one before of the same session. The same frame again is a repetition."""
    last: dict[int | None, Sent] = {}
    wrong = []
    for one in data:
        before = last.get(one.address)
        if before is not None and one.phy != before.phy and (one.counter or 0) <= (before.counter or 0):
            wrong.append(f"FCnt {one.counter} after {before.counter} in session {one.address:08x}")
        last[one.address] = one
    return wrong


def nonces_not_rising(joins: Sequence[Sent]) -> list[str]:
    """Join requests whose DevNonce is not above the one before (TS001-1.0.4 section 6.2.5)."""
    nonces = [one.nonce or 0 for one in joins]
    return [f"DevNonce {b} after {a}" for a, b in pairwise(nonces) if b <= a]
