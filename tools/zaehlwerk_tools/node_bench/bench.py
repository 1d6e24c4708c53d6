"""`zaehlwerk bench node`: one line of JSON with what a node costs."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import zaehlwerk_protocol
from zaehlwerk_tools.energy import BOARDS, consumption
from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.micropython_program import find_micropython
from zaehlwerk_tools.node_bench.heap_shares import by_room, heap_shares, in_order, module_sizes
from zaehlwerk_tools.node_bench.virtual_day import Course, Day, run_day
from zaehlwerk_tools.sensors import Kind
from zaehlwerk_tools.simulator.board import BoardError
from zaehlwerk_tools.simulator.board_spec import INTERRUPT_HEAP, SLEEP_HEAP, STUB_HEAP
from zaehlwerk_tools.simulator.firmware_tree import NodeTree, build_tree
from zaehlwerk_tools.simulator.known_boards import KnownBoard

HEAP = 128 * 1024
"""Of the budget: what an ESP32 without PSRAM gives a program beside asyncio and the network's own needs."""
SMALL_HEAP = 104 * 1024
"""The node still runs here, with nothing to spare."""
ROOMY_HEAP = 64 * 1024 * 1024
"""Enough for all that a day allocates."""
BLOCK = 16
"""Bytes of a heap block on 32 bit."""
STEP = 2 * 1024
"""How finely the smallest heap is looked for."""

_STARTED = re.compile(r"^started (\d+)$")
_PEAK = re.compile(r"^heap (\d+) ")
_HOARD = re.compile(r"^hoard (\d+)$")
_LARGEST = re.compile(r"max free sz: (\d+)")

Tell = Callable[[str], None]


def bench_node(
    checkout: Path, board: KnownBoard, sensor: Kind, tell: Tell, *, sleep: bool = False
) -> dict[str, object]:
    """Measure with this kind of sensor, and with light sleep if asked to; `tell` is given a line about each step. Raises ZaehlwerkError where something cannot be run."""
    micropython = find_micropython(checkout, 32).path
    protocol = Path(zaehlwerk_protocol.__file__).parent
    tree = build_tree(checkout / "firmware", protocol, checkout / ".runtime" / "node")
    with tempfile.TemporaryDirectory(prefix="zaehlwerk-bench-") as name:
        runs = _Runs(tree, micropython, Path(name), board, sensor, sleep)
        tell(f"a day with {HEAP // 1024} kB of heap, every peak looked for")
        probed = runs.day(HEAP, probe=True)
        tell(f"a day with {SMALL_HEAP // 1024} kB")
        small = runs.try_day(SMALL_HEAP)
        tell("the smallest heap that is enough")
        smallest = runs.smallest(SMALL_HEAP if small is not None else HEAP)
        tell("a day without collection, for what is allocated")
        allocated = runs.day(ROOMY_HEAP, hoard=True)
    return {
        "board": board.name,
        "sensor": str(sensor),
        "sleep": sleep,
        **heap_at_its_fullest(probed.log, sensor, sleep),
        f"runs_with_{SMALL_HEAP // 1024}k": small is not None,
        "heap_smallest": smallest,
        **_code(checkout / "firmware", tree, micropython, board),
        **_work(probed, allocated),
        **_charge(probed, board),
        "notes": probed.notes,
    }


def heap_at_its_fullest(log: str, sensor: Kind, sleep: bool = False) -> dict[str, int | float]:
    """What the log of a probed day with HEAP says, bytes."""
    stub = STUB_HEAP[32] + (sensor is not Kind.PULSE) * INTERRUPT_HEAP[32] + sleep * SLEEP_HEAP[32]
    started, most, largest = _peaks(log, stub)
    return {
        "heap": HEAP,
        "heap_after_boot": started,
        "heap_live_most": most,
        "heap_free_min_percent": round(100 * (HEAP - most) / HEAP, 1),
        "heap_free_block": largest,
    }


def _code(firmware: Path, tree: NodeTree, micropython: Path, board: KnownBoard) -> dict[str, object]:
    sizes = {name: size for name, size in module_sizes(tree).items() if _is_for(name, board)}
    protocol = Path(zaehlwerk_protocol.__file__).parent
    shares, names = heap_shares(tree, micropython, in_order(firmware, protocol, list(sizes)))
    return {
        "mpy_bytes": sum(sizes.values()),
        "mpy_bytes_per_room": by_room(sizes),
        "heap_per_room": by_room(shares),
        "heap_per_module": shares,
        "names": names,
    }


def _work(day: Day, hoard: Day) -> dict[str, object]:
    return {
        "uplinks": day.uplinks,
        "downlinks": day.downlinks,
        "joins": day.joins,
        "allocated_per_uplink": _hoarded(hoard.log) // hoard.uplinks,
        "cpu_us_per_uplink_here": round(1e6 * hoard.cpu_s / hoard.uplinks),
        "interrupt_allocations": sum("MemoryError" in note for note in day.notes),
        "chip_violations": len(day.violations),
        "duty_cycle_violations": day.duty_cycle_violations,
    }


def _charge(day: Day, board: KnownBoard) -> dict[str, object]:
    """The processor counts as computing while its radio is awake, and as waiting when that and itself are not asleep."""
    observed = sum(day.radio_ns.values())
    calm = sum(day.radio_ns.get(state, 0) for state in ("off", "sleep_cold", "sleep_warm"))
    processor = {
        "active": observed - calm,
        "idle": calm - day.light_sleep_ns,
        "light_sleep": day.light_sleep_ns,
    }
    charge = consumption(BOARDS[board.file], day.radio_ns, processor, observed)
    return {
        "processor_seconds": {state: round(ns / 1e9, 3) for state, ns in processor.items()},
        "radio_seconds": {state: round(ns / 1e9, 3) for state, ns in day.radio_ns.items()},
        "charge_mah_per_day": round(charge.total, 2),
        "charge_mah_per_day_radio": round(sum(charge.radio.values()), 3),
        "charge_mah_per_day_processor": round(sum(charge.processor.values()), 2),
        "charge_mah_per_day_rest": round(sum(charge.rest.values()), 2),
        "charge_left_out": list(charge.left_out),
    }


class _Runs:
    """Days of one board, each in a folder of its own."""

    def __init__(
        self, tree: NodeTree, micropython: Path, folder: Path, board: KnownBoard, sensor: Kind, sleep: bool
    ) -> None:
        self._sensor = sensor
        self._sleep = sleep
        self._tree = tree
        self._micropython = micropython
        self._folder = folder
        self._board = board
        self._count = 0

    def day(self, heap: int, *, probe: bool = False, hoard: bool = False) -> Day:
        self._count += 1
        folder = self._folder / f"day-{self._count}"
        folder.mkdir()
        course = Course(self._board, heap, probe, hoard, sensor=self._sensor, sleep=self._sleep)
        return asyncio.run(run_day(course, self._tree, self._micropython, folder))

    def try_day(self, heap: int) -> Day | None:
        """The day, None if the node had not enough heap for it."""
        try:
            day = self.day(heap)
        except BoardError:
            return None
        return None if any("MemoryError" in note for note in day.notes) else day

    def smallest(self, enough: int) -> int:
        """The smallest heap, in steps, that a day is run with."""
        while self.try_day(enough - STEP) is not None:
            enough -= STEP
        return enough


def _peaks(log: str, stub: int) -> tuple[int, int, int]:
    """(live bytes a minute after the start, at most, largest free block then), without `stub`, the stand-ins' share."""
    started = most = largest = 0
    for line in log.splitlines():
        if found := _STARTED.match(line):
            started = int(found[1])
        elif found := _PEAK.match(line):
            most = int(found[1])
        elif found := _LARGEST.search(line):
            largest = int(found[1]) * BLOCK
    if not most or not started:
        raise ZaehlwerkError("the board's log tells nothing of its heap")
    return started - stub, most - stub, largest


def _hoarded(log: str) -> int:
    """Bytes that were allocated in all."""
    told = [int(found[1]) for line in log.splitlines() if (found := _HOARD.match(line))]
    if not told:
        raise ZaehlwerkError("the board's log tells nothing of its allocations")
    return told[-1] - told[0]


def _is_for(module: str, board: KnownBoard) -> bool:
    """Whether `module` is loaded on this board at some time: not those of other boards and radio chips."""
    room, _, name = module.partition(".")
    if room == "boards" and name:
        return name == board.file
    if room == "radio" and name.startswith("sx"):
        return name.startswith(board.hardware.radio.chip)
    return module not in NOT_THERE


NOT_THERE = frozenset(
    {
        "zaehlwerk_protocol.alarm",
        "zaehlwerk_protocol.flow",
        "zaehlwerk_protocol.frames",
        "zaehlwerk_protocol.receiver",
        "zaehlwerk_protocol.counts_reader",
        "zaehlwerk_protocol.status_reader",
        "zaehlwerk_protocol.backfill_reader",
        "zaehlwerk_protocol.flow_reader",
        "zaehlwerk_protocol.varint_reader",
        "lorawan.certification",
    }
)
"""What a node in production does not load."""
