"""The program kills itself at every point where it could die, and whoever follows the consumer's rule holds every count once."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from bridge.tests.service import postgres_server
from bridge.tests.service.killed_program import (
    Counters,
    Program,
    counts_of,
    read_and_acknowledged,
    reading_redis,
    sums,
)
from bridge.tests.service.mosquitto import Mosquitto
from bridge.tests.service.postgres_server import PostgresServer
from bridge.tests.service.redis_server import EventStream, RedisServer
from bridge.tests.service.subscriber import Subscriber
from bridge.tests.service.test_failpoints_downlink import DOWNLINKS
from bridge.tests.service.test_failpoints_quarantine import QUARANTINE
from bridge.tests.service.test_failpoints_takeover import TAKEOVER
from bridge.tests.service.until import until
from zaehlwerk_bridge import failpoints
from zaehlwerk_bridge.failpoints import FAILPOINTS, VARIABLE, armed

DIES_S = DRAINS_S = 60.0
INTERVALS = 25
MODULES = Path(failpoints.__file__).parent
# So often a point is passed before the program dies at it; once where it is not reached more often.
PASSED = {
    "source.read": 2,
    "transaction.before-begin": 4,
    "transaction.begun": 5,
    "transaction.before-commit": 6,
    "transaction.committed": 7,
    "commit.in-the-middle": 13,
    "commit.before-acknowledge": 3,
    "redis.before-xack": 2,
    "redis.after-xack": 2,
    "reconcile.before-commit": 1,
    "publish.before": 20,
    "publish.sent": 3,
    "puback.received": 11,
    "last.received": 2,
    "delete.before": 2,
    "delete.before-commit": 2,
    "delete.after": 2,
    "migration.before-commit": 3,
    "migration.after": 2,
    "housekeeping.forgetting": 1,
    "housekeeping.forgotten": 1,
}
ON_POSTGRESQL = {
    "migration.before-commit": 1,
    "migration.after": 1,
    "transaction.begun": 5,
    "transaction.before-commit": 6,
    "transaction.committed": 7,
    "delete.before-commit": 2,
}
# The ones between which everything hangs; the others take longer than a test run should.
ALWAYS = ("transaction.before-commit", "redis.before-xack", "puback.received", "delete.before-commit")
# These need another world than the counters of this module: each dies in a test of its own.
ELSEWHERE = (*DOWNLINKS, *QUARANTINE, TAKEOVER)


def points(names: Iterable[str]) -> list[object]:
    """The points as parameters."""
    return [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.long) for name in names]


def revisions_in_order_of_first_arrival(platform: Subscriber) -> dict[str, list[int]]:
    seen: set[bytes] = set()
    found: dict[str, list[int]] = {}
    for row in counts_of(platform):
        if row.payload not in seen:
            seen.add(row.payload)
            content = json.loads(row.payload)
            found.setdefault(content["station"], []).append(max(r["revision"] for r in content["records"]))
    return found


@pytest.fixture
def platform(broker: Mosquitto) -> Iterator[Subscriber]:
    subscriber = Subscriber(broker.port)
    yield subscriber
    subscriber.close()


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with postgres_server.started(tmp_path_factory.mktemp("postgres")) as server:
        yield server


async def killed_and_judged(
    program: Program, stream: EventStream, platform: Subscriber, failpoint: str
) -> None:
    """It dies at the point and nowhere else; started again, what it did before and what came meanwhile add up."""
    counters = Counters(stream)
    counters.count(INTERVALS)
    running = await program.start(failpoint)
    try:
        async with asyncio.timeout(DIES_S):
            # A little now and then: a point may be one that is passed only while something is new.
            while running.returncode is None:
                counters.count(1)
                await asyncio.sleep(0.1)
    except TimeoutError:
        running.kill()
        pytest.fail(f"the program does not come to {failpoint}: {program.said}")
    finally:
        await running.wait()
    assert running.returncode == -signal.SIGKILL, program.said
    held = sums(platform)
    assert all(held.get(station, 0) <= total for station, total in counters.truth.items()), "counted twice"
    counters.count(2)
    again = await program.start()
    try:
        await until(lambda: read_and_acknowledged(stream) and sums(platform) == counters.truth, DRAINS_S)
    except TimeoutError:
        pytest.fail(f"{sums(platform)} instead of {counters.truth}: {program.said}")
    finally:
        again.terminate()
        await again.wait()
    assert again.returncode == 0, program.said
    assert sums(platform) == counters.truth
    for station, revisions in revisions_in_order_of_first_arrival(platform).items():
        assert revisions == sorted(revisions), station


@pytest.mark.parametrize("name", points(PASSED))
async def test_a_bridge_that_dies_here_loses_and_doubles_nothing(
    name: str,
    tmp_path: Path,
    redis: RedisServer,
    stream: EventStream,
    broker: Mosquitto,
    platform: Subscriber,
) -> None:
    program = reading_redis(tmp_path, redis, broker.port, "bridge.sqlite")
    await killed_and_judged(program, stream, platform, f"{name}:{PASSED[name]}")


@pytest.mark.parametrize("name", points(ON_POSTGRESQL))
async def test_a_bridge_on_postgresql_that_dies_here_loses_and_doubles_nothing(
    name: str,
    tmp_path: Path,
    redis: RedisServer,
    stream: EventStream,
    broker: Mosquitto,
    platform: Subscriber,
    postgres: PostgresServer,
) -> None:
    program = reading_redis(
        tmp_path, redis, broker.port, postgres.new_database(), f'password_file = "{postgres.password_file}"'
    )
    await killed_and_judged(program, stream, platform, f"{name}:{ON_POSTGRESQL[name]}")


def test_every_point_of_the_table_is_reached_by_a_line_and_every_line_is_in_the_table() -> None:
    lines = {
        name
        for path in MODULES.rglob("*.py")
        if path.name != "failpoints.py"
        for name in re.findall(r'\bfailpoint\("([^"]*)"\)', path.read_text(encoding="utf-8"))
    }
    assert lines == set(FAILPOINTS)
    assert sorted([*PASSED, *ELSEWHERE]) == sorted(FAILPOINTS)


@pytest.mark.parametrize(
    ("value", "means"),
    [("delete.after", ("delete.after", 1)), ("source.read:12", ("source.read", 12))],
)
def test_a_point_is_named_with_or_without_a_count(value: str, means: tuple[str, int]) -> None:
    assert armed(value) == means


@pytest.mark.parametrize(
    ("value", "says"),
    [("nowhere", "no point 'nowhere'"), ("delete.after:0", "no count"), ("delete.after:x", "no count")],
)
def test_a_program_that_is_to_die_at_a_point_that_there_is_not_says_so_and_does_not_run(
    value: str, says: str
) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "zaehlwerk_bridge", "--help"],
        env={**os.environ, VARIABLE: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == failpoints.EXIT_BAD_INPUT
    assert says in ran.stderr


def test_without_the_variable_a_point_does_nothing() -> None:
    code = "from zaehlwerk_bridge import failpoints as f; [f.failpoint(n) for n in f.FAILPOINTS]; print(f.failpoint is f._nothing)"
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "True\n"
