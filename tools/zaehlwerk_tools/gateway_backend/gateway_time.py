"""A gateway's time: GPS time, and the context by which a downlink names the uplink that it answers.

A gateway counts a downlink's delay from the end of an uplink. What it needs for that it puts into the uplink's context;
the network server hands the context back as it was and understands nothing of it.
"""

from __future__ import annotations

NS = 1_000_000_000

GPS_EPOCH_S = 315_964_800
"""6 January 1980 00:00:00 UTC in Unix time: where GPS time begins (IS-GPS-200, 3.3.4)."""

LEAP_SECONDS = 18
"""By which GPS time is ahead of UTC since 1 January 2017 (IERS Bulletin C 52); none has been announced since."""

_CONTEXT_BYTES = 8


def gps_ns(unix_ns: int) -> int:
    """Nanoseconds since the GPS epoch of a moment in UTC Unix nanoseconds."""
    return unix_ns + (LEAP_SECONDS - GPS_EPOCH_S) * NS


def unix_ns(since_gps_epoch_ns: int) -> int:
    """UTC Unix nanoseconds of a moment in nanoseconds since the GPS epoch."""
    return since_gps_epoch_ns - (LEAP_SECONDS - GPS_EPOCH_S) * NS


def context(end_ns: int) -> bytes:
    """The context of an uplink that ended at `end_ns` (UTC Unix nanoseconds)."""
    return end_ns.to_bytes(_CONTEXT_BYTES, "big")


def moment(of_context: bytes) -> int | None:
    """The end of the uplink that a context of ours names; None for one that cannot be ours."""
    return int.from_bytes(of_context, "big") if len(of_context) == _CONTEXT_BYTES else None
