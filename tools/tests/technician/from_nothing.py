"""How long it takes, and how many keystrokes, from an empty board to a node whose counts are published: for README.

    .venv/bin/python -m tools.tests.technician.from_nothing

In real time: a virtual board with MicroPython and nothing else, the stand-in for ChirpStack behind its gateway, the real bridge,
a real broker, and a plain subscriber. What is typed is one line; what it needs was there before: the build, the settings, and
the API key and address, which are the same for all of a city's nodes.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from chirpstack_api import api

from tools.tests.technician.chirpstack import Chirpstack
from zaehlwerk_bridge.clock import SystemClock
from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.city_bridge import bridge_settings, embedded_server, running_bridge
from zaehlwerk_tools.network_server import Downlink, NetworkServer, Reception
from zaehlwerk_tools.serial_board.pty_port import PtyPort
from zaehlwerk_tools.serial_board.virtual_board import Options, VirtualBoard, virtual_board
from zaehlwerk_tools.simulator.air_frames import Heard
from zaehlwerk_tools.simulator.inputs import PulseInputs
from zaehlwerk_tools.subscriber import Subscriber
from zaehlwerk_tools.technician.firmware_build import build_firmware

ROOT = Path(__file__).resolve().parents[3]
PREFIX = "zaehlwerk"
TYPED = "zaehlwerk provision ./board-1 --build firmware-build --settings node.json --api-key-file api.key --wait 120"
NODE = {
    "dev_eui": "70b3d57ed0000001",
    "join_eui": "70b3d57ed0000000",
    "board": "heltec_v3",
    "interval_s": 60,
    "channels": [{"class": "bicycle", "direction": "in", "sensor": "pulse", "pin": 4}],
    "station": {"name": "Hafenstraße", "position": [51.9507, 7.6338]},
}
NS = 1_000_000_000
PULSES_S = 900
PATIENCE_S = 600


async def measure(folder: Path) -> str:
    """The two figures, in a sentence."""
    build_firmware(ROOT / "firmware", ROOT / "protocol" / "zaehlwerk_protocol", folder / "firmware-build")
    (folder / "node.json").write_text(json.dumps(NODE), encoding="utf-8")
    async with AsyncExitStack() as stack:
        board = await stack.enter_async_context(
            virtual_board(Options(), PtyPort(folder / "board-1"), folder / "boards")
        )
        begun = time.time_ns()
        passages = [begun + second * NS for second in range(1, PULSES_S, 3)]
        board.board.spec = replace(board.board.spec, inputs=PulseInputs({4: passages}))
        there = Chirpstack(server := _behind(board), await server.start(), folder)
        stack.push_async_callback(server.stop)
        there.key_file()
        tenants = await there.call("TenantService/List", api.ListTenantsRequest(limit=1))
        broker = await stack.enter_async_context(await BrokerProcess.start(folder))
        subscriber = Subscriber(broker.address, folder / "platform.sqlite", PREFIX)
        stack.callback(subscriber.close)
        await subscriber.start()
        stack.push_async_callback(subscriber.stop)
        source = embedded_server(folder, there.port, tenants.result[0].id, server.admin_key)
        source = source.model_copy(update={"relist_s": 5})  # a new device is found at the next list
        settings = bridge_settings(folder, source, broker.address, PREFIX)
        await stack.enter_async_context(running_bridge(settings, SystemClock(), 1, folder / "bridge.log"))
        started = time.monotonic()
        said = await _typed(folder, there.url)
        joined = time.monotonic() - started
        async with asyncio.timeout(PATIENCE_S):
            while not _counted(subscriber):  # noqa: ASYNC110 - a thread of paho's fills it
                await asyncio.sleep(0.2)
        published = time.monotonic() - started
    return (
        f"{said}\nfrom nothing to a node that has joined: one command, {len(TYPED) + 1} keystrokes, {joined:.0f} s; "
        f"its first count is published after {published:.0f} s (intervals of {NODE['interval_s']} s)"
    )


def _counted(subscriber: Subscriber) -> bool:
    return any(channel.count for one in subscriber.records() for channel in one.channels)


def _behind(board: VirtualBoard) -> NetworkServer:
    """A server on the board's own time, with the board's gateway as its only one."""

    def send(down: Downlink) -> str | None:
        radio = (down.start_ns, down.frequency, down.sf, down.bandwidth, down.power, down.phy)
        return board.air.downlink(down.gateway_id, *radio)

    server = NetworkServer(board.scheduler, send, 1)

    def heard(end_ns: int, phy: bytes, by: Heard) -> None:
        how = Reception(by.gateway_id, by.frequency, by.sf, by.bandwidth, by.rssi, by.snr, by.channel)
        server.uplink(end_ns, phy, how)

    board.on_uplink = heard
    return server


async def _typed(folder: Path, url: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *TYPED.split(),
        cwd=folder,
        env={**os.environ, "PATH": path, "ZAEHLWERK_API_URL": url},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"the command ended with status {process.returncode}")
    return out.decode().rstrip()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        sys.stdout.write(asyncio.run(measure(Path(place))) + "\n")
