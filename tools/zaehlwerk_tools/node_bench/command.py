"""`zaehlwerk bench node` for people and machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.node_bench.bench import SMALL_HEAP, bench_node
from zaehlwerk_tools.sensors import Kind
from zaehlwerk_tools.simulator.known_boards import KNOWN_BOARDS

CHECKOUT = Path(__file__).resolve().parents[3]
EXIT_WITHIN, EXIT_BEYOND = 0, 1
LEAST_FREE_PERCENT = 25.0
LEAST_BLOCK = 8 * 1024
"""The budget: of 128 kB, at the lowest point of a day."""
_RUNS_SMALL = f"runs_with_{SMALL_HEAP // 1024}k"


def run(board: str, sensor: str, *, as_json: bool, sleep: bool = False) -> int:
    """Measure, tell; the exit status. ZaehlwerkError for a board or sensor that nobody knows, or what cannot be run; sleep: with
    the low-power profile."""
    known = KNOWN_BOARDS.get(board)
    if known is None:
        raise ZaehlwerkError(f"--board {board}: known are {', '.join(KNOWN_BOARDS)}")
    if sensor not in list(Kind):
        raise ZaehlwerkError(f"--sensor {sensor}: known are {', '.join(Kind)}")
    if sleep and sensor not in (Kind.CONTACT, Kind.PRESENCE):
        raise ZaehlwerkError(
            f"--sleep: not with --sensor {sensor}, only with {Kind.CONTACT} and {Kind.PRESENCE}"
        )
    aside = Console(stderr=True)
    with aside.status("measuring") as status:
        numbers = bench_node(
            CHECKOUT, known, Kind(sensor), lambda told: status.update(f"measuring: {told}"), sleep=sleep
        )
    broken = beyond_budget(numbers)
    if as_json:
        sys.stdout.write(json.dumps(numbers, separators=(",", ":")) + "\n")
    else:
        people = Console()
        people.print(_table(numbers))
        for told in broken:
            people.print(f"beyond the budget: {told}", markup=False, highlight=False)
    return EXIT_BEYOND if broken else EXIT_WITHIN


def beyond_budget(numbers: Mapping[str, object]) -> list[str]:
    """What does not keep within the budget, in words."""
    told = []
    free, block = float(str(numbers["heap_free_min_percent"])), int(str(numbers["heap_free_block"]))
    if free < LEAST_FREE_PERCENT:
        told.append(f"{free} % of the heap free at the lowest point, {LEAST_FREE_PERCENT} % are asked for")
    if block < LEAST_BLOCK:
        told.append(f"largest free block {block} B, {LEAST_BLOCK} B are asked for")
    # The small heap is asked of the plain node; what a sensor takes comes on top.
    if numbers["sensor"] == Kind.PULSE and not numbers[_RUNS_SMALL]:
        told.append(f"does not run with {SMALL_HEAP} B of heap, only from {numbers['heap_smallest']} B on")
    return told + [
        f"{name.replace('_', ' ')}: {numbers[name]}, none are allowed"
        for name in ("interrupt_allocations", "chip_violations", "duty_cycle_violations")
        if numbers[name]
    ]


def _table(numbers: Mapping[str, object]) -> Table:
    table = Table("what", "value", title=f"node on {numbers['board']}", box=None, pad_edge=False)
    for name, value in numbers.items():
        if isinstance(value, dict):
            told = ", ".join(f"{key} {number}" for key, number in value.items() if number)
        elif isinstance(value, list):
            told = ", ".join(map(str, value)) or "none"
        else:
            told = str(value)
        if name != "heap_per_module":
            table.add_row(name.replace("_", " "), told)
    return table
