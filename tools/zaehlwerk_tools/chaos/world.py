"""Everything that a run needs, as programs: servers, proxies before them, bridges, a platform; and what is done to them."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from redis.exceptions import RedisError, ResponseError

from zaehlwerk_tools.bridge_bench.redis_server import STREAM, find_redis
from zaehlwerk_tools.broker_program import find_program
from zaehlwerk_tools.chaos.bridge_program import SETTINGS, Bridge
from zaehlwerk_tools.chaos.consumer import Consumer
from zaehlwerk_tools.chaos.network_server import device_key
from zaehlwerk_tools.chaos.offered import Entry
from zaehlwerk_tools.chaos.proxy import Proxy
from zaehlwerk_tools.chaos.schedule import CLOCK, SERVER, Fault
from zaehlwerk_tools.chaos.servers import (
    BRIDGE_USER,
    HOST,
    BrokerServer,
    ChirpStackServer,
    PostgresServer,
    RedisServer,
    Server,
)
from zaehlwerk_tools.chaos.small_disk import SmallDisk
from zaehlwerk_tools.errors import ZaehlwerkError

PREFIX = "chaos"
GROUP = "zaehlwerk"
HISTORY = 10_000_000
"""ChirpStack's `device_event_log_max_history`, and that of each device: it holds all of a run."""
DISK_MB = 48
POSTGRES_DISK_MB = 160
"""An empty PostgreSQL takes 40."""
DELIVERED_S = 60.0
"""So long the platform may take for what the broker has when it is to be killed."""
WORKING_S = 20.0
"""So long a bridge may take to begin its work before something happens to it nevertheless."""
_LOOK_S = 0.05
_CURSORS = (
    "import json, sqlite3, sys\n"
    "rows = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True).execute('SELECT stream, position FROM cursor')\n"
    "print(json.dumps(dict(rows)))"
)
"""How far a store has each device's stream, for a database on a disk that only programs of its own see."""


class World:
    """Use as `async with World(…) as world`. Raises ZaehlwerkError for what this machine lacks."""

    def __init__(
        self,
        checkout: Path,
        directory: Path,
        bridges: int,
        *,
        postgresql: bool,
        disk: bool,
        grpc: bool,
        seed: int,
    ) -> None:
        self.names = [f"bridge-{number}" for number in range(1, bridges + 1)]
        self._checkout = checkout
        self._directory = directory
        self._with_postgresql = postgresql
        self._with_disk = disk
        self._from_grpc = grpc
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
        if self._with_disk:
            size_mb = POSTGRES_DISK_MB if self._with_postgresql else DISK_MB
            self._disk = SmallDisk(self._directory / "disk", size_mb)
        if self._with_postgresql:
            self.servers["postgresql"] = PostgresServer(self._directory / "postgresql", self._disk)
        if self._from_grpc:
            self.servers[SERVER] = ChirpStackServer(self.redis.port, self._directory / "server")
        for name, server in self.servers.items():
            await asyncio.to_thread(server.start)
            self.proxies[name] = Proxy(server.port)
            await self.proxies[name].start()
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
            SETTINGS.format(
                name=name,
                prefix=PREFIX,
                database=database,
                low_water_mb=self._low_water_mb if before else 0,
                source="grpc" if self._from_grpc else "redis",
                server=self.proxies[SERVER].port if self._from_grpc else 1,
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

    # What is in Redis, and how far the bridges have it.

    def add(self, entry: Entry) -> bool:
        """Write an event as ChirpStack does; whether it is certain that it is there. Raises RedisError."""
        key = device_key(entry.dev_eui) if self._from_grpc else STREAM
        client = self.redis.client
        try:
            client.xadd(key, {"up": entry.value}, id=entry.id, maxlen=HISTORY, approximate=True)
        except ResponseError as error:
            # Otherwise it is still loading its data.
            return "equal or smaller" in str(error) and bool(client.xrange(key, entry.id, entry.id))
        return True

    def settled(self, entries: Sequence[Entry]) -> bool:
        """Whether everything is taken: read and acknowledged, or stored, where nothing is acknowledged."""
        if self._from_grpc:
            return self.acknowledged(entries) == len(entries)
        groups = self.redis.client.xinfo_groups(STREAM)
        return bool(groups) and groups[0]["lag"] == 0 and groups[0]["pending"] == 0

    def acknowledged(self, entries: Sequence[Entry]) -> int:
        """How many of these were given to a bridge and acknowledged by it, or stored."""
        if self._from_grpc:
            cursors = self._cursors()
            return sum(_parsed(one.id) <= cursors.get(one.dev_eui, (0, 0)) for one in entries)
        groups = self.redis.client.xinfo_groups(STREAM)
        if not groups:
            return 0
        delivered = _parsed(bytes(groups[0]["last-delivered-id"]).decode())
        found: list[Any] = self.redis.client.xpending_range(STREAM, GROUP, "-", "+", len(entries) + 1)
        pending = {one["message_id"].decode() for one in found}
        return sum(_parsed(one.id) <= delivered and one.id not in pending for one in entries)

    def _cursors(self) -> dict[str, tuple[int, int]]:
        """By DevEUI how far its stream is stored; empty while the store cannot be asked."""
        postgresql = self.servers.get("postgresql")
        if isinstance(postgresql, PostgresServer):
            rows = postgresql.ask("SELECT stream, position FROM cursor")
        else:
            words = [] if self._disk is None else self._disk.words
            path = (self._directory if self._disk is None else self._disk.place) / f"{self.names[0]}.sqlite"
            asked = subprocess.run(
                [*words, sys.executable, "-c", _CURSORS, str(path)], capture_output=True, check=False
            )
            rows = [] if asked.returncode else list(json.loads(asked.stdout).items())
        return {stream: _parsed(position) for stream, position in rows}

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
        """Return when a bridge has begun to read since it was started, or could not for long."""
        deadline = time.monotonic() + WORKING_S
        while time.monotonic() < deadline:
            if await asyncio.to_thread(self._works, bridge):
                return
            await asyncio.sleep(_LOOK_S)

    def _works(self, bridge: Bridge) -> bool:
        if self._from_grpc:
            return self.proxies[SERVER].connections > 0
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
        if fault.kind == CLOCK:
            if bridge is not None:  # the server's is off in what it was made to tell
                bridge.step_clock(float(fault.how))
        elif bridge is not None:
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
        if fault.kind == CLOCK:
            if bridge is not None:
                bridge.step_clock(0.0)
        elif bridge is not None:
            if fault.kind == "stop":
                bridge.signal(signal.SIGCONT)
            elif fault.kind == "kill":
                bridge.start()
        elif fault.kind == "fill" and self._disk is not None:
            await asyncio.to_thread(self._disk.clear)
            if server is not None and not server.lives:
                # PostgreSQL without a place for its log ends itself, and whoever clears up starts it again.
                await asyncio.to_thread(server.start)
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
