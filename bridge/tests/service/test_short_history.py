"""A device's history at the server that is too short: told before an outage, and counted when it has lost something."""

from __future__ import annotations

import asyncio

from bridge.tests.service.manual_clock import ManualClock
from bridge.tests.service.node import Node
from bridge.tests.service.rig import Rig
from bridge.tests.service.until import until
from zaehlwerk_bridge.service import Bridge

EUI = "70b3d57ed0000001"
LOST = "the server may have deleted events before they were stored"


async def stored(bridge: Bridge, rig: Rig) -> None:
    async with asyncio.timeout(15):
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)


async def test_a_history_too_short_for_the_outage_is_told_soon_after_the_start_and_once(rig: Rig) -> None:
    node = Node(EUI, "one", f_cnt=500)
    await rig.server.put(EUI, node.status(), *(node.count(1) for _ in range(9)))
    clock = ManualClock(node.now_s * 10**9)
    async with rig.bridge(clock=clock) as bridge:
        await stored(bridge, rig)
        await clock.move(11)  # the second look
        await until(lambda: bridge.source.counts.short == 1)
        await clock.move(301)
        await until(lambda: bridge.source.counts.lists == 2)
    assert rig.logged.getvalue().count("a long outage would lose events") == 1
    assert "per_device_event_log_max_history to 200" in rig.logged.getvalue()


async def test_a_history_that_reaches_far_enough_is_not_spoken_of(rig: Rig) -> None:
    node = Node(EUI, "one", f_cnt=500)
    await rig.server.put(EUI, node.status(), *(node.count(1) for _ in range(9)))
    clock = ManualClock(node.now_s * 10**9)
    async with rig.bridge(clock=clock, chirpstack_outage_h=2) as bridge:
        await stored(bridge, rig)
        await clock.move(301)
        await until(lambda: bridge.source.counts.lists == 2)
        assert bridge.source.counts.short == 0
    assert "a long outage" not in rig.logged.getvalue()


async def test_events_of_the_present_do_not_make_a_history_longer(rig: Rig) -> None:
    """The server deletes an old one for each of them."""
    node = Node(EUI, "one", f_cnt=500)
    await rig.server.put(EUI, node.status(), *(node.count(1) for _ in range(9)))
    clock = ManualClock(node.now_s * 10**9)
    async with rig.bridge(clock=clock) as bridge:
        await stored(bridge, rig)
        await rig.server.put(EUI, *(node.count(1) for _ in range(100)))
        await stored(bridge, rig)
        await clock.move(11)
        await until(lambda: bridge.source.counts.short == 1)


async def test_what_the_server_deleted_while_the_bridge_was_away_is_counted(rig: Rig) -> None:
    assert await trimmed_after_being_away(rig, stored_before=6, came_since=15) == 1
    assert rig.logged.getvalue().count(LOST) == 1


async def test_what_the_server_deleted_after_it_had_been_stored_is_no_loss(rig: Rig) -> None:
    assert await trimmed_after_being_away(rig, stored_before=16, came_since=9) == 0
    assert LOST not in rig.logged.getvalue()


async def trimmed_after_being_away(rig: Rig, stored_before: int, came_since: int) -> int:
    """Devices of which a bridge says that it lost events, with a server that keeps ten of each."""
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), *(node.count(1) for _ in range(stored_before - 1)))
    async with rig.bridge() as bridge:
        await stored(bridge, rig)
    await rig.server.put(EUI, *(node.count(1) for _ in range(came_since)))
    del rig.server.devices[EUI].items[:-10]
    async with rig.bridge() as bridge:
        await stored(bridge, rig)
        return bridge.source.counts.trimmed
