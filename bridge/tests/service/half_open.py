"""A way to a server on which its connections can be lost at the server's end without the client hearing of it."""

from __future__ import annotations

import asyncio
from typing import Self


class HalfOpening:
    """Passes bytes on between its port and `target`, both of this machine."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._ends: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = []
        self._deaf: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for ends in self._ends:
            for end in ends:
                end.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def half_open(self) -> None:
        """The server loses the connections that there are; what clients say is heard by nobody, and nobody tells them."""
        for client, server in self._ends:
            self._deaf.add(client)
            server.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            answers, server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            client.transport.abort()
            return
        self._ends.append((client, server))
        for work in (self._pass(reader, server, client), self._pass(answers, client, client)):
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await source.read(65536):
                if client not in self._deaf:
                    sink.write(data)
        except OSError:
            pass
        if client not in self._deaf:
            sink.transport.abort()
