"""The lock file read as text: which packages it names, and the part of it that one step installs.

The format is pip's: an entry begins in the first column, its hashes follow on indented lines.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection
from pathlib import Path

from setup.console import Problem

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def normal(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def entries(text: str) -> dict[str, str]:
    """Return name → whole entry (with its hashes) of a lock file."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not line[0].isspace():
            match = _NAME.match(line)
            if not match:
                raise ValueError(f"not an entry of a lock file: {line!r}")
            name = normal(match.group())
            found[name] = ""
        found[name] += line + "\n"
    return found


def groups(pyproject: str) -> dict[str, list[str]]:
    """Return the names of the packages that each dependency group of a pyproject.toml asks for."""
    table = tomllib.loads(pyproject).get("dependency-groups", {})
    return {
        group: [
            normal(match.group()) for item in wanted if isinstance(item, str) and (match := _NAME.match(item))
        ]
        for group, wanted in table.items()
    }


def write_part(
    lock: Path, into: Path, *, only: Collection[str] | None = None, without: Collection[str] = ()
) -> Path:
    """Write the entries of `lock` named by `only` (all if None) except `without` to `into` and return it.

    Raise Problem if `lock` does not name one of `only`.
    """
    known = entries(lock.read_text(encoding="utf-8"))
    missing = sorted(set(only or ()) - set(known))
    if missing:
        raise Problem(f"{lock.name} does not name {', '.join(missing)}. Run `make lock`.")
    chosen = [
        entry for name, entry in known.items() if (only is None or name in only) and name not in without
    ]
    into.parent.mkdir(parents=True, exist_ok=True)
    into.write_text("".join(chosen), encoding="utf-8")
    return into
