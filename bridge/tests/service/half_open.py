"""A way to a server on which its connections can be lost at the server's end without the client hearing of it."""

from __future__ import annotations

import asyncio

from bridge.tests.service.proxy import Proxy


class HalfOpening(Proxy):
    """Passes bytes on between its port and `target`, both of this machine."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self._ends: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = []
        self._deaf: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aexit__(self, *_: object) -> None:
        await super().__aexit__()
        for ends in self._ends:
            for end in ends:
                end.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def half_open(self) -> None:
        """The server loses the connections that there are; what clients say is heard by nobody, and nobody tells them."""
        for client, server in self._ends:
            self._deaf.add(client)
            server.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass everything on, both ways, until the ends are lost."""
        client = writer
        try:
            answers, server = await self.reach()
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
