"""Interval records as a subscriber holds them: what the platform knows, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChannelCount:
    """One channel of a record."""

    name: str
    traffic_class: str
    direction: str
    count: int | None  # None: not observed
    coverage: float | None  # 0..1
    quality: str  # ok, partial, not_observed, inconsistent, unknown


@dataclass(frozen=True, slots=True)
class Published:
    """A record that stands: of the highest revision received, and superseded by none."""

    id: str
    station: str  # slug, as the message has it
    revision: int
    start_s: int | None  # UTC Unix seconds; None: from the beginning (counted before first contact)
    end_s: int | None  # None: could not be placed in time
    clock: str  # utc or unsynced
    resolution: str  # interval or span
    intervals: int | None  # that its counts stand for; None: not known (counted before first contact)
    except_s: tuple[
        tuple[int, int], ...
    ]  # (start, end) of what lies inside a span and is published on its own
    channels: tuple[ChannelCount, ...]
