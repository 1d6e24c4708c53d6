"""Fixtures: a broker and a server for each test, ended with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.tests.service import mosquitto
from bridge.tests.service.chirpstack import ChirpStack
from bridge.tests.service.mosquitto import Mosquitto
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber


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
