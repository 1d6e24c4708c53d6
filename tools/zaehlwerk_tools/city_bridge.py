"""The real bridge inside a simulated city: on the city's time, between the network server's gRPC port and the broker."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from zaehlwerk_bridge.clock import Clock
from zaehlwerk_bridge.errors import BridgeError, NotReady
from zaehlwerk_bridge.logs import make_logger
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.settings import ChirpStackSettings, HealingSettings, LogSettings, MqttSettings, Settings
from zaehlwerk_tools.errors import BrokerError
from zaehlwerk_tools.plan import Broker

RELIST_S = 3600
"""Virtual seconds between two lists of the devices: nothing changes in a run."""
READY_S = 60.0
STOP_S = 10.0


def embedded_server(workdir: Path, port: int, tenant_id: str, api_key: str) -> ChirpStackSettings:
    """Where the bridge finds a network server on loopback `port`; the API key goes into a file of its own."""
    key_file = workdir / "api-key"
    descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(api_key)
    return ChirpStackSettings(
        server=f"127.0.0.1:{port}",
        tenants=[tenant_id],
        api_key_file=key_file,
        insecure=True,
        relist_s=RELIST_S,
    )


def bridge_settings(workdir: Path, server: ChirpStackSettings, broker: Broker, prefix: str) -> Settings:
    """The bridge's settings between a network server and a broker, with its files in `workdir`."""
    return Settings(
        database=workdir / "ledger.sqlite",
        prefix=prefix,
        chirpstack=server,
        mqtt=MqttSettings(host=broker.host, port=broker.port, insecure=True),
        healing=HealingSettings(),
        log=LogSettings(level="warning"),
    )


@asynccontextmanager
async def running_bridge(
    settings: Settings, clock: Clock, seed: int, log: Path
) -> AsyncIterator[tuple[Bridge, asyncio.Task[None]]]:
    """The bridge, ready, and its task. Its log goes to the file `log`.

    Raises BrokerError if the broker refuses it, BridgeError for everything else that keeps it from working.
    """
    redactor = Redactor()
    with log.open("w", encoding="utf-8") as sink:
        bridge = Bridge(
            settings,
            clock=clock,
            seed=seed,
            redactor=redactor,
            log=make_logger(redactor, settings.log.level, sink),
        )
        task = asyncio.create_task(bridge.run(), name="bridge")
        try:
            try:
                await bridge.ready(READY_S)
            except NotReady as error:
                raise BrokerError(f"the bridge is not ready: {error}") from error
            yield bridge, task
        finally:
            bridge.stop()
            try:
                await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), STOP_S)
            except TimeoutError:
                task.cancel()


def failure(task: asyncio.Task[None]) -> BridgeError | None:
    """What ended the bridge, if anything did."""
    if not task.done() or task.cancelled():
        return None
    error = task.exception()
    return error if isinstance(error, BridgeError) else None
