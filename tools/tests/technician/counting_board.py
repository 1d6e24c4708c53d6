"""A virtual board that is a node already: flashed, with settings, counting pulses that the test has chosen."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tools.tests.serial_board.conftest import ROOT
from tools.tests.technician.test_provision import NODE
from tools.tests.technician.test_unit import Ended
from zaehlwerk_tools.micropython_program import find_micropython
from zaehlwerk_tools.serial_board.pty_port import PtyPort
from zaehlwerk_tools.serial_board.virtual_board import Options, VirtualBoard, virtual_board
from zaehlwerk_tools.serial_board.wire import Op
from zaehlwerk_tools.simulator.board_wire import MOMENT, Message
from zaehlwerk_tools.simulator.firmware_tree import NodeTree
from zaehlwerk_tools.simulator.flash_image import write_files
from zaehlwerk_tools.simulator.inputs import PulseInputs

KEY = "000102030405060708090a0b0c0d0e0f"
TWO_CHANNELS: dict[str, Any] = {
    **NODE,
    "channels": [
        {"class": "bicycle", "direction": "in", "sensor": "pulse", "pin": 4},
        {"class": "bicycle", "direction": "out", "sensor": "pulse", "pin": 5},
    ],
}
RECORD: dict[str, Any] = {
    "result": "provisioned",
    "dev_eui": NODE["dev_eui"],
    "join_eui": NODE["join_eui"],
    "station": {"name": "Hafenstraße", "tags": {"channels": "inwards,outwards"}},
    "status": 0,
}


@asynccontextmanager
async def counting(
    image: Path,
    stub: NodeTree,
    folder: Path,
    pulses: dict[int, Sequence[int]] | None = None,
    settings: dict[str, Any] | None = None,
) -> AsyncIterator[VirtualBoard]:
    """The node, put together and waiting; `pulses[pin]`: ms from its power-on on. Its record and its port are in `folder`."""
    flash = folder / "boards" / "board-001.flash"
    flash.parent.mkdir(parents=True)
    shutil.copyfile(image, flash)
    document = {**(settings or TWO_CHANNELS), "app_key": KEY}
    write_files(
        find_micropython(ROOT, 64).path,
        stub.stub,
        flash,
        {"settings.json": json.dumps(document).encode()},
    )
    keep_unit(folder)
    port = PtyPort(folder / "board")
    async with virtual_board(Options(slow_flash=False), port, flash.parent, stub) as board:
        begun = time.time_ns()
        schedule = {pin: [begun + ms * 1_000_000 for ms in times] for pin, times in (pulses or {}).items()}
        board.board.spec = replace(board.board.spec, inputs=PulseInputs(schedule))
        await waiting(board)
        yield board


STRUCK = "interrupted in the middle of something"


async def undisturbed(node: VirtualBoard, run: Callable[[], Awaitable[Ended]]) -> Ended:
    """`run`, again where it struck the node at work, which is chance: then the node was started anew and that was told."""
    ended = await run()
    for _ in range(3):
        if STRUCK not in ended.err:
            break
        await waiting(node)
        ended = await run()
    return ended


LONG_NS = 90_000_000
"""No driver waits so long; asyncio's loop does when nothing is due, in pieces of 100 ms."""


async def waiting(board: VirtualBoard) -> None:
    """Until its program waits for long: the node is put together, its radio has started, and nothing is due."""
    waits = asyncio.Event()
    serial = board.board
    before = serial._handlers[Op.WAIT]

    def asked(message: Message) -> None:
        until_ns = serial._clock.world_ns(*MOMENT.unpack(message.payload))
        if until_ns - board.scheduler.now_ns > LONG_NS:
            waits.set()
        before(message)

    serial._handlers[Op.WAIT] = asked
    async with asyncio.timeout(60):
        await waits.wait()
    serial._handlers[Op.WAIT] = before


def keep_unit(folder: Path) -> Path:
    """The unit's record."""
    path = folder / "records" / f"{NODE['dev_eui']}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(RECORD))
    return path
