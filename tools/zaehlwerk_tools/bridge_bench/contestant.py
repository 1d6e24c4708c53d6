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
        """Seconds of processor time that it and the processes that it started took up to now, all their threads, in user
        and system mode (proc_pid_stat(5))."""
        self.check()
        return sum((int(fields[11]) + int(fields[12])) / _TICKS for fields in map(_stat, self._family()))

    @property
    def rss_mb(self) -> float:
        """Its resident set at its largest, with those of the processes that it started, in millions of bytes. What several
        of them share, the interpreter itself, is there once and counted once."""
        family = self._family()
        twice = sum(map(_shared_bytes, family)) - max(map(_shared_bytes, family))
        return round((sum(peak_bytes(pid) or 0 for pid in family) - twice) / 1e6, 1)

    @property
    def rss_now_mb(self) -> float:
        """The same at present (proc_pid_smaps(5))."""
        self.check()
        family = self._family()
        private = sum(_memory_bytes(pid, "Private_Clean", "Private_Dirty") for pid in family)
        return round((private + max(map(_shared_bytes, family))) / 1e6, 1)

    def _family(self) -> list[int]:
        """Its process and all that it has started and that are there (proc_pid_task_children(5))."""
        found = [self._process.pid]
        for pid in found:
            for children in (_PROC / str(pid) / "task").glob("*/children"):
                found += map(int, children.read_text(encoding="ascii").split())
        return found

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


def _stat(pid: int) -> list[str]:
    """Of a process what follows its name in proc_pid_stat(5)."""
    text = (_PROC / str(pid) / "stat").read_text(encoding="ascii", errors="replace")
    return text.rpartition(")")[2].split()


def _shared_bytes(pid: int) -> int:
    return _memory_bytes(pid, "Shared_Clean", "Shared_Dirty")


def _memory_bytes(pid: int, *kinds: str) -> int:
    """Of a process the sum of these lines of /proc/PID/smaps_rollup (proc_pid_smaps(5))."""
    text = (_PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii", errors="replace")
    sizes = dict(line.split(":", 1) for line in text.splitlines()[1:])
    return sum(int(sizes[kind].split()[0]) * 1024 for kind in kinds)
