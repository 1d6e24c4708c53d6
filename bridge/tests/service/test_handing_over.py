"""From the store to the publisher: what was just stored is sent as it is, and memory stays small whatever waits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bridge.tests.service.mosquitto import Mosquitto
from bridge.tests.service.node import Node
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber
from zaehlwerk_bridge import publisher as publisher_module
from zaehlwerk_bridge.outbox import OutboxRow
from zaehlwerk_bridge.service import Bridge


def readings(bridge: Bridge) -> list[int]:
    """From now on after which row the publisher has read the outbox, each time."""
    found: list[int] = []
    rows = bridge.publisher._outbox.rows

    async def noted(after_seq: int, limit: int) -> list[OutboxRow]:
        found.append(after_seq)
        return await rows(after_seq, limit)

    bridge.publisher._outbox.rows = noted  # type: ignore[method-assign]
    return found


async def committed(rig: Rig, bridge: Bridge, node: Node) -> None:
    await bridge.committed(node.dev_eui, rig.server.devices[node.dev_eui].items[-1].id)


async def test_what_was_just_stored_is_not_read_again(
    rig: Rig, broker: Mosquitto, subscribe: Callable[..., Subscriber]
) -> None:
    """Only after the connection was lost is the outbox read: what was in flight then is there."""
    platform = subscribe()
    node = Node("70b3d57ed0000001", "Hafenstraße")
    await rig.server.put(node.dev_eui, node.status(), node.count(1))
    async with rig.bridge() as bridge:
        await committed(rig, bridge, node)
        await bridge.published()
        read = readings(bridge)
        for _ in range(5):
            await rig.server.put(node.dev_eui, node.count(2))
            await committed(rig, bridge, node)
            await bridge.published()
        await platform.until(lambda: platform.sums() == {"hafenstrasse": 11})
        assert read == []
        broker.stop()
        await rig.server.put(node.dev_eui, node.count(3))
        await committed(rig, bridge, node)
        broker.start()
        await bridge.ready()
        await bridge.published()
        await platform.until(lambda: platform.sums() == {"hafenstrasse": 14})
        assert read[0] == 0


async def test_memory_holds_no_more_than_it_may_and_everything_arrives(
    rig: Rig, broker: Mosquitto, subscribe: Callable[..., Subscriber], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "ROWS_IN_MEMORY", 8)
    largest = 0
    add = publisher_module.StationQueues._add

    def adding(queues: publisher_module.StationQueues, row: OutboxRow) -> None:
        nonlocal largest
        add(queues, row)
        largest = max(largest, queues._waiting)

    monkeypatch.setattr(publisher_module.StationQueues, "_add", adding)
    nodes = [Node(f"70b3d57ed{number:07x}", f"station {number}") for number in range(1, 6)]
    broker.stop()
    async with rig.bridge(ready=False) as bridge:
        for node in nodes:
            await rig.server.put(node.dev_eui, node.status(), *(node.count(3) for _ in range(20)))
        for node in nodes:
            await committed(rig, bridge, node)
        broker.start()
        platform = subscribe()
        await bridge.ready()
        await bridge.published()
        await platform.until(lambda: platform.sums() == {f"station-{n}": 60 for n in range(1, 6)})
    assert 0 < largest <= 8
