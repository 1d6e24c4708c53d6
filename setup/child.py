"""Child processes of the set-up: with a time limit, silent as long as they succeed."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class Failed(Exception):
    """A command failed, hung or could not be started; the text holds the end of what it said."""


def run(
    command: Sequence[str | Path],
    *,
    seconds: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    accept: Sequence[int] = (0,),
) -> str:
    """Run `command` for at most `seconds` and return what it printed (both streams); raise Failed otherwise."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            env=None if env is None else dict(env),
            cwd=cwd,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{name} gave no result within {seconds:.0f} s") from None
    except OSError as error:
        raise Failed(f"{name} cannot be started: {error.strerror}") from None
    if done.returncode not in accept:
        tail = "\n".join("    " + line for line in done.stdout.strip().splitlines()[-12:])
        raise Failed(f"{name} ended with status {done.returncode}\n{tail}".rstrip())
    return done.stdout
