"""Moments as protobuf timestamps, and back."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from zaehlwerk_tools.network_server.scheduler import NS_PER_S


def to_timestamp(unix_ns: int | None) -> Timestamp | None:
    """Nanoseconds of UTC Unix time as a timestamp; None stays None, which leaves the field out."""
    if unix_ns is None:
        return None
    return Timestamp(seconds=unix_ns // NS_PER_S, nanos=unix_ns % NS_PER_S)


def from_timestamp(moment: Timestamp) -> int:
    """A timestamp as nanoseconds of UTC Unix time."""
    return int(moment.seconds * NS_PER_S + moment.nanos)
