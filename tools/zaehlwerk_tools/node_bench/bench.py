"""`zaehlwerk bench node`: one line of JSON with what a node costs."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import zaehlwerk_protocol
from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.micropython_program import find_micropython
from zaehlwerk_tools.node_bench.heap_shares import by_room, heap_shares, module_sizes
from zaehlwerk_tools.node_bench.virtual_day import Course, Day, run_day
from zaehlwerk_tools.simulator.board import BoardError
from zaehlwerk_tools.simulator.firmware_tree import NodeTree, build_tree
from zaehlwerk_tools.simulator.known_boards import KnownBoard

HEAP = 128 * 1024
"""Of the budget: what an ESP32 without PSRAM gives a program beside asyncio and the network's own needs."""
SMALL_HEAP = 100 * 1024
"""The node still runs here, with nothing to spare."""
BLOCK = 16
"""Bytes of a heap block on 32 bit."""
STEP = 2 * 1024
"""How finely the smallest heap is looked for."""

_STARTED = re.compile(r"^started (\d+)$")
_PEAK = re.compile(r"^heap (\d+) ")
_LARGEST = re.compile(r"max free sz: (\d+)")

Tell = Callable[[str], None]


def bench_node(checkout: Path, board: KnownBoard, tell: Tell) -> dict[str, object]:
    """Measure; `tell` is given a line about each step. Raises ZaehlwerkError where something cannot be run."""
    micropython = find_micropython(checkout, 32).path
    # The stand-ins name the 64-bit program and find the 32-bit one beside it.
    protocol = Path(zaehlwerk_protocol.__file__).parent
    tree = build_tree(checkout / "firmware", protocol, checkout / ".runtime" / "node")
    sizes = module_sizes(tree)
    with tempfile.TemporaryDirectory(prefix="zaehlwerk-bench-") as name:
        runs = _Runs(tree, micropython, Path(name), board)
        tell(f"a day with {HEAP // 1024} kB of heap, every peak looked for")
        probed = runs.day(HEAP, probe=True)
        tell(f"a day with {SMALL_HEAP // 1024} kB")
        small = runs.try_day(SMALL_HEAP)
        tell("the smallest heap that is enough")
        smallest = runs.smallest(SMALL_HEAP if small is not None else HEAP)
    boot, most, largest = _peaks(probed.log)
    loaded = [name for name in sizes if not _is_another_board(name, board)]
    shares = heap_shares(tree, micropython, loaded)
    return {
        "board": board.name,
        "heap": HEAP,
        "heap_after_boot": boot,
        "heap_live_most": most,
        "heap_free_min_percent": round(100 * (HEAP - most) / HEAP, 1),
        "heap_free_block": largest,
        f"runs_with_{SMALL_HEAP // 1024}k": small is not None,
        "heap_smallest": smallest,
        "heap_per_room": by_room(shares),
        "heap_per_module": shares,
        "mpy_bytes": sum(sizes[name] for name in loaded),
        "mpy_bytes_per_room": by_room({name: sizes[name] for name in loaded}),
        "uplinks": probed.uplinks,
        "downlinks": probed.downlinks,
        "joins": probed.joins,
        "chip_violations": len(probed.violations),
        "duty_cycle_violations": probed.duty_cycle_violations,
        "interrupt_allocations": 0 if not _allocates(probed) else 1,
        "radio_seconds": {state: round(ns / 1e9, 3) for state, ns in probed.radio_ns.items()},
        "notes": probed.notes,
    }


class _Runs:
    """Days of one board, each in a folder of its own."""

    def __init__(self, tree: NodeTree, micropython: Path, folder: Path, board: KnownBoard) -> None:
        self._tree = tree
        self._micropython = micropython
        self._folder = folder
        self._board = board
        self._count = 0

    def day(self, heap: int, *, probe: bool = False) -> Day:
        self._count += 1
        folder = self._folder / f"day-{self._count}"
        folder.mkdir()
        course = Course(self._board, heap, probe)
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


def _peaks(log: str) -> tuple[int, int, int]:
    """(live bytes a minute after the start, at most, largest free block then), from the board's log."""
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
    return started, most, largest


def _is_another_board(module: str, board: KnownBoard) -> bool:
    return module.startswith("boards") and module not in {"boards", f"boards.{board.file}"}


def _allocates(day: Day) -> bool:
    return any("MemoryError" in note for note in day.notes)
