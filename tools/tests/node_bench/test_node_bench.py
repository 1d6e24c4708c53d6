"""What the node's bench measures, and when it says that the budget is broken."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import zaehlwerk_protocol
from tools.tests.simulator.small_city import MICROPYTHON, ROOT
from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.node_bench.bench import HEAP, heap_at_its_fullest
from zaehlwerk_tools.node_bench.command import beyond_budget, run
from zaehlwerk_tools.node_bench.heap_shares import by_room, heap_shares, in_order, module_sizes
from zaehlwerk_tools.node_bench.virtual_day import Course, run_day
from zaehlwerk_tools.sensors import Kind
from zaehlwerk_tools.simulator.firmware_tree import NodeTree, build_tree
from zaehlwerk_tools.simulator.known_boards import KNOWN_BOARDS
from zaehlwerk_tools.simulator.scheduler import NS

PROTOCOL = Path(zaehlwerk_protocol.__file__).parent
MICROPYTHON32 = MICROPYTHON.with_name("micropython32")
GOOD: dict[str, Any] = {
    "sensor": "pulse",
    "heap_free_min_percent": 25.0,
    "heap_free_block": 8192,
    "runs_with_104k": True,
    "heap_smallest": 98_304,
    "interrupt_allocations": 0,
    "chip_violations": 0,
    "duty_cycle_violations": 0,
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> NodeTree:
    if not MICROPYTHON32.exists():
        pytest.skip("this machine has no 32-bit MicroPython")
    return build_tree(ROOT / "firmware", PROTOCOL, tmp_path_factory.mktemp("bench"))


def test_a_node_just_within_its_budget_is_within_it() -> None:
    assert beyond_budget(GOOD) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"heap_free_min_percent": 24.9}, "24.9 % of the heap free"),
        ({"heap_free_block": 8191}, "largest free block 8191 B"),
        ({"runs_with_104k": False}, "does not run with 106496 B"),
        ({"interrupt_allocations": 1}, "interrupt allocations: 1"),
        ({"chip_violations": 2}, "chip violations: 2"),
        ({"duty_cycle_violations": 3}, "duty cycle violations: 3"),
    ],
)
def test_each_part_of_the_budget_can_be_broken(change: dict[str, Any], told: str) -> None:
    (reason,) = beyond_budget({**GOOD, **change})
    assert told in reason


def test_the_small_heap_is_asked_of_the_plain_node_alone() -> None:
    assert beyond_budget({**GOOD, "sensor": "tube", "runs_with_104k": False}) == []


def test_a_board_or_a_sensor_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ZaehlwerkError, match="--board toaster: known are heltec_v3"):
        run("toaster", "pulse", as_json=True)
    with pytest.raises(ZaehlwerkError, match="--sensor nose: known are pulse, contact"):
        run("heltec_v3", "nose", as_json=True)


def test_each_module_is_charged_with_itself_alone(tree: NodeTree) -> None:
    """Whoever imports it first: 1.6 times the size of its file, more or less, and never nothing."""
    sizes = {name: size for name, size in module_sizes(tree).items() if name.startswith("lorawan.")}
    order = in_order(ROOT / "firmware", PROTOCOL, list(module_sizes(tree)))
    assert order.index("lorawan.region") < order.index("lorawan.mac")
    shares, names = heap_shares(tree, MICROPYTHON32, [name for name in order if name in sizes])
    assert set(shares) >= set(sizes)
    assert all(share > 0 for share in shares.values())
    assert by_room(shares)["lorawan"] == sum(shares.values())
    assert names > 100


async def test_an_hour_of_the_day_joins_counts_and_finds_a_peak_within_the_budget(
    tree: NodeTree, tmp_path: Path
) -> None:
    course = Course(KNOWN_BOARDS["heltec_v3"], HEAP, probe=True, seconds=3600)
    day = await run_day(course, tree, MICROPYTHON, tmp_path)
    assert day.joins >= 1
    assert day.uplinks > 4
    assert (day.violations, day.duty_cycle_violations, day.notes) == ([], 0, [])
    heap = heap_at_its_fullest(day.log, Kind.PULSE)
    assert 50_000 < heap["heap_after_boot"] < heap["heap_live_most"]
    assert beyond_budget({**GOOD, **heap}) == []
    assert sum(day.radio_ns.values()) == pytest.approx(3600e9, rel=0.001)


@pytest.mark.parametrize("sensor", [Kind.CONTACT, Kind.PRESENCE])
def test_a_node_with_the_low_power_profile_sleeps_on_the_network_and_breaks_no_rule(
    tree: NodeTree, tmp_path: Path, sensor: Kind
) -> None:
    """Two hours with traffic, on a network that answers: after the lamp's ten minutes it sleeps most of the time."""
    course = Course(KNOWN_BOARDS["heltec_v3"], HEAP, seconds=2 * 3600, sensor=sensor, sleep=True)
    day = asyncio.run(run_day(course, tree, MICROPYTHON32, tmp_path))
    assert day.light_sleep_ns > 0.7 * (2 * 3600 - 600) * NS
    assert day.joins == 1
    assert day.downlinks > 3
    assert day.notes == []
    assert day.violations == []
    assert day.duty_cycle_violations == 0


def test_light_sleep_is_measured_with_sensors_that_allow_it_alone() -> None:
    with pytest.raises(ZaehlwerkError, match="--sleep: not with --sensor pulse"):
        run("heltec_v3", "pulse", as_json=True, sleep=True)
