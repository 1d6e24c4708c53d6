"""The line between a board and whoever has opened its port: at once, or with the speed of a UART."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

BITS_PER_BYTE = 10
"""8N1: a start bit, eight of data, a stop bit."""
_STEP_S = 0.005
FULL, EMPTY = 1 << 15, 1 << 12
"""Bytes under way from which on a program waits in `print`, and from which on it may go on."""


class PacedQueue:
    """Hands bytes to `deliver` no faster than `baud` allows; None: at once."""

    def __init__(self, deliver: Callable[[bytes], None], baud: int | None) -> None:
        if baud is not None and baud < 300:
            raise ValueError(f"{baud} baud: at least 300")
        self._deliver = deliver
        self._baud = baud
        self._waiting = bytearray()
        self._free_at = 0.0  # when the line has carried what was handed over
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, data: bytes) -> None:
        """Bytes to carry."""
        if self._baud is None:
            self._deliver(data)
            return
        self._waiting += data
        if self._timer is None:
            self._go()

    def clear(self) -> None:
        """The cable was pulled."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _go(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        assert self._baud is not None
        loop = asyncio.get_running_loop()
        now = loop.time()
        start = max(now - _STEP_S, self._free_at)
        count = min(len(self._waiting), int((now - start) * self._baud / BITS_PER_BYTE))
        if count:
            self._free_at = start + count * BITS_PER_BYTE / self._baud
            data = bytes(self._waiting[:count])
            del self._waiting[:count]
            self._deliver(data)
        elif self._free_at < now - _STEP_S:
            self._free_at = now
        if self._waiting:
            self._timer = loop.call_later(_STEP_S, self._go)
