"""Small shell programs in `.runtime/bin` that stand for a program kept elsewhere.

They replace themselves by it (`exec`), so that arguments, standard streams, inherited file descriptors, signals and
the exit status are the program's own. Paths are absolute: the working directory does not matter, nor do spaces.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from setup.stamp import write_whole


def script(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> str:
    """Return the text of a wrapper that becomes `command` followed by its own arguments."""
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in (environment or {}).items())
    return f'#!/bin/sh\n{exports}exec {shlex.join(str(word) for word in command)} "$@"\n'


def write(path: Path, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Path:
    """Write a wrapper to `path` and return it."""
    write_whole(path, script(command, environment), mode=0o755)
    return path


def in_tree(tree: Path, program: str) -> list[str | Path]:
    """Return the command that starts the unpacked `program` by the loader and libraries unpacked beside it.

    Releases differ in where they keep them (`/lib` or `/usr/lib`), so they are looked for. Raise LookupError if the
    tree is not whole.
    """
    binaries = [
        path for place in ("usr/bin", "usr/sbin", "bin", "sbin") if (path := tree / place / program).is_file()
    ]
    loaders = sorted(path for path in tree.rglob("ld-linux*.so*") if path.is_file() and not path.is_symlink())
    libraries = [
        path
        for pattern in ("lib/*-linux-gnu*", "usr/lib/*-linux-gnu*")
        for path in sorted(tree.glob(pattern))
        if path.is_dir()
    ]
    if not (binaries and loaders and libraries):
        raise LookupError(f"{tree} holds no whole {program}")
    return [loaders[0], "--library-path", ":".join(map(str, libraries)), binaries[0]]
