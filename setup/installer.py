"""uv, which makes the virtual environment: it needs neither pip nor ensurepip, both of which a machine may lack.

Asked in turn: the PATH; pip in any form (module, command, the wheel that venv would use); and where there is no pip at
all, as on a bare Debian, pip's own wheel from the distribution's package `python3-pip-whl`. pip fetches uv by the hash
in the lock file.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from setup import apt, child, lockfile, sources
from setup.console import Problem
from setup.place import Place, child_environment

# Older ones do not know all options that are used here.
_MINIMUM = (0, 5)
_SECONDS = 300
_DISTRIBUTIONS_WHEELS = Path("/usr/share/python-wheels")
_INSTALL = (
    *("install", "--quiet", "--disable-pip-version-check", "--no-input", "--timeout", "60", "--retries", "5"),
    *("--no-deps", "--require-hashes", "--only-binary", ":all:"),
)
_MESSAGE = (
    "neither uv nor pip works on this machine. Please install one of them (on Debian and Ubuntu: "
    "`apt-get install python3-pip`) and run the command again. What was tried:"
)

Command = list[str | Path]


def uv(place: Place, environ: Mapping[str, str]) -> Command:
    """Return the command that starts uv, fetched if need be; raise Problem if it cannot be had."""
    own = place.runtime / "uv"
    for program in (own / "bin" / "uv", shutil.which("uv", path=environ.get("PATH"))):
        if program and _works(Path(program)):
            return [program]
    tried: list[str] = []
    part = lockfile.write_part(place.lock, place.runtime / "parts" / "uv.txt", only=["uv"])
    for pip in _pips(place, environ, tried):
        shutil.rmtree(own, ignore_errors=True)
        try:
            child.run(
                [*pip, *_INSTALL, "--target", own, "--requirement", part],
                seconds=_SECONDS,
                env=child_environment(place, environ),
            )
        except child.Failed as error:
            tried.append(f"  {' '.join(map(str, pip))}: {error}")
            continue
        if _works(own / "bin" / "uv"):
            return [own / "bin" / "uv"]
        tried.append(f"  {' '.join(map(str, pip))}: the uv it installed does not run here")
    raise Problem("\n".join([_MESSAGE, *tried]))


def _pips(place: Place, environ: Mapping[str, str], tried: list[str]) -> Iterator[Command]:
    """Yield commands that start pip, the cheapest first."""
    python = sys.executable
    if importlib.util.find_spec("pip"):
        yield [python, "-m", "pip"]
    for name in ("pip3", "pip"):
        program = shutil.which(name, path=environ.get("PATH"))
        if program:
            yield [program]
    bundled = importlib.util.find_spec("ensurepip")
    places = [Path(bundled.origin).parent / "_bundled"] if bundled and bundled.origin else []
    for wheel in _wheels(*places, _DISTRIBUTIONS_WHEELS):
        yield [python, wheel / "pip"]
    try:
        release = sources.code_name(Path("/etc/os-release").read_text(encoding="utf-8"))
        archives = sources.for_suite(sources.read_machine(), release, release)
        tree = place.runtime / "packages" / "pip"
        with apt.Archive(place.runtime / "apt", archives, [apt.native_architecture()]) as archive:
            archive.unpack(archive.find("python3-pip-whl", "all"), tree)
        for wheel in _wheels(tree / "usr" / "share" / "python-wheels"):
            yield [python, wheel / "pip"]
    except (apt.NotThere, OSError) as error:
        tried.append(f"  the distribution's package python3-pip-whl: {error}")


def _wheels(*places: Path) -> Iterator[Path]:
    """Yield pip's wheels in `places`. Python runs a program inside a wheel: it is a zip file."""
    for place in places:
        yield from sorted(place.glob("pip-*.whl"), reverse=True)


def _works(program: Path) -> bool:
    """Whether the uv at `program` runs and is new enough."""
    if not program.exists():
        return False
    try:
        match = re.search(r"uv (\d+)\.(\d+)", child.run([program, "--version"], seconds=20))
    except child.Failed:
        return False
    return match is not None and (int(match[1]), int(match[2])) >= _MINIMUM
