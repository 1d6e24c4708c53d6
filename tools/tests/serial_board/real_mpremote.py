"""The real mpremote, as a process."""

from __future__ import annotations

import asyncio
import os
import sys
import tty
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tools.tests.serial_board.programs import Ended, run_program

TIMEOUT_S = 60.0


async def mpremote(port: str, *words: str, cwd: Path | None = None) -> Ended:
    """`mpremote connect PORT WORDS`."""
    async with asyncio.timeout(TIMEOUT_S):
        ended = await run_program("mpremote", "connect", port, *words, cwd=cwd)
    # A board ends its lines as terminals do.
    return Ended(ended.status, *(text.replace("\r\n", "\n") for text in (ended.out, ended.err)))


async def told(port: str, *words: str, cwd: Path | None = None) -> str:
    """What mpremote prints; it must succeed."""
    ended = await mpremote(port, *words, cwd=cwd)
    assert ended.status == 0, ended
    return ended.out


class Terminal:
    """A person at `mpremote repl`."""

    def __init__(self, process: Process, master: int) -> None:
        self._process = process
        self._master = master
        self._arrived = asyncio.Event()
        self._shown = b""
        os.set_blocking(master, False)
        asyncio.get_running_loop().add_reader(master, self._read)

    def types(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    async def shows(self, ending: bytes) -> bytes:
        """What is shown up to and including `ending`."""
        async with asyncio.timeout(TIMEOUT_S):
            while ending not in self._shown:
                self._arrived.clear()
                await self._arrived.wait()
        end = self._shown.index(ending) + len(ending)
        shown, self._shown = self._shown[:end], self._shown[end:]
        return shown

    async def ended(self) -> int:
        """The exit status."""
        async with asyncio.timeout(TIMEOUT_S):
            return await self._process.wait()

    def _read(self) -> None:
        try:
            self._shown += os.read(self._master, 4096)
        except OSError:  # EIO: mpremote has ended
            asyncio.get_running_loop().remove_reader(self._master)
        self._arrived.set()


@asynccontextmanager
async def terminal(port: str, *first: str) -> AsyncIterator[Terminal]:
    """`mpremote connect PORT FIRST repl` at a terminal of its own."""
    master, slave = os.openpty()
    tty.setraw(slave)  # else what is typed before mpremote does so itself would be edited by the terminal
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mpremote", "connect", port, *first, "repl"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        asyncio.get_running_loop().remove_reader(master)
        os.close(master)
