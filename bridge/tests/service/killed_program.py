"""A program that is to die at a point, counters whose events it reads, and what whoever follows the document holds then."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bridge.tests.ledger.test_consumer_document import PARTS, Sqlite
from bridge.tests.service.node import INTERVAL_S, Node
from bridge.tests.service.redis_server import EventStream, RedisServer, event_bytes
from bridge.tests.service.subscriber import Subscriber
from zaehlwerk_bridge.failpoints import VARIABLE
from zaehlwerk_bridge.outbox import OutboxRow

STATIONS = ("station 0", "station 1", "station 2", "station 3")

# Housekeeping begins a minute after the start otherwise.
HOUSEKEEPING = "import zaehlwerk_bridge.housekeeping as keeping; keeping.EVERY_S = 0.5"


class Counters:
    """Counters at `stations`, whose frames of two months ago are in ChirpStack's stream."""

    def __init__(self, stream: EventStream, stations: Sequence[str] = STATIONS) -> None:
        self._stream = stream
        slot = int(time.time()) // INTERVAL_S - 60 * 96
        self.nodes = [
            Node(f"70b3d57ed{n:07x}", station, epoch=0x1000 + n, slot=slot)
            for n, station in enumerate(stations)
        ]
        self._put([node.status() for node in self.nodes])

    def count(self, intervals: int) -> None:
        for _ in range(intervals):
            # Without history: an event that vanishes is a gap, which later totals do not heal interval by interval.
            self._put([node.count(1 + n, history=0) for n, node in enumerate(self.nodes)])

    def _put(self, items: list) -> None:  # type: ignore[type-arg]
        at_ms = self.nodes[0].now_s * 1000
        for n, item in enumerate(items):
            self._stream.raw(
                {item.description: event_bytes(item.description, json.loads(item.body))}, f"{at_ms + n}-0"
            )

    @property
    def truth(self) -> dict[str, int]:
        return {node.station.replace(" ", "-"): node.total for node in self.nodes}


class Program:
    """`zaehlwerk-bridge run` in `directory` with `settings`; `changes` are statements that come before it."""

    def __init__(self, directory: Path, settings: str, changes: str = HOUSEKEEPING) -> None:
        directory.mkdir(exist_ok=True)
        self._log = directory / "log"
        self._code = f"{changes}; from zaehlwerk_bridge.cli import main; main()"
        self.config = directory / "bridge.toml"
        (directory / "api.key").write_text("unused\n")
        self.config.write_text(settings, encoding="utf-8")

    async def start(self, failpoint: str = "") -> asyncio.subprocess.Process:
        with self._log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", self._code, "run", "--config", str(self.config)),
                env={**os.environ, VARIABLE: failpoint},
                stdout=log,
                stderr=log,
            )

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]


def reading_redis(
    directory: Path,
    redis: RedisServer,
    broker_port: int,
    database: str,
    store: str = "",
    bridge: str = "b1",
) -> Program:
    """The program with a stream of ChirpStack's in `redis`; `store`: lines of its section."""
    return Program(
        directory,
        f"""
id = "{bridge}"
source = "redis"
database = "{database}"
[store]
retention_days = 1
low_water_mb = 0
{store}
[chirpstack]
server = "127.0.0.1:9"
tenants = ["00000000-0000-0000-0000-000000000001"]
api_key_file = "api.key"
insecure = true
[redis]
server = "127.0.0.1:{redis.port}"
insecure = true
backoff_first_s = 0.05
backoff_most_s = 0.2
[mqtt]
host = "127.0.0.1"
port = {broker_port}
insecure = true
backoff_first_s = 0.05
backoff_most_s = 0.2
[ledger]
batch = 10
[healing]
enabled = false
[http]
port = 0
""",
    )


def read_and_acknowledged(stream: EventStream) -> bool:
    if not stream.client.exists(stream.key):
        return False
    groups = stream.client.xinfo_groups(stream.key)
    return bool(groups) and groups[0]["lag"] == 0 and groups[0]["pending"] == 0


def counts_of(platform: Subscriber) -> list[OutboxRow]:
    return [
        OutboxRow(0, "", message.topic, message.payload, False, {})
        for message in list(platform.messages)
        if message.topic.endswith(("/count", "/span"))
    ]


def sums(platform: Subscriber) -> dict[str, int]:
    """What is known interval by interval, by the document's SQL, in the order in which messages came."""
    consumer = Sqlite()
    consumer.take(counts_of(platform))
    return {station: number or 0 for station, _, _, number in consumer.database.execute(PARTS["sums"])}
