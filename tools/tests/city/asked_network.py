"""A network server before which every node is asked for its status once, as an operator would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from chirpstack_api.api import device_pb2, device_pb2_grpc
from grpc import aio

from tools.tests.city.attentive_platform import Platform
from zaehlwerk_bridge.settings import ChirpStackSettings
from zaehlwerk_protocol import cbor, command, ports
from zaehlwerk_tools import city
from zaehlwerk_tools.city_network import EmbeddedNetwork
from zaehlwerk_tools.local_time import NS
from zaehlwerk_tools.plan import Plan
from zaehlwerk_tools.result import CityResult

ASKED_S = 2 * 3600
"""Seconds after the first quarter-hour's begin at which the nodes are asked."""
TOKEN = 40_000
"""Of the question: the bridge's own begin elsewhere."""


class AskedNetwork(EmbeddedNetwork):
    """The stand-in for ChirpStack, with the question in every node's queue at `ASKED_S`."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[ChirpStackSettings]:
        async with super().opened() as settings:
            self._found = settings
            yield settings

    async def begin(self) -> None:
        await super().begin()
        at = self._plan.start_ns + ASKED_S * NS
        self.scheduler.at(at, lambda: self.scheduler.hold(self._ask_all()))

    async def _ask_all(self) -> None:
        assert self._found.api_key_file is not None
        key = self._found.api_key_file.read_text(encoding="ascii")
        async with aio.insecure_channel(self._found.server) as channel:
            devices = device_pb2_grpc.DeviceServiceStub(channel)
            for node in self.nodes:
                item = device_pb2.DeviceQueueItem(
                    dev_eui=node.dev_eui,
                    f_port=ports.COMMAND,
                    data=cbor.encode((TOKEN, command.STATUS, ())),
                )
                await devices.Enqueue(
                    device_pb2.EnqueueDeviceQueueItemRequest(queue_item=item),
                    metadata=(("authorization", f"Bearer {key}"),),
                )


async def run_asked(plan: Plan, network: type[AskedNetwork], monkeypatch: pytest.MonkeyPatch) -> CityResult:
    """The city of `plan` before such a network; what its platform was told is in `Platform.told`."""
    monkeypatch.setattr(Platform, "told", {})
    monkeypatch.setattr(city, "Subscriber", Platform)
    monkeypatch.setattr(city, "EmbeddedNetwork", network)
    return await city.run_city(plan, lambda _: None)
