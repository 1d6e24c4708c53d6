"""A program of the laptop that has a board's port open, without mpremote."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

TIMEOUT_S = 20.0


class OpenPort:
    """Bytes to and from the board; `closed` is set when the cable is pulled."""

    def __init__(self, device: int) -> None:
        self._device = device
        self._got = b""
        self._arrived = asyncio.Event()
        self.closed = asyncio.Event()
        os.set_blocking(device, False)
        asyncio.get_running_loop().add_reader(device, self._read)

    def send(self, data: bytes) -> None:
        """All of it is taken at once: keep it short."""
        assert os.write(self._device, data) == len(data)

    async def until(self, ending: bytes) -> bytes:
        """What the board says up to and including `ending`."""
        async with asyncio.timeout(TIMEOUT_S):
            while ending not in self._got:
                self._arrived.clear()
                await self._arrived.wait()
        end = self._got.index(ending) + len(ending)
        got, self._got = self._got[:end], self._got[end:]
        return got

    def _read(self) -> None:
        try:
            data = os.read(self._device, 4096)
        except OSError:  # EIO
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._device)
            self.closed.set()
        self._got += data
        self._arrived.set()


@asynccontextmanager
async def open_port(name: str) -> AsyncIterator[OpenPort]:
    """Open the pseudo-terminal `name`, and be at the friendly prompt."""
    device = os.open(name, os.O_RDWR | os.O_NOCTTY)
    try:
        port = OpenPort(device)
        port.send(b"\r\x02")
        await port.until(b"more information.\r\n>>> ")
        yield port
    finally:
        asyncio.get_running_loop().remove_reader(device)
        os.close(device)


@asynccontextmanager
async def raw_port(name: str) -> AsyncIterator[OpenPort]:
    """As `open_port`, at the raw prompt."""
    async with open_port(name) as port:
        port.send(b"\x01")
        await port.until(b"raw REPL; CTRL-B to exit\r\n>")
        yield port
