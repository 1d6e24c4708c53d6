"""Fixtures: a broker and a server for each test, ended with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.tests.service import mosquitto, postgres_server, redis_server
from bridge.tests.service.chirpstack import ChirpStack
from bridge.tests.service.mosquitto import Mosquitto
from bridge.tests.service.postgres_server import PostgresServer
from bridge.tests.service.redis_server import EventStream, RedisServer
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber
from zaehlwerk_bridge.service import Bridge


@pytest.fixture
def start_broker(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Starts brokers with the options given."""
    if mosquitto.program() is None:
        pytest.fail("no Mosquitto: run `make setup`")
    started: list[Mosquitto] = []

    def start(**options: Any) -> Mosquitto:
        broker = Mosquitto(tmp_path / f"broker{len(started)}", **options)
        started.append(broker)
        broker.start()
        return broker

    yield start
    for broker in started:
        broker.stop()


@pytest.fixture
def broker(start_broker: Callable[..., Mosquitto]) -> Mosquitto:
    """A broker that allows everything."""
    return start_broker()


@pytest.fixture
async def server() -> AsyncIterator[ChirpStack]:
    """The stand-in for ChirpStack."""
    server = ChirpStack()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def rig(tmp_path: Path, server: ChirpStack, broker: Mosquitto) -> Rig:
    """The parts together."""
    return Rig(tmp_path, server, broker)


@pytest.fixture
def subscribe(broker: Mosquitto) -> Iterator[Callable[..., Subscriber]]:
    """Starts subscribers of `broker`."""
    started: list[Subscriber] = []

    def start(**options: Any) -> Subscriber:
        subscriber = Subscriber(options.pop("port", broker.port), **options)
        started.append(subscriber)
        return subscriber

    yield start
    for subscriber in started:
        subscriber.close()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that keeps everything over a SIGKILL."""
    if redis_server.program() is None:
        pytest.fail("no Redis: run `make setup`")
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL that keeps everything."""
    with postgres_server.started(tmp_path / "postgres") as server:
        yield server


@pytest.fixture
def stream(redis: RedisServer) -> EventStream:
    """ChirpStack's stream in it."""
    return EventStream(redis.client())


@pytest.fixture
def bridge_at(rig: Rig, redis: RedisServer) -> Callable[..., Any]:
    """Runs a bridge that reads from `redis`; `redis_group="x"` changes [redis] group."""

    @asynccontextmanager
    async def run(*, ready: bool = True, **changes: Any) -> AsyncIterator[Bridge]:
        table = {
            "server": f"127.0.0.1:{redis.port}",
            "insecure": True,
            "backoff_first_s": 0.05,
            "backoff_most_s": 0.2,
        }
        table |= {name[6:]: changes.pop(name) for name in list(changes) if name.startswith("redis_")}
        async with rig.bridge(ready=ready, source="redis", redis=table, **changes) as bridge:
            yield bridge

    return run
