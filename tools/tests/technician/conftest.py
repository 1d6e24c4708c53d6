"""Fixtures: virtual boards on ports as in tests/serial_board, and builds, a whole and a small one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.tests.serial_board.conftest import built, plugged_in, stub
from zaehlwerk_tools.technician.manifest import CHIPS, MICROPYTHON, BuiltFile, Manifest, sha256

__all__ = ["built", "plugged_in", "stub"]

SMALL = {
    "app/__init__.py": b"VERSION = (9, 9, 9)\n",
    "app/deep/inside.py": b"# " + b"x" * 3000,
    "app/node.py": b"print('node')\n",
    "main.py": b"import app.node\n",
}


def write_build(folder: Path, files: dict[str, bytes]) -> Path:
    """A build of any files."""
    manifest = Manifest(
        firmware="9.9.9",
        protocol=1,
        mpy=6,
        micropython=MICROPYTHON,
        chips=CHIPS,
        compiler="none",
        files=tuple(BuiltFile(path, len(data), sha256(data)) for path, data in sorted(files.items())),
    )
    for path, data in files.items():
        (folder / "node" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "node" / path).write_bytes(data)
    (folder / "manifest.json").write_text(manifest.text())
    return folder


@pytest.fixture
def small_build(tmp_path: Path) -> Path:
    return write_build(tmp_path / "small", SMALL)
