"""A board's port as a TCP socket, for `socket://HOST:PORT` of pyserial: everywhere, and through WSL or a network."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from zaehlwerk_tools.serial_board.line import EMPTY, FULL
from zaehlwerk_tools.serial_board.port import PortError


class SocketPort:
    """Listens at `host`, `port` (0: any free one, the same after the cable was pulled). One at a time may have it open."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.heard: Callable[[bytes], None] = lambda data: None
        self.room: Callable[[bool], None] = lambda there_is: None
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._draining: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """A URL of pyserial."""
        return f"socket://{self._host}:{self._port}"

    async def start(self) -> None:
        """Raises PortError if the address is taken."""
        try:
            self._server = await asyncio.start_server(self._serve, self._host, self._port)
        except OSError as error:
            raise PortError(f"{self.name}: {error.strerror or error}") from None
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Ends the connection and listens no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    def write(self, data: bytes) -> None:
        """Lost while nobody has the port open."""
        writer = self._writer
        if writer is None or writer.is_closing():
            return
        writer.write(data)
        if self._draining is None and writer.transport.get_write_buffer_size() > FULL:
            self.room(False)
            self._draining = asyncio.create_task(self._drain(writer))

    async def _drain(self, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        self._draining = None
        self.room(True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._writer is not None:
            writer.close()
            return
        self._writer = writer
        writer.transport.set_write_buffer_limits(high=FULL, low=EMPTY)
        try:
            while data := await reader.read(4096):
                self.heard(data)
        except ConnectionError:
            pass
        finally:
            if self._writer is writer:
                self._writer = None
            writer.close()
