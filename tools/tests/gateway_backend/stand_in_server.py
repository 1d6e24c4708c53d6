"""The stand-in for ChirpStack as a server of its own: behind a broker's gateway topics, with its API on a port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from zaehlwerk_tools.gateway_backend.wall_clock import WallClock
from zaehlwerk_tools.network_server import NetworkServer, Settings
from zaehlwerk_tools.network_server.broker_front import BrokerFront
from zaehlwerk_tools.network_server.gateway_topics import GatewayTopics
from zaehlwerk_tools.network_server.wall_scheduler import WallScheduler
from zaehlwerk_tools.plan import Broker


@dataclass
class StandIn:
    """A running server."""

    server: NetworkServer
    topics: GatewayTopics
    port: int
    folder: Path

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def key_file(self, key: str | None = None) -> Path:
        """A file with an API key, the admin's if none is given."""
        path = self.folder / "chirpstack-key"
        path.write_text(f"{self.server.admin_key if key is None else key}\n", encoding="ascii")
        return path


@asynccontextmanager
async def stand_in(
    broker: Broker, folder: Path, clock: WallClock | None = None, prefix: str = "eu868"
) -> AsyncIterator[StandIn]:
    """A server at `broker`, on `clock`."""
    clock = clock or WallClock()

    def make_topics(publish: Callable[[str, bytes], None]) -> GatewayTopics:
        return GatewayTopics(publish, prefix=prefix)

    async with BrokerFront(broker.host, broker.port, make_topics) as front:
        scheduler = WallScheduler(clock.now_ns, clock.pace)
        server = NetworkServer(scheduler, front.topics, 1, Settings(history=100))
        front.topics.serve(server)
        port = await server.start()
        try:
            yield StandIn(server, front.topics, port, folder)
        finally:
            await server.stop()
