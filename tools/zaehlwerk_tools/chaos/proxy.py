"""A network that can be made bad: a TCP proxy on the loopback interface in front of one server."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

HOST = "127.0.0.1"
CHUNK_BYTES = 65536


@dataclass(eq=False, slots=True)
class _Connection:
    """One of a client's, and ours to the server for it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    half_open: bool = False
    relays: list[asyncio.Task[None]] = field(default_factory=list)

    def abort(self) -> None:
        for writer in (self.client, self.server):
            writer.transport.abort()


class Proxy:
    """Listens at `port` once started, and passes on to `target`, a port of this machine."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self._delay_s = 0.0
        self._refuses = False
        self._flows = asyncio.Event()
        self._flows.set()
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen at a free port."""
        self._server = await asyncio.start_server(self._serve, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more and end what is open."""
        if self._server is not None:
            self._server.close()
        self.heal()
        relays = [relay for connection in self._connections for relay in connection.relays]
        self.cut()
        await asyncio.gather(*relays, return_exceptions=True)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    def cut(self) -> None:
        """End all connections, with a reset to both sides; new ones are taken."""
        for connection in self._connections:
            connection.abort()

    def refuse(self) -> None:
        """The same, and whoever connects from now on is thrown out, until `heal`."""
        self._refuses = True
        self.cut()

    def stall(self) -> None:
        """Nothing passes until `heal`; then it goes on where it stopped."""
        self._flows.clear()

    def delay(self, seconds: float) -> None:
        """Everything takes so much longer, in either direction, until `heal`."""
        self._delay_s = seconds

    def half_open(self) -> None:
        """The server loses all connections that there are and the clients are not told: they speak to nobody."""
        for connection in self._connections:
            connection.half_open = True
            connection.server.transport.abort()

    def heal(self) -> None:
        """Everything passes at once. What was cut stays cut, what is half open stays so."""
        self._delay_s = 0.0
        self._refuses = False
        self._flows.set()

    async def _serve(self, from_client: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        if self._refuses:
            client.transport.abort()
            return
        await self._flows.wait()
        try:
            from_server, server = await asyncio.open_connection(HOST, self.target)
        except OSError:
            client.transport.abort()
            return
        connection = _Connection(client, server)
        connection.relays += [
            asyncio.create_task(self._relay(from_client, server, connection, towards_server=True)),
            asyncio.create_task(self._relay(from_server, client, connection, towards_server=False)),
        ]
        self._connections.add(connection)
        try:
            await asyncio.gather(*connection.relays, return_exceptions=True)
        finally:
            self._connections.discard(connection)
            connection.abort()

    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: _Connection,
        *,
        towards_server: bool,
    ) -> None:
        """Pass one direction on until either side ends; a half-open connection ends with its client."""
        with contextlib.suppress(OSError):
            while True:
                data = await reader.read(CHUNK_BYTES)
                if connection.half_open:
                    if not towards_server or not data:
                        break
                    continue  # the client does not know that nobody hears it
                await self._flows.wait()
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                if not data:
                    break
                writer.write(data)
                await writer.drain()
        if not connection.half_open or towards_server:
            connection.abort()
