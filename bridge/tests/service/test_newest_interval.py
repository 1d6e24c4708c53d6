"""What a display sees: the retained `last` of a station is its newest interval, whatever happened before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.tests.service.chirpstack import ChirpStack
from bridge.tests.service.mosquitto import Mosquitto
from bridge.tests.service.node import Node
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber
from bridge.tests.service.until import until
from zaehlwerk_bridge.outbox import OutboxRow
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.store import Store

EUI = "70b3d57ed0000001"


async def stored(rig: Rig, bridge: Bridge) -> None:
    await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)


def newest(watcher: Subscriber) -> Any:
    """The count that the station's `last` tells, None before it does."""
    told = watcher.of("/last")
    return told[-1]["record"]["channels"][0]["count"] if told else None


async def test_a_display_that_comes_later_sees_the_newest_interval(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    subscribe()
    counter = Node(EUI, "Hafenstraße")
    await rig.server.put(EUI, counter.status(), counter.count(7), counter.count(5))
    async with rig.bridge() as bridge:
        await stored(rig, bridge)
        await bridge.published()
        display = subscribe(client_id="display", topic="zaehlwerk/v1/+/last")
        await until(lambda: newest(display) == 5)
        await rig.server.put(EUI, counter.count(9))
        await stored(rig, bridge)
        await until(lambda: newest(display) == 9)
    assert [message.retain for message in display.messages] == [True, False]


async def test_after_an_outage_of_the_broker_a_station_tells_its_newest_interval_once(
    rig: Rig, broker: Mosquitto, subscribe: Callable[..., Subscriber]
) -> None:
    counter = Node(EUI, "Hafenstraße")
    broker.stop()
    async with rig.bridge(ready=False) as bridge:
        for _ in range(10):
            await rig.server.put(EUI, counter.status(), counter.count(1), counter.count(2))
            await stored(rig, bridge)
        broker.start()
        platform = subscribe()
        await bridge.ready()
        await bridge.published()
        await until(lambda: len(platform.of("/count")) == 20 and newest(platform) == 2)
        assert len(platform.of("/last")) <= 2  # one, but that reading the outbox may end in the middle


async def test_a_count_is_in_the_outbox_until_the_newest_interval_after_it_is_told(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    """So a bridge that dies meanwhile tells both after its next start. Here is what it would find then."""
    platform = subscribe()
    counter = Node(EUI, "Hafenstraße")
    await rig.server.put(EUI, counter.status(), counter.count(7))
    async with rig.bridge() as bridge:
        await stored(rig, bridge)
        await bridge.published()
    await until(lambda: newest(platform) == 7)
    copied = rig.directory / "copy.sqlite"
    async with rig.bridge() as bridge:
        lasts = bridge.publisher._lasts

        async def dying() -> list[OutboxRow]:
            await bridge.ask(lambda store: store._database.execute("VACUUM INTO ?", (str(copied),)))
            return await type(lasts).read(lasts)

        lasts.read = dying  # type: ignore[method-assign]
        await rig.server.put(EUI, counter.count(5))
        await stored(rig, bridge)
        await bridge.published()
    store = Store(copied)
    waiting = [row.topic.rpartition("/")[2] for row in store.outbox()]
    store.close()
    assert waiting == ["count"]


@pytest.mark.parametrize("options", [[], ["max_queued_messages 0"]])
async def test_a_refused_newest_interval_holds_nothing_up(
    start_broker: Callable[..., Mosquitto],
    server: ChirpStack,
    tmp_path: Path,
    subscribe: Callable[..., Subscriber],
    options: list[str],
) -> None:
    """Displays may be nobody's business at a city's broker; the sums are. With `max_queued_messages 0` Mosquitto ends the
    connection after each refusal."""
    acl = ["topic readwrite #", "topic deny zaehlwerk/v1/hafenstrasse/last"]
    rig = Rig(tmp_path, server, start_broker(acl=acl, options=options))
    platform = subscribe(port=rig.broker.port)
    counter = Node(EUI, "Hafenstraße")
    await rig.server.put(EUI, counter.status(), counter.count(7), counter.count(5))
    async with rig.bridge() as bridge:
        await stored(rig, bridge)
        await platform.until(lambda: platform.sums() == {"hafenstrasse": 12})
        await until(lambda: "newest intervals are refused" in rig.logged.getvalue())
        await bridge.published()
        assert bridge.publisher.counts.refused >= 1
        assert bridge.publisher.held == {}
        assert await bridge.ask(Store.outbox_size) == 0
