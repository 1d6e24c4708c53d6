"""After an outage everything is there, once: at the subscriber, interval by interval."""

from __future__ import annotations

from collections import Counter

import pytest

from hil_tests.interface import Rig, Start, until
from hil_tests.needing import needs
from hil_tests.programme import S_US, Line
from zaehlwerk_protocol.backfill import Backfill
from zaehlwerk_protocol.counts import Counts
from zaehlwerk_tools.records import Published

PULSE = [{"class": "bicycle", "sensor": "pulse"}]


def intervals(records: list[Published]) -> dict[int, int | None]:
    """Start to count, of the records that stand."""
    return {
        record.start_s or 0: record.channels[0].count for record in records if record.resolution == "interval"
    }


def changing(minutes: int) -> Line:
    """Another number of pulses each minute, so that none can stand in the place of another."""
    line = Line()
    for minute in range(minutes):
        number = 7 + 11 * minute % 41
        line.burst(number, 60 * S_US // number).pause(60 * S_US - number * (60 * S_US // number) + 1)
    return line


async def judged(rig: Rig, line: Line, outage_s: float, healed_s: float) -> None:
    await rig.begin(Start(PULSE, [line], platform=True))
    await until(rig, lambda: len(rig.air.frames(Counts)) > 3, 600, "counts")
    rig.air.is_deaf = True
    await rig.wait(outage_s)
    rig.air.is_deaf = False
    await rig.wait(max(0.0, line.end_us / S_US - rig.seconds) + healed_s)
    records = await rig.records()
    counts = intervals(records)
    starts = Counter(record.start_s for record in records)
    assert [start for start, times in starts.items() if times > 1] == []
    assert [record for record in records if record.resolution != "interval"] == []
    missing = [start for start in range(min(counts), max(counts), 60) if start not in counts]
    assert missing == []
    assert sum(count or 0 for count in counts.values()) == line.count
    moments = [(rig.begun_ns // 1000 + at) // (60 * S_US) * 60 for at, level in line.edges if level]
    expected = Counter(moments)
    wrong = {
        start: (count, expected[start])
        for start, count in counts.items()
        if abs((count or 0) - expected[start]) > 1
    }
    assert wrong == {}


@pytest.mark.fast
@needs("pulse_generator", "gateway")
async def test_three_quarters_of_an_hour_without_a_gateway(rig: Rig) -> None:
    await judged(rig, changing(60), 2700, 2400)
    assert rig.air.frames(Backfill)


@needs("pulse_generator", "gateway")
async def test_four_hours_without_a_gateway(rig: Rig) -> None:
    await judged(rig, changing(266), 4 * 3600, 9000)
    assert rig.air.frames(Backfill)
