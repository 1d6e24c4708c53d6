"""Small cities for the tests: boards that run a few lines of MicroPython, with a clock, an air and a scripted gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from zaehlwerk_tools.simulator.air import Air
from zaehlwerk_tools.simulator.air_frames import Gateway, Heard
from zaehlwerk_tools.simulator.board import Board
from zaehlwerk_tools.simulator.board_spec import BoardSpec
from zaehlwerk_tools.simulator.firmware_tree import NodeTree
from zaehlwerk_tools.simulator.flash_image import read_file
from zaehlwerk_tools.simulator.inputs import PulseInputs
from zaehlwerk_tools.simulator.propagation import Place
from zaehlwerk_tools.simulator.scheduler import NS, Scheduler

ROOT = Path(__file__).resolve().parents[3]
MICROPYTHON = ROOT / ".runtime" / "bin" / "micropython"
START_NS = 1_781_733_600 * NS  # 2026-06-17 22:00 UTC
GATEWAY = "0102030405060708"

Uplink = tuple[int, bytes, Heard]


@dataclass
class City:
    """Boards run `programs` (their main.py) from START_NS on; results are read from their logs."""

    folder: Path
    build: Callable[[str], NodeTree]
    seed: int = 1
    gateways: list[Gateway] = field(default_factory=lambda: [Gateway(GATEWAY)])
    places: dict[int, Place] = field(default_factory=dict)
    loss: float = 0.0
    pace: float | None = None
    on_uplink: Callable[[City, int, bytes, Heard], None] | None = None
    uplinks: list[Uplink] = field(default_factory=list)
    boards: list[Board] = field(default_factory=list)

    def begin(self) -> None:
        self.scheduler = Scheduler(START_NS, pace=self.pace, stall_s=20)
        self.air = Air(
            self.scheduler,
            seed=self.seed,
            gateways=self.gateways,
            on_uplink=self._hear,
            uplink_loss=self.loss,
            places=self.places or {n: Place(100.0 * n, 0.0) for n in range(1, 9)},
        )

    def _hear(self, at_ns: int, payload: bytes, heard: Heard) -> None:
        self.uplinks.append((at_ns, payload, heard))
        if self.on_uplink is not None:
            self.on_uplink(self, at_ns, payload, heard)

    def add(self, program: str, inputs: PulseInputs | None = None, **changes: Any) -> Board:
        if not hasattr(self, "scheduler"):
            self.begin()
        if changes.get("bits") == 32 and not MICROPYTHON.with_name("micropython32").exists():
            pytest.skip("this machine has no 32-bit MicroPython")
        spec = BoardSpec(
            len(self.boards) + 1, {}, inputs or PulseInputs(), START_NS, may_end=True, seed=self.seed
        )
        board = Board(
            replace(spec, **changes),
            scheduler=self.scheduler,
            air=self.air,
            tree=self.build(program),
            micropython=MICROPYTHON,
            folder=self.folder,
        )
        self.boards.append(board)
        return board

    async def run_async(self, seconds: float) -> None:
        try:
            for board in self.boards:
                board.start()
            await self.scheduler.run(START_NS + round(seconds * NS))
        finally:
            for board in self.boards:
                board.stop()

    def run(self, seconds: float) -> list[str]:
        """Run all boards for so long; what the first one printed."""
        asyncio.run(self.run_async(seconds))
        return self.printed(self.boards[0])

    def printed(self, board: Board) -> list[str]:
        return [line for line in board.log.read_text().splitlines() if not line.startswith("--- ")]

    def read(self, board: Board, path: str) -> bytes | None:
        return read_file(MICROPYTHON, self.build("").stub, board.flash, path)
