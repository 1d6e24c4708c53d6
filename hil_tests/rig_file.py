"""rig.toml: which boards stand at a rig, and what is wired to them. See docs/rig.md."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hil_tests.interface import Capability, RigError
from hil_tests.power_switches import CommandSwitch, PowerSwitch, SerialRelay, UsbHub, checked_template
from zaehlwerk_tools.simulator.known_boards import KNOWN_BOARDS

_GATEWAY_ID = re.compile(r"[0-9a-f]{16}")
_MOST_PINS = 8
_HIGHEST_GPIO = 48
_DESCRIBED = {
    Capability.PULSE_GENERATOR: "pulse_generator",
    Capability.POWER_SWITCH: "power_switch",
    Capability.GATEWAY: "gateway",
    Capability.BATTERY: "battery",
}
"""Capability to what describes it."""


class RigFileError(RigError):
    """The file is wrong; the text says where and what to change."""


@dataclass(frozen=True, slots=True)
class Generator:
    """The board that plays pulses. `pins`: its GPIOs, in the order of the node's inputs."""

    name: str
    port: str | None
    serial_id: str | None
    pins: tuple[int, ...]
    inverted: bool


@dataclass(frozen=True, slots=True)
class RigNode:
    """A node under test. `inputs`: its GPIOs, in the order of the channels."""

    name: str
    board: str
    port: str | None
    serial_id: str | None
    inputs: tuple[int, ...]
    capabilities: frozenset[Capability]
    generator: Generator | None = None
    switch: PowerSwitch | None = None
    battery: str | None = None


@dataclass(frozen=True, slots=True)
class GatewayAt:
    """A gateway whose MQTT forwarder speaks to the broker at `host`:`port`."""

    id: str
    host: str
    port: int
    prefix: str = "eu868"


@dataclass(frozen=True, slots=True)
class RigFile:
    """A whole rig."""

    name: str
    nodes: tuple[RigNode, ...]
    gateway: GatewayAt | None = None
    generators: Mapping[str, Generator] = field(default_factory=dict)

    def node(self, name: str | None) -> RigNode:
        """The node of that name, or the only one. Raises RigFileError."""
        names = ", ".join(node.name for node in self.nodes)
        if name is None:
            if len(self.nodes) > 1:
                raise RigFileError(f"the rig has several nodes ({names}): choose one with --rig-node")
            return self.nodes[0]
        found = next((node for node in self.nodes if node.name == name), None)
        if found is None:
            raise RigFileError(f"--rig-node {name}: the rig has {names}")
        return found


def read_rig(path: Path) -> RigFile:
    """Read and check it. Raises RigFileError."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RigFileError(f"{path} is missing: describe the rig there, see docs/rig.md") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RigFileError(f"{path} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise RigFileError(f"{path} is no TOML: {error}") from None
    return _Reader(str(path)).rig(document)


class _Table:
    """A table of the file: every key is taken once, and what is left over is unknown."""

    def __init__(self, where: str, values: Any) -> None:
        if not isinstance(values, dict):
            raise RigFileError(f"{where}: a table is expected")
        self.where = where
        self._values = dict(values)
        self._known: list[str] = []

    def take(self, key: str, kind: type, *, needed: bool = True, default: Any = None) -> Any:
        """The value of `key`."""
        self._known.append(key)
        if key not in self._values:
            if needed:
                raise RigFileError(f"{self.where}: {key} is missing")
            return default
        value = self._values.pop(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            names = {str: "a text", int: "a number", bool: "true or false", list: "a list", dict: "a table"}
            raise RigFileError(f"{self.where}: {key}: {names[kind]} is expected, not {value!r}")
        if kind is str and not value:
            raise RigFileError(f"{self.where}: {key} is empty")
        return value

    def done(self) -> None:
        """Nothing may be left."""
        for key in self._values:
            raise RigFileError(f"{self.where}: {key} is unknown; known: {', '.join(self._known)}")


class _Reader:
    def __init__(self, path: str) -> None:
        self._path = path

    def rig(self, document: dict[str, Any]) -> RigFile:
        top = _Table(self._path, document)
        about = _Table(f"{self._path}: [rig]", top.take("rig", dict))
        name = about.take("name", str)
        about.done()
        gateway = top.take("gateway", dict, needed=False)
        made = None if gateway is None else self._gateway(gateway)
        generators: dict[str, Generator] = {}
        for number, values in enumerate(top.take("pulse_generator", list, needed=False, default=[]), 1):
            generator = self._generator(_Table(f"{self._path}: [[pulse_generator]] {number}", values))
            if generator.name in generators:
                raise RigFileError(f"{self._path}: two pulse generators are called {generator.name}")
            generators[generator.name] = generator
        nodes = [
            self._node(_Table(f"{self._path}: [[node]] {number}", values), generators, made)
            for number, values in enumerate(top.take("node", list), 1)
        ]
        top.done()
        if not nodes:
            raise RigFileError(f"{self._path}: a rig without a [[node]] has nothing to test")
        self._require_different(nodes, generators)
        return RigFile(name, tuple(nodes), made, generators)

    def _gateway(self, values: Any) -> GatewayAt:
        table = _Table(f"{self._path}: [gateway]", values)
        made = GatewayAt(
            table.take("id", str).lower(),
            table.take("host", str),
            table.take("port", int, needed=False, default=1883),
            table.take("topic_prefix", str, needed=False, default="eu868"),
        )
        table.done()
        if not _GATEWAY_ID.fullmatch(made.id):
            raise RigFileError(f"{table.where}: id: 16 hexadecimal digits are expected, not {made.id!r}")
        if not 0 < made.port < 1 << 16:
            raise RigFileError(f"{table.where}: port {made.port}: 1 to 65535")
        return made

    def _generator(self, table: _Table) -> Generator:
        name = table.take("name", str)
        port, serial_id = self._port(table)
        pins = self._pins(table, "pins")
        inverted = table.take("inverted", bool, needed=False, default=False)
        table.done()
        return Generator(name, port, serial_id, pins, inverted)

    def _node(self, table: _Table, generators: Mapping[str, Generator], gateway: GatewayAt | None) -> RigNode:
        name, board = table.take("name", str), table.take("board", str)
        if board not in KNOWN_BOARDS:
            raise RigFileError(f"{table.where}: board {board}: known are {', '.join(KNOWN_BOARDS)}")
        port, serial_id = self._port(table)
        inputs = self._pins(table, "inputs")
        told = table.take("capabilities", list)
        named = table.take("pulse_generator", str, needed=False)
        switch = table.take("power_switch", dict, needed=False)
        battery = table.take("battery", str, needed=False)
        table.done()
        generator = None
        if named is not None:
            generator = generators.get(named)
            if generator is None:
                raise RigFileError(
                    f"{table.where}: pulse_generator {named}: there is no [[pulse_generator]] of that name"
                )
            if len(generator.pins) != len(inputs):
                raise RigFileError(
                    f"{table.where}: {len(inputs)} inputs, but the pulse generator {named} has {len(generator.pins)} pins: "
                    "each input has a wire of its own"
                )
        if battery is not None:
            checked_template(battery, f"{table.where}: battery", needed=("millivolts",))
        made = None if switch is None else self._switch(f"{table.where}: power_switch", switch)
        there = {
            Capability.PULSE_GENERATOR: generator is not None,
            Capability.POWER_SWITCH: made is not None,
            Capability.GATEWAY: gateway is not None,
            Capability.BATTERY: battery is not None,
        }
        capabilities = self._capabilities(table.where, told, there)
        return RigNode(name, board, port, serial_id, inputs, capabilities, generator, made, battery)

    def _capabilities(
        self, where: str, told: list[Any], there: Mapping[Capability, bool]
    ) -> frozenset[Capability]:
        known = [capability.value for capability in _DESCRIBED]
        for name in told:
            if name not in known:
                raise RigFileError(f"{where}: capabilities: {name!r} is unknown; known: {', '.join(known)}")
            if not there[Capability(name)]:
                raise RigFileError(
                    f"{where}: capabilities has {name}, but there is no {_DESCRIBED[Capability(name)]}"
                )
        for capability, is_there in there.items():
            if is_there and capability.value not in told:
                raise RigFileError(
                    f"{where}: there is a {_DESCRIBED[capability]}, but capabilities has no {capability.value}: add it, or "
                    "take the other away"
                )
        return frozenset(Capability(name) for name in told)

    def _switch(self, where: str, values: Any) -> PowerSwitch:
        table = _Table(where, values)
        kind = table.take("kind", str)
        made: PowerSwitch
        if kind == "command":
            on, off = table.take("on", str), table.take("off", str)
            made = CommandSwitch(checked_template(on, f"{where}: on"), checked_template(off, f"{where}: off"))
        elif kind == "usb_hub":
            made = UsbHub(table.take("location", str), table.take("port", int))
        elif kind == "serial_relay":
            port, channel = table.take("port", str), table.take("channel", int)
            made = SerialRelay(port, channel, table.take("closed_is_on", bool, needed=False, default=True))
            if not 1 <= channel <= _MOST_PINS:
                raise RigFileError(f"{where}: channel {channel}: 1 to {_MOST_PINS}")
        else:
            raise RigFileError(f"{where}: kind {kind}: command, usb_hub or serial_relay")
        table.done()
        return made

    def _port(self, table: _Table) -> tuple[str | None, str | None]:
        port = table.take("port", str, needed=False)
        serial_id = table.take("serial_id", str, needed=False)
        if (port is None) == (serial_id is None):
            what = "neither port nor serial_id" if port is None else "both port and serial_id"
            raise RigFileError(f"{table.where}: {what}: one of them says where the board is")
        return port, serial_id

    def _pins(self, table: _Table, key: str) -> tuple[int, ...]:
        pins = table.take(key, list)
        if not 0 < len(pins) <= _MOST_PINS or any(
            type(pin) is not int or not 0 <= pin <= _HIGHEST_GPIO for pin in pins
        ):
            raise RigFileError(
                f"{table.where}: {key}: 1 to {_MOST_PINS} GPIOs from 0 to {_HIGHEST_GPIO} are expected, not {pins!r}"
            )
        twice = [pin for pin in pins if pins.count(pin) > 1]
        if twice:
            raise RigFileError(f"{table.where}: {key}: GPIO {twice[0]} is named twice")
        return tuple(pins)

    def _require_different(self, nodes: list[RigNode], generators: Mapping[str, Generator]) -> None:
        seen: dict[str, str] = {}
        boards = [(f"node {node.name}", node.port or node.serial_id) for node in nodes]
        boards += [(f"pulse generator {one.name}", one.port or one.serial_id) for one in generators.values()]
        for who, where in boards:
            assert where is not None
            if where in seen:
                raise RigFileError(f"{self._path}: {seen[where]} and {who} are both at {where}")
            seen[where] = who
        names = [node.name for node in nodes]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise RigFileError(f"{self._path}: two nodes are called {twice}")
