"""Finds an MQTT broker on this machine: Mosquitto, or, where that cannot be had, the wheel `iotcore`.

Asked in this order: the setting `ZAEHLWERK_MOSQUITTO`, what the set-up left in `.runtime/` of the checkout, the PATH
and the places where distributions keep servers.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from zaehlwerk_tools.errors import BrokerError
from zaehlwerk_tools.set_up_programs import named_programs

SETTING = "ZAEHLWERK_MOSQUITTO"
_SERVER_PLACES = ("/usr/local/sbin", "/usr/sbin", "/opt/homebrew/sbin", "/usr/local/opt/mosquitto/sbin")


@dataclass(frozen=True, slots=True)
class BrokerProgram:
    """A broker that can be started."""

    path: Path
    is_mosquitto: bool

    @property
    def fallback(self) -> str | None:
        """What it cannot do compared with Mosquitto, in words; None for Mosquitto itself."""
        if self.is_mosquitto:
            return None
        return f"no Mosquitto here: the broker is iotcore ({self.path}), which does not tell how many messages it dropped"


def find_program(environ: Mapping[str, str] | None = None, beside: Path | None = None) -> BrokerProgram:
    """The broker to start. `beside`: a path in the checkout. Raises BrokerError if there is none."""
    environ = os.environ if environ is None else environ
    named = environ.get(SETTING)
    if named:
        if not os.access(named, os.X_OK) or Path(named).is_dir():
            raise BrokerError(f"{SETTING}={named}: no program there")
        return BrokerProgram(Path(named), is_mosquitto=True)
    tools = [found for place in _checkouts(beside) for found in _left_by_setup(place)]
    for program in tools:
        if program.is_mosquitto:
            return program
    search = os.pathsep.join((environ.get("PATH", ""), *_SERVER_PLACES))
    installed = shutil.which("mosquitto", path=search)
    if installed:
        return BrokerProgram(Path(installed), is_mosquitto=True)
    if tools:
        return tools[0]
    raise BrokerError(
        f"no MQTT broker found: run `make setup`, install Mosquitto, or set {SETTING} to its path"
    )


def _checkouts(beside: Path | None) -> Iterator[Path]:
    """The directories above the package, and above the working directory, in which a set-up has run."""
    for start in ((beside or Path(__file__)).resolve(), Path.cwd()):
        yield from (place for place in (start, *start.parents) if (place / ".runtime").is_dir())


def _left_by_setup(checkout: Path) -> Iterator[BrokerProgram]:
    """The brokers that `.runtime/tools.json` names, or that lie in `.runtime/bin` under their own names."""
    runtime = checkout / ".runtime"
    tools = named_programs(checkout)
    for name in ("mosquitto", "iotcore"):
        entry = tools.get(name)
        path = Path(entry["path"]) if isinstance(entry, dict) and "path" in entry else runtime / "bin" / name
        if os.access(path, os.X_OK) and path.is_file():
            yield BrokerProgram(path, is_mosquitto=name == "mosquitto")
