"""Finds the MicroPython that virtual boards run: what the set-up left in `.runtime/`, else the PATH."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.set_up_programs import named_programs

_NAMES = {64: "micropython", 32: "micropython32"}


@dataclass(frozen=True, slots=True)
class MicroPython:
    """An interpreter that can be started."""

    path: Path
    fallback: str | None  # what stands in for the distribution's, in words


def find_micropython(checkout: Path, bits: int) -> MicroPython:
    """The interpreter of `bits` (64 or 32). Raises ZaehlwerkError if there is none."""
    name = _NAMES[bits]
    entry = named_programs(checkout).get(name)
    if isinstance(entry, dict) and os.access(entry["path"], os.X_OK):
        fallback = f"MicroPython {entry['version']} from a wheel" if entry.get("origin") == "wheel" else None
        return MicroPython(Path(entry["path"]), fallback)
    installed = shutil.which(name)
    if installed is not None:
        return MicroPython(Path(installed), None)
    raise ZaehlwerkError(f"no {bits}-bit MicroPython found: run `make setup`, or put `{name}` on the PATH")
