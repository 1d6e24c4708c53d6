"""How much heap each room of the node's code takes when it is loaded, module by module, on the 32-bit MicroPython."""

from __future__ import annotations

import subprocess
from pathlib import Path

from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.simulator.firmware_tree import NodeTree

ROOMS = ("app", "counting", "lorawan", "radio", "boards", "zaehlwerk_protocol")
_ROOMY = "4m"

# Modules of the built-in kind come first, so that no room is charged for them; what only ESP32s have is stood in for.
_SCRIPT = """
import sys, gc
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
gc.collect()
before = gc.mem_alloc()
for name in sys.argv[2:]:
    __import__(name)
    gc.collect()
    now = gc.mem_alloc()
    print(name, now - before)
    before = now
"""


def module_sizes(tree: NodeTree) -> dict[str, int]:
    """Bytes of .mpy by module name, in the rooms' order."""
    sizes = {}
    for room in ROOMS:
        for path in sorted((tree.node / room).rglob("*.mpy")):
            name = path.relative_to(tree.node).with_suffix("").as_posix().replace("/", ".")
            sizes[name.removesuffix(".__init__")] = path.stat().st_size
    return sizes


def heap_shares(tree: NodeTree, micropython: Path, modules: list[str]) -> dict[str, int]:
    """Bytes of heap by module, loaded one after the other in this order. ZaehlwerkError if one cannot be loaded."""
    done = subprocess.run(
        [str(micropython), "-X", f"heapsize={_ROOMY}", "-c", _SCRIPT, str(tree.node), *modules],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode:
        raise ZaehlwerkError(
            f"the node's modules cannot be loaded: {done.stderr.strip() or done.stdout.strip()}"
        )
    return {name: int(size) for name, size in (line.split() for line in done.stdout.splitlines())}


def by_room(sizes: dict[str, int]) -> dict[str, int]:
    """The sums by room."""
    rooms = dict.fromkeys(ROOMS, 0)
    for name, size in sizes.items():
        rooms[name.partition(".")[0]] += size
    return rooms
