"""How much heap each room of the node's code takes when it is loaded, module by module, on the 32-bit MicroPython."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.simulator.firmware_tree import NodeTree

ROOMS = ("app", "counting", "lorawan", "radio", "boards", "zaehlwerk_protocol")
_ROOMY = "4m"

# What only ESP32s have is stood in for.
_SCRIPT = """
import gc, micropython, sys
class Absent:
    def __getattr__(self, name):
        return Absent
    def __call__(self, *arguments, **named):
        return self
sys.path.insert(0, sys.argv[1])
for name in ("machine", "esp32"):
    sys.modules[name] = Absent()
import asyncio, binascii, cryptolib, hashlib, io, json, os, random, struct, time
asyncio.Lock, asyncio.Event, asyncio.ThreadSafeFlag, asyncio.wait_for_ms, asyncio.gather
# The table of names doubles when it is full, at the cost of whoever comes then: it is made large enough before.
for i in range({enough}):
    hasattr(gc, "%d" % i)
gc.collect()
before = gc.mem_alloc()
for name in sys.argv[2:]:
    __import__(name)
    gc.collect()
    now = gc.mem_alloc()
    print(name, now - before)
    before = now
micropython.qstr_info()
"""
_ENOUGH = 2560
_NAMES = re.compile(r"n_qstr=(\d+)")


def in_order(sources: Path, protocol: Path, modules: list[str]) -> list[str]:
    """`modules` so that each comes after those that it imports at once: then each is charged with itself alone.

    sources: the firmware's folder; protocol: that of the package `zaehlwerk_protocol`.
    """
    done: list[str] = []

    def visit(name: str) -> None:
        if name in done or name not in modules:
            return
        room, _, rest = name.partition(".")
        below = protocol if room == protocol.name else sources / room
        path = below / (f"{rest}.py" if rest else "__init__.py")
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    visit(alias.name)
            elif isinstance(node, ast.ImportFrom):
                origin = (
                    f"{room}.{node.module}"
                    if node.level and node.module
                    else room
                    if node.level
                    else node.module
                )
                for alias in node.names:
                    visit(f"{origin}.{alias.name}")
                visit(origin or "")
        if name not in done:
            done.append(name)

    for name in modules:
        visit(name)
    return done


def module_sizes(tree: NodeTree) -> dict[str, int]:
    """Bytes of .mpy by module name, in the rooms' order."""
    sizes = {}
    for room in ROOMS:
        for path in sorted((tree.node / room).rglob("*.mpy")):
            name = path.relative_to(tree.node).with_suffix("").as_posix().replace("/", ".")
            sizes[name.removesuffix(".__init__")] = path.stat().st_size
    return sizes


def heap_shares(tree: NodeTree, micropython: Path, modules: list[str]) -> tuple[dict[str, int], int]:
    """(bytes of heap by module, loaded one after the other in this order; how many names they brought).

    ZaehlwerkError if one cannot be loaded.
    """
    done = subprocess.run(
        [
            str(micropython),
            "-X",
            f"heapsize={_ROOMY}",
            "-c",
            _SCRIPT.replace("{enough}", str(_ENOUGH)),
            str(tree.node),
            *modules,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    names = _NAMES.search(done.stdout)
    if done.returncode or names is None:
        raise ZaehlwerkError(
            f"the node's modules cannot be loaded: {done.stderr.strip() or done.stdout.strip()}"
        )
    lines = [line.split() for line in done.stdout.splitlines() if not line.startswith("qstr")]
    return {name: int(size) for name, size in lines}, int(names[1]) - _ENOUGH


def by_room(sizes: dict[str, int]) -> dict[str, int]:
    """The sums by room."""
    rooms = dict.fromkeys(ROOMS, 0)
    for name, size in sizes.items():
        rooms[name.partition(".")[0]] += size
    return rooms
