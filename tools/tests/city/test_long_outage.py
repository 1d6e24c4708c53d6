"""Three days without a gateway: what the node kept arrives quarter-hour by quarter-hour, and nothing new waits for it.

Real firmware, bridge and broker; one station, with the node's ring as it is, and with one that three days wrap.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tools.tests.city.conftest import DAY, Tables, local_times, table_text
from zaehlwerk_protocol import ports
from zaehlwerk_tools import city
from zaehlwerk_tools.comparison import Verdict, compare
from zaehlwerk_tools.local_time import NS, SLOT_S
from zaehlwerk_tools.plan import Outage, OutageKind, Plan
from zaehlwerk_tools.result import CityResult
from zaehlwerk_tools.simulator.firmware_tree import NodeTree

DAYS = 5
BEFORE, OUT, AFTER = 8, 288, 48
"""Quarter-hours with a gateway, without one for three days, and with one again."""
HEADINGS = tuple(f"{n} (Teststraße {way})" for n in range(1, 4) for way in ("stadteinwärts", "stadtauswärts"))
"""Six channels, so that what was missed takes longer to send than a quarter-hour."""
DATA_UP, MIC_BYTES = {2, 4}, 4
"""Message types and the end of a frame (LoRaWAN 1.0.4, sections 4.2.1 and 4)."""
PUNCTUAL_S = 12
"""A frame that is on its way, with its windows, holds up the next one by so much."""
RECORDS, SEGMENTS = 96, 2
"""Records of a segment of app/ring.py; segments of a ring that three days wrap."""
SEGMENTS_OF_A_NODE = "_SEGMENTS = const(32)"


def plan_of(tables: Tables) -> Plan:
    times = [at for n in range(DAYS) for at in local_times(DAY + timedelta(days=n))]
    tables.write(
        "teststrasse.csv", table_text(times, lambda row, channel: (7 * row + channel + 1) % 11, HEADINGS)
    )
    whole = tables.plan(DAY, DAYS)
    workdir = tables.path.parent / "work"
    workdir.mkdir()
    # In the middle of a quarter-hour, as gateways fail.
    begin = whole.start_ns + (BEFORE * SLOT_S + 400) * NS
    return replace(
        whole,
        slots=whole.slots[: BEFORE + OUT + AFTER],
        workdir=workdir,
        loss=0.0,
        outages=(Outage(OutageKind.GATEWAY, "", begin, begin + OUT * SLOT_S * NS),),
    )


def verdicts(plan: Plan, result: CityResult) -> dict[int, Verdict]:
    """What became of each quarter-hour; that of the channels, which must be one."""
    (station,) = compare(plan, result.records).stations
    found = {}
    for slot, cells in zip(plan.slots, zip(*(c.cells for c in station.channels), strict=True), strict=True):
        (found[slot],) = {cell.verdict for cell in cells}
    return found


def heard(result: CityResult, port: int) -> list[int]:
    """When the frames of `port` that a gateway heard were over, UTC Unix ns; the port is sent in the clear."""
    found = []
    for line in result.artifacts["frames.jsonl"].splitlines():
        frame = json.loads(line)
        phy = bytes.fromhex(frame["payload"])
        if frame["direction"] != "up" or frame["lost"] or phy[0] >> 5 not in DATA_UP:
            continue
        at = 8 + (phy[5] & 15)
        if len(phy) > at + MIC_BYTES and phy[at] == port:
            found.append(frame["end_ns"])
    return found


def lateness(result: CityResult, slots: range) -> list[float]:
    """Seconds from the end of each of `slots` to the first count frame after it."""
    counts = heard(result, ports.COUNTS)
    return [
        min(at for at in counts if at >= (slot + 1) * SLOT_S * NS) / NS - (slot + 1) * SLOT_S
        for slot in slots
    ]


def check_lateness(plan: Plan, result: CityResult) -> list[float]:
    """After the outage a quarter-hour is reported as soon as before it. When those reports were due, UTC Unix ns."""
    usual = lateness(result, plan.slots[:BEFORE])
    assert max(usual) - min(usual) < PUNCTUAL_S
    # The first one whose report comes after the gateway is back is that in which it came back.
    live = plan.slots[BEFORE + OUT :]
    assert max(lateness(result, live)) <= max(usual) + PUNCTUAL_S
    return [((slot + 1) * SLOT_S + usual[0]) * NS for slot in live]


async def test_three_days_come_back_exactly_once_and_nothing_new_is_late_for_it(tables: Tables) -> None:
    plan = plan_of(tables)
    result = await city.run_city(plan, lambda _: None)
    assert all(verdict is Verdict.EXACT for verdict in verdicts(plan, result).values())
    due = check_lateness(plan, result)
    (outage,) = plan.outages
    backfill = [at for at in heard(result, ports.BACKFILL) if at > outage.end_ns]
    assert any(min(backfill) < at < max(backfill) for at in due)
    assert result.broken_rules == []


def small_ring(monkeypatch: pytest.MonkeyPatch, copy: Path) -> None:
    """The same firmware with room for SEGMENTS days."""
    build = city.build_tree

    def built(firmware: Path, protocol: Path | None, _cache: Path) -> NodeTree:
        shutil.copytree(firmware, copy, ignore=shutil.ignore_patterns("tests", "__pycache__"))
        ring = copy / "app" / "ring.py"
        text = ring.read_text(encoding="utf-8")
        assert SEGMENTS_OF_A_NODE in text
        assert f"_SEGMENT_RECORDS = const({RECORDS})" in text
        ring.write_text(text.replace(SEGMENTS_OF_A_NODE, f"_SEGMENTS = const({SEGMENTS})"), encoding="utf-8")
        return build(copy, protocol, copy.with_name("tree"))

    monkeypatch.setattr(city, "build_tree", built)


async def test_of_three_days_that_wrap_the_ring_all_that_it_holds_comes_back_and_the_rest_as_a_sum(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small_ring(monkeypatch, tmp_path / "firmware")
    plan = plan_of(tables)
    result = await city.run_city(plan, lambda _: None)
    found = verdicts(plan, result)
    # The newest segment is begun, those before it are full.
    held = plan.slots[BEFORE + OUT - (SEGMENTS - 1) * RECORDS :]
    assert all(found[slot] is Verdict.EXACT for slot in held)
    gone = plan.slots[BEFORE + 1 : BEFORE + OUT - SEGMENTS * RECORDS]
    assert all(found[slot] is Verdict.IN_SPAN for slot in gone)
    assert all(found[slot] is Verdict.EXACT for slot in plan.slots[:BEFORE])
    assert compare(plan, result.records).exact
    check_lateness(plan, result)
    assert result.broken_rules == []
