"""Whole nodes with every kind of sensor: what passes while a node sends, listens, stores and collects is counted too.

Real firmware, bridge and broker; one station whose busy quarter-hours are at the limit of what its sensor can tell apart.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from zaehlwerk_tools import city
from zaehlwerk_tools.city_node import CityNode
from zaehlwerk_tools.comparison import compare
from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.local_time import SLOT_S
from zaehlwerk_tools.plan import Plan
from zaehlwerk_tools.pulses import GUARD_S
from zaehlwerk_tools.request import Request, make_plan
from zaehlwerk_tools.result import CityResult
from zaehlwerk_tools.sensors import LIMITS, Equipment, Kind, equip
from zaehlwerk_tools.simulator.scheduler import NS

DAY = date(2026, 6, 18)
BUSY = range(32, 34)
"""Two quarter-hours from 8:00 on; quiet ones come before."""
SENSORS = [kind for kind in Kind if kind is not Kind.PULSE]
MUENSTER = Path(city.__file__).parent / "data" / "muenster"


def most(kind: Kind) -> int:
    """As many passages as a channel of that kind can have in a quarter-hour, and some less for where two share them."""
    limits = LIMITS[kind]
    fit = int((SLOT_S - 2 * (GUARD_S + limits.settle_s)) / limits.gap_s)
    return fit // 2 if kind in {Kind.DIRECTION, Kind.TUBE} else min(fit, 1000)


def table(folder: Path, count: int, quiet: int = 1) -> Path:
    """A day of one station with two channels."""
    folder.mkdir()
    begin = datetime.combine(DAY, datetime.min.time())
    rows = ["start_local,1 (Teststraße stadteinwärts),2 (Teststraße stadtauswärts)"]
    for n in range(96):
        there = count if n in BUSY else quiet
        rows.append(f"{begin + timedelta(minutes=15 * n):%Y-%m-%d %H:%M},{there},{there}")
    (folder / "test.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def plan_of(folder: Path, kind: str, count: int, **changes: object) -> Plan:
    """The morning of that day, to the end of the busy half hour."""
    workdir = folder / "work"
    workdir.mkdir()
    request = Request(data=table(folder / "tables", count), sensors=kind)
    plan = make_plan(replace(request, **changes), workdir)  # type: ignore[arg-type]
    return replace(plan, slots=plan.slots[BUSY.start - 2 : BUSY.stop])


def busy_radio(result: CityResult) -> list[tuple[int, int]]:
    """From the begin of each transmission to the end of its second window, ns."""
    frames = [json.loads(line) for line in result.artifacts["frames.jsonl"].splitlines()]
    return [
        (frame["start_ns"], frame["end_ns"] + 2_100_000_000) for frame in frames if frame["direction"] == "up"
    ]


def edges_of(plan: Plan) -> list[int]:
    """When something happened at the station's pins."""
    station = plan.stations[0]
    equipment = Equipment(plan.kinds[station.id], station, plan.slots, plan.seed)
    _, inputs = equipment.wired(range(1, 20))
    times = [at for train in inputs.trains.values() for at in train.times]
    for line in inputs.serial.values():
        times += [at for n in range(0, len(line.data), 40) if (at := line.arrival(n)) is not None]
    return times


@pytest.mark.parametrize("kind", SENSORS)
async def test_a_busy_station_is_exact_whatever_its_node_does_meanwhile(tmp_path: Path, kind: Kind) -> None:
    """A quarter of all frames is lost, so that the node sends more; passages come while it sends and listens."""
    plan = plan_of(tmp_path, kind, most(kind), loss=0.25)
    assert plan.notes == ()
    result = await city.run_city(plan, lambda _: None)
    comparison = compare(plan, result.records)
    assert comparison.exact, [
        (channel.channel, cell) for channel in comparison.stations[0].channels for cell in channel.cells
    ]
    assert result.broken_rules == []
    windows, edges = busy_radio(result), edges_of(plan)
    assert sum(any(begin <= at < end for begin, end in windows) for at in edges) > 20


@pytest.mark.skipif(
    not (Path(__file__).resolve().parents[3] / ".runtime" / "bin" / "micropython32").exists(),
    reason="no 32-bit MicroPython in .runtime/: the ESP32's memory layout cannot be had here",
)
async def test_with_the_esp32_s_memory_a_node_of_several_channels_is_exact_too(tmp_path: Path) -> None:
    """32 bit and 128 kB of heap: three channels of two contacts."""
    plan = plan_of(tmp_path, Kind.DIRECTION, 300, bits=32)
    result = await city.run_city(plan, lambda _: None)
    assert compare(plan, result.records).exact


async def test_a_power_cut_in_the_busiest_minute_is_marked_and_all_else_exact(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, Kind.CONTACT, 1000, outages=("power:test@08:10+5",))
    result = await city.run_city(plan, lambda _: None)
    comparison = compare(plan, result.records)
    assert comparison.exact
    assert 0 < comparison.total("unobserved") < 1500


def test_the_passages_of_every_kind_are_as_many_as_the_table_has_and_keep_their_distance(
    tmp_path: Path,
) -> None:
    for kind in SENSORS:
        folder = tmp_path / kind
        folder.mkdir()
        plan = plan_of(folder, kind, most(kind))
        station = plan.stations[0]
        equipment = Equipment(plan.kinds[station.id], station, plan.slots, plan.seed)
        gap = round(LIMITS[kind].gap_s * NS)
        shared = [[0, 1]] if kind is Kind.DIRECTION else [[n] for n in range(len(station.channels))]
        for channels in shared:
            begins = list(equipment._begins(channels))
            for n, channel in enumerate(channels):
                per_slot = [0] * len(plan.slots)
                for at, which in begins:
                    per_slot[at // (SLOT_S * NS) - plan.slots.start] += which == n
                assert per_slot == [station.row(slot)[channel] for slot in plan.slots]
            times = [at for at, _ in begins]
            assert all(
                b - a >= gap for a, b in itertools.pairwise(times) if a // (SLOT_S * NS) == b // (SLOT_S * NS)
            )


def test_what_does_not_fit_a_kind_is_counted_by_contacts_and_said(tmp_path: Path) -> None:
    """More passages than tubes can tell apart in a quarter-hour."""
    plan = plan_of(tmp_path, Kind.TUBE, 400)
    assert plan.kinds == {"test": Kind.CONTACT}
    assert len(plan.stations[0].channels) == 2
    assert "no tube sensor fits" in plan.notes[0]


def test_a_mix_takes_all_kinds_in_turn(tmp_path: Path) -> None:
    request = Request(data=MUENSTER, day="2026-06-18", sensors="mix")
    plan = make_plan(request, tmp_path)
    assert set(plan.kinds.values()) == set(SENSORS)
    assert plan.pulses == 146_121
    nodes = [CityNode.of(n, station, 1) for n, station in enumerate(plan.stations, 1)]
    documents = [json.loads(node.board(plan).files["settings.json"]) for node in nodes[:6]]
    assert [document["channels"][0]["sensor"] for document in documents] == list(Kind)


def test_without_being_asked_a_city_counts_pulses_as_before(tmp_path: Path) -> None:
    plan = make_plan(Request(data=MUENSTER, day="2026-06-18"), tmp_path)
    assert plan.kinds == {}
    assert not any(
        CityNode.of(n, station, 1).board(plan).inputs.interrupting
        for n, station in enumerate(plan.stations, 1)
    )


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(ZaehlwerkError, match="--sensors lidar: expected one of pulse, contact"):
        equip([], range(0), "lidar")
