"""The manifest of a firmware build: what a node gets, to the byte, and what it needs to run it.

A build is a folder with `manifest.json`, `names.json` (which short name stands for which, for reading a crash report)
and the folder `node`, whose files go to the root of the node's file system.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from zaehlwerk_tools.technician.troubles import BuildError

MANIFEST, NAMES, NODE = "manifest.json", "names.json", "node"
FORMAT = 1
MICROPYTHON = (1, 26)
"""The oldest MicroPython that has machine.Counter on the ESP32."""
CHIPS = ("ESP32", "ESP32S3")


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """A file of the node: path below its root, bytes, SHA-256 in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a build is. `mpy`: version of the .mpy format (sys.implementation._mpy & 0xff); `micropython`: the oldest that does."""

    firmware: str
    protocol: int
    mpy: int
    micropython: tuple[int, int]
    chips: tuple[str, ...]
    compiler: str
    files: tuple[BuiltFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def text(self) -> str:
        """As JSON; the same build is the same text."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, sort_keys=True) + "\n"


def sha256(data: bytes) -> str:
    """In hex."""
    return hashlib.sha256(data).hexdigest()


def read_build(folder: Path) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest and the content of each file by its path on the node.

    Raises BuildError if the folder is no build, or a file is missing, changed or not in the manifest.
    """
    manifest = _read_manifest(folder / MANIFEST)
    root = folder / NODE
    there = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    contents = {}
    for file in manifest.files:
        if file.path not in there:
            raise BuildError(f"{root / file.path} is missing: build the firmware again")
        content = (root / file.path).read_bytes()
        if len(content) != file.size or sha256(content) != file.sha256:
            raise BuildError(f"{root / file.path} is not what {MANIFEST} says: build the firmware again")
        contents[file.path] = content
    strangers = sorted(there - contents.keys())
    if strangers:
        raise BuildError(f"{root / strangers[0]} is not in {MANIFEST}: build the firmware again")
    return manifest, contents


def _read_manifest(path: Path) -> Manifest:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BuildError(
            f"{path} is missing: not a firmware build; make one with `zaehlwerk firmware build`"
        ) from None
    except (OSError, ValueError) as error:
        raise BuildError(f"{path} cannot be read: {error}") from None
    try:
        return _parsed(document)
    except (KeyError, TypeError, ValueError) as error:
        raise BuildError(f"{path} is damaged ({error!r}): build the firmware again") from None


def _parsed(document: dict[str, Any]) -> Manifest:
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']}")
    files = tuple(
        BuiltFile(str(file["path"]), int(file["size"]), str(file["sha256"])) for file in document["files"]
    )
    for file in files:
        path = PurePosixPath(file.path)
        if path.is_absolute() or ".." in path.parts or file.path != path.as_posix():
            raise ValueError(f"path {file.path}")
    major, minor = document["micropython"]
    return Manifest(
        firmware=str(document["firmware"]),
        protocol=int(document["protocol"]),
        mpy=int(document["mpy"]),
        micropython=(int(major), int(minor)),
        chips=tuple(str(chip) for chip in document["chips"]),
        compiler=str(document["compiler"]),
        files=files,
    )
