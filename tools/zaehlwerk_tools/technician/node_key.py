"""AppKeys of nodes: made, kept in files that only their owner reads, read from a file or standard input.

A key is never an argument of a command, never in a message, a record or a `repr`.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path

from zaehlwerk_tools.technician.troubles import TechnicianError

STANDARD_INPUT = "-"
_KEY = re.compile(r"[0-9a-fA-F]{32}\Z")


class NodeKeyError(TechnicianError):
    """A key cannot be read, kept or used."""


@dataclass(frozen=True, slots=True)
class NodeKey:
    """An AppKey, 32 hex digits. `kept_in`: its file; `made`: it is new."""

    hex: str = field(repr=False)
    kept_in: Path | None = None
    made: bool = False


def given_key(source: str) -> NodeKey:
    """The key in the file `source`, or on standard input if that is "-". Raises NodeKeyError."""
    if source == STANDARD_INPUT:
        return NodeKey(_checked(sys.stdin.readline(), "standard input"))
    path = Path(source)
    return NodeKey(_checked(_read(path), str(path)), path)


def kept_key(folder: Path, dev_eui: str) -> NodeKey | None:
    """The key that was made for `dev_eui` before, None if there is none. Raises NodeKeyError."""
    path = folder / f"{dev_eui}.key"
    if not path.exists():
        return None
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise NodeKeyError(
            f"{path} can be read by others: if nobody has, `chmod 600` it, else take another key"
        )
    return NodeKey(_checked(_read(path), str(path)), path)


def new_key(folder: Path, dev_eui: str) -> NodeKey:
    """A random key, on disk before anybody learns of it; an existing file is never overwritten. Raises NodeKeyError."""
    path = folder / f"{dev_eui}.key"
    key = secrets.token_hex(16)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(key + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise NodeKeyError(
            f"{path} cannot be written ({error.strerror or error}): nothing was done"
        ) from None
    return NodeKey(key, path, made=True)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise NodeKeyError(
            f"{path} cannot be read ({error.strerror or error}): name the key's file"
        ) from None


def _checked(text: str, where: str) -> str:
    key = text.strip()
    if not _KEY.match(key):
        raise NodeKeyError(f"{where} holds no AppKey: 32 hex digits and nothing else are expected")
    if set(key) == {"0"}:
        raise NodeKeyError(f"the AppKey in {where} is all zeros: take a random one")
    return key.lower()
