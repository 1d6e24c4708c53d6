"""What a board's port is to the rest: somewhere bytes come from and go to, and a name that mpremote takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from zaehlwerk_tools.errors import ZaehlwerkError


class PortError(ZaehlwerkError):
    """The port cannot be made here."""


class Port(Protocol):
    """Made with `heard(bytes)` and `room(bool)`; `start` and `stop` belong to the running event loop."""

    heard: Callable[[bytes], None]
    room: Callable[[bool], None]

    @property
    def name(self) -> str:
        """What is written after `mpremote connect`."""
        ...

    async def start(self) -> None:
        """The cable is in. Raises PortError."""
        ...

    async def stop(self) -> None:
        """The cable is out: whoever has the port open is told, and what was under way is lost."""
        ...

    def write(self, data: bytes) -> None:
        """Bytes for whoever has the port open; lost if nobody has, as a UART's are."""
        ...
