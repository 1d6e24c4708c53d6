"""The source `grpc` against a server that errs in all the ways that ChirpStack was seen to."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import grpc
import pytest

from bridge.tests.service.chirpstack import KEY
from bridge.tests.service.manual_clock import ManualClock
from bridge.tests.service.node import Item, Node
from bridge.tests.service.rig import Rig
from bridge.tests.service.until import until
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.sources.device_stream import StreamState
from zaehlwerk_bridge.sources.grpc import GrpcSource
from zaehlwerk_bridge.store import Store

EUI = "70b3d57ed0000001"
OTHER = "70b3d57ed0000002"


def source(bridge: Bridge) -> GrpcSource:
    assert isinstance(bridge.source, GrpcSource)
    return bridge.source


async def stored(bridge: Bridge, rig: Rig, dev_eui: str = EUI) -> None:
    async with asyncio.timeout(15):
        await bridge.committed(dev_eui, rig.server.devices[dev_eui].items[-1].id)


async def test_a_stream_that_breaks_is_opened_again_and_its_replay_is_dropped(rig: Rig) -> None:
    """UNAVAILABLE in the middle of the history: the rest comes with the next connection, nothing twice."""
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), *(node.count(3) for _ in range(5)))
    rig.server.devices[EUI].break_after = 3
    async with rig.bridge() as bridge:
        await stored(bridge, rig)
        assert bridge.counts.events == 6
        assert bridge.counts.repeated == 0
        assert rig.server.devices[EUI].opened == 2


async def test_a_stream_that_is_not_answered_is_given_up_and_tried_again(rig: Rig) -> None:
    """A proxy that lets no more streams through says nothing at all."""
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status())
    rig.server.mute_headers = True
    async with rig.bridge(ready=False, chirpstack_request_timeout_s=0.3) as bridge:
        await until(lambda: "proxy" in bridge.source.trouble)
        rig.server.mute_headers = False
        await stored(bridge, rig)


async def test_streams_come_back_after_the_server_was_restarted(rig: Rig) -> None:
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status())
    async with rig.bridge() as bridge:
        await stored(bridge, rig)
        await rig.server.stop()
        await until(lambda: source(bridge).streams[EUI].state is StreamState.WAITING)
        assert "UNAVAILABLE" in bridge.source.trouble
        await rig.server.start()
        await rig.server.put(EUI, node.count(3))
        await stored(bridge, rig)
        assert bridge.counts.events == 2


async def test_waits_between_two_tries_grow_and_are_jittered(rig: Rig) -> None:
    """On the clock that was handed in, so a simulation does not wait for them."""
    rig.server.add(EUI).refuse = (grpc.StatusCode.INTERNAL, "RST_STREAM")
    clock = ManualClock(Node(EUI, "one").now_s * 10**9)

    def waits() -> list[float]:
        return [seconds for seconds in clock.slept if seconds <= 8]

    async with rig.bridge(
        clock=clock, ready=False, chirpstack_backoff_first_s=1, chirpstack_backoff_most_s=8
    ):
        for number in range(5):
            await until(lambda number=number: len(waits()) > number, 60)  # type: ignore[misc]
            await clock.move(8)
    for number, seconds in enumerate(waits()[:5]):
        most = min(8, 2**number)
        assert most / 2 <= seconds <= most


async def test_a_refused_stream_makes_the_devices_be_listed_again(rig: Rig) -> None:
    """UNAUTHENTICATED says that a device was deleted: the others stay, and the list tells."""
    one, two = Node(EUI, "one"), Node(OTHER, "two")
    await rig.server.put(EUI, one.status())
    await rig.server.put(OTHER, two.status())
    async with rig.bridge() as bridge:
        lists = rig.server.calls["DeviceService.List"]
        rig.server.devices[OTHER].listed = False
        rig.server.devices[OTHER].refuse = (grpc.StatusCode.UNAUTHENTICATED, "")
        await rig.server.wake()
        await until(lambda: OTHER not in source(bridge).streams)
        assert rig.server.calls["DeviceService.List"] > lists
        await rig.server.put(EUI, one.count(3))
        await stored(bridge, rig)


async def test_new_devices_are_found_when_devices_are_listed_again(rig: Rig) -> None:
    node = Node(EUI, "one")
    async with rig.bridge(chirpstack_relist_s=1) as bridge:
        await rig.server.put(EUI, node.status())
        await stored(bridge, rig)


async def test_an_incomplete_list_never_closes_a_stream(rig: Rig) -> None:
    """A list that fails, and one that lacks a device once, remove nothing."""
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status())
    async with rig.bridge(chirpstack_relist_s=1) as bridge:
        await stored(bridge, rig)
        rig.server.list_error = (grpc.StatusCode.INTERNAL, "database is locked")
        await until(lambda: "database is locked" in bridge.source.trouble)
        await rig.server.put(EUI, node.count(3))
        await stored(bridge, rig)
        rig.server.list_error = None
        rig.server.devices[EUI].listed = False
        lists = rig.server.calls["DeviceService.List"]
        await until(lambda: rig.server.calls["DeviceService.List"] == lists + 1)
        rig.server.devices[EUI].listed = True
        await until(lambda: rig.server.calls["DeviceService.List"] == lists + 2)
        await until(lambda: not bridge.source.busy)
        assert rig.server.devices[EUI].opened == 1
    assert rig.logged.getvalue().count("devices cannot be listed") == 1


async def test_all_pages_of_a_long_list_are_read_and_streams_are_spread_over_channels(rig: Rig) -> None:
    """230 devices: three pages; at most 100 streams share a connection, the lists have one of their own."""
    for number in range(230):
        rig.server.add(f"70b3d57ed{number:07x}")
    async with rig.bridge(chirpstack_streams_per_channel=100) as bridge:
        streams = source(bridge).streams
        assert len(streams) == 230
        per_channel = [[s.channel for s in streams.values()].count(c) for c in source(bridge)._channels]
        assert per_channel == [0, 100, 100, 30]


async def test_ids_that_began_again_lose_nothing(rig: Rig) -> None:
    """Redis was emptied and its clock set back: items with ids below the cursor are new. What is known by its
    deduplication id is not taken twice."""
    node = Node(EUI, "one")
    items = [node.status(), *(node.count(3) for _ in range(4))]
    await rig.server.put(EUI, *items)
    async with rig.bridge() as bridge:
        await stored(bridge, rig)
    fresh = node.count(9)
    back_ms = 1_800_000
    early = [
        dataclasses.replace(item, id=f"{int(item.id.partition('-')[0]) - back_ms}-0")
        for item in (*items[-2:], fresh)
    ]
    rig.server.devices[EUI].items = early
    clock = ManualClock(node.now_s * 10**9)
    async with rig.bridge(clock=clock) as bridge:
        await until(lambda: source(bridge).streams[EUI].items == 3)
        assert source(bridge).streams[EUI].replay.doubtful
        await clock.move(11)
        await until(lambda: bridge.counts.events == 3)
        assert bridge.counts.repeated == 2
        dump = await bridge.ask(Store.dump)
    assert '"count":9' in dump.replace("\\", "").replace(" ", "")


async def test_a_device_that_is_heard_while_its_stream_is_silent_gets_a_new_stream(rig: Rig) -> None:
    """A proxy that holds a stream back shows in `last_seen_at`, and in nothing else."""
    node = Node(EUI, "one")
    clock = ManualClock(node.now_s * 10**9)
    await rig.server.put(EUI, node.status())
    async with rig.bridge(clock=clock) as bridge:
        await stored(bridge, rig)
        device = rig.server.devices[EUI]
        device.mute = True
        device.items.append(node.count(3))
        device.last_seen_ms = node.now_s * 1000
        await clock.move(301)  # listed again: suspicious
        await until(lambda: rig.server.calls["DeviceService.List"] >= 2)
        await bridge.quiet()
        device.mute = False
        assert device.opened == 1
        await clock.move(11)  # the second look
        await stored(bridge, rig)
        assert device.opened == 2


async def test_a_silent_device_that_was_not_heard_is_left_alone(rig: Rig) -> None:
    node = Node(EUI, "one")
    clock = ManualClock(node.now_s * 10**9)
    await rig.server.put(EUI, node.status())
    rig.server.devices[EUI].last_seen_ms = node.now_s * 1000
    async with rig.bridge(clock=clock) as bridge:
        await stored(bridge, rig)
        for _ in range(3):
            await clock.move(301)
            await bridge.quiet()
        assert rig.server.devices[EUI].opened == 1


async def test_a_rotated_key_is_used_without_a_restart(rig: Rig) -> None:
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status())
    async with rig.bridge() as bridge:
        await stored(bridge, rig)
        rig.server.keys = {KEY + "new"}
        await rig.server.stop()
        await rig.server.start()
        await until(lambda: "UNAUTHENTICATED" in bridge.source.trouble)
        rig.key_file.write_text(KEY + "new")
        await rig.server.put(EUI, node.count(3))
        await stored(bridge, rig)


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "[]",
        "[" * 5000,
        '{"deviceInfo":7}',
        '{"data":"%%%"}',
        '{"fPort":-1}',
        '{"fCnt":1e999}',
        '{"deviceInfo":{"devEui":"ffffffffffffffff"}}',
        json.dumps({"data": "A" * 70000}),
    ],
    ids=["cut off", "array", "deep", "info", "base64", "port", "infinite", "other device", "large"],
)
async def test_an_item_that_cannot_be_read_is_rejected_with_a_reason_and_the_stream_goes_on(
    rig: Rig, body: str
) -> None:
    node = Node(EUI, "one")
    good, bad, later = node.status(), Item(f"{node.now_s * 1000}-5", "up", body), node.count(3)
    await rig.server.put(EUI, good, bad, later)
    async with rig.bridge() as bridge:
        await stored(bridge, rig)
        assert bridge.counts.events == 3
        assert bridge.counts.rejected == 1
        assert rig.server.devices[EUI].opened == 1
        dump = await bridge.ask(Store.dump)
    assert dump.count("rejected ") == 1


async def test_an_oversized_item_is_rejected_and_does_not_end_the_stream(rig: Rig) -> None:
    """5 MB is beyond gRPC's own limit: with that the stream would break at the same item for ever."""
    node = Node(EUI, "one")
    good, bad, later = node.status(), Item(f"{node.now_s * 1000}-5", "up", "x" * 5_000_000), node.count(3)
    await rig.server.put(EUI, good, bad, later)
    async with rig.bridge() as bridge:
        await stored(bridge, rig)
        assert bridge.counts.rejected == 1
        assert rig.server.devices[EUI].opened == 1


async def test_an_item_without_an_id_is_passed_over(rig: Rig) -> None:
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), Item("soon", "up", "{}"), node.count(3))
    async with rig.bridge() as bridge:
        await stored(bridge, rig)
        assert bridge.counts.events == 2


async def test_what_the_settings_say_of_a_station_replaces_the_devices_tags(rig: Rig) -> None:
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), node.count(3))
    async with rig.bridge(stations={EUI.upper(): {"station": "Lautrer Platz"}}) as bridge:
        await stored(bridge, rig)
        topics = {row.topic for row in await bridge.ask(Store.outbox)}
    assert all("/one/" not in topic for topic in topics)
    assert "zaehlwerk/v1/lautrer-platz/count" in topics
