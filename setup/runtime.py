"""MicroPython (64 and 32 bit) and an MQTT broker in `.runtime/bin`, and `.runtime/tools.json`, which says what they are.

`micropython` and a broker must be had. `micropython32` has the memory layout of an ESP32; without it memory budgets
cannot be measured. Where Mosquitto cannot be had, `iotcore` takes its place and can do less. `redis-server` is for tests
of the bridge.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from setup.console import Problem
from setup.origins import Origin
from setup.stamp import write_whole
from setup.tool import (
    IOTCORE,
    MICROPYTHON,
    MICROPYTHON32,
    MICROPYTHON_MINIMUM,
    MOSQUITTO,
    MOSQUITTO_MINIMUM,
    REDIS,
    Tool,
    dotted,
)

ALL = (MICROPYTHON, MICROPYTHON32, MOSQUITTO, IOTCORE, REDIS)

_TITLES = {
    MICROPYTHON: "MicroPython",
    MICROPYTHON32: "MicroPython, 32 bit",
    MOSQUITTO: "Mosquitto",
    IOTCORE: "iotcore",
    REDIS: "Redis",
}


def settle(origins: Iterable[Origin], say: Callable[[str], None]) -> dict[str, Tool]:
    """Ask the origins in turn for what is still missing and return all that was found.

    Raise Problem if MicroPython or a broker cannot be had from any of them.
    """
    found: dict[str, Tool] = {}
    reasons: list[str] = []
    for origin in origins:
        missing = [name for name in (MICROPYTHON, MICROPYTHON32, MOSQUITTO, REDIS) if name not in found]
        if not missing:
            break
        asked = [IOTCORE if name == MOSQUITTO and origin.name == "wheel" else name for name in missing]
        say(f"looking for {_enumerate(asked)}: {origin.name}")
        got, why = origin.find(asked)
        found |= got
        reasons += [f"  {_TITLES[name]}, {origin.name}: {why[name]}" for name in asked if name in why]
    lacking = _lacking(found)
    if lacking:
        raise Problem("\n".join([f"{lacking} and run the command again. What was tried:", *reasons]))
    return found


def _enumerate(names: Sequence[str]) -> str:
    return ", ".join(_TITLES[name] for name in names)


def _lacking(found: dict[str, Tool]) -> str:
    """Return what a person has to install, "" if nothing."""
    lacking = []
    if MICROPYTHON not in found:
        lacking.append(
            f"MicroPython {dotted(MICROPYTHON_MINIMUM)} or newer (unix port, command `micropython`)"
        )
    if MOSQUITTO not in found and IOTCORE not in found:
        lacking.append(f"Mosquitto {dotted(MOSQUITTO_MINIMUM)} or newer (command `mosquitto`)")
    return f"Please install {' and '.join(lacking)}, so that it is on the PATH," if lacking else ""


def remarks(found: dict[str, Tool]) -> list[str]:
    """Return what works less well with what was found."""
    lines = []
    for name, lost in (
        (MICROPYTHON, "it is another version than the distribution's"),
        (
            IOTCORE,
            "as the broker instead of Mosquitto: it reports neither missing subscribers nor dropped messages",
        ),
        (REDIS, "it is Valkey, which grew out of Redis"),
    ):
        if name in found and found[name].origin == "wheel":
            lines.append(f"fallback: {_TITLES[name]} {found[name].version} from a wheel; {lost}")
    if MICROPYTHON32 not in found:
        lines.append("no 32-bit MicroPython for this machine: memory budgets are not measured")
    if REDIS not in found:
        lines.append("no Redis for this machine: the tests of the bridge's source `redis` fail")
    return lines


def summary(found: dict[str, Tool]) -> str:
    """Return one line that names all that was found."""
    return ", ".join(
        f"{_TITLES[name]} {found[name].version} ({found[name].origin})" for name in ALL if name in found
    )


def write_table(path: Path, found: dict[str, Tool]) -> None:
    """Write `tools.json`: per tool path, version, origin and bits (null where it is not known), or null."""
    table = {
        name: {
            "path": str(found[name].path),
            "version": found[name].version,
            "origin": found[name].origin,
            "bits": found[name].bits or None,
        }
        if name in found
        else None
        for name in ALL
    }
    write_whole(path, json.dumps(table, indent=2, ensure_ascii=False) + "\n")


def is_whole(path: Path) -> bool:
    """Whether all programs that `tools.json` at `path` names are still there."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return all(Path(entry["path"]).is_file() for entry in table.values() if entry is not None)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return False
