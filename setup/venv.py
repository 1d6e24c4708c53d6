"""The virtual environment: everything of the lock file, and the three distributions of this checkout, editable."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from setup import child, lockfile
from setup.console import Problem
from setup.installer import Command
from setup.place import Place, child_environment
from setup.stamp import write_whole

DISTRIBUTIONS = ("protocol", "bridge", "tools")
# Groups of the root's pyproject.toml that are not for the virtual environment itself.
_APART = ("stubs", "fallback")
_SECONDS = 900
# Written when the empty environment stands: where, and by which Python.
_MADE = "made"


def build(place: Place, uv: Command, environ: Mapping[str, str]) -> None:
    """Make or bring up to date `.venv` and `.runtime/stubs`; raise Problem with uv's own words if that fails."""
    env = child_environment(place, environ)
    if not is_usable(place):
        _uv(uv, "venv", "--quiet", "--python", base_interpreter(), "--clear", place.venv, env=env)
        write_whole(place.venv / _MADE, _made(place))
    groups = lockfile.groups((place.root / "pyproject.toml").read_text(encoding="utf-8"))
    stubs = _with_friends(groups["stubs"])
    apart = {*stubs, *(name for group in _APART for name in groups[group])}
    parts = place.runtime / "parts"
    common = ("pip", "install", "--quiet", "--python", place.python)
    part = lockfile.write_part(place.lock, parts / "venv.txt", without=apart)
    _uv(uv, *common, "--no-deps", "--require-hashes", "--compile-bytecode", "--requirement", part, env=env)
    editable = [word for name in DISTRIBUTIONS for word in ("--editable", place.root / name)]
    _uv(uv, *common, "--no-deps", "--no-build-isolation", *editable, env=env)
    part = lockfile.write_part(place.lock, parts / "stubs.txt", only=stubs)
    new = place.runtime / "stubs.new"
    shutil.rmtree(new, ignore_errors=True)
    _uv(uv, *common, "--no-deps", "--require-hashes", "--target", new, "--requirement", part, env=env)
    shutil.rmtree(place.runtime / "stubs", ignore_errors=True)
    new.rename(place.runtime / "stubs")


def is_usable(place: Place) -> bool:
    """Whether `.venv` was made in this place by this version of Python, and the Python behind it still stands.

    Programs in a virtual environment name it by its full path, so one that was moved is dead.
    """
    try:
        return (place.venv / _MADE).read_text(encoding="utf-8") == _made(place) and place.python.exists()
    except (OSError, UnicodeDecodeError):
        return False


def _made(place: Place) -> str:
    return f"{place.root}\n{sys.version}\n"


def base_interpreter() -> str:
    """Return the Python that stands behind the running one, which may be that of a virtual environment."""
    return getattr(sys, "_base_executable", "") or sys.executable


def inputs(place: Place) -> list[Path]:
    """Return the files that decide what the virtual environment holds."""
    return [
        place.lock,
        place.root / "pyproject.toml",
        *(place.root / name / "pyproject.toml" for name in DISTRIBUTIONS),
        Path(__file__),
    ]


def _with_friends(stubs: list[str]) -> list[str]:
    """Return the stubs with the package of standard library types that they stand on."""
    return [*stubs, "micropython-stdlib-stubs"]


def _uv(uv: Command, *words: str | Path, env: Mapping[str, str]) -> None:
    try:
        child.run([*uv, *words], seconds=_SECONDS, env=env)
    except child.Failed as error:
        raise Problem(
            f"the virtual environment could not be made: {error}\n"
            "If packages cannot be reached, tell uv or pip the way (UV_DEFAULT_INDEX, PIP_INDEX_URL, HTTPS_PROXY)."
        ) from None
