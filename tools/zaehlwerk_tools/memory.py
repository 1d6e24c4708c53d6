"""How much memory processes took at their peak, from Linux's `/proc`. None wherever that does not say it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

_PROC = Path("/proc")
_KIB = 1024


def peak_bytes(pid: int) -> int | None:
    """The largest resident set that process `pid` ever had; pages shared with others are counted in full."""
    try:
        status = (_PROC / str(pid) / "status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * _KIB
    return None


def largest(pids: Iterable[int]) -> int | None:
    """The peak of the largest of these processes, as long as they live; None if none can be measured."""
    return max((peak for pid in pids if (peak := peak_bytes(pid)) is not None), default=None)


def whole_run() -> int | None:
    """The peaks of this process and of all its living descendants together: an upper bound of the run's memory."""
    peaks = [peak for pid in _family(os.getpid()) if (peak := peak_bytes(pid)) is not None]
    return sum(peaks) if peaks else None


def _family(pid: int) -> Iterator[int]:
    yield pid
    for children in (_PROC / str(pid) / "task").glob("*/children"):
        try:
            listed = children.read_text(encoding="ascii")
        except OSError:
            continue
        for child in listed.split():
            yield from _family(int(child))
