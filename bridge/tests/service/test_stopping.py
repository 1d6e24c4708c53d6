"""A bridge that is told to stop while it is at work: out within five seconds, nothing in flight lost, whatever hangs."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Self

import pytest

from bridge.tests.service.mosquitto import Mosquitto
from bridge.tests.service.node import Node
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber
from bridge.tests.service.test_cli import configured, ended, start
from bridge.tests.service.until import until

STATIONS = 8
INTERVALS = 80
STOP_S = 5.0
PATIENCE_S = 120.0
"""For what another program brings about, on a machine that has much else to do."""


class Load:
    """Nodes that count, and go on counting as long as it is entered: there is always something in flight."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._nodes = [Node(f"70b3d57ed{number:07x}", f"station {number}") for number in range(STATIONS)]
        self._counting: asyncio.Task[None] | None = None
        self._seen = -1

    async def __aenter__(self) -> Self:
        for node in self._nodes:
            await self._rig.server.put(
                node.dev_eui, node.status(), *(node.count(2) for _ in range(INTERVALS))
            )
        self._counting = asyncio.create_task(self._count())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._counting is not None:
            self._counting.cancel()
            await asyncio.gather(self._counting, return_exceptions=True)

    async def _count(self) -> None:
        while True:
            for node in self._nodes:
                await self._rig.server.put(node.dev_eui, node.count(2))
                await asyncio.sleep(0.02)

    def whole(self, platform: Subscriber) -> bool:
        """Whether the platform knows everything that was counted, and nothing twice; reckoned when nothing new has come."""
        seen, self._seen = self._seen, len(platform.messages)
        return seen == self._seen and platform.sums() == {
            f"station-{n}": node.total for n, node in enumerate(self._nodes)
        }


def counts_seen(platform: Subscriber) -> int:
    return sum(topic.endswith("/count") for topic in platform.topics())


async def told_to_stop(process: asyncio.subprocess.Process, number: signal.Signals) -> list[dict[str, str]]:
    """Sends the signal; gives what was logged, having held the time and the exit status."""
    asked = asyncio.get_running_loop().time()
    process.send_signal(number)
    status, out, err = await ended(process)
    assert asyncio.get_running_loop().time() - asked < STOP_S
    assert (status, out) == (0, ""), err
    return [json.loads(line) for line in err.splitlines()]


def identities(platform: Subscriber) -> Counter[str]:
    """How often each message came, by its CloudEvents id."""
    found: Counter[str] = Counter()
    for message in platform.messages:
        attributes = dict(getattr(message.properties, "UserProperty", ()))
        if message.topic.endswith(("/count", "/span")):
            found[attributes["id"]] += 1
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_in_full_work_it_waits_for_what_is_in_flight_and_nothing_comes_twice(
    rig: Rig, number: signal.Signals
) -> None:
    """What the broker had taken when the signal came is forgotten, what it had not is sent after the next start."""
    platform = Subscriber(rig.broker.port)
    path = configured(rig)
    async with Load(rig) as load:
        process = await start("run", "--config", path)
        await platform.until(lambda: counts_seen(platform) > 100, PATIENCE_S)
        logged = await told_to_stop(process, number)
        assert logged[-1]["event"] == "bridge stopped"
    process = await start("run", "--config", path)
    await platform.until(lambda: load.whole(platform), PATIENCE_S)
    await told_to_stop(process, number)
    assert set(identities(platform).values()) == {1}
    platform.close()


async def test_a_broker_that_hangs_holds_it_up_no_longer(rig: Rig) -> None:
    platform = Subscriber(rig.broker.port)
    path = configured(rig)
    async with Load(rig) as load:
        process = await start("run", "--config", path)
        await platform.until(lambda: counts_seen(platform) > 100, PATIENCE_S)
        rig.broker.pause()
        await told_to_stop(process, signal.SIGTERM)
        rig.broker.resume()
    process = await start("run", "--config", path)
    await platform.until(lambda: load.whole(platform), PATIENCE_S)
    await told_to_stop(process, signal.SIGTERM)
    platform.close()


async def test_a_database_that_somebody_holds_does_not_hold_it_up(rig: Rig) -> None:
    """A commit that cannot be made now is not made: it is read again, and published again, after the next start."""
    platform = Subscriber(rig.broker.port)
    path = configured(rig)
    async with Load(rig) as load:
        process = await start("run", "--config", path)
        await platform.until(lambda: counts_seen(platform) > 100, PATIENCE_S)
        other = sqlite3.connect(rig.directory / "bridge.sqlite", isolation_level=None, timeout=60)
        other.execute("BEGIN IMMEDIATE")
        await told_to_stop(process, signal.SIGTERM)
        other.execute("ROLLBACK")
        other.close()
    process = await start("run", "--config", path)
    await platform.until(lambda: load.whole(platform), PATIENCE_S)
    await told_to_stop(process, signal.SIGTERM)
    platform.close()


async def test_a_broker_and_a_server_that_never_answer_do_not_hold_it_up(rig: Rig, tmp_path: Path) -> None:
    """Stopped while it opens streams and a connection, as after a power cut of the whole city."""
    silent = Mosquitto(tmp_path / "silent")
    silent.start()
    silent.pause()
    rig.server.mute_headers = True
    await rig.server.put("70b3d57ed0000001", Node("70b3d57ed0000001", "one").status())
    process = await start("run", "--config", configured(rig, port=silent.port))
    await until(lambda: bool(rig.server.calls.get("StreamDeviceEvents")), PATIENCE_S)
    await told_to_stop(process, signal.SIGTERM)
    silent.stop()


def started_by(pid: int) -> dict[str, bytes]:
    """The words of the processes that `pid` started and that are there."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children}


@pytest.mark.parametrize("own_process", [True, False])
async def test_the_store_is_where_the_setting_says_and_ends_with_the_bridge(
    rig: Rig, own_process: bool
) -> None:
    path = configured(rig)
    with path.open("a", encoding="utf-8") as config:
        config.write(f"[store]\nown_process = {str(own_process).lower()}\n")
    platform = Subscriber(rig.broker.port)
    async with Load(rig):
        process = await start("run", "--config", path)
        await platform.until(lambda: counts_seen(platform) > 100, PATIENCE_S)
        children = started_by(process.pid)
        assert [b"store_host" in command for command in children.values()] == [True] * own_process
        process.kill()
        await process.wait()
    for child in children:
        await until(lambda child=child: not Path(f"/proc/{child}").exists())  # type: ignore[misc]
    platform.close()
