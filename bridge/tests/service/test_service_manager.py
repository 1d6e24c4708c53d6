"""What a service manager hears of the bridge, over real sockets; and what a watchdog is, and is not, fed by."""

from __future__ import annotations

import asyncio
import io
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bridge.tests.service.chirpstack import KEY
from bridge.tests.service.endpoint import told
from bridge.tests.service.mosquitto import free_port
from bridge.tests.service.node import Node
from bridge.tests.service.redis_server import RedisServer
from bridge.tests.service.rig import Rig
from bridge.tests.service.test_cli import configured, ended
from bridge.tests.service.until import until
from zaehlwerk_bridge.logs import make_logger
from zaehlwerk_bridge.movement import INTAKE_LATE_S, Movement
from zaehlwerk_bridge.progress import PATIENCE_S, Progress
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.service_manager import STANDING, Report, ServiceManager

EUI = "70b3d57ed0000001"


class Manager:
    """Listens at a socket of its own as systemd does."""

    def __init__(self, address: str) -> None:
        self.name = address.replace("\0", "@")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        while True:
            try:
                self.heard += self.socket.recv(65536).decode().splitlines()
            except BlockingIOError:
                return self.heard


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("abstract sockets are Linux's")
    manager = Manager(
        str(tmp_path / "notify") if request.param == "path" else f"\0zaehlwerk-{secrets.token_hex(8)}"
    )
    yield manager
    manager.socket.close()


async def test_a_manager_hears_of_start_state_movement_and_end(rig: Rig, manager: Manager) -> None:
    await rig.server.put(EUI, Node(EUI, "one").status())
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "zaehlwerk_bridge", "run", "--config"),
        configured(rig, http_port=port),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "300000"},
    )
    await until(lambda: manager.listen().count("WATCHDOG=1") >= 5 and "STATUS=ready" in manager.heard, 120)
    assert manager.heard.count("READY=1") == 1
    assert (await told(port, "/healthz"))[0] == 200
    rig.broker.stop()
    await until(lambda: any(line.startswith("STATUS=broker: ") for line in manager.listen()), 120)
    fed = manager.heard.count("WATCHDOG=1")
    await until(lambda: manager.listen().count("WATCHDOG=1") > fed + 3, 120)
    process.terminate()
    assert (await ended(process))[0] == 0
    assert manager.listen()[-1] == "STOPPING=1"
    assert {line.partition("=")[0] for line in manager.heard} == {
        "READY",
        "STATUS",
        "WATCHDOG",
        "STOPPING",
    }


async def test_a_bridge_that_cannot_reach_anybody_is_up_all_the_same(rig: Rig, manager: Manager) -> None:
    """Else a manager would start it again and again as long as the city's broker is away."""
    rig.broker.stop()
    await rig.server.stop()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "zaehlwerk_bridge", "run", "--config"),
        configured(rig),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "NOTIFY_SOCKET": manager.name},
    )
    await until(lambda: "READY=1" in manager.listen(), 120)
    process.terminate()
    assert (await ended(process))[0] == 0
    assert "WATCHDOG=1" not in manager.listen()


async def test_what_a_watchdog_ends_says_where_it_stood_and_tells_no_key(rig: Rig, manager: Manager) -> None:
    """systemd ends by SIGABRT what is not fed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "zaehlwerk_bridge", "run", "--config"),
        configured(rig),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "NOTIFY_SOCKET": manager.name},
    )
    await until(lambda: "READY=1" in manager.listen(), 120)
    process.send_signal(signal.SIGABRT)
    status, _, err = await ended(process)
    assert status == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in err
    assert "asyncio/base_events.py" in err
    assert KEY not in err


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "17"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "18"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_who_the_environment_says(
    environment: Mapping[str, str], watchdog_s: float | None
) -> None:
    assert ServiceManager(environment, 17).watchdog_s == watchdog_s


@pytest.mark.parametrize("name", ["", "vsock:2:1234", "relative/path", "/nobody/listens/here"])
def test_who_cannot_be_told_is_not_told(name: str) -> None:
    assert ServiceManager({"NOTIFY_SOCKET": name}).tell(READY="1") is False


def test_a_text_of_several_lines_stays_one_assignment(manager: Manager) -> None:
    ServiceManager({"NOTIFY_SOCKET": manager.name}).tell(STATUS="broker: no\nREADY=1", WATCHDOG="1")
    assert manager.listen() == ["STATUS=broker: no READY=1", "WATCHDOG=1"]


def report(manager: Manager, stuck: Callable[[], Mapping[str, str]], logged: io.StringIO) -> Report:
    return Report(
        ServiceManager({"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "3000000"}),
        troubles=dict,
        stuck=stuck,
        up=lambda: True,
        nudge=lambda: None,
        log=make_logger(Redactor(), "info", logged),
    )


def test_what_stands_still_is_not_fed_and_said_once(manager: Manager) -> None:
    trouble: dict[str, str] = {}
    logged = io.StringIO()
    looking = report(manager, lambda: trouble, logged)
    looking.look()
    assert manager.listen() == ["READY=1", "STATUS=ready", "WATCHDOG=1"]
    trouble["store"] = "the store's thread has not moved for 61 s"
    for _ in range(STANDING + 2):
        looking.look()
    assert manager.listen()[3:] == [f"STATUS=store: {trouble['store']}"]
    trouble.clear()
    looking.look()
    assert manager.listen()[4:] == ["STATUS=ready", "WATCHDOG=1"]
    events = [json.loads(line)["event"] for line in logged.getvalue().splitlines()]
    assert events == ["bridge stands still", "bridge moves again"]


class Time:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def test_a_side_that_waits_for_the_world_is_lawful_and_one_that_hangs_is_not(rig: Rig) -> None:
    await rig.server.put(EUI, Node(EUI, "one").status())
    time = Time()
    async with rig.bridge(mqtt_hold_without_subscriber=False) as bridge:
        await bridge.published()
        bridge.publisher.progress = Progress(time)
        movement = Movement(bridge, time)

        async def nudged() -> dict[str, str]:
            bridge.publisher.more()
            await asyncio.sleep(0)
            await asyncio.sleep(0.05)
            return movement.stuck()

        assert await nudged() == {}
        time.now_s += PATIENCE_S + 1
        assert movement.stuck() == {"publisher": "the publisher is 1 s late with its next step"}
        assert await nudged() == {}  # it was only not asked
        rig.broker.stop()
        await until(lambda: not bridge.publisher.connected)
        time.now_s += PATIENCE_S + 1
        await until(lambda: movement.stuck() == {})  # it tries again, and waits between two tries
        rig.broker.start()
        await until(lambda: bridge.publisher.connected)
        hanging = _hang(bridge)
        bridge.publisher.more()
        async with asyncio.timeout(10):
            await hanging.wait()
        time.now_s += PATIENCE_S + 1
        assert (await nudged()).keys() == {"publisher"}


async def test_a_long_wait_between_two_tries_is_lawful(rig: Rig) -> None:
    """The broker has been away for a day: the publisher sleeps longer than a side may stand still."""
    rig.broker.stop()
    time = Time()
    changes = {"mqtt_backoff_first_s": PATIENCE_S, "mqtt_backoff_most_s": PATIENCE_S}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zaehlwerk_bridge.publisher.Progress", lambda: Progress(time))
        async with rig.bridge(ready=False, **changes) as bridge:
            movement = Movement(bridge, time)
            await until(lambda: "refused" in bridge.publisher.trouble)
            await asyncio.sleep(0)
            time.now_s += 1.4 * PATIENCE_S  # jitter may make half of the wait
            assert movement.stuck() == {}
            time.now_s += 0.7 * PATIENCE_S
            assert movement.stuck().keys() == {"publisher"}


def _hang(bridge: Bridge) -> asyncio.Event:
    """The publisher asks the store for rows and never gets an answer; the event tells that it does."""
    asked = asyncio.Event()

    async def rows(_after: int, _limit: int) -> list[object]:
        asked.set()
        await asyncio.Event().wait()
        return []

    bridge.publisher._outbox.rows = rows  # type: ignore[method-assign, assignment]
    return asked


async def test_events_that_nobody_stores_are_told_unless_the_disk_is_full(rig: Rig) -> None:
    """What waits in memory while the disk is full waits lawfully."""
    time = Time()
    async with rig.bridge(ready=False) as bridge:
        movement = Movement(bridge, time)
        bridge._disk.reading.clear()
        node = Node(EUI, "one")
        await rig.server.put(EUI, node.status(), *(node.count(1) for _ in range(5)))
        bridge._disk.trouble = "disk: 1 MB free"
        time.now_s += INTAKE_LATE_S + 1
        assert movement.stuck() == {}
        bridge._disk.reading.set()
        bridge._disk.trouble = ""
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        assert movement.stuck() == {}
        bridge._disk.reading.clear()  # nothing says why nothing is stored
        bridge._queue.put_nowait(None)  # type: ignore[arg-type]
        bridge._queue.put_nowait(None)  # type: ignore[arg-type]
        await asyncio.sleep(0)
        assert movement.stuck() == {}
        time.now_s += INTAKE_LATE_S + 1
        assert movement.stuck().keys() == {"intake"}
        while not bridge._queue.empty():
            bridge._queue.get_nowait()


async def test_a_source_that_reads_redis_shows_that_it_moves(
    bridge_at: Callable[..., Any], redis: RedisServer
) -> None:
    """With nothing to read, and with a Redis that is away, it comes to its next step in time; when it hangs it does not."""
    time = Time()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zaehlwerk_bridge.sources.redis.Progress", lambda: Progress(time))
        async with bridge_at(ready=False) as bridge:
            movement = Movement(bridge)
            await until(lambda: bridge.source.ready, 60)
            assert movement.stuck() == {}
            redis.stop()
            await until(lambda: not bridge.source.ready, 60)
            time.now_s += 1
            assert movement.stuck() == {}
            time.now_s += 10 * PATIENCE_S
            assert movement.stuck().keys() == {"source"}
            await until(lambda: movement.stuck() == {}, 60)  # it tries again
