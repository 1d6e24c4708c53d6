"""A board, its air and its port, as one thing that can be plugged in and pulled out."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.micropython_program import find_micropython
from zaehlwerk_tools.serial_board.board import SerialBoard
from zaehlwerk_tools.serial_board.line import PacedQueue
from zaehlwerk_tools.serial_board.port import Port
from zaehlwerk_tools.simulator.air import Air
from zaehlwerk_tools.simulator.air_frames import Gateway, Heard
from zaehlwerk_tools.simulator.board_spec import BoardSpec
from zaehlwerk_tools.simulator.firmware_tree import NodeTree, build_tree
from zaehlwerk_tools.simulator.inputs import PulseInputs
from zaehlwerk_tools.simulator.known_boards import KNOWN_BOARDS
from zaehlwerk_tools.simulator.scheduler import NS, Scheduler

CHECKOUT = Path(__file__).resolve().parents[3]
BOARD_FILES = Path(__file__).parent / "board_files"
GATEWAY = "0000000000000001"
_LONG_NS = 10 * 365 * 86_400 * NS


@dataclass(frozen=True, slots=True)
class Options:
    """How a board on a port is. `baud` None: as fast as it goes. `number` makes its unique_id and names its files."""

    board: str = "heltec_v3"
    number: int = 1
    baud: int | None = None
    slow_flash: bool = True
    raw_paste: bool = True
    battery_mv: int = 3900


def build_stub(cache: Path) -> NodeTree:
    """The stand-ins for the ESP32's modules and what runs the REPL's turns, compiled. Raises TreeError."""
    return build_tree(BOARD_FILES, None, cache)


class VirtualBoard:
    """One board on `port`; its flash image is in `folder`. Made by `virtual_board`."""

    def __init__(self, options: Options, port: Port, folder: Path, tree: NodeTree) -> None:
        known = KNOWN_BOARDS.get(options.board)
        if known is None:
            raise ZaehlwerkError(f"--board {options.board}: known are {', '.join(KNOWN_BOARDS)}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ZaehlwerkError(f"{folder} cannot be made: {error.strerror or error}") from None
        self.port = port
        self.scheduler = Scheduler(time.time_ns(), pace=1.0)
        self.air = Air(
            self.scheduler,
            seed=options.number,
            gateways=[Gateway(GATEWAY)],
            on_uplink=self._uplink,
        )
        self.on_uplink: Callable[[int, bytes, Heard], None] = lambda at_ns, payload, heard: None
        """Whoever stands behind the gateway: end of the frame in UTC Unix ns, the frame, how a gateway heard it."""
        self._out = PacedQueue(port.write, options.baud)
        self.board = SerialBoard(
            BoardSpec(
                options.number,
                {},
                PulseInputs(),
                self.scheduler.now_ns,
                hardware=known.hardware,
                battery_mv=options.battery_mv,
                head_start_ns=None,
            ),
            self._out.put,
            scheduler=self.scheduler,
            air=self.air,
            tree=tree,
            micropython=find_micropython(CHECKOUT, 64).path,
            folder=folder,
            slow_flash=options.slow_flash,
            raw_paste=options.raw_paste,
        )
        self._in = PacedQueue(self.board.hear, options.baud)
        port.heard = self._in.put
        port.room = self.board.room

    def _uplink(self, at_ns: int, payload: bytes, heard: Heard) -> None:
        self.on_uplink(at_ns, payload, heard)

    async def unplug(self, *, power: bool = True) -> None:
        """Pull the cable; without `power` of its own the board goes down with it."""
        await self.port.stop()
        self._in.clear()
        self._out.clear()
        if power:
            self.board.power_off()

    async def replug(self) -> None:
        """Put the cable in again."""
        await self.port.start()
        self.board.power_on()


@asynccontextmanager
async def virtual_board(
    options: Options, port: Port, folder: Path, tree: NodeTree | None = None
) -> AsyncIterator[VirtualBoard]:
    """A board that runs while the body does. Raises ZaehlwerkError, BoardError."""
    made = VirtualBoard(options, port, folder, tree or build_stub(folder / "cache"))
    await port.start()
    made.board.start()
    running = asyncio.create_task(made.scheduler.run(made.scheduler.now_ns + _LONG_NS))
    body = asyncio.current_task()
    assert body is not None

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            body.cancel()  # the board is broken: nothing would answer any more

    running.add_done_callback(ended)
    try:
        yield made
    except asyncio.CancelledError:
        if running.done() and not running.cancelled():
            running.result()
        raise
    finally:
        made.board.stop()
        await port.stop()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            if not running.done():
                await running
