"""A whole city: what the boards counted is what the platform knows, whatever failed on the way.

Real MicroPython, Mosquitto, gRPC and SQLite; one station for a day, so that each of these takes seconds.
"""

import contextlib
import dataclasses
import json
import os
import signal
from pathlib import Path

import pytest

from zaehlwerk_tools import city
from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.city_node import WRAP_MS, CityNode, first_boot_ns
from zaehlwerk_tools.comparison import compare
from zaehlwerk_tools.errors import BrokerError
from zaehlwerk_tools.plan import Outage, OutageKind, Plan
from zaehlwerk_tools.request import Request, make_plan
from zaehlwerk_tools.result import CityResult, Progress

NS = 1_000_000_000
MINUTE_NS = 60 * NS
MUENSTER = Path(__file__).resolve().parents[2] / "zaehlwerk_tools" / "data" / "muenster"


def plan_of(workdir: Path, **changes: object) -> Plan:
    request = dataclasses.replace(Request(data=MUENSTER, day="2026-06-18", stations="neutor"), **changes)
    workdir.mkdir(exist_ok=True)
    return make_plan(request, workdir)


async def run(plan: Plan) -> CityResult:
    return await city.run_city(plan, lambda _: None)


def kill(broker: BrokerProcess) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(broker.pid, signal.SIGKILL)


def log_of(result: CityResult) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.artifacts["frames.jsonl"].splitlines()]


async def test_a_day_arrives_to_the_last_bicycle_although_one_uplink_in_ten_is_lost(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    result = await run(plan)
    comparison = compare(plan, result.records)
    assert comparison.exact
    assert comparison.spans == 0
    assert result.settled
    assert result.uplinks_lost > 0
    assert result.broker_dropped == 0
    assert not any("need not repeat" in note for note in result.fallbacks)


async def test_with_half_of_all_frames_lost_every_sum_is_exact_and_no_split_is_invented(
    tmp_path: Path,
) -> None:
    plan = plan_of(tmp_path, loss=0.5)
    result = await run(plan)
    assert result.uplinks_lost > result.uplinks_sent // 3
    assert compare(plan, result.records).exact


async def test_the_same_seed_gives_the_same_frames_and_the_same_ledger_and_another_seed_does_not(
    tmp_path: Path,
) -> None:
    """Also what the bridge asks nodes for by itself goes out at the same moment, however long it takes on the machine."""
    first, again, other = [
        await run(plan_of(tmp_path / name, loss=0.5, seed=seed))
        for name, seed in (("a", 7), ("b", 7), ("c", 8))
    ]
    assert first.artifacts == again.artifacts
    assert sum(entry["direction"] == "down" for entry in log_of(first)) > 10
    assert first.artifacts["frames.jsonl"] != other.artifacts["frames.jsonl"]


async def test_the_wrap_of_a_boards_ticks_within_the_day_leaves_no_mark(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, loss=0.0)
    (station,) = plan.stations
    spec = CityNode.of(1, station, plan.seed).board(plan)
    wrap_ns = spec.boot_ns + (WRAP_MS - spec.ticks_ms) * 1_000_000
    assert first_boot_ns(plan) < wrap_ns < plan.end_ns
    result = await run(plan)
    of_the_day = [
        record
        for record in result.records
        if record.start_s is not None and plan.start_ns <= record.start_s * NS < plan.end_ns
    ]
    assert len(of_the_day) == len(plan.slots)
    proven = [False] * len(station.channels)
    for record in sorted(of_the_day, key=lambda record: record.start_s or 0):
        observed = station.row(record.start_s // 900)
        # Of a sensor that has not counted yet nobody knows whether it can; its first quarter-hour is not whole.
        before, proven = proven, [was or bool(count) for was, count in zip(proven, observed, strict=True)]
        for channel, was, count in zip(record.channels, before, observed, strict=True):
            if was:
                assert channel.quality == ("ok" if count is not None else "not_observed")
            else:
                assert channel.quality in ({"ok", "partial"} if count else {"not_observed"})
    assert any(proven)
    assert wrap_ns > plan.start_ns + 3600 * NS


async def test_a_gateway_outage_of_three_hours_is_healed_to_the_quarter_hour(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    begin = plan.start_ns + 8 * 60 * MINUTE_NS
    plan = dataclasses.replace(
        plan, outages=(Outage(OutageKind.GATEWAY, "", begin, begin + 180 * MINUTE_NS),)
    )
    result = await run(plan)
    silent = [entry for entry in log_of(result) if entry.get("lost") == "gateway out"]
    assert len(silent) >= 10
    comparison = compare(plan, result.records)
    assert comparison.exact
    assert comparison.spans == 0


async def test_a_power_cut_is_marked_and_nothing_is_invented_for_it(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    begin = plan.start_ns + (12 * 60 + 7) * MINUTE_NS
    plan = dataclasses.replace(
        plan, outages=(Outage(OutageKind.POWER, "neutor", begin, begin + 30 * MINUTE_NS),)
    )
    result = await run(plan)
    assert compare(plan, result.records).exact
    cut = [
        record
        for record in result.records
        if record.start_s is not None
        and record.start_s * NS < begin + 30 * MINUTE_NS
        and begin < record.end_s * NS
    ]
    assert cut
    assert all(channel.quality != "ok" for record in cut for channel in record.channels)


async def test_a_broker_that_dies_in_the_middle_ends_the_run_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(city, "PATIENCE_S", 3.0)
    broker = await BrokerProcess.start(tmp_path)
    plan = dataclasses.replace(plan_of(tmp_path / "run"), broker=broker.address)

    def kill_at_noon(progress: Progress) -> None:
        if progress.virtual_ns > plan.start_ns + 12 * 60 * MINUTE_NS:
            kill(broker)

    with pytest.raises(BrokerError, match="broker"):
        await city.run_city(plan, kill_at_noon)
    await broker.stop()


async def test_the_runs_own_broker_must_live_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brokers: list[BrokerProcess] = []
    start = BrokerProcess.start

    async def noted(workdir: Path, port: int | None = None) -> BrokerProcess:
        brokers.append(await start(workdir, port))
        return brokers[-1]

    monkeypatch.setattr(BrokerProcess, "start", noted)
    with pytest.raises(BrokerError, match=r"ended with status -9"):
        await city.run_city(plan_of(tmp_path), lambda _: kill(brokers[0]))


@pytest.mark.skipif(
    not (Path(__file__).resolve().parents[3] / ".runtime" / "bin" / "micropython32").exists(),
    reason="no 32-bit MicroPython in .runtime/: the ESP32's memory layout cannot be had here",
)
async def test_a_day_on_the_esp32s_memory_layout_fits_a_heap_of_128_kb(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, bits=32, stations="goldstrasse")
    result = await run(plan)
    assert compare(plan, result.records).exact
