"""Writes a run's results whole or not at all: into a directory beside them first, then by renaming."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from zaehlwerk_tools.errors import OutputError


def require_writable(directory: Path) -> None:
    """Raises OutputError if `directory` cannot be written or made. Leaves nothing behind."""
    place = directory.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise OutputError(f"cannot write to {directory}: {place} is no directory")
    try:
        # Asking for permission is not enough: root has it on a file system that takes no files.
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise OutputError(f"cannot write to {directory}: {place}: {error.strerror or error}") from error


def write_all(directory: Path, files: Mapping[str, str]) -> None:
    """Writes `files` (name to text) into `directory`, replacing those of the same names and no others.

    Raises OutputError, having left what was there before; only a failure in the middle of the final renaming, which
    takes no space and no permission that the writing did not have, could leave some new and some old.
    """
    made = [place for place in (directory, *directory.parents) if not place.exists()]
    staging: Path | None = None
    try:
        directory.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".writing-", dir=directory))
        for name, text in files.items():
            (staging / name).write_text(text, encoding="utf-8", newline="\n")
        for name in files:
            (staging / name).replace(directory / name)
    except OSError as error:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        for place in made:
            _remove_empty(place)
        raise OutputError(f"cannot write to {directory}: {error.strerror or error}") from error
    staging.rmdir()


def _remove_empty(directory: Path) -> None:
    if directory.is_dir() and not any(directory.iterdir()):
        directory.rmdir()
