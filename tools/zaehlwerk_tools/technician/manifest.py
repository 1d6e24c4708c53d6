"""The manifest of a firmware build: what a node gets, to the byte, and what it needs to run it.

A build is a folder with `manifest.json`, `names.json` (which short name stands for which, for reading a crash report)
and the folder `node`, whose files go to the root of the node's file system; or a ZIP file of these.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import BadZipFile, ZipFile

from zaehlwerk_tools.technician.troubles import BuildError

MANIFEST, NAMES, NODE = "manifest.json", "names.json", "node"
FORMAT = 1
MICROPYTHON = (1, 26)
"""The oldest MicroPython that has machine.Counter on the ESP32."""
CHIPS = ("ESP32", "ESP32S3")
_MOST = 16 * 1024 * 1024
"""Bytes of what is packed in a ZIP file: no board has more flash."""


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


def build_files(build: Path) -> dict[str, bytes]:
    """Of a folder, or of a ZIP file: what is in it, by path. Raises BuildError."""
    try:
        if not build.is_file():
            found = (path for path in build.rglob("*") if path.is_file())
            return {path.relative_to(build).as_posix(): path.read_bytes() for path in found}
        with ZipFile(build) as packed:
            if sum(entry.file_size for entry in packed.infolist()) > _MOST:
                raise BuildError(f"{build} is too large for a firmware build")
            return {entry.filename: packed.read(entry) for entry in packed.infolist() if not entry.is_dir()}
    except (BadZipFile, NotImplementedError, OSError, RuntimeError, zlib.error) as error:
        raise BuildError(f"{build} cannot be read: {error}") from None


def read_build(build: Path) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest and the content of each file by its path on the node.

    Raises BuildError if it is no build, or a file is missing, changed or not in the manifest.
    """
    files = build_files(build)
    manifest = _read_manifest(build / MANIFEST, files.get(MANIFEST))
    root = build / NODE
    there = {
        path.removeprefix(f"{NODE}/"): data for path, data in files.items() if path.startswith(f"{NODE}/")
    }
    contents = {}
    for file in manifest.files:
        if file.path not in there:
            raise BuildError(f"{root / file.path} is missing: build the firmware again")
        content = there[file.path]
        if len(content) != file.size or sha256(content) != file.sha256:
            raise BuildError(f"{root / file.path} is not what {MANIFEST} says: build the firmware again")
        contents[file.path] = content
    strangers = sorted(there.keys() - contents.keys())
    if strangers:
        raise BuildError(f"{root / strangers[0]} is not in {MANIFEST}: build the firmware again")
    return manifest, contents


def _read_manifest(path: Path, text: bytes | None) -> Manifest:
    if text is None:
        raise BuildError(f"{path} is missing: not a firmware build; make one with `zaehlwerk firmware build`")
    try:
        document = json.loads(text)
    except ValueError as error:
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
