"""The rig without hardware: the node is a virtual board in virtual time, with the real MicroPython and the firmware's files."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import zaehlwerk_protocol
from hil_tests import prelude, set_up
from hil_tests.air import Air
from hil_tests.interface import APP_KEY, Capability, RigError, Start
from hil_tests.platform_side import PlatformSide
from hil_tests.programme import Line
from zaehlwerk_tools.air_audit import broken_rules
from zaehlwerk_tools.micropython_program import find_micropython
from zaehlwerk_tools.network_server.reception import Downlink, Reception
from zaehlwerk_tools.records import Published
from zaehlwerk_tools.simulator.air import Air as VirtualAir
from zaehlwerk_tools.simulator.air_frames import Gateway, Heard
from zaehlwerk_tools.simulator.board import Board
from zaehlwerk_tools.simulator.board_spec import BoardSpec, Lateness
from zaehlwerk_tools.simulator.clock import VirtualClock
from zaehlwerk_tools.simulator.duty_cycle import DutyCycle
from zaehlwerk_tools.simulator.firmware_tree import NodeTree, build_tree
from zaehlwerk_tools.simulator.flash_image import read_file, write_files
from zaehlwerk_tools.simulator.inputs import EdgeTrain, PulseInputs
from zaehlwerk_tools.simulator.known_boards import KNOWN_BOARDS
from zaehlwerk_tools.simulator.propagation import Place
from zaehlwerk_tools.simulator.scheduler import NS, Scheduler

CHECKOUT = Path(__file__).resolve().parents[1]
START_NS = 1_781_740_805 * NS
"""2026-06-18 00:00:05 UTC: no interval begins with a start."""
GATEWAY = "0102030405060708"
DEV_EUI = "70b3d57e5a48494c"
LEAD_NS = 2 * NS
"""How far the board may run ahead: a cut that is asked for now comes a little later than that."""
GC_MS = 20
"""A collection of garbage keeps interrupt handlers waiting so long: generous, not measured."""
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Firmware:
    """What is tested: the built tree. Another one than the checkout's own is a mutant."""

    tree: NodeTree

    @classmethod
    def of(cls, source: Path, cache: Path) -> Firmware:
        """Built from a `firmware/` folder. Raises TreeError."""
        return cls(build_tree(source, Path(zaehlwerk_protocol.__file__).parent, cache))


def checkout_firmware() -> Firmware:
    """Of this checkout; built once for the same sources."""
    return Firmware.of(CHECKOUT / "firmware", CHECKOUT / ".runtime" / "node")


class VirtualRig:
    """See `interface.Rig`."""

    def __init__(self, folder: Path, firmware: Firmware, board: str = "heltec_v3", bits: int = 64) -> None:
        self.log_folder = folder
        self._known = KNOWN_BOARDS[board]
        self._tree = firmware.tree
        self._bits = bits
        self._micropython = find_micropython(CHECKOUT, bits).path
        self._scheduler = Scheduler(START_NS - NS)
        self.air = Air(self._scheduler, self._send)
        self._stack = AsyncExitStack()
        self._virtual: VirtualAir | None = None
        self._board: Board | None = None
        self._platform: PlatformSide | None = None
        self.started: Start | None = None

    def capabilities(self) -> frozenset[Capability]:
        """A virtual rig has everything."""
        return frozenset(Capability)

    async def begin(self, start: Start) -> None:
        """See `interface.Rig`."""
        self.started = start
        document = set_up.settings(start, DEV_EUI, self._known, self._known.hardware.free)
        tenant, port = await self.air.register(DEV_EUI, APP_KEY, set_up.tags(start))
        self._stack.push_async_callback(self.air.stop)
        if start.platform:
            clock = VirtualClock(self._scheduler, grace_s=PATIENCE_S)
            self._platform = await self._stack.enter_async_context(
                PlatformSide(self.log_folder, port, tenant, self.air.admin_key, clock)
            )
            self._platform.follow(self.air, self._scheduler)
        self._virtual = VirtualAir(
            self._scheduler,
            seed=1,
            gateways=[Gateway(GATEWAY)],
            on_uplink=self._heard,
            places={1: Place(300.0, 0.0)},
        )
        trains = {
            pin: _train(line)
            for pin, line in zip(self._known.hardware.free, start.lines, strict=False)
            if line.segments
        }
        inputs = PulseInputs(trains=trains)
        spec = BoardSpec(
            1,
            {"settings.json": json.dumps(document).encode(), **({prelude.ONCE: b""} if start.ending else {})},
            inputs,
            START_NS,
            bits=self._bits,
            hardware=self._known.hardware,
            head_start_ns=LEAD_NS,
            battery_mv=start.battery_mv or 3900,
            crystal_ppb=15_000,
            lateness=Lateness(gc_ms=GC_MS if inputs.interrupting else 0),
        )
        self._board = Board(
            spec,
            scheduler=self._scheduler,
            air=self._virtual,
            tree=self._ended_tree(start),
            micropython=self._micropython,
            folder=self.log_folder,
        )
        self._board.start()
        self._stack.callback(self._board.stop)

    async def wait(self, seconds: float) -> None:
        """Virtual time: it costs as much as there is to compute."""
        await self._scheduler.run(self._scheduler.now_ns + round(seconds * NS))

    @property
    def seconds(self) -> float:
        """Since the begin."""
        return max(0.0, (self._scheduler.now_ns - START_NS) / NS)

    async def cut_power(self, off_s: float) -> None:
        """See `interface.Rig`."""
        await self._without_power(off_s, lambda: None)

    async def _without_power(self, off_s: float, act: Callable[[], None]) -> None:
        at = max(self._scheduler.now_ns, START_NS) + LEAD_NS + NS // 2
        restart = at + round(off_s * NS)
        self._running().cut_power(at, restart)
        await self._scheduler.run(at + 1)
        act()
        await self._scheduler.run(restart + NS)

    async def change_file(self, path: str, change: Callable[[bytes], bytes]) -> None:
        """See `interface.Rig`."""
        board = self._running()

        def act() -> None:
            content = read_file(self._micropython, self._tree.stub, board.flash, path)
            if content is None:
                raise RigError(f"{path} is not on the node")
            write_files(self._micropython, self._tree.stub, board.flash, {path: change(content)})

        await self._without_power(5.0, act)

    @property
    def begun_ns(self) -> int:
        """See `interface.Rig`."""
        return START_NS

    def starts(self) -> list[str]:
        """See `interface.Rig`."""
        return ["power", *(_NAMES.get(reset.cause, reset.cause) for reset in self._running().resets)]

    def said(self) -> str:
        """See `interface.Rig`."""
        return self._running().log.read_text(errors="replace")

    def rules_broken(self) -> list[str]:
        """See `interface.Rig`."""
        assert self._virtual is not None
        return broken_rules(self._virtual.log, DutyCycle(), [self._running()])

    async def records(self) -> list[Published]:
        """See `interface.Rig`."""
        if self._platform is None:
            raise RigError("this test was started without a platform")
        return await self._platform.records(self.wait)

    async def close(self) -> None:
        """See `interface.Rig`."""
        await self._stack.aclose()
        if self._virtual is not None:
            (self.log_folder / "air.jsonl").write_text(self._virtual.log_text(), encoding="utf-8")
        if self._board is not None and self._board.log.exists():
            shutil.copyfile(self._board.log, self.log_folder / "serial.log")
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)

    # -- inside --------------------------------------------------------------------------------------------------

    def _running(self) -> Board:
        if self._board is None:
            raise RigError("the node was not started: `begin` comes first")
        return self._board

    def _ended_tree(self, start: Start) -> NodeTree:
        if start.ending is None:
            return self._tree
        node = self.log_folder / "node"
        shutil.copytree(self._tree.node, node)
        main = node / "main.py"
        main.write_text(prelude.text(*start.ending) + main.read_text(encoding="utf-8"), encoding="utf-8")
        return replace(self._tree, node=node)

    def _send(self, down: Downlink) -> str | None:
        assert self._virtual is not None, "a downlink before there is an air"
        return self._virtual.downlink(
            down.gateway_id, down.start_ns, down.frequency, down.sf, down.bandwidth, down.power, down.phy
        )

    def _heard(self, end_ns: int, phy: bytes, by: Heard) -> None:
        self.air.uplink(
            end_ns,
            phy,
            Reception(by.gateway_id, by.frequency, by.sf, by.bandwidth, by.rssi, by.snr, by.channel),
        )


_NAMES = {"power": "power", "WATCHDOG": "watchdog", "HARD": "hard", "SOFT": "soft"}


def _train(line: Line) -> EdgeTrain:
    times: Sequence[int] = [START_NS + us * 1000 for us, _ in line.edges]
    return EdgeTrain(times)
