"""Three bridges on one Redis and one PostgreSQL, one of them killed or stopped every few seconds, with an exact ledger.

The test suite runs it for half a minute. Longer, from the root of the checkout:

    .venv/bin/python -m bridge.tests.service.scale_out --minutes 10 --seed 3
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.tests.ledger.test_consumer_document import Sqlite
from bridge.tests.service import postgres_server
from bridge.tests.service.mosquitto import Mosquitto
from bridge.tests.service.node import Item, Node
from bridge.tests.service.postgres_server import PostgresServer
from bridge.tests.service.redis_server import EventStream, RedisServer
from bridge.tests.service.subscriber import Subscriber
from zaehlwerk_bridge.outbox import OutboxRow

TAKEN_OVER_S = 10.0
"""So soon after a bridge is gone others have stored what it had read and published what it had stored."""
COUNTERS = 40
GROUP = "zaehlwerk"
_PAUSE_S = 0.02
_EACH_S = 0.1
"""Between two moments at which some counters send: 20 messages a second, as many as 6,000 counters do each 5 minutes."""


@dataclass
class Outcome:
    """What the run has shown."""

    offered: int = 0
    lost: int = 0
    unexpected: int = 0
    duplicates_visible: int = 0
    faults: dict[str, int] = field(default_factory=lambda: {"killed": 0, "stopped": 0})
    left_behind: int = 0
    """Faults at which the bridge had something that others had to take over."""
    takeover_s: list[float] = field(default_factory=list)
    last_behind: int = 0
    """Stations whose retained newest interval is not their newest one."""

    def as_dict(self) -> dict[str, Any]:
        """The last line of a run."""
        return {
            "offered": self.offered,
            "lost": self.lost,
            "unexpected": self.unexpected,
            "duplicates_visible": self.duplicates_visible,
            "faults": self.faults,
            "left_behind": self.left_behind,
            "takeover_s_most": round(max(self.takeover_s, default=0.0), 2),
            "takeover_s_median": round(sorted(self.takeover_s)[len(self.takeover_s) // 2], 2)
            if self.takeover_s
            else 0.0,
            "last_behind": self.last_behind,
        }


class City:
    """Servers, three bridges and a platform in `directory`."""

    def __init__(self, directory: Path, seed: int) -> None:
        self._dice = random.Random(seed)
        self._directory = directory
        self.postgres = PostgresServer(directory / "postgres")
        self.redis = RedisServer(directory / "redis")
        self.broker = Mosquitto(directory / "broker", ["max_queued_messages 0"])
        self._programs: dict[str, subprocess.Popen[bytes]] = {}
        self.nodes = [
            Node(f"70b3d57ed{n:07x}", f"station {n}", epoch=0x1000 + n) for n in range(1, COUNTERS + 1)
        ]
        self.outcome = Outcome()
        self._loading = True

    def start(self) -> None:
        for server in (self.postgres, self.redis, self.broker):
            server.start()
        self._url = self.postgres.new_database()
        self._name = self._url.rpartition("/")[2].partition("?")[0]
        self.stream = EventStream(self.redis.client(), most=1_000_000)
        self.platform = Subscriber(self.broker.port)
        (self._directory / "api.key").write_text("unused\n")
        for name in ("b1", "b2", "b3"):
            self._write(name)
            self.run(name)

    def _write(self, name: str) -> None:
        (self._directory / f"{name}.toml").write_text(
            f"""
id = "{name}"
source = "redis"
database = "{self._url}"
[store]
password_file = "{self.postgres.password_file}"
[chirpstack]
server = "127.0.0.1:9"
tenants = ["00000000-0000-0000-0000-000000000001"]
api_key_file = "api.key"
insecure = true
[redis]
server = "127.0.0.1:{self.redis.port}"
insecure = true
claim_idle_s = 3
backoff_first_s = 0.1
backoff_most_s = 1
[mqtt]
host = "127.0.0.1"
port = {self.broker.port}
insecure = true
backoff_first_s = 0.1
backoff_most_s = 1
[ledger]
batch = 20
[healing]
enabled = false
[http]
port = 0
""",
            encoding="utf-8",
        )

    def run(self, name: str) -> None:
        """Start a bridge."""
        command = [
            sys.executable,
            "-m",
            "zaehlwerk_bridge",
            "run",
            "--config",
            f"{self._directory / name}.toml",
        ]
        with (self._directory / f"{name}.log").open("ab") as log:
            self._programs[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def close(self) -> None:
        self._loading = False
        for program in self._programs.values():
            program.send_signal(signal.SIGCONT)
            program.kill()
            program.wait()
        self.platform.close()
        self.broker.stop()
        self.redis.stop()
        self.postgres.close()

    # The load.

    async def load(self) -> None:
        """Counters send until told otherwise."""
        for node in self.nodes:
            self.stream.put(node.status())
        while self._loading:
            some = self._dice.sample(self.nodes, 2)
            items = [node.count(self._dice.randrange(1, 9)) for node in some]
            # Frames of one moment come in any order.
            self._dice.shuffle(items)
            self._put(items)
            await asyncio.sleep(_EACH_S)

    def _put(self, items: list[Item]) -> None:
        # The server tells one twice now and then.
        self.stream.put(*items, *(items[:1] if self._dice.random() < 0.05 else ()))
        self.outcome.offered += len(items)

    # The faults.

    async def faults(self, seconds: float) -> None:
        """One bridge after the other is gone and comes back, until the time is over."""
        await self._until(lambda: all(self._reads(name) for name in self._programs), 120, "the bridges read")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            name = self._dice.choice(sorted(self._programs))
            kills = self._dice.random() < 0.5
            await self._gone(name, kills=kills)
            await asyncio.sleep(self._dice.uniform(1, 3))

    async def _gone(self, name: str, *, kills: bool) -> None:
        program = self._programs[name]
        while not self._pending(name):
            # So much at once that it has something to leave behind.
            self._put([node.count(self._dice.randrange(1, 9)) for node in self.nodes])
            await asyncio.sleep(_PAUSE_S)
        program.send_signal(signal.SIGKILL if kills else signal.SIGSTOP)
        began = time.monotonic()
        self.outcome.faults["killed" if kills else "stopped"] += 1
        pending, waiting = self._pending(name), self._waiting(name)
        self.outcome.left_behind += bool(pending or waiting)
        held = set(pending)
        await self._until(
            lambda: not held & set(self._pending_of_all()) and not self._waiting(name),
            3 * TAKEN_OVER_S,
            f"others take over what {name} has left",
        )
        self.outcome.takeover_s.append(time.monotonic() - began)
        if kills:
            program.wait()
            self.run(name)
        else:
            # Long enough to be taken for gone, whatever there was to take over.
            await asyncio.sleep(max(0.0, 7.5 - (time.monotonic() - began)))
            program.send_signal(signal.SIGCONT)
        await self._until(lambda: self._reads(name), 120, f"{name} reads again")

    def _reads(self, name: str) -> bool:
        """Whether a bridge has asked Redis for entries just now."""
        if not self.stream.client.exists(self.stream.key) or not self.stream.client.xinfo_groups(
            self.stream.key
        ):
            return False
        consumers = self.stream.client.xinfo_consumers(self.stream.key, GROUP)
        return any(one["name"] == name.encode() and one["idle"] < 2000 for one in consumers)

    def _pending(self, name: str) -> list[bytes]:
        """Entries that a bridge has read and not acknowledged."""
        found = self.stream.client.xpending_range(
            self.stream.key, GROUP, "-", "+", 100_000, consumername=name
        )
        return [one["message_id"] for one in found]

    def _pending_of_all(self) -> list[bytes]:
        found = self.stream.client.xpending_range(self.stream.key, GROUP, "-", "+", 100_000)
        return [one["message_id"] for one in found]

    def _waiting(self, name: str) -> int:
        """Messages that a bridge has stored and not published."""
        with self.postgres.connect(self._name) as connection:
            row = connection.execute("SELECT count(*) FROM outbox WHERE bridge = %s", (name,)).fetchone()
        assert row is not None
        return int(row[0])

    # The end.

    async def settle(self) -> None:
        """Wait until everything is published, and compare."""
        self._loading = False
        names = sorted(self._programs)
        await self._until(
            lambda: (
                not self._pending_of_all()
                and self.stream.client.xinfo_groups(self.stream.key)[0]["lag"] == 0
                and not any(self._waiting(name) for name in names)
            ),
            120,
            "everything is stored and published",
        )
        expected = {node.station.replace(" ", "-"): node.total for node in self.nodes}
        await asyncio.sleep(1)  # what the broker has is on its way to the subscriber
        sums = self._sums()
        for station, total in expected.items():
            self.outcome.lost += max(0, total - sums.get(station, 0))
            self.outcome.unexpected += max(0, sums.get(station, 0) - total)
        seen = [
            message.payload
            for message in self.platform.messages
            if message.topic.endswith(("/count", "/span"))
        ]
        self.outcome.duplicates_visible = len(seen) - len(set(seen))
        await self._compare_last()

    def _sums(self) -> dict[str, int]:
        """Per station, by the document's SQL, in the order in which messages came."""
        consumer = Sqlite()
        rows = [
            OutboxRow(0, "", message.topic, message.payload, False, {})
            for message in list(self.platform.messages)
            if message.topic.endswith(("/count", "/span"))
        ]
        consumer.take(rows)
        query = "SELECT station, sum(count) FROM record JOIN channel_count ON record = id GROUP BY station"
        return {station: int(total) for station, total in consumer.database.execute(query)}

    async def _compare_last(self) -> None:
        """What a display is shown that asks only now."""
        await asyncio.sleep(3)
        display = Subscriber(self.broker.port, client_id="display", topic="zaehlwerk/v1/+/last")
        try:
            await display.until(lambda: len(display.of("/last")) >= len(self.nodes))
            shown = {content["station"]: content["record"]["id"] for content in display.of("/last")}
        finally:
            display.close()
        for node in self.nodes:
            station = node.station.replace(" ", "-")
            self.outcome.last_behind += shown[station] != f"{station}.{node.epoch:08x}.{node.slot}"

    async def _until(self, condition: Any, timeout_s: float, what: str) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"never happened: {what}\n{self.logged()}")
            await asyncio.sleep(_PAUSE_S)

    def logged(self) -> str:
        """The end of what each bridge has written."""
        logs = sorted(self._directory.glob("b?.log"))
        held = {name: len(self._pending(name)) for name in self._programs}
        waiting = {name: self._waiting(name) for name in self._programs}
        with self.postgres.connect(self._name) as connection:
            query = "SELECT application_name, state, wait_event_type, left(query, 150) FROM pg_stat_activity"
            active = connection.execute(f"{query} WHERE datname = current_database()").fetchall()
            living = connection.execute("SELECT * FROM bridge").fetchall()
        state = f"held in Redis: {held}\nin the outbox: {waiting}\nbridges: {living}\nat work: {active}\n"
        return state + "\n".join(f"{log.name}:\n{log.read_text(errors='replace')[-3000:]}" for log in logs)


async def run(directory: Path, seconds: float, seed: int) -> Outcome:
    """Load, faults, and what came of it."""
    city = City(directory, seed)
    city.start()
    try:
        loading = asyncio.create_task(city.load())
        try:
            await city.faults(seconds)
            await city.settle()
        finally:
            city._loading = False
            await loading
        return city.outcome
    finally:
        city.close()


def main() -> int:
    """The long form: exit status 1 if anything was lost, doubled, or taken over too late."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="leave logs and databases behind")
    options = parser.parse_args()
    reason = postgres_server.why_not()
    if reason:
        print(reason, file=sys.stderr)
        return 2
    directory = Path(tempfile.mkdtemp(prefix="scale-out-"))
    directory.chmod(0o755 if os.geteuid() == 0 else 0o700)
    try:
        outcome = asyncio.run(run(directory, options.minutes * 60, options.seed))
    finally:
        if options.keep:
            print(f"left behind: {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    print(json.dumps(outcome.as_dict()))
    good = not outcome.lost and not outcome.unexpected and not outcome.last_behind
    return 0 if good and max(outcome.takeover_s, default=0.0) < TAKEN_OVER_S else 1


if __name__ == "__main__":
    sys.exit(main())
