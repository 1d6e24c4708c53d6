"""Stamps: a finished step leaves the hash of all it was made from, written last.

A step that was interrupted has no stamp and is done again; a step whose inputs changed has the wrong one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path


def digest(files: Iterable[Path], facts: Iterable[str]) -> str:
    """Return the hash of the files' contents and of other facts that a step depends on."""
    total = hashlib.sha256()
    for fact in facts:
        total.update(f"{len(fact)}:{fact}".encode())
    for file in files:
        content = file.read_bytes()
        total.update(f"{file.name}:{len(content)}:".encode())
        total.update(content)
    return total.hexdigest()


def is_fresh(stamp: Path, value: str) -> bool:
    """Whether the step that `stamp` belongs to was finished with these inputs."""
    try:
        return stamp.read_text(encoding="ascii").strip() == value
    except (OSError, UnicodeDecodeError):
        return False


def write_whole(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file so that others see the old one or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text, encoding="utf-8")
    new.chmod(mode)
    new.replace(path)
