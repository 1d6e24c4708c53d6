"""The rig with hardware: real boards over their serial lines, real power, a real gateway in front of the rig's own network.

A gateway's MQTT forwarder (ChirpStack's, or any that speaks its topics) is told the broker of the rig; behind that broker stands
`Air`, so that a test may lose sessions, stay deaf and choose windows as it does with virtual boards.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import serial
from serial.tools import list_ports

from hil_tests import prelude, set_up
from hil_tests.air import Air
from hil_tests.generator_link import GeneratorLink
from hil_tests.interface import APP_KEY, Capability, RigError, Start
from hil_tests.platform_side import PlatformSide
from hil_tests.power_switches import run_command
from hil_tests.rig_file import GatewayAt, RigFile, RigNode
from zaehlwerk_bridge.clock import SystemClock
from zaehlwerk_protocol.status import Status
from zaehlwerk_tools.network_server.broker_front import BrokerFront
from zaehlwerk_tools.network_server.gateway_topics import GatewayTopics
from zaehlwerk_tools.network_server.wall_scheduler import WallScheduler
from zaehlwerk_tools.records import Published
from zaehlwerk_tools.simulator.known_boards import KNOWN_BOARDS
from zaehlwerk_tools.technician.board_facts import read_facts
from zaehlwerk_tools.technician.board_transport import open_board
from zaehlwerk_tools.technician.flash import flash
from zaehlwerk_tools.technician.manifest import Manifest
from zaehlwerk_tools.technician.troubles import TechnicianError

BAUD = 115_200
SETTLE_S = 3.0
"""From the power's return until USB has found the board again."""
FIND_S = 15.0
_REMOVE_STATE = """
import os
def _gone(d):
    for e in os.ilistdir(d):
        p = d + '/' + e[0]
        if e[1] & 0x4000:
            _gone(p)
            os.rmdir(p)
        else:
            os.remove(p)
try:
    _gone('state')
except OSError:
    pass
"""

# machine.reset_cause() as a status tells it: MicroPython's numbers for the ESP32 (ports/esp32/modmachine.c).
_CAUSES = {1: "power", 2: "hard", 3: "watchdog", 4: "deep sleep", 5: "soft"}
# What the ESP32's and the ESP32-S3's ROM say first (ESP-IDF, esp_rom/*/rtc.h), and MicroPython at a soft reset.
_STARTS = re.compile(r"rst:0x[0-9a-f]+ \((\w+)\)|(MPY: soft reboot)")
_ROM_CAUSES = (
    (re.compile(r"POWERON|BROWN_OUT"), "power"),
    (re.compile(r"WDT"), "watchdog"),
    (re.compile(r"SW"), "hard"),
)


def starts_in(serial_log: str, first: int = 0) -> list[str]:
    """Why the chip started each time, from what its serial line said from the character `first` on."""
    found = []
    for told in _STARTS.finditer(serial_log, first):
        cause = told.group(1)
        if cause is None:
            found.append("soft")
        else:
            found.append(
                next((name for pattern, name in _ROM_CAUSES if pattern.search(cause)), cause.lower())
            )
    return found


def port_of(port: str | None, serial_id: str | None, what: str) -> str:
    """The port of a board: as named, or that at which USB finds the serial number. Raises RigError."""
    if port is not None:
        return port
    ports = list(list_ports.comports())
    found = next((one.device for one in ports if one.serial_number == serial_id), None)
    if found is None:
        there = ", ".join(str(one.serial_number) for one in ports if one.serial_number) or "none"
        raise RigError(f"{what}: no port has the serial number {serial_id}; those that are there: {there}")
    return str(found)


def require_firmware(port: str, manifest: Manifest, contents: dict[str, bytes], board: str) -> str:
    """The guard: the node at `port` has exactly this build, and the chip of `board`; its unique id. Raises RigError."""
    try:
        there = flash(port, manifest, contents, dry_run=True, progress=lambda *_: None)
    except TechnicianError as error:
        raise RigError(str(error)) from None
    chip = KNOWN_BOARDS[board].hardware.mcu.upper()
    if there.facts.chip != chip:
        raise RigError(
            f"{port}: rig.toml says {board}, which has an {chip}, and this board has an {there.facts.chip}"
        )
    if not there.plan.nothing:
        differs = [*(file.path for file in there.plan.write), *there.plan.remove]
        raise RigError(
            f"{port} has another firmware than the one under test ({differs[0]} and {len(differs) - 1} more differ): "
            f"`zaehlwerk flash {port} --build …` puts it there"
        )
    return there.facts.unique_id


class SerialLog:
    """Reads what a board says, in a thread of its own, into a file."""

    def __init__(self, port: str, path: Path) -> None:
        self._port = port
        self._path = path
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """From now on, until `stop`."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name=f"log of {self._port}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """The port is free when this returns."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._thread = None

    def text(self) -> str:
        """All of it."""
        return self._path.read_text(encoding="utf-8", errors="replace") if self._path.exists() else ""

    def _run(self) -> None:
        with self._path.open("ab", buffering=0) as log:
            while not self._stop.is_set():
                # A board that loses its power takes its USB port with it.
                with suppress(serial.SerialException, OSError):
                    line = serial.serial_for_url(self._port, baudrate=BAUD, timeout=0.1, do_not_open=True)
                    line.dtr = line.rts = False
                    with line:
                        line.open()
                        while not self._stop.is_set():
                            log.write(line.read(256))
                self._stop.wait(0.2)


class RealRig:
    """See `interface.Rig`. `build`: manifest and files of the firmware under test."""

    def __init__(
        self, folder: Path, rig: RigFile, node: RigNode, build: tuple[Manifest, dict[str, bytes]]
    ) -> None:
        self.log_folder = folder
        self._rig = rig
        self._node = node
        self._build = build
        self._stack = AsyncExitStack()
        self._log: SerialLog | None = None
        self._generator: GeneratorLink | None = None
        self._platform: PlatformSide | None = None
        self._begun = 0.0
        self._begun_ns = 0
        self._port = ""
        self._air: Air | None = None
        self.started: Start | None = None

    @property
    def air(self) -> Air:
        """See `interface.Rig`."""
        if self._air is None:
            raise RigError("the rig's network is not connected: use the rig as the fixture gives it")
        return self._air

    def capabilities(self) -> frozenset[Capability]:
        """What rig.toml says."""
        return self._node.capabilities

    async def connect(self) -> None:
        """The network's side. Raises RigError."""
        gateway = self._rig.gateway
        if gateway is None:
            raise RigError(f"rig {self._rig.name} has no gateway: no test of a node can do without")
        self._air = await self._network(gateway)

    async def _network(self, gateway: GatewayAt) -> Air:
        made: list[GatewayTopics] = []

        def topics(publish: Callable[[str, bytes], None]) -> GatewayTopics:
            made.append(GatewayTopics(publish, prefix=gateway.prefix, allow_unknown_gateways=True))
            return made[0]

        front = BrokerFront(gateway.host, gateway.port, topics)
        try:
            await self._stack.enter_async_context(front)
        except (OSError, TimeoutError) as error:
            raise RigError(
                f"no broker at {gateway.host}:{gateway.port}: {str(error) or 'no answer'}"
            ) from None
        air = Air(WallScheduler(time.time_ns), front.topics)
        front.topics.serve(air)
        return air

    async def begin(self, start: Start) -> None:
        """See `interface.Rig`."""
        node = self._node
        self.started = start
        if len(start.channels) > len(node.inputs):
            raise RigError(f"{node.name} has {len(node.inputs)} inputs, the test needs {len(start.channels)}")
        if start.battery_mv is not None:
            if node.battery is None:
                raise RigError(f"{node.name} has no battery whose voltage can be set")
            await asyncio.to_thread(run_command, node.battery, millivolts=start.battery_mv)
        if node.switch is not None:
            await asyncio.to_thread(node.switch.on)
        self._port = await self._find(node.port, node.serial_id, f"node {node.name}")
        manifest, contents = self._build
        unique = await asyncio.to_thread(require_firmware, self._port, manifest, contents, node.board)
        dev_eui = f"70b3d57e{unique[-8:]:0>8}"
        tenant, port = await self.air.register(dev_eui, APP_KEY, set_up.tags(start))
        self._stack.push_async_callback(self.air.stop)
        if start.platform:
            self._platform = await self._stack.enter_async_context(
                PlatformSide(self.log_folder, port, tenant, self.air.admin_key, SystemClock())
            )
        await self._arm(start)
        self._log = SerialLog(self._port, self.log_folder / "serial.log")
        self._stack.callback(self._log.stop)
        await asyncio.to_thread(
            self._set_up, start, set_up.settings(start, dev_eui, KNOWN_BOARDS[node.board], node.inputs)
        )
        self._begun, self._begun_ns = time.monotonic(), time.time_ns()
        if self._generator is not None:
            self._begun_ns = await asyncio.to_thread(self._generator.go)

    def _set_up(self, start: Start, document: dict[str, object]) -> None:
        assert self._log is not None
        try:
            with open_board(self._port) as board:
                read_facts(board)
                board.run(_REMOVE_STATE)
                board.write("settings.json", json.dumps(document).encode())
                before = prelude.NOTHING if start.ending is None else prelude.text(*start.ending)
                board.write("boot.py", before.encode())
                if start.ending is not None:
                    board.write(prelude.ONCE, b"")
                board.reset()
        except TechnicianError as error:
            raise RigError(f"node {self._node.name}: {error}") from None
        self._log.start()

    async def _arm(self, start: Start) -> None:
        generator = self._node.generator
        if generator is None or not any(line.segments for line in start.lines):
            return
        if len(start.lines) > len(generator.pins):
            raise RigError(f"the pulse generator {generator.name} has {len(generator.pins)} pins")
        port = await self._find(generator.port, generator.serial_id, f"pulse generator {generator.name}")
        self._generator = await asyncio.to_thread(GeneratorLink, port)
        self._stack.callback(self._generator.close)
        pins = generator.pins[: len(start.lines)]
        await asyncio.to_thread(self._generator.arm, pins, start.lines, inverted=generator.inverted)

    async def _find(self, port: str | None, serial_id: str | None, what: str) -> str:
        end = time.monotonic() + FIND_S
        while True:
            try:
                return port_of(port, serial_id, what)
            except RigError:
                if time.monotonic() >= end:
                    raise
            await asyncio.sleep(0.5)

    async def wait(self, seconds: float) -> None:
        """Real time."""
        await asyncio.sleep(seconds)

    @property
    def seconds(self) -> float:
        """See `interface.Rig`."""
        return time.monotonic() - self._begun

    @property
    def begun_ns(self) -> int:
        """See `interface.Rig`."""
        return self._begun_ns

    async def cut_power(self, off_s: float) -> None:
        """See `interface.Rig`."""
        switch = self._node.switch
        if switch is None:
            raise RigError(f"{self._node.name} has no power switch")
        await asyncio.to_thread(switch.off)
        await asyncio.sleep(off_s)
        await asyncio.to_thread(switch.on)

    async def change_file(self, path: str, change: Callable[[bytes], bytes]) -> None:
        """Over the raw prompt: the program is interrupted, and started anew by the chip's reset."""
        assert self._log is not None
        self._log.stop()

        def act() -> None:
            with open_board(self._port) as board:
                content = board.value_of(f"print(open({path!r}, 'rb').read())")
                board.write(path, change(content))
                board.reset()

        try:
            await asyncio.to_thread(act)
        except TechnicianError as error:
            raise RigError(f"{path}: {error}") from None
        finally:
            self._log.start()

    def starts(self) -> list[str]:
        """By the serial line; where it says nothing of starts, by the statuses of the node."""
        told = starts_in(self.said())
        if told:
            # The first one is that of the set-up, which is no power cut but stands in its place.
            return ["power", *told[1:]]
        by_boot = {
            status.health.boots: _CAUSES.get(status.health.reset_cause, "unknown")
            for status in self.air.frames(Status)
            if status.health is not None
        }
        return [by_boot.get(boot, "unknown") for boot in range(1, max(by_boot, default=0) + 1)]

    def said(self) -> str:
        """See `interface.Rig`."""
        return self._log.text() if self._log is not None else ""

    def rules_broken(self) -> list[str]:
        """By what gateways heard: reused numbers."""
        wrong = []
        seen: dict[tuple[int | None, int | None, int | None], bytes] = {}
        for one in self.air.sent:
            key = (one.address, one.counter, one.nonce)
            if seen.setdefault(key, one.phy) != one.phy:
                wrong.append(
                    f"number {one.counter if one.nonce is None else one.nonce} was used for two frames"
                )
        return wrong

    async def records(self) -> list[Published]:
        """See `interface.Rig`."""
        if self._platform is None:
            raise RigError("this test was started without a platform")
        return await self._platform.records(self.wait)

    async def close(self) -> None:
        """See `interface.Rig`."""
        if self._air is not None:
            with (self.log_folder / "air.jsonl").open("w", encoding="utf-8") as file:
                for one in self._air.sent:
                    told = {
                        "end_ns": one.end_ns,
                        "direction": "up",
                        "frequency": one.frequency,
                        "data_rate": one.data_rate,
                        "payload": one.phy.hex(),
                    }
                    file.write(json.dumps(told) + "\n")
        await self._stack.aclose()
