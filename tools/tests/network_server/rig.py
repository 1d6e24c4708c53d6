"""A network server with one provisioned device, a virtual air of two gateways, and the API at hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from chirpstack_api import api
from google.protobuf.message import Message
from grpc import aio

from tools.tests.network_server.manual_scheduler import ManualScheduler
from tools.tests.network_server.virtual_device import Received, VirtualDevice
from zaehlwerk_tools.network_server import Downlink, NetworkServer, Reception, Settings
from zaehlwerk_tools.provisioning import Node, Plan, Profile, Registered, provision

NEAR, FAR = "0102030405060708", "0102030405060709"
KEY = bytes(range(16))
READ_TIMEOUT_S = 30


@dataclass
class Rig:
    scheduler: ManualScheduler
    server: NetworkServer
    channel: aio.Channel
    device: VirtualDevice = field(default_factory=VirtualDevice)
    downlinks: list[Downlink] = field(default_factory=list)
    refusals: list[str | None] = field(default_factory=list)
    """What the gateways answer to the next downlinks; nothing left: they take all."""
    channel_port: int = 0

    @property
    def registered(self) -> Registered:
        """What `provision` made."""
        assert self._registered, "nothing is registered yet"
        return self._registered

    _registered: Registered | None = None

    def transmit(self, downlink: Downlink) -> str | None:
        error = self.refusals.pop(0) if self.refusals else None
        if error is None:
            self.downlinks.append(downlink)
        return error

    def send(
        self, phy: bytes, *, sf: int = 9, snr: float = -20.0, gateways: tuple[str, ...] = (NEAR,)
    ) -> int:
        """Put an uplink on the air now; returns its end. The SNR is poor, so that ADR has nothing to improve."""
        now = self.scheduler.now_ns
        for gateway in gateways:
            self.server.uplink(now, phy, Reception(gateway, 868_100_000, sf, 125_000, -110, snr))
        return now

    def hear(self, phy: bytes, **how: Any) -> Received | None:
        """Send an uplink and take what comes back until RX2 is over."""
        before = len(self.downlinks)
        self.send(phy, **how)
        self.scheduler.run_for(3)
        answers = self.downlinks[before:]
        assert len(answers) <= 1, "more than one downlink for one uplink"
        return self.device.take_downlink(answers[0].phy) if answers else None

    def join(self) -> None:
        before = len(self.downlinks)
        self.send(self.device.join_request())
        self.scheduler.run_for(7)
        (accept,) = self.downlinks[before:]
        self.device.take_join_accept(accept.phy)

    async def call(self, method: str, request: Message, token: str | None = None) -> Any:
        """An API call with the admin's key, another's, or (empty token) none."""
        service, name = method.split("/")
        stub = getattr(api, f"{service}Stub")(self.channel)
        return await getattr(stub, name)(request, metadata=self.metadata(token), timeout=READ_TIMEOUT_S)

    def metadata(self, token: str | None = None) -> tuple[tuple[str, str], ...]:
        token = self.server.admin_key if token is None else token
        return (("authorization", f"Bearer {token}"),) if token else ()

    async def open(self, dev_eui: str | None = None, token: str | None = None) -> Any:
        """Open an event stream; returns when the server has opened it."""
        request = api.StreamDeviceEventsRequest(dev_eui=dev_eui or self.device.dev_eui)
        stream = api.InternalServiceStub(self.channel).StreamDeviceEvents(
            request, metadata=self.metadata(token)
        )
        await asyncio.wait_for(stream.initial_metadata(), READ_TIMEOUT_S)
        return stream

    async def events(self) -> list[Any]:
        """All events that the device's history holds, by a stream of its own."""
        others = self.server.open_streams
        stream = await self.open()
        self.scheduler.run_for(20)
        last = self.server.delivered().get(self.device.dev_eui)
        items: list[Any] = []
        while last and (not items or items[-1].id != last):
            items.append(await asyncio.wait_for(stream.read(), READ_TIMEOUT_S))
        stream.cancel()
        await until(lambda: self.server.open_streams == others)
        return items

    async def bodies(self, kind: str) -> list[dict[str, Any]]:
        """The bodies of all events of one kind."""
        return [json.loads(item.body) for item in await self.events() if item.description == kind]

    async def enqueue(self, data: bytes, f_port: int = 10, **more: Any) -> str:
        item = api.DeviceQueueItem(dev_eui=self.device.dev_eui, f_port=f_port, data=data, **more)
        answer = await self.call("DeviceService/Enqueue", api.EnqueueDeviceQueueItemRequest(queue_item=item))
        return str(answer.id)

    async def queue(self) -> list[Any]:
        request = api.GetDeviceQueueItemsRequest(dev_eui=self.device.dev_eui)
        return list((await self.call("DeviceService/GetQueue", request)).result)

    def plan(self, **changes: Any) -> Plan:
        node = Node(
            self.device.dev_eui, "Hafenstraße", KEY, {"station": "hafenstrasse", "channels": "in,out"}
        )
        return Plan(
            **{
                "application": "Counters",
                "nodes": [node],
                "tenant": "City",
                "profile": Profile(device_status_req_interval=0, tags={"product": "counter"}),
                "application_tags": {"site": "test"},
                **changes,
            }
        )

    async def provision(self, **changes: Any) -> Registered:
        self._registered = await provision(self.channel, self.server.admin_key, self.plan(**changes))
        return self._registered


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until something is so; TimeoutError if it never is."""
    async with asyncio.timeout(READ_TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - it happens in gRPC's own tasks, which have no event for it
            await asyncio.sleep(0)


@asynccontextmanager
async def rig(*, seed: int = 1, **settings: Any) -> AsyncIterator[Rig]:
    """A server on a free port, with nothing registered."""
    scheduler = ManualScheduler()
    built: list[Rig] = []
    settings.setdefault("history", 1000)

    def transmit(downlink: Downlink) -> str | None:
        return built[0].transmit(downlink)

    server = NetworkServer(scheduler, transmit, seed, Settings(**settings))
    port = await server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            built.append(Rig(scheduler, server, channel, channel_port=port))
            yield built[0]
    finally:
        await server.stop()


@asynccontextmanager
async def joined_rig(*, profile: Profile | None = None, seed: int = 1, **settings: Any) -> AsyncIterator[Rig]:
    """A server with the device registered and joined."""
    async with rig(seed=seed, **settings) as it:
        await it.provision(**({"profile": profile} if profile else {}))
        it.join()
        yield it
