"""A network that cuts the connection to the broker at any byte: every message arrives, and none is counted twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

from bridge.tests.service.node import Node
from bridge.tests.service.proxy import Proxy
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber


class CuttingProxy(Proxy):
    """Passes bytes on between its port and the broker's, and cuts both ways after a random number of them."""

    def __init__(self, target: int, rng: random.Random, most_bytes: int) -> None:
        super().__init__(target)
        self._rng = rng
        self._most_bytes = most_bytes
        self.cuts = 0
        self.whole = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what the dice allow, then close both ends."""
        there, back = await self.reach()
        left = [self._rng.randrange(200, self._most_bytes)]

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(1000):
                sink.write(data if self.whole else data[: left[0]])
                await sink.drain()
                left[0] -= len(data)
                if left[0] <= 0 and not self.whole:
                    self.cuts += 1
                    return

        copies = [asyncio.create_task(copy(reader, back)), asyncio.create_task(copy(there, writer))]
        with suppress(OSError):
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        for task in copies:
            task.cancel()
        await asyncio.gather(*copies, return_exceptions=True)
        for stream in (writer, back):
            stream.close()
            with suppress(OSError):
                await stream.wait_closed()


async def test_a_connection_that_is_cut_again_and_again_loses_and_doubles_nothing(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    """Publishes are cut off, and so are their acknowledgements: then a message comes twice, with the same id."""
    platform = subscribe()
    nodes = [Node(f"70b3d57ed{number:07x}", f"station {number}") for number in range(8)]
    for node in nodes:
        await rig.server.put(node.dev_eui, node.status(), *(node.count(1) for _ in range(12)))
    async with CuttingProxy(rig.broker.port, random.Random(7), 12_000) as proxy:
        waits = {"mqtt_backoff_first_s": 0.01, "mqtt_backoff_most_s": 0.02}
        async with rig.bridge(ready=False, mqtt_port=proxy.port, **waits) as bridge:
            for node in nodes:
                await bridge.committed(node.dev_eui, rig.server.devices[node.dev_eui].items[-1].id)
            async with asyncio.timeout(30):
                await bridge.published()
            cuts = proxy.cuts
            proxy.whole = True
            await platform.until(lambda: sum(platform.sums().values()) == 96)
    assert cuts >= 3
    assert platform.sums() == {f"station-{number}": 12 for number in range(8)}
    bodies: dict[str, bytes] = {}
    for message in platform.messages:
        properties = message.properties
        assert properties is not None
        identity = dict(getattr(properties, "UserProperty", [])).get("id")
        if identity is not None and message.topic.endswith(("/count", "/span")):
            assert bodies.setdefault(f"{message.topic} {identity}", message.payload) == message.payload
