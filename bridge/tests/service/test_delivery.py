"""What the bridge owes the platform: every count once in the sum, whatever happens to broker, server or bridge."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from bridge.tests.service.mosquitto import Mosquitto
from bridge.tests.service.node import Node
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber
from zaehlwerk_bridge.store import Store

EUI = "70b3d57ed0000001"


def node(number: int = 1) -> Node:
    return Node(f"70b3d57ed{number:07x}", f"Hafenstraße {number}")


async def test_a_count_goes_from_the_stream_to_the_platform(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    """Station, channel and count arrive in one record; topic and id name no device."""
    platform = subscribe()
    counter = node()
    await rig.server.put(EUI, counter.status(), counter.count(7), counter.count(5))
    async with rig.bridge() as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        await bridge.published()
        await platform.until(lambda: len(platform.of("/count")) >= 2)
    counts = [m for m in platform.messages if m.topic == "zaehlwerk/v1/hafenstrasse-1/count"]
    records = [record for m in counts for record in json.loads(m.payload)["records"]]
    assert sorted(record["channels"][0]["count"] for record in records) == [5, 7]
    assert all(EUI not in m.topic and EUI.encode() not in m.payload for m in counts)
    properties = counts[0].properties
    assert properties is not None
    assert properties.ContentType == "application/json"
    assert dict(properties.UserProperty)["specversion"] == "1.0"


async def test_a_broker_that_is_killed_and_comes_back_loses_nothing(
    rig: Rig, broker: Mosquitto, subscribe: Callable[..., Subscriber]
) -> None:
    """SIGKILL in the middle of 60 messages; the subscriber's session dies with the broker, so it may miss what the
    broker had acknowledged: the bridge must deliver all that was not acknowledged, and its outbox must get empty."""
    counters = [node(number) for number in range(1, 7)]
    platform = subscribe()
    for counter in counters:
        await rig.server.put(counter.dev_eui, counter.status(), *(counter.count(3) for _ in range(5)))
    async with rig.bridge() as bridge:
        await bridge.published()
        await platform.until(lambda: sum(platform.sums().values()) == 6 * 5 * 3)
        broker.kill()
        for counter in counters:
            await rig.server.put(counter.dev_eui, *(counter.count(2) for _ in range(5)))
            await bridge.committed(counter.dev_eui, rig.server.devices[counter.dev_eui].items[-1].id)
        assert await bridge.ask(Store.outbox_size) > 0
        broker.start()
        await bridge.published()
        assert bridge.publisher.counts.connections == 2
        await platform.until(lambda: sum(platform.sums().values()) == 6 * 5 * 3 + 6 * 5 * 2)
    assert platform.sums() == {f"hafenstrasse-{number}": 25 for number in range(1, 7)}


async def test_a_bridge_that_starts_again_with_its_database_repeats_nothing(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    """The server replays the whole history to the second bridge; nothing of it is published again."""
    platform = subscribe()
    counter = node()
    await rig.server.put(EUI, counter.status(), counter.count(7), counter.count(5))
    async with rig.bridge() as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        await bridge.published()
    await platform.until(lambda: platform.sums() == {"hafenstrasse-1": 12})
    before = len(platform.of("/count"))
    await rig.server.put(EUI, counter.count(9))
    async with rig.bridge() as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        await bridge.published()
        assert bridge.counts.events == 1
        await platform.until(lambda: platform.sums() == {"hafenstrasse-1": 21})
    assert len(platform.of("/count")) == before + 1


async def test_what_was_stored_while_no_broker_was_there_is_sent_by_the_next_bridge(
    rig: Rig, broker: Mosquitto, subscribe: Callable[..., Subscriber]
) -> None:
    counter = node()
    await rig.server.put(EUI, counter.status(), counter.count(7))
    broker.stop()
    async with rig.bridge(ready=False) as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
    broker.start()
    platform = subscribe()
    async with rig.bridge() as bridge:
        await bridge.published()
        await platform.until(lambda: platform.sums() == {"hafenstrasse-1": 7})


async def test_stations_keep_their_order_while_a_slow_subscriber_takes_its_time(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    """Everything arrives, and the revisions of each station rise."""
    platform = subscribe(slow_s=0.005)
    counters = [node(number) for number in range(1, 5)]
    for counter in counters:
        await rig.server.put(counter.dev_eui, counter.status(), *(counter.count(1) for _ in range(40)))
    async with rig.bridge() as bridge:
        for counter in counters:
            await bridge.committed(counter.dev_eui, rig.server.devices[counter.dev_eui].items[-1].id)
        await bridge.published()
        await platform.until(lambda: sum(platform.sums().values()) == 160)
    for counter in counters:
        station = f"hafenstrasse-{int(counter.dev_eui[9:], 16)}"
        revisions = [
            record["revision"] for content in platform.of(f"{station}/count") for record in content["records"]
        ]
        assert revisions == sorted(revisions)


async def test_birth_will_and_goodbye_are_retained(rig: Rig, subscribe: Callable[..., Subscriber]) -> None:
    """A subscriber that comes later sees that the bridge is there, and that it has stopped."""
    async with rig.bridge():
        watcher = subscribe(topic="zaehlwerk/v1/bridge/b1/status")
        await watcher.until(lambda: watcher.of("/status") == [{"state": "online"}])
    await watcher.until(lambda: watcher.newest("/status") == {"state": "offline", "reason": "stopped"})


async def test_a_bridge_that_dies_is_declared_dead_by_its_will(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    watcher = subscribe(topic="zaehlwerk/v1/bridge/b1/status")
    async with rig.bridge() as bridge:
        await watcher.until(lambda: watcher.of("/status") == [{"state": "online"}])
        connection = bridge.publisher._connection  # the test is the power cut
        assert connection is not None
        connection.session.close()
        await watcher.until(
            lambda: {"state": "offline", "reason": "connection lost"} in watcher.of("/status")
        )


async def test_a_bridge_stops_within_five_seconds_although_the_broker_hangs(
    rig: Rig, broker: Mosquitto
) -> None:
    counter = node()
    await rig.server.put(EUI, counter.status())
    async with rig.bridge() as bridge:
        await bridge.published()
        broker.pause()
        try:
            await rig.server.put(EUI, counter.count(7))
            await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
            started = asyncio.get_running_loop().time()
            bridge.stop()
            with pytest.raises(Exception, match="stopped"):
                await bridge.published()
            assert asyncio.get_running_loop().time() - started < 5
        finally:
            broker.resume()
