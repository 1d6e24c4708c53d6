"""A bridge takes over what a dead one has left, and dies itself: what both had to publish is published, and counted once."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from bridge.tests.service.killed_program import Counters, read_and_acknowledged, reading_redis, sums
from bridge.tests.service.mosquitto import Mosquitto, free_port
from bridge.tests.service.postgres_server import PostgresServer
from bridge.tests.service.redis_server import EventStream, RedisServer
from bridge.tests.service.subscriber import Subscriber
from bridge.tests.service.until import until

TAKEOVER = "takeover.done"
DIES_S = DRAINS_S = 60.0


@pytest.mark.long
async def test_a_bridge_that_dies_when_it_has_taken_over_loses_and_doubles_nothing(
    tmp_path: Path, redis: RedisServer, stream: EventStream, broker: Mosquitto, postgres: PostgresServer
) -> None:
    place, password = postgres.new_database(), f'password_file = "{postgres.password_file}"'
    counters = Counters(stream)
    counters.count(5)
    # The first one never reaches a broker.
    first = reading_redis(tmp_path / "b1", redis, free_port(), place, password, "b1")
    others = [
        reading_redis(tmp_path / name, redis, broker.port, place, password, name) for name in ("b2", "b3")
    ]
    platform = Subscriber(broker.port)
    try:
        running = await first.start()
        await until(lambda: read_and_acknowledged(stream), DRAINS_S)
        running.kill()
        await running.wait()
        second = await others[0].start(TAKEOVER)
        async with asyncio.timeout(DIES_S):
            await second.wait()
        assert second.returncode == -signal.SIGKILL, others[0].said
        assert sums(platform) == {}, "else somebody had published before"
        third = await others[1].start()
        await until(lambda: sums(platform) == counters.truth, DRAINS_S)
        third.terminate()
        await third.wait()
    finally:
        platform.close()
    assert third.returncode == 0, others[1].said
