from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from chirpstack_api import api
from grpc import aio

from tools.tests.network_server.rig import KEY, NEAR, READ_TIMEOUT_S, Rig, joined_rig, rig, until
from tools.tests.network_server.virtual_device import VirtualDevice
from zaehlwerk_tools.network_server import Reception
from zaehlwerk_tools.provisioning import Node

MS = 10**6


async def read(stream: Any, count: int) -> list[Any]:
    return [await asyncio.wait_for(stream.read(), READ_TIMEOUT_S) for _ in range(count)]


async def error_of(stream: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(aio.AioRpcError) as failed:
        await asyncio.wait_for(stream.read(), READ_TIMEOUT_S)
    return failed.value.code(), failed.value.details() or ""


def pushed_in(it: Rig) -> list[tuple[int, str, str]]:
    pushes: list[tuple[int, str, str]] = []
    it.server.on_delivered = lambda eui, item: pushes.append((it.scheduler.now_ns, eui, item))
    return pushes


async def test_an_item_is_seen_at_the_next_virtual_second_of_the_stream() -> None:
    async with joined_rig() as it:
        await it.open()
        opened = it.scheduler.now_ns
        pushes = pushed_in(it)
        it.scheduler.run_for(0.4)
        it.send(it.device.uplink(b"x"))
        it.scheduler.run_for(0.5999)
        assert pushes == []
        it.scheduler.run_for(0.0001)
        assert [at for at, _, _ in pushes] == [opened + 10**9]


async def test_an_item_that_comes_after_a_poll_waits_for_the_one_after() -> None:
    async with joined_rig() as it:
        await it.open()
        opened = it.scheduler.now_ns
        pushes = pushed_in(it)
        it.scheduler.run_for(0.79)
        it.send(it.device.uplink(b"x"))
        it.scheduler.run_for(5)
        # 790 + 210 ms is the very moment of a poll, which may have been made already.
        assert [at - opened for at, _, _ in pushes] == [2 * 10**9]


async def test_each_stream_has_its_own_seconds() -> None:
    async with joined_rig() as it:
        opened = []
        for _ in range(3):
            await it.open()
            opened.append(it.scheduler.now_ns)
            it.scheduler.run_for(0.3)
        pushes = pushed_in(it)
        it.send(it.device.uplink(b"x"))
        it.scheduler.run_for(2)
        assert {at % 10**9 for at, _, _ in pushes} == {at % 10**9 for at in opened}
        assert len(pushes) == 3


async def test_an_idle_stream_plans_nothing() -> None:
    async with joined_rig() as it:
        await it.open()
        assert it.scheduler.planned == 0
        it.scheduler.run_for(3600)
        assert it.scheduler.planned == 0


async def test_every_connect_replays_the_history_ten_items_a_second() -> None:
    async with joined_rig() as it:
        for number in range(24):
            it.hear(it.device.uplink(bytes([number])))
        for _ in range(2):
            pushes = pushed_in(it)
            stream = await it.open()
            opened = it.scheduler.now_ns
            it.scheduler.run_for(5)
            assert [at - opened for at, _, _ in pushes] == [0, 10**9, 2 * 10**9]
            assert [i.properties.get("FCnt") for i in await read(stream, 25)] == [None, *map(str, range(24))]


async def test_only_the_newest_items_are_kept_and_ten_is_the_default() -> None:
    for history, kept in ((10, range(5, 15)), (3, range(12, 15))):
        async with joined_rig(history=history) as it:
            for number in range(15):
                it.hear(it.device.uplink(bytes([number])))
            assert [i.properties["FCnt"] for i in await it.events()] == [str(n) for n in kept]
    async with rig() as it:
        from zaehlwerk_tools.network_server import Settings

        assert Settings().history == 10


async def test_no_history_turns_the_streams_off_without_a_word() -> None:
    async with joined_rig(history=0) as it:
        await it.open()
        it.hear(it.device.uplink(b"x"))
        assert it.server.delivered() == {}
        assert await it.events() == []


async def test_all_types_of_events_share_the_history() -> None:
    async with joined_rig(history=3) as it:
        it.hear(it.device.uplink(b"x"))
        for _ in range(3):
            it.send(it.device.join_request())
            it.scheduler.run_for(7)
        assert [item.description for item in await it.events()] == ["log"] * 3


async def test_items_of_one_millisecond_are_told_apart_by_their_sequence() -> None:
    async with joined_rig() as it:
        it.hear(it.device.uplink(b"x", f_opts=bytes([6, 254, 10])))
        up, status = (await it.events())[-2:]
        assert up.id.endswith("-0")
        assert status.id == up.id.replace("-0", "-1")


async def test_an_eui_in_upper_case_is_accepted_and_silent() -> None:
    async with joined_rig() as it:
        await it.open(it.device.dev_eui.upper())
        it.hear(it.device.uplink(b"x"))
        it.scheduler.run_for(60)
        assert it.server.delivered() == {}


async def test_an_unknown_device_is_silent_for_an_admin() -> None:
    async with joined_rig() as it:
        await it.open("70b3d57ed00000ff")
        it.scheduler.run_for(60)
        assert it.server.open_streams == 1
        assert it.server.delivered() == {}


async def test_a_tenants_key_is_refused_what_is_not_its_own() -> None:
    async with joined_rig() as it:
        other = await it.call(
            "TenantService/Create", api.CreateTenantRequest(tenant=api.Tenant(name="Other"))
        )
        token = it.server.tenant_key(it.registered.tenant_id, read_only=True)
        foreign = it.server.tenant_key(other.id)
        assert (await read(await it.open(token=token), 1))[0].description == "join"
        for key, eui in ((foreign, it.device.dev_eui), (token, "70b3d57ed00000ff")):
            stream = await it.open(eui, key)
            assert await error_of(stream) == (grpc.StatusCode.UNAUTHENTICATED, "")


async def test_a_deleted_device_leaves_streams_open_and_its_history_to_admins() -> None:
    async with joined_rig() as it:
        token = it.server.tenant_key(it.registered.tenant_id)
        stream = await it.open(token=token)
        await read(stream, 1)
        await it.call("DeviceService/Delete", api.DeleteDeviceRequest(dev_eui=it.device.dev_eui))
        assert it.hear(it.device.uplink(b"x", confirmed=True)) is None
        assert it.server.open_streams == 1
        assert (await read(await it.open(), 1))[0].description == "join"
        assert await error_of(await it.open(token=token)) == (grpc.StatusCode.UNAUTHENTICATED, "")


async def test_delivered_names_the_last_item_pushed_to_an_open_stream() -> None:
    async with joined_rig() as it:
        assert it.server.delivered() == {}
        stream = await it.open()
        it.send(it.device.uplink(b"x"))
        it.scheduler.run_for(0.5)
        joined = it.server.delivered()[it.device.dev_eui]
        it.scheduler.run_for(0.5)
        items = await read(stream, 2)
        assert items[0].id == joined
        assert it.server.delivered() == {it.device.dev_eui: items[1].id}
        stream.cancel()
        await until(lambda: it.server.open_streams == 0)
        assert it.server.delivered() == {}


async def test_delivered_can_be_asked_for_one_key_alone() -> None:
    async with joined_rig() as it:
        bridge = it.server.tenant_key(it.registered.tenant_id, read_only=True)
        await it.open(token=bridge)
        it.scheduler.run_for(0.9)
        await it.open()
        it.send(it.device.uplink(b"x"))
        it.scheduler.run_for(0.3)
        of_bridge, of_all = it.server.delivered(bridge), it.server.delivered()
        it.scheduler.run_for(1)
        assert of_bridge == of_all
        assert it.server.delivered(bridge) == it.server.delivered() != of_all
        assert it.server.delivered(it.server.tenant_key(it.registered.tenant_id)) == {}


async def test_an_outage_ends_streams_and_calls_and_hears_nothing() -> None:
    async with joined_rig() as it:
        stream = await it.open()
        await read(stream, 1)
        it.server.outage(True)
        assert (await error_of(stream))[0] is grpc.StatusCode.UNAVAILABLE
        assert (await error_of(await it.open()))[0] is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(aio.AioRpcError) as failed:
            await it.queue()
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        assert it.hear(it.device.uplink(b"lost", confirmed=True)) is None
        it.server.outage(False)
        assert it.hear(it.device.uplink(b"x", confirmed=True))
        assert [i.properties["Data"] for i in (await it.events())[1:]] == ["78"]


async def test_a_flushed_redis_loses_the_history_and_open_streams_go_on() -> None:
    async with joined_rig() as it:
        stream = await it.open()
        await read(stream, 1)
        it.server.forget_history()
        it.hear(it.device.uplink(b"x"))
        assert (await read(stream, 1))[0].description == "up"
        assert [item.description for item in await it.events()] == ["up"]


async def test_a_hundred_streams_in_one_burst_all_get_their_first_item_and_the_live_ones() -> None:
    devices = [VirtualDevice(dev_eui=f"70b3d57ed000{number:04x}") for number in range(100)]
    async with rig() as it:
        await it.provision(nodes=[Node(d.dev_eui, f"station {n}", KEY) for n, d in enumerate(devices)])

        def send_all(phys: list[bytes]) -> None:
            for number, phy in enumerate(phys):
                frequency = 867_100_000 + 200_000 * (number % 8)
                it.server.uplink(it.scheduler.now_ns, phy, Reception(NEAR, frequency, 7, 125_000, -110, -7.0))

        send_all([d.join_request() for d in devices])
        it.scheduler.run_for(7)
        for device, accept in zip(devices, it.downlinks, strict=True):
            device.take_join_accept(accept.phy)
        streams = await asyncio.gather(*(it.open(d.dev_eui) for d in devices))
        assert it.server.open_streams == 100
        first = await asyncio.gather(*(read(s, 1) for s in streams))
        assert [items[0].description for items in first] == ["join"] * 100
        for number in range(5):
            send_all([d.uplink(bytes([number])) for d in devices])
            it.scheduler.run_for(2)
        live = await asyncio.gather(*(read(s, 5) for s in streams))
        assert [[i.properties["FCnt"] for i in items] for items in live] == [list("01234")] * 100
        assert it.server.delivered() == {d.dev_eui: i[-1].id for d, i in zip(devices, live, strict=True)}
