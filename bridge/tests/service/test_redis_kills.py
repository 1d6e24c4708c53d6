"""The program itself, killed again and again while ChirpStack writes into Redis: every event once in the sum."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from bridge.tests.service.chirpstack import TENANT
from bridge.tests.service.node import Node
from bridge.tests.service.redis_server import EventStream, RedisServer
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber
from bridge.tests.service.test_redis_source import GROUP, acknowledged
from bridge.tests.service.until import until


def written(rig: Rig, redis: RedisServer) -> Path:
    path = rig.directory / "bridge.toml"
    path.write_text(
        f"""
id = "b1"
source = "redis"
database = "bridge.sqlite"
[chirpstack]
server = "127.0.0.1:{rig.server.port}"
tenants = ["{TENANT}"]
api_key_file = "{rig.key_file}"
insecure = true
[redis]
server = "127.0.0.1:{redis.port}"
insecure = true
[mqtt]
host = "127.0.0.1"
port = {rig.broker.port}
insecure = true
[ledger]
batch = 5
[http]
port = 0
""",
        encoding="utf-8",
    )
    return path


def read(stream: EventStream) -> int:
    """Entries that the group was given and has acknowledged."""
    groups = stream.client.xinfo_groups(stream.key) if stream.client.exists(stream.key) else []
    return sum((one["entries-read"] or 0) - one["pending"] for one in groups if one["name"] == GROUP.encode())


async def until_read(stream: EventStream, entries: int) -> None:
    await until(lambda: read(stream) >= entries, 40)


async def test_a_bridge_that_is_killed_in_the_middle_of_its_work_loses_and_doubles_nothing(
    rig: Rig, redis: RedisServer, stream: EventStream, subscribe: Callable[..., Subscriber]
) -> None:
    """SIGKILL after some entries were acknowledged and before others were, with messages on their way to the broker."""
    platform = subscribe()
    command = [sys.executable, "-m", "zaehlwerk_bridge", "run", "--config", str(written(rig, redis))]
    counters = [Node(f"70b3d57ed{n:07x}", f"station {n}", epoch=0x1000 + n) for n in range(1, 6)]
    stream.put(*(counter.status() for counter in counters))
    kills_between = 0
    for killed in (True, True, False):
        for counter in counters:
            stream.put(*(counter.count(2) for _ in range(20)))
        more = read(stream) + 1
        with (rig.directory / "log").open("ab") as log:
            program = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        if killed:
            await until_read(stream, more)
            program.kill()
        else:
            await until(lambda: acknowledged(stream), 40)
            await platform.until(lambda: sum(platform.sums().values()) == 5 * 3 * 20 * 2)
            program.terminate()
        await program.wait()
        kills_between += not acknowledged(stream)
    assert kills_between >= 1, "every kill came when all was done"
    assert platform.sums() == {f"station-{n}": 120 for n in range(1, 6)}
