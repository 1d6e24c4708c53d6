"""Keys as they are pressed, without Enter and without an echo: at a POSIX terminal, on Windows, or from a file with times."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from zaehlwerk_tools.technician.troubles import TechnicianError

Keys = Callable[[float], str | None]
"""The next key, None if none came within so many seconds. Special keys are an empty string."""


class KeyboardError(TechnicianError):
    """There is no keyboard, or the file of keys is not what is wanted."""


@contextmanager
def pressed_keys(from_file: Path | None) -> Iterator[Keys]:
    """Keys for the body. `from_file`: as if they were pressed at the times that stand there. Raises KeyboardError."""
    if from_file is not None:
        yield timed(read_keys(from_file), time.monotonic)
        return
    if not sys.stdin.isatty():
        raise KeyboardError(
            "keys are read from a terminal, and this is none: start it in one, or name --keys-from"
        )
    if os.name == "nt":
        yield _windows_key
        return
    import termios  # noqa: PLC0415 - there is none on Windows
    import tty  # noqa: PLC0415

    device = sys.stdin.fileno()
    before = termios.tcgetattr(device)
    try:
        tty.setcbreak(device)
        yield lambda wait_s: _posix_key(device, wait_s)
    finally:
        termios.tcsetattr(device, termios.TCSADRAIN, before)


def _posix_key(device: int, wait_s: float) -> str | None:
    readable, _, _ = select.select([device], [], [], wait_s)
    if not readable:
        return None
    key = os.read(device, 8).decode(errors="ignore")
    return "" if key.startswith("\x1b") else key[:1]


def _windows_key(wait_s: float) -> str | None:
    import msvcrt  # noqa: PLC0415 - there is none elsewhere

    there: Callable[[], bool] = getattr(msvcrt, "kbhit")  # noqa: B009 - unknown where this is checked
    read: Callable[[], str] = getattr(msvcrt, "getwch")  # noqa: B009
    until = time.monotonic() + wait_s
    while not there():
        if time.monotonic() >= until:
            return None
        time.sleep(0.01)
    key = read()
    if key in ("\x00", "\xe0"):  # two codes for one key
        read()
        return ""
    if key == "\x03":
        raise KeyboardInterrupt
    return key


def read_keys(path: Path) -> list[tuple[float, str]]:
    """Lines of `SECONDS KEY`, seconds from the begin and not going back; # begins a remark. Raises KeyboardError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyboardError(f"{path} cannot be read: {error}") from None
    found: list[tuple[float, str]] = []
    for number, line in enumerate(lines, 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        try:
            at, key = float(words[0]), words[1]
            if len(words) != 2 or len(key) != 1 or not at >= (found[-1][0] if found else 0):
                raise ValueError
        except (ValueError, IndexError):
            raise KeyboardError(
                f"{path}, line {number}: SECONDS KEY is expected, in the order of time"
            ) from None
        found.append((at, key))
    return found


def timed(keys: list[tuple[float, str]], clock: Callable[[], float]) -> Keys:
    """Keys that are pressed by themselves, the first time of asking being the begin; after the last one nothing comes."""
    left = list(reversed(keys))
    begun: list[float] = []

    def key(wait_s: float) -> str | None:
        if not begun:
            begun.append(clock())
        if not left or begun[0] + left[-1][0] > clock() + wait_s:
            time.sleep(wait_s)
            return None
        time.sleep(max(0.0, begun[0] + left[-1][0] - clock()))
        return left.pop()[1]

    return key
