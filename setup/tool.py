"""The programs that PyPI does not carry, and how to tell by running one whether it will do."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from setup import child

MICROPYTHON = "micropython"
MICROPYTHON32 = "micropython32"
MOSQUITTO = "mosquitto"
IOTCORE = "iotcore"
REDIS = "redis-server"

# 1.25 is what Debian's stable release carries; older ones lack parts of `vfs` and of asyncio that the firmware uses.
MICROPYTHON_MINIMUM = (1, 25)
MOSQUITTO_MINIMUM = (2, 0)
# Streams tell from 7.0 on how many entries were added and how far a group has read.
REDIS_MINIMUM = (7, 0)

_MICROPYTHON_PROBE = """
import sys
from cryptolib import aes
from vfs import VfsLfs2
import asyncio, select, socket
bits, n = 1, sys.maxsize
while n > 1:
    n >>= 1
    bits += 1
print("probe", ".".join(str(part) for part in sys.implementation[1][:3]), bits + 1)
"""
_MICROPYTHON_SAYS = re.compile(r"^probe (?P<version>[\d.]+) (?P<bits>32|64)$", re.MULTILINE)
_MOSQUITTO_SAYS = re.compile(r"mosquitto version (?P<version>[\d.]+)")
_IOTCORE_SAYS = re.compile(r"iotcore (?P<version>[\d.]+)")
_REDIS_SAYS = re.compile(r"^(Redis|Valkey) server v=(?P<version>[\d.]+)", re.MULTILINE)
_PROBE_SECONDS = 20


class Unfit(Exception):
    """The program was found but will not do; the text says why."""


@dataclass(frozen=True)
class Tool:
    """A program that was run and will do. `origin` is "path", "packages" or "wheel"; `bits` 0 where it says nothing."""

    name: str
    path: Path
    version: str
    origin: str
    bits: int


def version_tuple(text: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with, Debian's epoch left out: "1:2.0.21-1" → (2, 0, 21)."""
    match = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", text)
    return tuple(map(int, match[1].split("."))) if match else ()


def dotted(version: Sequence[int]) -> str:
    """Return a version as text."""
    return ".".join(map(str, version))


def probe_micropython(path: Path) -> tuple[str, int]:
    """Return version and word size of the MicroPython at `path`; raise Unfit if it lacks what the firmware needs."""
    try:
        output = child.run([path, "-c", _MICROPYTHON_PROBE], seconds=_PROBE_SECONDS)
    except child.Failed as error:
        raise Unfit(f"{path} lacks something the firmware needs: {error}") from None
    match = _MICROPYTHON_SAYS.search(output)
    if not match:
        raise Unfit(f"{path} is no MicroPython")
    return _new_enough(path, match["version"], MICROPYTHON_MINIMUM), int(match["bits"])


def probe_mosquitto(path: Path) -> tuple[str, int]:
    """Return the version of the Mosquitto at `path` and 0; raise Unfit if it is none or too old."""
    try:
        output = child.run([path, "-h"], seconds=_PROBE_SECONDS, accept=(0, 1, 3))
    except child.Failed as error:
        raise Unfit(str(error)) from None
    match = _MOSQUITTO_SAYS.search(output)
    if not match:
        raise Unfit(f"{path} is no Mosquitto")
    return _new_enough(path, match["version"], MOSQUITTO_MINIMUM), 0


def probe_iotcore(path: Path) -> tuple[str, int]:
    """Return the version of the broker iotcore and 0; raise Unfit if it does not start here."""
    try:
        output = child.run([path, "--version"], seconds=_PROBE_SECONDS)
    except child.Failed as error:
        raise Unfit(str(error)) from None
    match = _IOTCORE_SAYS.search(output)
    if not match:
        raise Unfit(f"{path} is no iotcore")
    return match["version"], 0


def probe_redis(path: Path) -> tuple[str, int]:
    """Return the version of the Redis, or Valkey, at `path` and 0; raise Unfit if it is none or too old."""
    try:
        output = child.run([path, "--version"], seconds=_PROBE_SECONDS)
    except child.Failed as error:
        raise Unfit(str(error)) from None
    match = _REDIS_SAYS.search(output)
    if not match:
        raise Unfit(f"{path} is no Redis")
    return _new_enough(path, match["version"], REDIS_MINIMUM), 0


PROBES: dict[str, Callable[[Path], tuple[str, int]]] = {
    MICROPYTHON: probe_micropython,
    MICROPYTHON32: probe_micropython,
    MOSQUITTO: probe_mosquitto,
    IOTCORE: probe_iotcore,
    REDIS: probe_redis,
}
MINIMUMS = {
    MICROPYTHON: MICROPYTHON_MINIMUM,
    MICROPYTHON32: MICROPYTHON_MINIMUM,
    MOSQUITTO: MOSQUITTO_MINIMUM,
    REDIS: REDIS_MINIMUM,
}


def examine(name: str, path: Path, origin: str) -> Tool:
    """Run the program at `path` and return it as the tool `name`; raise Unfit if it will not do."""
    version, bits = PROBES[name](path)
    if name == MICROPYTHON32 and bits != 32:
        raise Unfit(f"{path} is a {bits}-bit build")
    return Tool(name, path, version, origin, bits)


def _new_enough(path: Path, version: str, minimum: tuple[int, ...]) -> str:
    if version_tuple(version) < minimum:
        raise Unfit(f"{path} is {version}, {dotted(minimum)} or newer is needed")
    return version
