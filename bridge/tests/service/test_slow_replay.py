"""A history that takes longer to come than a look at it: ChirpStack sends ten events a second, of 1,000 for minutes."""

from __future__ import annotations

import asyncio
import dataclasses

from bridge.tests.service.manual_clock import ManualClock
from bridge.tests.service.node import Item, Node
from bridge.tests.service.rig import Rig
from bridge.tests.service.until import until
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.sources.device_stream import CLOCKS_MS, DeviceStream
from zaehlwerk_bridge.sources.grpc import GrpcSource
from zaehlwerk_bridge.store import Store

EUI = "70b3d57ed0000001"
STEP_S = 4.0
"""Shorter than the silence that is taken for the end of a history."""


def stream(bridge: Bridge) -> DeviceStream:
    assert isinstance(bridge.source, GrpcSource)
    return bridge.source.streams[EUI]


async def stored(bridge: Bridge, item: Item) -> None:
    async with asyncio.timeout(15):
        await bridge.committed(EUI, item.id)


async def one_by_one(bridge: Bridge, rig: Rig, clock: ManualClock, upto: int) -> None:
    """The server sends the next items of the history, one every four seconds."""
    device = rig.server.devices[EUI]
    assert device.sends is not None
    while device.sends < upto:
        await clock.move(STEP_S)
        device.sends += 1
        await rig.server.wake()
        await until(lambda: stream(bridge).items == device.sends)


async def read_before(rig: Rig, node: Node, counts: int) -> None:
    """A bridge has stored all that the device sent so far."""
    await rig.server.put(EUI, node.status(), *(node.count(1) for _ in range(counts)))
    async with rig.bridge() as bridge:
        await stored(bridge, rig.server.devices[EUI].items[-1])


async def test_a_long_replay_is_not_taken_for_ids_that_began_again_and_what_follows_is_taken_once(
    rig: Rig,
) -> None:
    node = Node(EUI, "one")
    await read_before(rig, node, 14)
    await rig.server.put(EUI, *(node.count(2) for _ in range(3)))
    device = rig.server.devices[EUI]
    device.sends, device.opened = 3, 0
    clock = ManualClock(node.now_s * 10**9)
    async with rig.bridge(clock=clock) as bridge:
        await until(lambda: stream(bridge).items == 3)
        assert stream(bridge).replay.doubtful
        await one_by_one(bridge, rig, clock, len(device.items))
        await stored(bridge, device.items[-1])
        await rig.server.put(EUI, late := node.count(5))
        device.sends += 1
        await rig.server.wake()
        await stored(bridge, late)
        assert (bridge.counts.events, bridge.counts.repeated) == (4, 0)
        counts = bridge.source.counts
        assert (device.opened, counts.reopened, counts.trimmed) == (1, 0, 0)
    assert "began again" not in rig.logged.getvalue()


async def test_a_device_that_is_heard_while_its_history_is_replayed_keeps_its_stream(rig: Rig) -> None:
    """Opened again at each list, a long history would never be read to its end."""
    node = Node(EUI, "one")
    await read_before(rig, node, 9)
    device = rig.server.devices[EUI]
    node.slot += 4
    await rig.server.put(EUI, node.count(2))
    device.sends, device.opened, device.last_seen_ms = 3, 0, node.now_s * 1000
    clock = ManualClock(node.now_s * 10**9)
    async with rig.bridge(clock=clock) as bridge:
        await until(lambda: stream(bridge).items == 3)
        await one_by_one(bridge, rig, clock, len(device.items))
        await stored(bridge, device.items[-1])
        assert (device.opened, bridge.source.counts.reopened) == (1, 0)
    assert "its stream is silent" not in rig.logged.getvalue()


async def test_how_far_a_history_reaches_is_told_from_the_whole_of_it(rig: Rig) -> None:
    """Ten events of a quarter of an hour each: what is read of them at the second look says less."""
    node = Node(EUI, "one", f_cnt=500)
    await rig.server.put(EUI, node.status(), *(node.count(1) for _ in range(9)))
    rig.server.devices[EUI].sends = 6
    clock = ManualClock(node.now_s * 10**9)
    async with rig.bridge(clock=clock, chirpstack_outage_h=2.4) as bridge:
        await until(lambda: stream(bridge).items == 6)
        await one_by_one(bridge, rig, clock, 10)
        assert bridge.source.counts.short == 0
        await clock.move(11)
        await clock.move(11)
        history = stream(bridge).history
        assert history is not None
        await until(lambda: history.whole == 10)
        assert history.reach_s == 9000
        assert bridge.source.counts.short == 0
    assert "a long outage" not in rig.logged.getvalue()


async def test_a_stream_that_broke_in_its_history_is_not_read_whole_for_that(rig: Rig) -> None:
    node = Node(EUI, "one")
    await read_before(rig, node, 5)
    device = rig.server.devices[EUI]
    device.break_after, device.opened = 3, 0
    clock = ManualClock(node.now_s * 10**9)
    async with rig.bridge(clock=clock, chirpstack_backoff_first_s=30, chirpstack_backoff_most_s=60) as bridge:
        await until(lambda: stream(bridge).trouble != "")
        assert stream(bridge).replay.doubtful
        await clock.move(11)
        await clock.move(60)
        await until(lambda: device.opened == 2)
        await until(lambda: not stream(bridge).replay.doubtful)
        assert bridge.source.counts.reopened == 0
    assert "began again" not in rig.logged.getvalue()


async def test_ids_that_began_again_at_a_device_that_is_never_quiet_are_seen_by_events_of_the_present(
    rig: Rig,
) -> None:
    """The server's clock was days ahead, and its Redis is new."""
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), *(node.count(1) for _ in range(3)))
    device = rig.server.devices[EUI]
    first = device.items
    device.items = [
        dataclasses.replace(item, id=f"{int(item.id.partition('-')[0]) + 10 * 86_400_000}-0")
        for item in first
    ]
    async with rig.bridge() as bridge:
        await stored(bridge, device.items[-1])
    fresh = node.count(7)
    now_ms = node.now_s * 1000
    young = dataclasses.replace(fresh, id=f"{now_ms + CLOCKS_MS + 9000}-0")
    device.items = [*first, Item(f"{now_ms}-9", "log", "{}"), young]
    device.sends = 3
    clock = ManualClock(now_ms * 10**6)
    async with rig.bridge(clock=clock) as bridge:
        await until(lambda: stream(bridge).items == 3)
        await one_by_one(bridge, rig, clock, 6)
        assert stream(bridge).replay.doubtful
        await clock.move(8)  # less than the silence at which a history ends
        await until(lambda: bridge.source.counts.reopened == 1)
        await until(lambda: bridge.counts.frames["counts"] >= 1)
        dump = await bridge.ask(Store.dump)
    assert '"count":7' in dump.replace("\\", "").replace(" ", "")
