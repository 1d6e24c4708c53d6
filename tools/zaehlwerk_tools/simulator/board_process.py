"""The MicroPython process of a virtual board: two pipes, a log file, a sudden end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

_LOG_TAIL = 3000


class BoardProcess:
    """One boot of a board. `readable(data)` is called with what it says, with b"" when it is gone."""

    def __init__(
        self,
        command: list[str],
        arguments: list[str],
        stub: Path,
        log: Path,
        boot_record: bytes,
        readable: Callable[[bytes], None],
    ) -> None:
        self._readable = readable
        self._closed = False
        board_in, self._out = os.pipe()
        self._in, board_out = os.pipe()
        # The record waits in the pipe: booting needs no round trip.
        os.write(self._out, boot_record)
        environment = {"MICROPYPATH": f"{stub}:.frozen", "TZ": "UTC", "PATH": os.environ.get("PATH", "")}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*command, "-m", "board_main", str(board_in), str(board_out), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(board_in, board_out),
                env=environment,
            )
        os.close(board_in)
        os.close(board_out)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._in, self._read)

    def answer(self, data: bytes) -> None:
        """Answer the question the board waits on."""
        # If it is gone, the reader says so and why.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._out, data)

    def memory_peak_kib(self) -> int:
        """VmHWM; 0 where /proc does not tell."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)

    def cpu_s(self) -> float:
        """CPU seconds so far; 0 where /proc does not tell."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """As a power cut does: nothing runs any more. Harmless when it has happened already."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._in)
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def _read(self) -> None:
        self._readable(os.read(self._in, 1 << 16))


def log_tail(log: Path) -> str:
    """The end of a board's log, where a traceback stands."""
    try:
        return log.read_bytes()[-_LOG_TAIL:].decode(errors="replace").strip()
    except OSError:
        return ""
