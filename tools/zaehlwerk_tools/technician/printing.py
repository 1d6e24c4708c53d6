"""Hands a file to the command with which this machine prints: there is one on every system, and none is the same."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from zaehlwerk_tools.technician.label import LabelError

PATIENCE_S = 60
"""A command that queues a job is back at once."""


def print_file(command: str, path: Path) -> None:
    """Run `command` with `path` behind it. Raises LabelError: no such command, or it fails, or does not end."""
    otherwise = f"{path} is there: print it at 100 % from another program, or name another command by --print"
    try:
        words = [*shlex.split(command, posix=os.name == "posix"), str(path)]
    except ValueError as error:
        raise LabelError(f"--print {command}: {error}; {otherwise}") from None
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S, check=False
        )
    except OSError as error:
        raise LabelError(f"nothing was printed, {words[0]}: {error.strerror or error}; {otherwise}") from None
    except subprocess.TimeoutExpired:
        raise LabelError(f"{words[0]} has not ended for {PATIENCE_S} s; {otherwise}") from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).decode(errors="replace").split())
        raise LabelError(
            f"the printer did not take it, {words[0]}: {said or f'status {done.returncode}'}; {otherwise}"
        )
