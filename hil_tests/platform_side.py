"""Bridge, broker and a plain subscriber behind a rig's network: what a platform would hold."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from hil_tests.air import Air
from zaehlwerk_bridge.clock import Clock
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.city_bridge import bridge_settings, embedded_server, running_bridge
from zaehlwerk_tools.records import Published
from zaehlwerk_tools.simulator.scheduler import Scheduler
from zaehlwerk_tools.subscriber import Subscriber

PREFIX = "rig"
PATIENCE_S = 60.0
SETTLE_S = 20.0
"""Time of the node in which the bridge sees what the network holds: it looks every second."""


class PlatformSide:
    """Use as a context manager."""

    def __init__(self, folder: Path, port: int, tenant: str, key: str, clock: Clock) -> None:
        self._folder = folder
        self._server = embedded_server(folder, port, tenant, key)
        self._clock = clock
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        folder = self._folder
        self._broker = await self._stack.enter_async_context(await BrokerProcess.start(folder))
        self._subscriber = Subscriber(self._broker.address, folder / "platform.sqlite", PREFIX)
        self._stack.callback(self._subscriber.close)
        await self._subscriber.start()
        self._stack.push_async_callback(self._subscriber.stop)
        settings = bridge_settings(folder, self._server, self._broker.address, PREFIX)
        self._bridge, _ = await self._stack.enter_async_context(
            running_bridge(settings, self._clock, 1, folder / "bridge.log")
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def follow(self, air: Air, scheduler: Scheduler) -> None:
        """Virtual time stands until the bridge has stored what was delivered to it."""
        air.on_delivered = lambda dev_eui, item: scheduler.hold(_stored(self._bridge, dev_eui, item))

    async def records(self, wait: Callable[[float], Awaitable[None]]) -> list[Published]:
        """What the subscriber holds when everything is there; also kept as `mqtt.jsonl`."""
        await wait(SETTLE_S)
        async with asyncio.timeout(PATIENCE_S):
            await self._bridge.quiet()
            await self._bridge.published()
        await self._subscriber.drain()
        records = list(self._subscriber.records())
        with (self._folder / "mqtt.jsonl").open("w", encoding="utf-8") as file:
            for record in records:
                told = {
                    "id": record.id,
                    "revision": record.revision,
                    "start_s": record.start_s,
                    "end_s": record.end_s,
                    "resolution": record.resolution,
                    "counts": [channel.count for channel in record.channels],
                    "coverage": [channel.coverage for channel in record.channels],
                }
                file.write(json.dumps(told) + "\n")
        return records

    @property
    def alarms(self) -> list[str]:
        """As they came, JSON."""
        return list(self._subscriber.alarms)


async def _stored(bridge: Bridge, dev_eui: str, item: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await bridge.committed(dev_eui, item)
