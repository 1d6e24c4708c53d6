"""What the simulator costs on this machine: `python -m zaehlwerk_tools.simulator.bench --micropython PATH` prints one line of JSON.

Measured with programs of its own, so that it says what a board costs before the firmware does anything.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

from zaehlwerk_tools.simulator.air import Air
from zaehlwerk_tools.simulator.air_frames import Gateway
from zaehlwerk_tools.simulator.board import Board
from zaehlwerk_tools.simulator.board_spec import BoardSpec
from zaehlwerk_tools.simulator.firmware_tree import build_tree
from zaehlwerk_tools.simulator.inputs import PulseInputs
from zaehlwerk_tools.simulator.scheduler import NS, Scheduler

_IDLE = """
import asyncio
async def task():
    while True:
        await asyncio.sleep(30)
async def main():
    for i in range(2):
        asyncio.create_task(task())
        await asyncio.sleep(10)
    await task()
asyncio.run(main())
"""

_QUESTIONS = 20_000
_ASK = f"""
import machine
adc = machine.ADC(1)
for i in range({_QUESTIONS}):
    adc.read_uv()
"""

_START_NS = 1_781_733_600 * NS
_DAY_NS = 86_400 * NS


async def _run(
    program: str, micropython: Path, folder: Path, boards: int, bits: int, span_ns: int
) -> dict[str, float]:
    firmware = folder / "firmware"
    firmware.mkdir(parents=True)
    (firmware / "main.py").write_text(program)
    tree = build_tree(firmware, None, folder / "cache")
    scheduler = Scheduler(_START_NS)
    air = Air(
        scheduler, seed=1, gateways=[Gateway("0000000000000001")], on_uplink=lambda at, payload, heard: None
    )
    city = [
        Board(
            BoardSpec(n + 1, {}, PulseInputs(), _START_NS, bits=bits, may_end=True),
            scheduler=scheduler,
            air=air,
            tree=tree,
            micropython=micropython,
            folder=folder,
        )
        for n in range(boards)
    ]
    began = time.perf_counter()
    for board in city:
        board.start()
    started = time.perf_counter()
    try:
        await scheduler.run(_START_NS + span_ns)
        ended = time.perf_counter()
        cpu = sum(board.cpu_s for board in city)
        memory = max(board.memory_peak_kib for board in city)
    finally:
        for board in city:
            board.stop()
    return {"start_s": started - began, "wall_s": ended - started, "cpu_s": cpu, "memory_kib": memory}


def measure(micropython: Path, *, boards: int, bits: int) -> dict[str, float]:
    """Costs: a question to the simulator, a board's idle day, its start, its memory."""
    with tempfile.TemporaryDirectory(prefix="zaehlwerk-bench-") as name:
        folder = Path(name)
        asked = asyncio.run(_run(_ASK, micropython, folder / "ask", 1, bits, 60 * NS))
        idle = asyncio.run(_run(_IDLE, micropython, folder / "idle", boards, bits, _DAY_NS))
    return {
        "bits": bits,
        "boards": boards,
        "round_trip_us": round(asked["wall_s"] / _QUESTIONS * 1e6, 1),
        "idle_board_day_cpu_s": round(idle["cpu_s"] / boards, 3),
        "idle_day_wall_s": round(idle["wall_s"], 3),
        "start_board_ms": round(idle["start_s"] / boards * 1000, 1),
        "board_memory_kib": idle["memory_kib"],
    }


def main() -> None:
    """Command line of the measurement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--micropython", type=Path, required=True, help="the 64-bit MicroPython")
    parser.add_argument("--boards", type=int, default=4)
    parser.add_argument("--bits", type=int, choices=(64, 32), default=64)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.micropython.resolve(), boards=arguments.boards, bits=arguments.bits)))


if __name__ == "__main__":
    main()
