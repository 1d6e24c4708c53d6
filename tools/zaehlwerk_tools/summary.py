"""The one line for machines: what was played, what arrived, what it cost."""

from __future__ import annotations

import json
from collections.abc import Mapping

from zaehlwerk_tools.comparison import Comparison, Verdict
from zaehlwerk_tools.plan import Plan
from zaehlwerk_tools.result import CityResult

Number = int | float | bool | None


def summary(plan: Plan, result: CityResult, comparison: Comparison) -> Mapping[str, Number]:
    """The numbers of a run; those of the command line's contract first, in its order.

    `pulses`, `published`, `lost`, `duplicated`, `misplaced`, `unobserved`: pulses. `intervals` and what is made of
    them: station x channel x quarter-hour. `payload_bytes_mean`: application payload of the count frames.
    `broker_dropped` is null if the broker does not tell, memory (bytes) if it was not measured.
    `exact` asks for no `broken_rules` too.
    """
    frames = result.count_frames
    return {
        "pulses": comparison.total("pulses"),
        "published": comparison.total("published") + comparison.stranger_pulses,
        "lost": comparison.total("lost"),
        "duplicated": comparison.total("duplicated") + comparison.stranger_pulses,
        "intervals": plan.intervals,
        "intervals_exact": comparison.count(Verdict.EXACT, Verdict.NOT_OBSERVED),
        "spans": comparison.spans,
        "uplinks_sent": result.uplinks_sent,
        "uplinks_lost": result.uplinks_lost,
        "payload_bytes_mean": round(result.count_payload_bytes / frames, 2) if frames else None,
        "broker_dropped": result.broker_dropped,
        "wall_s": round(result.wall_s, 2),
        "virtual_s": round(result.virtual_s, 2),
        "misplaced": comparison.total("misplaced"),
        "unobserved": comparison.total("unobserved"),
        "intervals_in_spans": comparison.count(Verdict.IN_SPAN),
        "intervals_not_observed": comparison.count(Verdict.NOT_OBSERVED),
        "intervals_silent": comparison.count(Verdict.SILENT),
        "intervals_unconfirmed": comparison.count(Verdict.UNCONFIRMED),
        "intervals_power_cut": comparison.count(Verdict.POWER_CUT),
        "intervals_faulty": sum(station.faults for station in comparison.stations),
        "alarms": len(result.alarms),
        "stations": len(plan.stations),
        "channels": plan.channels,
        "messages": result.messages,
        "redelivered": result.redelivered,
        "count_frames": frames,
        "board_memory": result.board_memory,
        "run_memory": result.run_memory,
        "settled": result.settled,
        "broken_rules": len(result.broken_rules),
        "seed": plan.seed,
        "exact": comparison.exact and not result.broken_rules,
    }


def as_line(numbers: Mapping[str, Number]) -> str:
    """`numbers` as one line of JSON."""
    return json.dumps(numbers, separators=(",", ":"))
