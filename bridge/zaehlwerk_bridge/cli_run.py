"""The command `run`: the bridge as systemd, a container or a person at a terminal runs it."""

import asyncio
import faulthandler
import os
import signal
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import typer
from structlog.typing import FilteringBoundLogger

from zaehlwerk_bridge.collecting import collect_seldom
from zaehlwerk_bridge.command_line import (
    EXIT_BAD_INPUT,
    EXIT_BROKEN,
    EXIT_OK,
    EXIT_TAKEN_OVER,
    ConfigOption,
    complain,
    read_settings,
)
from zaehlwerk_bridge.errors import BridgeError, ClientTakenOver, SettingsError
from zaehlwerk_bridge.http_endpoints import HttpEndpoints
from zaehlwerk_bridge.logs import make_logger
from zaehlwerk_bridge.metrics import registry
from zaehlwerk_bridge.movement import Movement
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.secret_file import SecretFile
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.service_manager import Report, ServiceManager, Troubles
from zaehlwerk_bridge.settings import Settings
from zaehlwerk_bridge.store_lock import StoreLock
from zaehlwerk_bridge.store_place import PASSWORD_SETTING

SWITCH_S = 0.001
"""So long the store's thread may keep the interpreter while the event loop wants it. With Python's 5 ms each read and
write of a socket would wait that long, and a broker's window of 20 messages makes many of them."""


@dataclass(slots=True)
class _End:
    """How the run ended."""

    left_alone: bool = False
    """A thread hangs in the database."""


def run(config: ConfigOption) -> None:
    """Run until SIGTERM or SIGINT, which take at most 5 s. Logs are JSON lines on stderr.

    Example: zaehlwerk-bridge run --config /etc/zaehlwerk/bridge.toml
    """
    faulthandler.enable()  # a watchdog ends a bridge that stands still by SIGABRT: where it stood is in the log then
    redactor = Redactor()
    settings = read_settings(config)
    log = make_logger(redactor, settings.log.level)
    end = _End()
    status = EXIT_OK
    try:
        _read_secrets(settings, redactor)
        # Bridges that share a database tell by themselves when two of them have one name.
        with nullcontext() if settings.database_file is None else StoreLock(settings.database_file):
            sys.setswitchinterval(SWITCH_S)
            collect_seldom()
            asyncio.run(_run(settings, log, redactor, end))
    except SettingsError as error:
        complain(error.problems)
        status = EXIT_BAD_INPUT
    except ClientTakenOver as error:
        complain([str(error)])
        status = EXIT_TAKEN_OVER
    except BridgeError as error:
        complain([str(error)])
        status = EXIT_BAD_INPUT
    except Exception:
        log.exception("bridge broke")
        status = EXIT_BROKEN
    if end.left_alone:
        # Python would wait for the thread, and who stopped the bridge waits for Python.
        sys.stderr.flush()
        os._exit(status)
    raise typer.Exit(status)


async def _run(settings: Settings, log: FilteringBoundLogger, redactor: Redactor, end: _End) -> None:
    bridge = Bridge(settings, log=log, redactor=redactor, store_apart=settings.store.own_process)
    manager = ServiceManager()
    stuck = Movement(bridge).stuck
    troubles = _redacted(bridge.troubles, redactor)

    def stop() -> None:
        manager.tell(STOPPING="1")
        bridge.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    report = Report(
        manager,
        troubles=troubles,
        stuck=stuck,
        up=lambda: "store" not in bridge.troubles() or bool(bridge.disk_trouble),
        nudge=bridge.publisher.more,
        log=log,
    )
    reporting = asyncio.create_task(report.run())
    try:
        with _endpoints(bridge, stuck, troubles):
            await bridge.run()
    finally:
        reporting.cancel()
        await asyncio.gather(reporting, return_exceptions=True)
        manager.tell(STOPPING="1")
        end.left_alone = bridge.left_alone


def _endpoints(bridge: Bridge, health: Troubles, readiness: Troubles) -> AbstractContextManager[object]:
    """What is served over HTTP as long as it is entered; nothing if the settings say so."""
    if not bridge.settings.http.port:
        return nullcontext()
    return HttpEndpoints(bridge.settings.http, health, readiness, registry(bridge))


def _redacted(troubles: Troubles, redactor: Redactor) -> Troubles:
    return lambda: {side: redactor.text(trouble) for side, trouble in troubles().items()}


def _read_secrets(settings: Settings, redactor: Redactor) -> None:
    """A secret that cannot be read is a mistake at the start; later it may be a file that is just being replaced."""
    files = {
        "chirpstack.api_key_file": settings.chirpstack.api_key_file,
        "chirpstack.write_key_file": settings.chirpstack.write_key_file,
        "mqtt.password_file": settings.mqtt.password_file,
        PASSWORD_SETTING: settings.store.password_file,
    }
    for setting, path in files.items():
        if path is not None:
            SecretFile(path, setting, redactor).read()
