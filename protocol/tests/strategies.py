"""Hypothesis strategies: every frame with any values that it may hold."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from zaehlwerk_protocol import counts, flow, status
from zaehlwerk_protocol.alarm import Alarm
from zaehlwerk_protocol.answer import Answer
from zaehlwerk_protocol.backfill import Backfill
from zaehlwerk_protocol.command import Command
from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.flow import Flow
from zaehlwerk_protocol.frame import Frame
from zaehlwerk_protocol.health import Health
from zaehlwerk_protocol.status import Status

MAX_U32 = 0xFFFFFFFF
u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, MAX_U32)
kinds = st.integers(1, 0xFF)

atoms = st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=5)
values = st.recursive(atoms, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4)
shallow = atoms | st.lists(atoms, max_size=3).map(tuple)
extras = st.lists(shallow, max_size=2).map(tuple).filter(lambda extra: not extra or extra[-1] is not None)


def without_whole_end(pairs: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """Cover as it is carried: whole intervals at its end are left out."""
    while pairs and pairs[-1] == (0, 0):
        pairs = pairs[:-1]
    return pairs


def pair(channels: int) -> st.SearchStrategy[tuple[int, int]]:
    partial = st.tuples(st.integers(1, (1 << channels) - 1), st.integers(0, 254))
    return st.just((0, 0)) | partial


def covers(channels: int, intervals: int) -> st.SearchStrategy[tuple[tuple[int, int], ...]]:
    return st.lists(pair(channels), max_size=intervals).map(tuple).map(without_whole_end)


def row(channels: int, most: int) -> st.SearchStrategy[tuple[int, ...]]:
    count = st.integers(0, 300) | st.integers(0, most)
    return st.tuples(*[count] * channels)


@st.composite
def counts_frames(draw: st.DrawFn, most: int = counts.MAX_COUNT, extra: Any = extras) -> Counts:
    channels = draw(st.integers(1, 8))
    history = tuple(draw(st.lists(row(channels, most), max_size=12)))
    cover = draw(st.just(()) | covers(channels, len(history) + 1))
    totals = draw(st.tuples(*[u16] * channels))
    return Counts(draw(u16), draw(u8), totals, history, cover, draw(extra))


maybe = st.none()


def health(channels: int) -> st.SearchStrategy[Health]:
    channel = st.tuples(st.integers(0, 15), st.integers(0, 15))
    return st.builds(
        Health,
        maybe | st.integers(0, 0xFFFFFF),
        maybe | u32,
        maybe | u8,
        maybe | st.binary(min_size=1, max_size=32),
        maybe | u32,
        maybe | u16,
        maybe | st.integers(-0x8000, 0x7FFF),
        maybe | u32,
        maybe | st.binary(min_size=4, max_size=4),
        maybe | st.tuples(*[channel] * channels),
    )


def quiet_at_the_end_left_out(channels: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    while channels and channels[-1] == (0, 0):
        channels = channels[:-1]
    return channels


def notes(channels: int) -> st.SearchStrategy[tuple[int, tuple[tuple[int, int], ...]]]:
    noted = st.just((0, 0)) | st.tuples(st.integers(1, 0xFFFF), st.integers(1, 100))
    return st.tuples(u16, st.lists(noted, max_size=channels).map(tuple).map(quiet_at_the_end_left_out))


def status_of(channels: int) -> st.SearchStrategy[Status]:
    totals = st.tuples(*[st.integers(0, status.MAX_TOTAL)] * channels)
    return st.builds(
        Status,
        st.just(1),
        u8,
        u32,
        st.integers(1, 86400),
        maybe | st.tuples(u16, totals),
        maybe | st.tuples(u16, u32),
        maybe | health(channels),
        maybe | notes(channels),
        extras,
    )


status_frames = st.integers(1, 8).flatmap(status_of)


@st.composite
def backfill_frames(draw: st.DrawFn) -> Backfill:
    channels = draw(st.integers(1, 8))
    rows = draw(st.lists(st.none() | row(channels, counts.MAX_COUNT), min_size=1, max_size=6))
    pairs = tuple((0, 0) if counted is None else draw(pair(channels)) for counted in rows)
    return Backfill(draw(u16), draw(u8), channels, tuple(rows), without_whole_end(pairs), draw(extras))


speeds = maybe | st.integers(0, flow.MAX_SPEED)
flow_rows = st.tuples(speeds, speeds, maybe | st.integers(0, flow.MAX_OCCUPANCY))


@st.composite
def flow_frames(draw: st.DrawFn) -> Flow:
    first = draw(st.integers(0, 7))
    rows = draw(st.lists(flow_rows, min_size=1, max_size=8 - first))
    return Flow(draw(u16), draw(u8), tuple(rows), first, draw(extras))


alarm_values = st.integers(-0x80000000, MAX_U32)
alarm_frames = st.builds(Alarm, u16, u8, kinds, st.booleans(), u8, maybe | u32, maybe | alarm_values, extras)
answer_frames = st.builds(Answer, u16, kinds, u8, st.lists(shallow, max_size=3).map(tuple), extras)
command_frames = st.builds(Command, u16, kinds, st.lists(shallow, max_size=4).map(tuple), extras)

any_frames: st.SearchStrategy[Frame] = st.one_of(
    counts_frames(),
    status_frames,
    backfill_frames(),
    flow_frames(),
    alarm_frames,
    answer_frames,
    command_frames,
)
