"""A program that the bench has started: ended in any case, and what it said last."""

from __future__ import annotations

import subprocess
from pathlib import Path


def end(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """Terminate it; kill it if it is not gone after `patience_s`."""
    process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def last_line(log: Path) -> str:
    """The last line of its log; empty where there is none."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""
