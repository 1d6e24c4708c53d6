"""The order of the set-up: is all fresh? else alone in the checkout: uv, virtual environment, runtime, frame
oracle."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from setup import installer, lock, oracle, origins, runtime, stamp, venv
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
        epilog=f"{_ORIGINS}=path,packages,wheel restricts where MicroPython, the broker and Node.js may come from.",
    )
    parser.add_argument("--again", action="store_true", help="look for the programs that PyPI lacks anew")
    parser.add_argument("--demo", action="store_true", help="leave out what only the tests need")
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
            prepare(place, environ, again=options.again, tests=not options.demo)
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


def prepare(place: Place, environ: Mapping[str, str], *, again: bool = False, tests: bool = True) -> None:
    """Do what is not done yet, for the tests too if `tests`; raise Problem if it cannot be done."""
    fresh = _venv_is_fresh(place) and _runtime_is_fresh(place, environ)
    if fresh and not again and (_oracle_is_fresh(place, environ) or not tests):
        return
    place.require_writable()
    with alone(place.runtime / "set-up.lock"):
        uv = cache(lambda: installer.uv(place, environ))
        if not _venv_is_fresh(place):
            with step(f"virtual environment, Python {sys.version.split()[0]}"):
                (place.venv / "set-up").unlink(missing_ok=True)
                venv.build(place, uv(), environ)
                stamp.write_whole(place.venv / "set-up", _venv_stamp(place))
        if again or not _runtime_is_fresh(place, environ):
            with step("MicroPython, MQTT broker and Redis"):
                _settle(place, uv(), environ)
        if tests and (again or not _oracle_is_fresh(place, environ)):
            _consult(place, uv, environ)


def _consult(place: Place, uv: Callable[[], installer.Command], environ: Mapping[str, str]) -> None:
    """Install the frame oracle, or say why not: all but the tests that ask it goes on without."""
    (place.runtime / "set-up-oracle").unlink(missing_ok=True)
    try:
        with step("frame oracle for the tests"):
            say(oracle.install(place, uv, environ, _wanted(environ)))
            stamp.write_whole(place.runtime / "set-up-oracle", _oracle_stamp(place, environ))
    except oracle.NotThere as error:
        warn(f"{error}\nUntil it is there, the tests that check frames by lora-packet fail.")


def _settle(place: Place, uv: installer.Command, environ: Mapping[str, str]) -> None:
    (place.runtime / "set-up").unlink(missing_ok=True)
    known = [
        origins.from_path(place, environ),
        origins.from_packages(place),
        origins.from_wheels(place, uv, environ),
    ]
    wanted = _wanted(environ)
    try:
        chosen = origins.named(wanted, known) if wanted else known
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


def _wanted(environ: Mapping[str, str]) -> list[str]:
    """Return the names of the origins that programs may come from, none if any will do."""
    return environ.get(_ORIGINS, "").replace(",", " ").split()


def _venv_is_fresh(place: Place) -> bool:
    return stamp.is_fresh(place.venv / "set-up", _venv_stamp(place)) and venv.is_usable(place)


def _oracle_is_fresh(place: Place, environ: Mapping[str, str]) -> bool:
    return stamp.is_fresh(place.runtime / "set-up-oracle", _oracle_stamp(place, environ)) and oracle.is_whole(
        place
    )


def _oracle_stamp(place: Place, environ: Mapping[str, str]) -> str:
    return oracle.stamp_value(place, environ, _wanted(environ))


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
        for name in ("micropython", "micropython32", "mosquitto", "redis-server")
        for program in origins.on_path(name, environ.get("PATH", ""), place.bin)
    ]
    apt_is_there = str(bool(shutil.which("apt-get", path=environ.get("PATH"))))
    facts = [str(place.root), *origins.interpreter_facts(), environ.get(_ORIGINS, ""), apt_is_there, *on_path]
    return stamp.digest(files, facts)
