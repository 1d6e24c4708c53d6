"""The servers that chaos brings along: what they hold over their deaths, and what a full disk does to them."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import grpc.aio
import psycopg
import pytest
from chirpstack_api import api, integration

from tools.tests.simulator.small_city import ROOT
from zaehlwerk_bridge.clock import OFF_VARIABLE
from zaehlwerk_tools.bridge_bench.redis_server import find_redis
from zaehlwerk_tools.chaos.bridge_program import CLOCK_OFF, Bridge
from zaehlwerk_tools.chaos.network_server import device_key
from zaehlwerk_tools.chaos.offered import STATIONS, dev_eui
from zaehlwerk_tools.chaos.servers import (
    DATABASE_PASSWORD,
    HOST,
    ChirpStackServer,
    PostgresServer,
    RedisServer,
)
from zaehlwerk_tools.chaos.small_disk import SmallDisk, available

SOON_S = 20.0
EUI = dev_eui(3)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(find_redis(ROOT), tmp_path / "redis")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def chirpstack(redis: RedisServer, tmp_path: Path) -> Iterator[ChirpStackServer]:
    server = ChirpStackServer(redis.port, tmp_path / "server")
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def channel(chirpstack: ChirpStackServer) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"{HOST}:{chirpstack.port}") as channel:
        yield channel


def put(redis: RedisServer, entry_id: str, f_cnt: int) -> None:
    value = integration.UplinkEvent(f_cnt=f_cnt).SerializeToString()
    redis.client.xadd(device_key(EUI), {"up": value}, id=entry_id)


def opened(channel: grpc.aio.Channel) -> AsyncIterator[api.LogItem]:
    request = api.StreamDeviceEventsRequest(dev_eui=EUI)
    stub = api.InternalServiceStub(channel)  # type: ignore[no-untyped-call]
    items: AsyncIterator[api.LogItem] = stub.StreamDeviceEvents(
        request, wait_for_ready=True, timeout=SOON_S
    ).__aiter__()
    return items


async def ids(items: AsyncIterator[api.LogItem], number: int) -> list[str]:
    return [(await anext(items)).id for _ in range(number)]


async def test_a_stream_brings_what_was_there_and_what_comes(
    redis: RedisServer, channel: grpc.aio.Channel
) -> None:
    put(redis, "1000-0", 1)
    stream = opened(channel)
    first = await anext(stream)
    assert (first.id, first.description) == ("1000-0", "up")
    assert '"fCnt": 1' in first.body
    put(redis, "1000-1", 2)
    assert await ids(stream, 1) == ["1000-1"]
    assert await ids(opened(channel), 2) == ["1000-0", "1000-1"]


async def test_it_lists_every_node_that_sends_something(channel: grpc.aio.Channel) -> None:
    stub = api.DeviceServiceStub(channel)  # type: ignore[no-untyped-call]
    pages = [
        await stub.List(api.ListDevicesRequest(limit=30, offset=offset), wait_for_ready=True, timeout=SOON_S)
        for offset in (0, 30)
    ]
    listed = [device.dev_eui for page in pages for device in page.result]
    assert listed == [dev_eui(number) for number in range(STATIONS)]


async def test_killed_it_ends_its_streams_and_has_all_of_them_again_when_it_is_back(
    redis: RedisServer, chirpstack: ChirpStackServer, channel: grpc.aio.Channel
) -> None:
    put(redis, "1000-0", 1)
    stream = opened(channel)
    assert await ids(stream, 1) == ["1000-0"]
    chirpstack.kill()
    assert not chirpstack.lives
    with pytest.raises(grpc.aio.AioRpcError):
        await anext(stream)
    put(redis, "2000-0", 2)
    chirpstack.start()
    assert await ids(opened(channel), 2) == ["1000-0", "2000-0"]


async def test_without_its_redis_it_ends_streams_with_an_error(
    redis: RedisServer, channel: grpc.aio.Channel
) -> None:
    put(redis, "1000-0", 1)
    stream = opened(channel)
    assert await ids(stream, 1) == ["1000-0"]
    redis.kill()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await anext(stream)
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    redis.start()


@pytest.mark.skipif(not available(), reason="needs user namespaces")
def test_a_full_disk_stops_postgresql_and_costs_nothing_that_was_stored(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path / "disk", 100)
    try:
        postgresql = PostgresServer(tmp_path / "postgresql", disk)
        postgresql.start()
        try:
            _fill_and_clear(postgresql, disk)
        finally:
            postgresql.stop()
    finally:
        disk.close()


def _fill_and_clear(postgresql: PostgresServer, disk: SmallDisk) -> None:
    def connect() -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(postgresql.url(postgresql.port), password=DATABASE_PASSWORD, autocommit=True)

    insert = "INSERT INTO kept SELECT n, repeat(md5(n::text), 50) FROM generate_series(1, {}) AS n"
    with connect() as connection:
        connection.execute("CREATE TABLE kept (number int, text text)")
        connection.execute(insert.format(2000))
        disk.fill()
        with pytest.raises(psycopg.OperationalError):
            connection.execute(insert.format(100_000))
    disk.clear()
    if not postgresql.lives:
        postgresql.start()
    assert postgresql.ask("SELECT count(*) FROM kept") == [(2000,)]
    with connect() as connection:
        connection.execute(insert.format(2000))


def test_a_bridges_clock_is_off_by_what_it_is_stepped_by_until_it_is_set_right(tmp_path: Path) -> None:
    says = f"import os; print(float(open(os.environ['{CLOCK_OFF}']).read()))"
    bridge = Bridge("bridge-1", [sys.executable, "-c", says], tmp_path / "bridge-1.log")
    for off_s in (-3600.0, 0.0):
        bridge.step_clock(off_s)
        bridge.start()
        assert bridge._process is not None
        bridge._process.wait(SOON_S)
    assert bridge.log.read_text().split() == ["-3600.0", "0.0"]
    bridge.close()


def test_the_program_takes_the_variable_for_the_machines_clock() -> None:
    assert CLOCK_OFF == OFF_VARIABLE
