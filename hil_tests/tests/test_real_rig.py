"""The back end for hardware, in real time: a virtual board at a port, a virtual gateway at a broker, a switch that pulls a cable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hil_tests.interface import Capability, RigError, Start, until
from hil_tests.real_rig import RealRig, port_of, require_firmware, starts_in
from hil_tests.rig_file import GatewayAt, RigFile, RigNode
from hil_tests.virtual_rig import CHECKOUT
from zaehlwerk_protocol.status import Status
from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.gateway_backend.addresses import MqttAddress
from zaehlwerk_tools.gateway_backend.downlinks import Transmission
from zaehlwerk_tools.gateway_backend.marshaler import Marshaler
from zaehlwerk_tools.gateway_backend.topics import Topics
from zaehlwerk_tools.gateway_backend.virtual_gateways import VirtualGateways
from zaehlwerk_tools.serial_board.pty_port import PtyPort
from zaehlwerk_tools.serial_board.virtual_board import (
    GATEWAY,
    Options,
    VirtualBoard,
    build_stub,
    virtual_board,
)
from zaehlwerk_tools.technician.firmware_build import build_firmware
from zaehlwerk_tools.technician.flash import flash
from zaehlwerk_tools.technician.manifest import Manifest, read_build, sha256

PULSE = [{"class": "bicycle", "direction": "in", "sensor": "pulse"}]
Build = tuple[Manifest, dict[str, bytes]]


@dataclass
class CableSwitch:
    """Pulls the virtual board's cable from another thread, as a relay does."""

    board: VirtualBoard
    loop: asyncio.AbstractEventLoop

    def on(self) -> None:
        if not self.board.board.has_power:
            asyncio.run_coroutine_threadsafe(self.board.replug(), self.loop).result(10)

    def off(self) -> None:
        asyncio.run_coroutine_threadsafe(self.board.unplug(), self.loop).result(10)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    out = tmp_path_factory.mktemp("build") / "firmware"
    build_firmware(CHECKOUT / "firmware", CHECKOUT / "protocol" / "zaehlwerk_protocol", out)
    manifest, contents = read_build(out)
    return manifest, dict(contents)


@asynccontextmanager
async def bench(tmp_path: Path, build: Build) -> AsyncIterator[tuple[VirtualBoard, RigNode, RigFile]]:
    """A board with the firmware, in front of a gateway."""
    port = PtyPort(tmp_path / "node")
    tree = build_stub(tmp_path / "cache")
    async with (
        await BrokerProcess.start(tmp_path) as broker,
        virtual_board(Options(slow_flash=False), port, tmp_path / "boards", tree) as board,
    ):
        await asyncio.to_thread(flash, port.name, *build, dry_run=False, progress=lambda *_: None)
        address = MqttAddress(broker.address.host, broker.address.port)
        scheduler = board.scheduler
        gateways = VirtualGateways(
            [GATEWAY], address, Topics("eu868"), Marshaler.PROTOBUF, lambda: scheduler.now_ns
        )

        def transmit(down: Transmission) -> str | None:
            return board.air.downlink(
                down.gateway_id, down.start_ns, down.frequency, down.sf, down.bandwidth, down.power, down.phy
            )

        await gateways.connect()
        gateways.attach(transmit, lambda: scheduler.now_ns, scheduler.fail)
        board.on_uplink = gateways.heard
        gateway = GatewayAt(GATEWAY, broker.address.host, broker.address.port)
        switch = CableSwitch(board, asyncio.get_running_loop())
        there = frozenset({Capability.GATEWAY, Capability.POWER_SWITCH})
        node = RigNode("virtual", "heltec_v3", str(tmp_path / "node"), None, (7, 6), there, switch=switch)
        try:
            yield board, node, RigFile("bench", (node,), gateway)
        finally:
            await gateways.close(forget=True)


@contextmanager
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "logs"
    made.mkdir()
    yield made


@pytest.mark.whole
async def test_a_node_is_set_up_joins_is_cut_off_and_goes_on(tmp_path: Path, build: Build) -> None:
    async with bench(tmp_path, build) as (_, node, description):
        with folder(tmp_path) as logs:
            rig = RealRig(logs, description, node, build)
            await rig.connect()
            try:
                await rig.begin(Start(PULSE))
                await until(rig, lambda: bool(rig.air.frames(Status)), 60, "a status")
                status = rig.air.frames(Status)[0]
                assert status.health.channels == ((2, 1),)
                assert status.health.boots == 1
                await rig.cut_power(0.3)
                await until(
                    rig,
                    lambda: any(one.health and one.health.boots == 2 for one in rig.air.frames(Status)),
                    60,
                    "a status after the power cut",
                )
                assert rig.starts()[-1] == "power"
                assert rig.rules_broken() == []
                assert len(rig.air.joins) == 1
            finally:
                await rig.close()
            assert len((logs / "air.jsonl").read_text().splitlines()) == len(rig.air.sent)


async def test_the_guard_refuses_another_firmware_and_another_board(tmp_path: Path, build: Build) -> None:
    async with bench(tmp_path, build) as (_, node, _):
        manifest, contents = build
        assert node.port is not None
        unique = await asyncio.to_thread(require_firmware, node.port, manifest, contents, "heltec_v3")
        assert len(unique) == 16
        changed = manifest.files[5]
        other = contents | {changed.path: contents[changed.path] + b"\0"}
        files = tuple(
            replace(one, size=one.size + 1, sha256=sha256(other[one.path])) if one is changed else one
            for one in manifest.files
        )
        with pytest.raises(RigError, match="another firmware than the one under test") as error:
            await asyncio.to_thread(
                require_firmware, node.port, replace(manifest, files=files), other, "heltec_v3"
            )
        assert changed.path in str(error.value)
        with pytest.raises(RigError, match="says t3_v16, which has an ESP32"):
            await asyncio.to_thread(require_firmware, node.port, manifest, contents, "t3_v16")


async def test_a_broker_that_is_not_there_is_told(tmp_path: Path, build: Build) -> None:
    node = RigNode("none", "heltec_v3", "/dev/none", None, (7,), frozenset({Capability.GATEWAY}))
    description = RigFile("bench", (node,), GatewayAt(GATEWAY, "127.0.0.1", 1))
    rig = RealRig(tmp_path, description, node, build)
    with pytest.raises(RigError, match=r"no broker at 127\.0\.0\.1:1"):
        await rig.connect()
    await rig.close()


def test_a_serial_number_that_is_nowhere_is_told() -> None:
    with pytest.raises(RigError, match="no port has the serial number no-such-board"):
        port_of(None, "no-such-board", "node a")


def test_what_the_chip_says_at_its_start_tells_why() -> None:
    log = (
        "ets Jul 29 2019 12:21:46\r\nrst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"
        "rst:0x8 (TG1WDT_SYS_RESET),boot:0x13\r\nESP-ROM:esp32s3-20210327\r\nrst:0x1 (POWERON),boot:0x8\r\n"
        "rst:0x3 (RTC_SW_SYS_RST),boot:0x8\r\nMPY: soft reboot\r\nrst:0xc (SW_CPU_RESET),boot:0x13\r\n"
        "rst:0xf (RTCWDT_BROWN_OUT_RESET),boot:0x13\r\n"
    )
    assert starts_in(log) == ["power", "watchdog", "power", "hard", "soft", "hard", "power"]
