"""A board's port as a pseudo-terminal (Linux, macOS)."""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable
from pathlib import Path

from zaehlwerk_tools.serial_board.line import EMPTY, FULL
from zaehlwerk_tools.serial_board.port import PortError

_LOOK_S = 0.02
"""How often it is looked whether somebody has opened the port: no event tells."""


class PtyPort:
    """`link`: a symbolic link with a name that stays when the cable is pulled and put in again."""

    def __init__(self, link: Path | None = None) -> None:
        self.heard: Callable[[bytes], None] = lambda data: None
        self.room: Callable[[bool], None] = lambda there_is: None
        self._link = link
        self._master = -1
        self._device = ""
        self._open = False
        self._out = bytearray()
        self._writing = False
        self._full = False
        self._looking: asyncio.TimerHandle | None = None

    @property
    def name(self) -> str:
        """Path of the device, or of the link to it."""
        return str(self._link) if self._link is not None else self._device

    async def start(self) -> None:
        """Raises PortError where there are no pseudo-terminals."""
        try:
            import termios  # noqa: PLC0415 - not on Windows
            import tty  # noqa: PLC0415
        except ImportError:
            raise PortError("this system has no pseudo-terminals: use --port socket") from None
        self._master, slave = os.openpty()
        self._device = os.ttyname(slave)
        tty.setraw(slave, termios.TCSANOW)
        os.close(slave)
        os.set_blocking(self._master, False)
        if self._link is not None:
            self._make_link(self._link)
        self._look()

    def _make_link(self, link: Path) -> None:
        if link.is_symlink():
            link.unlink()
        try:
            link.symlink_to(self._device)
        except OSError as error:
            raise PortError(f"--link {link}: {error.strerror}; name a path that does not exist") from None

    async def stop(self) -> None:
        """Closes the pseudo-terminal; whoever reads it gets an error or an end of file."""
        if self._master < 0:
            return
        if self._looking is not None:
            self._looking.cancel()
        self._closed()
        os.close(self._master)
        self._master = -1
        if self._link is not None and self._link.is_symlink():
            self._link.unlink()

    def write(self, data: bytes) -> None:
        """Lost while nobody has the port open."""
        if self._open:
            self._out += data
            self._flush()

    def _look(self) -> None:
        """Whether somebody has opened it; a pseudo-terminal that nobody has open is hung up."""
        loop = asyncio.get_running_loop()
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        events = poll.poll(0)
        hung_up = bool(events and events[0][1] & select.POLLHUP)
        if not hung_up and not self._open:
            self._open = True
            loop.add_reader(self._master, self._read)
        elif events and hung_up and events[0][1] & select.POLLIN and not self._open:
            self._read()  # who came and went between two looks has left something
        self._looking = loop.call_later(_LOOK_S, self._look)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except BlockingIOError:
            return
        except OSError:  # EIO: closed by the other side
            self._closed()
            return
        self.heard(data)

    def _closed(self) -> None:
        loop = asyncio.get_running_loop()
        self._open = False
        loop.remove_reader(self._master)
        loop.remove_writer(self._master)
        self._writing = False
        self._out.clear()
        self._tell_room()

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._out:
            try:
                count = os.write(self._master, self._out[:4096])
            except BlockingIOError:
                break
            except OSError:
                self._closed()
                return
            del self._out[:count]
        if bool(self._out) != self._writing:
            self._writing = bool(self._out)
            if self._writing:
                loop.add_writer(self._master, self._flush)
            else:
                loop.remove_writer(self._master)
        self._tell_room()

    def _tell_room(self) -> None:
        full = len(self._out) > (EMPTY if self._full else FULL)
        if full != self._full:
            self._full = full
            self.room(not full)
