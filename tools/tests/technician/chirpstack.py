"""The stand-in for ChirpStack with its API on a port, in real time, for commands that run beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chirpstack_api import api
from google.protobuf.message import Message
from grpc import aio

from zaehlwerk_tools.gateway_backend.wall_clock import WallClock
from zaehlwerk_tools.network_server import Downlink, NetworkServer, Reception
from zaehlwerk_tools.network_server.wall_scheduler import WallScheduler
from zaehlwerk_tools.serial_board.virtual_board import GATEWAY, VirtualBoard
from zaehlwerk_tools.simulator.air_frames import Heard
from zaehlwerk_tools.technician.server import Server

TIMEOUT_S = 30.0


@dataclass
class Chirpstack:
    """A running server."""

    server: NetworkServer
    port: int
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def key_file(self, key: str | None = None) -> Path:
        """A file with an API key, the admin's if none is given."""
        path = self.folder / "api.key"
        path.write_text(f"{self.server.admin_key if key is None else key}\n")
        return path

    def named(self, **options: Any) -> Server:
        """As a command line names it."""
        return Server(self.url, self.key_file(), **options)

    async def call(self, method: str, request: Message) -> Any:
        """An API call with the admin's key."""
        service, name = method.split("/")
        async with aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            stub = getattr(api, f"{service}Stub")(channel)
            metadata = (("authorization", f"Bearer {self.server.admin_key}"),)
            return await getattr(stub, name)(request, metadata=metadata, timeout=TIMEOUT_S)

    async def device(self, dev_eui: str) -> Any:
        """A device as it is there."""
        return (await self.call("DeviceService/Get", api.GetDeviceRequest(dev_eui=dev_eui))).device

    async def key(self, dev_eui: str) -> str:
        """Its AppKey as it is there."""
        found = await self.call("DeviceService/GetKeys", api.GetDeviceKeysRequest(dev_eui=dev_eui))
        return str(found.device_keys.nwk_key)

    def hears(self, board: VirtualBoard) -> None:
        """What the board sends comes here; nothing goes back to it."""

        def uplink(at_ns: int, payload: bytes, heard: Heard) -> None:
            self.server.uplink(at_ns, payload, Reception(GATEWAY, 868_100_000, 12, 125_000, -80, 5.0))

        board.on_uplink = uplink


@asynccontextmanager
async def chirpstack(folder: Path) -> AsyncIterator[Chirpstack]:
    """A server whose gateways take every downlink."""

    def taken(downlink: Downlink) -> None:
        return None

    clock = WallClock()
    server = NetworkServer(WallScheduler(clock.now_ns), taken, 1)
    port = await server.start()
    try:
        yield Chirpstack(server, port, folder)
    finally:
        await server.stop()
