"""The device under test: the firmware's MAC with its store in memory, driven by its operations as its radio
would.

Nothing of the firmware's frame code is used here; what comes out is what goes on the air.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from lorawan import eu868
from lorawan.mac import Identity, Mac
from lorawan.operations import Done, Listen, Transmit, Wait
from lorawan.store import Store

JOIN_EUI = bytes.fromhex("0102030405060708")
DEV_EUI = bytes.fromhex("70b3d57ed0c0ffee")
APP_KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
WINDOW_MS = 1000

# What a window brings: a frame, silence, or a function of the frame that was sent.
Brings = bytes | None | Callable[[bytes], bytes | None]


class Memory:
    """The firmware's files, in memory; counts what is written."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.writes = 0

    def read(self, name: str) -> bytes | None:
        return self.content.get(name)

    def replace(self, name: str, data: bytes) -> None:
        self.writes += 1
        self.content[name] = bytes(data)


class Dice:
    """The MAC's random(n): a congruential generator (Knuth's MMIX), because its state is one number to copy
    and compare."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def __call__(self, n: int) -> int:
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return (self.state >> 33) % n


class Device:
    """A node's MAC and its time. `sent` holds every frame that it put on the air, `transmits` how."""

    def __init__(self, seed: int = 0, files: Memory | None = None, **settings: Any) -> None:
        self.files = Memory() if files is None else files
        self.now = 0
        self.sent: list[bytes] = []
        self.transmits: list[Transmit] = []
        store = Store(self.files, eu868, JOIN_EUI + DEV_EUI)
        self.mac = Mac(eu868, store, Identity(JOIN_EUI, DEV_EUI, APP_KEY), Dice(seed), **settings)

    def twin(self) -> Device:
        """A device in the very same state that goes its own way from here."""
        modules = {
            id(part): part for part in (eu868, *vars(self.mac).values()) if isinstance(part, ModuleType)
        }
        return copy.deepcopy(self, modules)

    def restarted(self, seed: int = 0) -> Device:
        """The device after its power was cut: it has what it stored, and nothing else."""
        device = Device(seed, self.files)
        device.now = self.now
        return device

    def on_air(self, operation: Any) -> Listen:
        """Wait as asked, transmit; the first window, not yet heard."""
        while isinstance(operation, Wait):
            self.now = max(self.now, operation.until)
            operation = self.mac.proceed(self.now)
        assert isinstance(operation, Transmit), operation
        self.sent.append(bytes(operation.payload))
        self.transmits.append(operation)
        self.now += operation.airtime_us // 1000
        return self.mac.transmitted(self.now)

    def hear(self, frame: bytes | None) -> Any:
        """The window that is open brings `frame`; the MAC's next operation."""
        self.now += WINDOW_MS
        return self.mac.heard(self.now, frame, 7)

    def run(self, operation: Any, first: Brings = None, second: Brings = None) -> Done:
        """Follow a transaction to its end; every transmission of it gets the same windows."""
        while not isinstance(operation, Done):
            operation = self.on_air(operation)
            for brings in (first, second):
                if isinstance(operation, Listen):
                    operation = self.hear(brings(self.sent[-1]) if callable(brings) else brings)
        return operation

    def join(self, data_rate: int = 5, first: Brings = None, second: Brings = None) -> Done:
        """A join request with what its windows bring."""
        return self.run(self.mac.join(self.now, data_rate), first, second)

    def send(
        self,
        port: int | None = 1,
        payload: bytes = b"\x00",
        first: Brings = None,
        second: Brings = None,
        **options: bool,
    ) -> Done:
        """An uplink with what its windows bring."""
        return self.run(self.mac.send(self.now, port, payload, **options), first, second)


def state_of(thing: Any, leave_out: frozenset[str] = frozenset(), _within: tuple[int, ...] = ()) -> Any:
    """All that `thing` consists of, as plain values that compare: attributes by name, recursively.

    Raises TypeError for what it cannot look into: nothing may hide.
    """
    if isinstance(thing, int | str | float | bytes | bytearray | type(None)):
        return bytes(thing) if isinstance(thing, bytearray) else thing
    if isinstance(thing, ModuleType | FunctionType | MethodType | BuiltinFunctionType):
        return thing.__name__
    if id(thing) in _within:
        return "itself"
    within = (*_within, id(thing))
    if isinstance(thing, list | tuple | set | frozenset):
        return [state_of(item, leave_out, within) for item in thing]
    named = thing if isinstance(thing, dict) else _attributes(thing)
    return {
        name: state_of(value, leave_out, within) for name, value in named.items() if name not in leave_out
    }


def _attributes(thing: Any) -> dict[str, Any]:
    """Attributes with their values, those too that are still the class's."""
    return _defaults(type(thing)) | vars(thing)


@cache
def _defaults(kind: type) -> dict[str, Any]:
    return {
        name: value
        for base in reversed(kind.__mro__)
        for name, value in vars(base).items()
        if isinstance(value, int | str | float | bytes | tuple | type(None)) and not name.startswith("__")
    }
