"""What people see of the set-up: one line a step, and one clear message when it cannot go on."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Problem(Exception):
    """The set-up cannot go on; the text says what was wrong and what to do. Ends in exit status 2."""


def say(text: str) -> None:
    """Print one line at once: make's own output and ours keep their order."""
    print(f"set-up: {text}", flush=True)


def warn(text: str) -> None:
    """Print one line about something that works less well than it should."""
    print(f"set-up: {text}", file=sys.stderr, flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Announce a step that may take a while and say how long it took."""
    say(f"{text} …")
    start = time.monotonic()
    yield
    say(f"{text}: done in {time.monotonic() - start:.1f} s")
