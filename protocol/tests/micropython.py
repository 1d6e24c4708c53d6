"""The MicroPython programs that `make setup` put into .runtime/bin, with the protocol on their path."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOM = Path(__file__).parents[1]
SCRIPTS = Path(__file__).parent / "on_micropython"
BOTH = ("micropython", "micropython32")
HEAP = "256k"
"""Less than an ESP32 has; the codec itself, compiled from source here, takes most of it."""


def run(name: str, script: str, arguments: Sequence[object] = (), text: str = "") -> str:
    """What `script` prints under the MicroPython called `name`, in a heap of HEAP. Fails with what it says if it fails.

    The 32-bit one cannot be had everywhere (setup/runtime.py): without it the test is skipped.
    """
    program = ROOM.parent / ".runtime" / "bin" / name
    if not program.exists():
        if name == "micropython32":
            pytest.skip("no 32-bit MicroPython on this machine")
        pytest.fail(f"{program} is missing: run `make setup`")
    command = [program, "-X", f"heapsize={HEAP}", SCRIPTS / script, *arguments]
    done = subprocess.run(
        [str(part) for part in command],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "MICROPYPATH": f"{ROOM}:.frozen"},
    )
    assert done.returncode == 0, f"{name} {script}: {done.stdout[-500:]}{done.stderr[-2000:]}"
    return done.stdout
