"""Only one set-up at a time in a checkout; the second waits and then finds everything done."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from setup.console import say


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`. The kernel lets go of it when the process ends, however it ends."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is at work in this checkout, waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
