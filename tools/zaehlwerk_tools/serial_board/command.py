"""`zaehlwerk board`: a virtual board on a port, until Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.serial_board.port import Port
from zaehlwerk_tools.serial_board.pty_port import PtyPort
from zaehlwerk_tools.serial_board.socket_port import SocketPort
from zaehlwerk_tools.serial_board.virtual_board import Options, VirtualBoard, virtual_board
from zaehlwerk_tools.simulator.board_spec import BoardError
from zaehlwerk_tools.simulator.firmware_tree import TreeError

PTY, SOCKET = "pty", "socket"


def make_port(kind: str, link: Path | None, tcp_port: int) -> Port:
    """The port that the command line asks for. Raises ZaehlwerkError."""
    if kind == PTY:
        return PtyPort(link)
    if kind == SOCKET:
        if link is not None:
            raise ZaehlwerkError("--link is for --port pty: a socket has an address, see --tcp-port")
        return SocketPort(port=tcp_port)
    raise ZaehlwerkError(f"--port {kind}: {PTY} or {SOCKET}")


def run(port: Port, options: Options, directory: Path) -> int:
    """Serve the board; the exit status. Raises ZaehlwerkError."""
    if sys.platform == "win32":
        raise ZaehlwerkError(
            "a virtual board needs MicroPython's unix port: start it in WSL with --port socket, and connect from here"
        )
    try:
        asyncio.run(_serve(port, options, directory))
    except (BoardError, TreeError) as error:
        raise ZaehlwerkError(str(error)) from None
    return 0


async def _serve(port: Port, options: Options, directory: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with virtual_board(options, port, directory) as board:
        print(f"{options.board} on {port.name}", flush=True)
        print(f"flash in {board.board.flash}; SIGUSR1 pulls the cable and puts it in again", file=sys.stderr)
        tasks: set[asyncio.Task[None]] = set()

        def toggle() -> None:
            task = asyncio.create_task(_toggle(board))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        loop.add_signal_handler(signal.SIGUSR1, toggle)
        await stop.wait()


async def _toggle(board: VirtualBoard) -> None:
    if board.board.has_power:
        await board.unplug()
        print("cable out", flush=True)
    else:
        await board.replug()
        print(f"cable in: {board.port.name}", flush=True)
