"""Builds the firmware for nodes: the files that virtual boards run too, without what stands in for hardware there.

The same sources and the same mpy-cross make the same bytes.
"""

from __future__ import annotations

import ast
import json
import shutil
import tempfile
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from zaehlwerk_tools.simulator.firmware_tree import (
    STAND_INS,
    TreeError,
    build_tree,
    compiler_version,
    names_of,
)
from zaehlwerk_tools.technician.manifest import (
    CHIPS,
    MANIFEST,
    MICROPYTHON,
    NAMES,
    NODE,
    BuiltFile,
    Manifest,
    build_files,
    sha256,
)
from zaehlwerk_tools.technician.troubles import BuildError

_OWN = {MANIFEST, NAMES, NODE}


def build_firmware(firmware: Path, protocol: Path, out: Path) -> Manifest:
    """Build `firmware` with the package `protocol` into `out`, which is made, or replaced if it is a build.

    Raises BuildError: a source is missing or does not compile, or `out` holds something else.
    """
    if out.exists() and (not out.is_dir() or {path.name for path in out.iterdir()} - _OWN):
        raise BuildError(f"{out} holds something else than a firmware build: name an empty or a new folder")
    version = _constant(firmware / "app" / "__init__.py", "VERSION")
    if not isinstance(version, tuple):
        raise BuildError(f"{firmware}/app/__init__.py: VERSION must be a tuple, not {version!r}")
    spoken = _constant(protocol / "__init__.py", "VERSION")
    if not isinstance(spoken, int):
        raise BuildError(f"{protocol}/__init__.py: VERSION must be a number, not {spoken!r}")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=out.parent) as name:
        building = Path(name) / "build"
        try:
            tree = build_tree(firmware, protocol, Path(name) / "cache")
        except TreeError as error:
            raise BuildError(str(error)) from None
        except SyntaxError as error:
            raise BuildError(f"{error.filename}, line {error.lineno} does not compile: {error.msg}") from None
        _take(tree.node, building / NODE)
        manifest = Manifest(
            firmware=".".join(str(part) for part in version),
            protocol=spoken,
            mpy=_mpy_version(building / NODE),
            micropython=MICROPYTHON,
            chips=CHIPS,
            compiler=compiler_version().strip(),
            files=_files(building / NODE),
        )
        (building / MANIFEST).write_text(manifest.text(), encoding="utf-8", newline="\n")
        names = json.dumps(names_of(tree), indent=0, sort_keys=True) + "\n"
        (building / NAMES).write_text(names, encoding="utf-8", newline="\n")
        if out.exists():
            shutil.rmtree(out)
        building.rename(out)
    return manifest


def pack(build: Path, to: Path) -> None:
    """The build as one ZIP file, `to`: not compressed, without times and rights, so that the same build is the same bytes.

    Raises BuildError.
    """
    try:
        with ZipFile(to, "w") as packed:
            for path, content in sorted(build_files(build).items()):
                entry = ZipInfo(path)  # of 1980-01-01, which is the format's beginning
                entry.create_system = 3
                entry.external_attr = 0o644 << 16
                packed.writestr(entry, content)
    except OSError as error:
        raise BuildError(f"{to} cannot be written: {error.strerror or error}") from None


def _take(node: Path, to: Path) -> None:
    left = {Path(target).with_suffix(".mpy").name for target in STAND_INS}
    for path in sorted(node.rglob("*")):
        place = path.relative_to(node)
        if path.is_file() and not (len(place.parts) == 1 and path.name in left):
            (to / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to / place)


def _files(root: Path) -> tuple[BuiltFile, ...]:
    return tuple(
        BuiltFile(path.relative_to(root).as_posix(), len(content), sha256(content))
        for path in sorted(root.rglob("*"))
        if path.is_file()
        for content in (path.read_bytes(),)
    )


def _mpy_version(root: Path) -> int:
    """The second byte of a .mpy file (docs/reference/mpyfiles.rst of MicroPython)."""
    versions = {path.read_bytes()[1] for path in root.rglob("*.mpy")}
    if len(versions) != 1:
        raise BuildError(f"{root}: no .mpy files, or of several versions {sorted(versions)}")
    return versions.pop()


def _constant(source: Path, name: str) -> object:
    """The literal that a module gives to `name`; nothing is run."""
    try:
        module = ast.parse(source.read_text(encoding="utf-8"))
    except (OSError, SyntaxError) as error:
        raise BuildError(f"{source} cannot be read: {error}") from None
    for statement in module.body:
        if isinstance(statement, ast.Assign) and [ast.unparse(target) for target in statement.targets] == [
            name
        ]:
            return ast.literal_eval(statement.value)
    raise BuildError(f"{source} does not say {name}")
