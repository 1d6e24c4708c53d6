"""A port between a client and a server of this machine; what is done to their bytes is the subclass's."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Self

LOCAL = "127.0.0.1"


class Proxy(ABC):
    """Listens at `port` while it is entered, and stands before the server at `target`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.port = 0
        self._listening: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._listening = await asyncio.start_server(self.serve, LOCAL, 0)
        self.port = self._listening.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listening is not None
        self._listening.close()

    async def reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the server. Raises OSError."""
        return await asyncio.open_connection(LOCAL, self._target)

    @abstractmethod
    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Stand between a client that has connected and the server."""
