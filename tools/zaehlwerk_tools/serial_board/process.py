"""The MicroPython process of a board on a port: the simulator's two pipes, and its output, which goes onto the line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from zaehlwerk_tools.simulator.board_process import BoardProcess

PART = 1 << 16


class SerialProcess(BoardProcess):
    """One boot of a board. `readable(data)` gets what it says to the simulator (b"": it is gone), `printed(data)` its output.

    `{in}` and `{out}` in `command` stand for the board's ends of the pipes.
    """

    def __init__(
        self,
        command: list[str],
        *,
        path: Path,
        log: Path,
        boot_record: bytes,
        readable: Callable[[bytes], None],
        printed: Callable[[bytes], None],
    ) -> None:
        self._readable = readable
        self._printed = printed
        self._closed = False
        self._listening = True
        board_in, self._out = os.pipe()
        self._in, board_out = os.pipe()
        self._output, printed_to = os.pipe()
        os.set_blocking(self._output, False)
        os.write(self._out, boot_record)
        words = [board_in if word == "{in}" else board_out if word == "{out}" else word for word in command]
        environment = {"MICROPYPATH": f"{path}:.frozen", "TZ": "UTC", "PATH": os.environ.get("PATH", "")}
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [str(word) for word in words],
                stdin=subprocess.DEVNULL,
                stdout=printed_to,
                stderr=errors,
                pass_fds=(board_in, board_out),
                env=environment,
                start_new_session=True,  # a Ctrl-C in the terminal is for the simulator, not for it
            )
        for end in (board_in, board_out, printed_to):
            os.close(end)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._in, self._read)
        self._loop.add_reader(self._output, self.drain)

    def answer(self, data: bytes) -> None:
        """Answer the question the board waits on."""
        # If it is gone, the reader says so.
        with contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._out, data) :]

    def interrupt(self) -> None:
        """As a keyboard's interrupt, for a program that asks nothing."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)

    def drain(self) -> None:
        """Hand over all that is printed so far."""
        while not self._closed:
            try:
                data = os.read(self._output, PART)
            except BlockingIOError:
                return
            if not data:
                self._loop.remove_reader(self._output)
                return
            self._printed(data)

    def listen(self, wanted: bool) -> None:
        """Take the board's output, or let it wait until there is room for it."""
        if not self._closed and wanted != self._listening:
            self._listening = wanted
            if wanted:
                self._loop.add_reader(self._output, self.drain)
            else:
                self._loop.remove_reader(self._output)

    def kill(self) -> None:
        """As a power cut does. Harmless when it has happened already."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._in)
        self._loop.remove_reader(self._output)
        self._process.kill()
        self._process.wait()
        for end in (self._in, self._out, self._output):
            os.close(end)
