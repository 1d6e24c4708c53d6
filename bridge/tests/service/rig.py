"""Everything around a bridge that a test needs, each part real except ChirpStack."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bridge.tests.service.chirpstack import KEY, TENANT, ChirpStack
from bridge.tests.service.mosquitto import Mosquitto
from zaehlwerk_bridge.clock import Clock
from zaehlwerk_bridge.logs import make_logger
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.settings import Settings


class Rig:
    """A directory with a key file, settings for a bridge in it, and what it logs."""

    def __init__(self, directory: Path, server: ChirpStack, broker: Mosquitto) -> None:
        self.directory = directory
        self.server = server
        self.broker = broker
        self.logged = io.StringIO()
        self.key_file = directory / "api.key"
        self.key_file.write_text(KEY + "\n")

    def settings(self, **changes: Any) -> Settings:
        """Settings with short waits. `mqtt_window=5` changes [mqtt] window."""
        table: dict[str, Any] = {
            "id": "b1",
            "database": self.directory / "bridge.sqlite",
            "chirpstack": {
                "server": f"127.0.0.1:{self.server.port}",
                "tenants": [TENANT],
                "api_key_file": self.key_file,
                "insecure": True,
                "backoff_first_s": 0.05,
                "backoff_most_s": 0.2,
            },
            "mqtt": {
                "host": "127.0.0.1",
                "port": self.broker.port,
                "insecure": True,
                "backoff_first_s": 0.05,
                "backoff_most_s": 0.2,
                "connect_timeout_s": 2,
            },
        }
        for name, value in changes.items():
            section, _, setting = name.partition("_")
            if section in ("chirpstack", "mqtt", "healing", "ledger", "store", "http", "commands"):
                table.setdefault(section, {})[setting] = value
            else:
                table[name] = value
        return Settings.model_validate(table)

    @asynccontextmanager
    async def bridge(
        self, *, clock: Clock | None = None, ready: bool = True, **changes: Any
    ) -> AsyncIterator[Bridge]:
        """A running bridge; stopped in good order at the end, and what broke it is raised."""
        redactor = Redactor()
        log = make_logger(redactor, "debug", self.logged)
        bridge = Bridge(self.settings(**changes), clock=clock, log=log, redactor=redactor, seed=1)
        running = asyncio.create_task(bridge.run())
        try:
            if ready:
                await bridge.ready(10)
            yield bridge
        finally:
            bridge.stop()
            await running
