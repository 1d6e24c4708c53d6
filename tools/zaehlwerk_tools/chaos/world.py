"""Everything that a run needs, as programs: servers, proxies before them, bridges, a platform; and what is done to them."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from redis.exceptions import RedisError

from zaehlwerk_tools.bridge_bench.child_process import end, last_line
from zaehlwerk_tools.bridge_bench.redis_server import STREAM, find_redis
from zaehlwerk_tools.broker_program import find_program
from zaehlwerk_tools.chaos.consumer import Consumer
from zaehlwerk_tools.chaos.proxy import Proxy
from zaehlwerk_tools.chaos.schedule import Fault
from zaehlwerk_tools.chaos.servers import (
    BRIDGE_USER,
    HOST,
    BrokerServer,
    PostgresServer,
    RedisServer,
    Server,
)
from zaehlwerk_tools.chaos.small_disk import SmallDisk
from zaehlwerk_tools.errors import ZaehlwerkError

PREFIX = "chaos"
GROUP = "zaehlwerk"
FAILPOINT = "ZAEHLWERK_FAILPOINT"
DISK_MB = 48
DELIVERED_S = 60.0
"""So long the platform may take for what the broker has when it is to be killed."""
WORKING_S = 20.0
"""So long a bridge may take to begin its work before something happens to it nevertheless."""
STOP_S = 10.0
_LOOK_S = 0.05
_EXIT_BROKEN = 1

_BRIDGE_TOML = """\
id = "{name}"
prefix = "{prefix}"
source = "redis"
database = "{database}"
[store]
low_water_mb = {low_water_mb}
{password}
[chirpstack]
server = "{host}:1"
tenants = ["52f14cd4-c6f1-4fbd-8f87-4025e1d49242"]
api_key_file = "api.key"
insecure = true
[redis]
server = "{host}:{redis}"
insecure = true
claim_idle_s = 3
request_timeout_s = 6
backoff_first_s = 0.1
backoff_most_s = 1
[mqtt]
host = "{host}"
port = {broker}
insecure = true
username = "{user}"
keepalive_s = 5
connect_timeout_s = 5
backoff_first_s = 0.1
backoff_most_s = 1
[ledger]
batch = 50
[healing]
enabled = false
[http]
port = 0
[log]
level = "warning"
"""


class Bridge:
    """One bridge's program, started anew whenever it is dead, as a service manager does it."""

    def __init__(self, name: str, words: Sequence[str], log: Path) -> None:
        self.name = name
        self.log = log
        self._words = list(words)
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted = False
        self._dies = False
        self.crashes = 0
        """Deaths at a failpoint."""
        self.started = 0.0
        """When it was started last, on the monotonic clock."""
        self.broke: list[str] = []
        """Ends that nobody brought about, each with what the bridge said last."""

    def start(self, failpoint: str = "") -> None:
        """Start it; with a failpoint it dies there, and is then started without."""
        self._wanted = True
        environment = {key: value for key, value in os.environ.items() if key != FAILPOINT}
        if failpoint:
            environment[FAILPOINT] = failpoint
        self.started = time.monotonic()
        with self.log.open("ab") as sink:
            self._process = subprocess.Popen(
                self._words, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=environment
            )
        self._dies = bool(failpoint)

    def kill(self) -> None:
        """End it as a power cut would; it stays down until `start`."""
        self._wanted = False
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Stop it, or let it go on, if it lives."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def look(self) -> None:
        """Start it again if it has died."""
        if not self._wanted or self._process is None or self._process.poll() is None:
            return
        if self._dies and self._process.returncode == -signal.SIGKILL:
            self.crashes += 1
        else:
            self.broke.append(
                f"{self.name} ended with {self._process.returncode}: {last_line(self.log)[:300]}"
            )
            if self._process.returncode > _EXIT_BROKEN:
                raise ZaehlwerkError(self.broke[-1])
        self.start()

    def close(self) -> None:
        """End it in good order."""
        self._wanted = False
        if self._process is not None:
            self.signal(signal.SIGCONT)
            end(self._process, STOP_S)


class World:
    """Use as `async with World(…) as world`. Raises ZaehlwerkError for what this machine lacks."""

    def __init__(
        self, checkout: Path, directory: Path, bridges: int, *, postgresql: bool, disk: bool, seed: int
    ) -> None:
        self.names = [f"bridge-{number}" for number in range(1, bridges + 1)]
        self._checkout = checkout
        self._directory = directory
        self._with_postgresql = postgresql
        self._with_disk = disk
        # Above 0 the bridge stops reading before the disk is full; with 0 SQLite meets its end.
        self._low_water_mb = random.Random(f"disk {seed}").choice((0, 8))
        self.bridges: dict[str, Bridge] = {}
        self.servers: dict[str, Server] = {}
        self.proxies: dict[str, Proxy] = {}
        self._disk: SmallDisk | None = None
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _start(self) -> None:
        program = find_program(beside=self._checkout)
        if not program.is_mosquitto:
            raise ZaehlwerkError(f"chaos needs Mosquitto; here is {program.path} only: run `make setup`")
        self.redis = RedisServer(find_redis(self._checkout), self._directory / "redis")
        self.broker = BrokerServer(program.path, self._directory / "broker", PREFIX)
        self.servers = {"redis": self.redis, "broker": self.broker}
        if self._with_postgresql:
            self.servers["postgresql"] = PostgresServer(self._directory / "postgresql")
        for name, server in self.servers.items():
            await asyncio.to_thread(server.start)
            self.proxies[name] = Proxy(server.port)
            await self.proxies[name].start()
        if self._with_disk:
            self._disk = SmallDisk(self._directory / "disk", DISK_MB)
        (self._directory / "api.key").write_text(
            "none is needed: nothing is sent to nodes\n", encoding="utf-8"
        )
        self.consumer = Consumer(self._checkout, self.broker.port, PREFIX)
        for name in self.names:
            self.bridges[name] = Bridge(name, self._words(name), self._directory / f"{name}.log")
            self.bridges[name].start()

    def _words(self, name: str) -> list[str]:
        database, password = str(self._directory / f"{name}.sqlite"), ""
        before: list[str] = []
        postgresql = self.servers.get("postgresql")
        if isinstance(postgresql, PostgresServer):
            database = postgresql.url(self.proxies["postgresql"].port)
            password = f'password_file = "{postgresql.password_file}"'
        elif self._disk is not None:
            database = str(self._disk.place / f"{name}.sqlite")
            before = list(self._disk.words)
        config = self._directory / f"{name}.toml"
        config.write_text(
            _BRIDGE_TOML.format(
                name=name,
                prefix=PREFIX,
                database=database,
                low_water_mb=self._low_water_mb if self._disk is not None else 0,
                password=password,
                host=HOST,
                redis=self.proxies["redis"].port,
                broker=self.proxies["broker"].port,
                user=BRIDGE_USER,
            ),
            encoding="utf-8",
        )
        return [*before, sys.executable, "-m", "zaehlwerk_bridge", "run", "--config", str(config)]

    async def close(self) -> None:
        """End everything."""
        for bridge in self.bridges.values():
            await asyncio.to_thread(bridge.close)
        consumer = getattr(self, "consumer", None)
        if consumer is not None:
            await asyncio.to_thread(consumer.close)
        for proxy in self.proxies.values():
            await proxy.close()
        for server in self.servers.values():
            await asyncio.to_thread(server.stop)
        if self._disk is not None:
            self._disk.close()

    def look(self) -> None:
        """Start again what has died by itself. Raises ZaehlwerkError if a bridge refuses to run."""
        for bridge in self.bridges.values():
            bridge.look()

    # What Redis says of its group.

    def settled(self) -> bool:
        """Whether everything in the stream is read and acknowledged."""
        groups = self.redis.client.xinfo_groups(STREAM)
        return bool(groups) and groups[0]["lag"] == 0 and groups[0]["pending"] == 0

    def acknowledged(self, ids: Sequence[str]) -> int:
        """How many of these entries were given to a bridge and acknowledged by it."""
        groups = self.redis.client.xinfo_groups(STREAM)
        if not groups:
            return 0
        delivered = _parsed(bytes(groups[0]["last-delivered-id"]).decode())
        found: list[Any] = self.redis.client.xpending_range(STREAM, GROUP, "-", "+", len(ids) + 1)
        pending = {one["message_id"].decode() for one in found}
        return sum(_parsed(one) <= delivered and one not in pending for one in ids)

    # What is done to it.

    async def happen(self, fault: Fault) -> None:
        """Bring a fault about, wait, and mend it. Nothing else happens to the part meanwhile."""
        async with self._locks[fault.target]:
            await self._happen(fault)

    async def _happen(self, fault: Fault) -> None:
        if fault.target in self.bridges:
            # One that has not begun to work yet has nothing to lose.
            await self._until_working(self.bridges[fault.target])
        begin = time.monotonic()
        await self._break(fault)
        await asyncio.sleep(max(0.0, fault.lasting_s - (time.monotonic() - begin)))
        await self._mend(fault)

    async def _until_working(self, bridge: Bridge) -> None:
        """Return when a bridge has asked Redis for entries since it was started, or could not for long."""
        deadline = time.monotonic() + WORKING_S
        while time.monotonic() < deadline:
            if await asyncio.to_thread(self._works, bridge):
                return
            await asyncio.sleep(_LOOK_S)

    def _works(self, bridge: Bridge) -> bool:
        try:
            consumers: list[Any] = self.redis.client.xinfo_consumers(STREAM, GROUP)
        except RedisError:
            return False
        lives_ms = 1000 * (time.monotonic() - bridge.started)
        return any(one["name"].decode() == bridge.name and one["idle"] < lives_ms for one in consumers)

    async def _break(self, fault: Fault) -> None:  # noqa: C901, PLR0912 - one line for each kind
        bridge, server, proxy = (
            self.bridges.get(fault.target),
            self.servers.get(fault.target),
            self.proxies.get(fault.target),
        )
        if bridge is not None:
            if fault.kind == "stop":
                bridge.signal(signal.SIGSTOP)
            else:
                bridge.kill()
                if fault.kind == "crash":
                    bridge.start(fault.how)
        elif fault.kind == "fill" and self._disk is not None:
            await asyncio.to_thread(self._disk.fill)
        elif fault.kind == "acl":
            self.broker.deny()
        elif server is None or proxy is None:
            raise ValueError(f"no such part: {fault.target}")
        elif fault.kind == "kill":
            if server is self.broker:
                await self._deliver(proxy)
            await asyncio.to_thread(server.kill)
        elif fault.kind == "stop":
            server.pause()
        elif fault.kind == "cut":
            proxy.cut()
        elif fault.kind == "refuse":
            proxy.refuse()
        elif fault.kind == "stall":
            proxy.stall()
        elif fault.kind == "delay":
            proxy.delay(float(fault.how))
        elif fault.kind == "half-open":
            proxy.half_open()
        else:
            raise ValueError(f"no such fault: {fault.kind}")

    async def _deliver(self, proxy: Proxy) -> None:
        """Before the broker is killed: no more reaches it, and the platform takes what it has acknowledged.

        An acknowledgement says that the broker has a message, not that it has it on a disk; what it loses of that is
        not the bridge's. Acknowledgements that are on their way to the bridge are lost all the same.
        """
        proxy.stall()
        if not await asyncio.to_thread(self.consumer.has_all, DELIVERED_S):
            raise ZaehlwerkError(
                f"the platform did not take within {DELIVERED_S:.0f} s what the broker had for it"
            )
        proxy.cut()

    async def _mend(self, fault: Fault) -> None:
        bridge, server, proxy = (
            self.bridges.get(fault.target),
            self.servers.get(fault.target),
            self.proxies.get(fault.target),
        )
        if bridge is not None:
            if fault.kind == "stop":
                bridge.signal(signal.SIGCONT)
            elif fault.kind == "kill":
                bridge.start()
        elif fault.kind == "fill" and self._disk is not None:
            await asyncio.to_thread(self._disk.clear)
        elif fault.kind == "acl":
            self.broker.allow()
        elif server is not None and proxy is not None:
            if fault.kind == "kill":
                await asyncio.to_thread(server.start)
            elif fault.kind == "stop":
                server.resume()
            proxy.heal()


def _parsed(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)
