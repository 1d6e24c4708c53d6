"""The program kills itself while it puts a message aside: that one is kept once, and can be sent when the broker takes it."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.tests.service.killed_program import Counters, read_and_acknowledged, reading_redis, sums
from bridge.tests.service.mosquitto import Mosquitto
from bridge.tests.service.redis_server import EventStream, RedisServer
from bridge.tests.service.subscriber import Subscriber
from bridge.tests.service.until import until
from zaehlwerk_bridge.store import Store

QUARANTINE = ("quarantine.before", "quarantine.before-commit", "quarantine.after")
# The others take longer than a test run should.
ALWAYS = "quarantine.before-commit"
MOST_BYTES = 1500
LONG = "n" * 400
"""Stands four times in a message of counts: such a one is larger than the broker takes."""
DIES_S = DRAINS_S = 60.0


def rejected(config: Path, *words: str) -> dict[str, object]:
    """What the command line says."""
    done = subprocess.run(
        [sys.executable, "-m", "zaehlwerk_bridge", "rejected", *words, "--json", "--config", str(config)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    content: dict[str, object] = json.loads(done.stdout)
    return content


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == ALWAYS else pytest.mark.long) for name in QUARANTINE]
)
async def test_a_bridge_that_dies_here_keeps_the_message_once_and_sends_it_when_it_can(
    name: str,
    tmp_path: Path,
    redis: RedisServer,
    stream: EventStream,
    start_broker: Callable[..., Mosquitto],
) -> None:
    broker = start_broker(options=[f"max_packet_size {MOST_BYTES}"])
    counters = Counters(stream, ("station 0", LONG))
    counters.count(5)
    small = {"station-0": counters.nodes[0].total}
    bridge = reading_redis(tmp_path / "b1", redis, broker.port, "bridge.sqlite")
    platform = Subscriber(broker.port)
    try:
        running = await bridge.start(f"{name}:2")
        async with asyncio.timeout(DIES_S):
            await running.wait()
        assert running.returncode == -signal.SIGKILL, bridge.said
        again = await bridge.start()
        await until(lambda: read_and_acknowledged(stream) and sums(platform) == small, DRAINS_S)
        store = Store(tmp_path / "b1" / "bridge.sqlite", existing=True)
        await until(lambda: store.outbox_size() == 0, DRAINS_S)
        kept = [row.message for row in store.rejected() if row.message is not None]
        store.close()
        again.terminate()
        await again.wait()
    finally:
        platform.close()
    assert all(f"/{LONG}/" in message.topic for message in kept)
    told = [message.payload for message in kept if message.topic.endswith("/count")]
    assert len(told) == len(set(told)) == 5, "kept twice, or not at all"

    broker.stop()
    broker.options.clear()
    broker.start()
    platform = Subscriber(broker.port, "another platform")
    try:
        assert rejected(bridge.config, "retry", "--all")["ok"]
        assert rejected(bridge.config, "list")["rejected"] == []
        again = await bridge.start()
        await until(lambda: sums(platform).get(LONG) == counters.nodes[1].total, DRAINS_S)
        again.terminate()
        await again.wait()
    finally:
        platform.close()
    assert again.returncode == 0, bridge.said
