"""What is kept of a test for the report: frames, totals as they were told, pulses as they were played, starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hil_tests.interface import Rig
from zaehlwerk_protocol.counts import Counts

FILE = "trace.json"
MOST_POINTS = 400


def trace_of(rig: Rig) -> dict[str, Any]:
    """As JSON has it; seconds since the begin."""
    start = rig.started
    if start is None:
        return {}
    begun = rig.begun_ns
    frames = [
        [round((one.begin_ns - begun) / 1e9, 3), one.data_rate, "join" if one.nonce is not None else "data"]
        for one in rig.air.sent
        if one.taken
    ]
    unheard = [
        [round((one.begin_ns - begun) / 1e9, 3), one.data_rate] for one in rig.air.sent if not one.taken
    ]
    totals = [
        [round((one.end_ns - begun) / 1e9, 3), list(one.frame.totals)]
        for one in rig.air.sent
        if one.taken and isinstance(one.frame, Counts)
    ]
    played = []
    for line in start.lines:
        moments = [at for at, level in line.edges if level]
        # A contact that bounces has more edges than passages: the curve ends at the passages.
        share = line.count / len(moments) if moments else 1.0
        every = max(1, len(moments) // MOST_POINTS)
        played.append([[at / 1e6, round((n + 1) * share)] for n, at in enumerate(moments) if n % every == 0])
        if moments:
            played[-1].append([moments[-1] / 1e6, line.count])
    return {
        "frames": frames,
        "unheard": unheard,
        "totals": totals,
        "played": played,
        "starts": rig.starts(),
        "seconds": round(rig.seconds),
    }


def keep(rig: Rig, folder: Path) -> None:
    """Write the trace into the test's folder."""
    (folder / FILE).write_text(json.dumps(trace_of(rig)), encoding="utf-8")


def kept(folder: Path) -> dict[str, Any]:
    """What `keep` wrote; empty where nothing is."""
    try:
        told = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
