"""A program under measurement, as a process of its own: started, held while its work is laid out, let go, measured."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from zaehlwerk_tools.bridge_bench.child_process import end, last_line
from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.memory import peak_bytes

READY_S = 60.0
STOP_S = 15.0
_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_LOOK_S = 0.05


class Contestant:
    """Runs `words` with its output in `log`. Use as `with Contestant(…) as bridge`; Linux only."""

    def __init__(self, name: str, words: Sequence[str | Path], log: Path) -> None:
        self.name = name
        self._log = log
        with log.open("wb") as sink:
            self._process = subprocess.Popen(list(words), stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGCONT)
        end(self._process, STOP_S)

    def check(self) -> None:
        """Raises ZaehlwerkError if it has ended."""
        status = self._process.poll()
        if status is not None:
            said = last_line(self._log)[:300]
            raise ZaehlwerkError(f"{self.name} ended with status {status}{said and f': {said}'}")

    def hold(self) -> None:
        """Let it keep its connections and do nothing, until `go`."""
        self._process.send_signal(signal.SIGSTOP)

    def go(self) -> None:
        """Let it work."""
        self._process.send_signal(signal.SIGCONT)

    @property
    def cpu_s(self) -> float:
        """Seconds of processor time that all its threads took up to now, in user and system mode (proc_pid_stat(5))."""
        self.check()
        fields = (_PROC / str(self._process.pid) / "stat").read_text(encoding="ascii", errors="replace")
        after_name = fields.rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / _TICKS

    @property
    def rss_mb(self) -> float:
        """Its resident set at its largest, in millions of bytes."""
        return round((peak_bytes(self._process.pid) or 0) / 1e6, 1)

    @property
    def rss_now_mb(self) -> float:
        """Its resident set at present, in millions of bytes (proc_pid_statm(5))."""
        self.check()
        pages = int((_PROC / str(self._process.pid) / "statm").read_text(encoding="ascii").split()[1])
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)

    def settled(self) -> None:
        """Return when it has nothing left to do: it took no processor time worth the name for a moment."""
        deadline = time.monotonic() + READY_S
        last = -1.0
        while time.monotonic() < deadline:
            now = self.cpu_s
            if now - last <= 1 / _TICKS:
                return
            last = now
            time.sleep(4 * _LOOK_S)
