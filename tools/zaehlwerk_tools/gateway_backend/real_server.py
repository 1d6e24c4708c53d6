"""A real network server as a run is to use it, and the options on the command line that say so."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID

from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.gateway_backend.addresses import (
    ApiAddress,
    MqttAddress,
    api_address,
    mqtt_address,
    read_secret,
)
from zaehlwerk_tools.gateway_backend.identity import RunIdentity
from zaehlwerk_tools.gateway_backend.topics import DEFAULT_PREFIX, Topics
from zaehlwerk_tools.gateway_backend.wall_clock import WallClock

CHIRPSTACK, STAND_IN = "chirpstack", "stand-in"
DEFAULT_MINUTES = 30


@dataclass(frozen=True, slots=True)
class RealServer:
    """Where it is, what may be done there, and the time in front of it."""

    mqtt: MqttAddress
    api: ApiAddress
    api_key_file: Path
    topics: Topics = field(default_factory=Topics)
    tenant_id: str = ""  # empty: a tenant is made for the run
    in_json: bool = False  # gateways speak JSON instead of protobuf
    keep: bool = False  # what the run registers stays
    identity: RunIdentity = field(default_factory=RunIdentity.drawn)
    clock: WallClock = field(default_factory=WallClock)
    table_start: datetime | None = None  # the local time at which the played part of the table begins


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What the command line said of a real network server, as it was typed."""

    network: str = STAND_IN
    mqtt_url: str | None = None
    mqtt_password_file: Path | None = None
    mqtt_topic_prefix: str | None = None
    mqtt_json: bool = False
    api_url: str | None = None
    api_key_file: Path | None = None
    ca_file: Path | None = None
    tenant_id: str | None = None
    keep: bool = False
    minutes: int | None = None
    play_from: str | None = None


_NEEDED = ("mqtt_url", "api_url", "api_key_file")


def real_server(options: ServerOptions) -> RealServer | None:
    """The server that the options name, None for the stand-in. Raises ZaehlwerkError for the first that does not fit."""
    if options.network not in {CHIRPSTACK, STAND_IN}:
        raise ZaehlwerkError(f"--network {options.network}: expected {STAND_IN} or {CHIRPSTACK}")
    if options.network == STAND_IN:
        given = [name for name in ServerOptions.__slots__ if name != "network" and getattr(options, name)]
        if given:
            raise ZaehlwerkError(f"{_option(given[0])} is for a real network server: --network {CHIRPSTACK}")
        return None
    missing = [_option(name) for name in _NEEDED if not getattr(options, name)]
    if missing:
        raise ZaehlwerkError(f"--network {CHIRPSTACK} also needs {' and '.join(missing)}")
    assert options.mqtt_url is not None
    assert options.api_url is not None
    assert options.api_key_file is not None
    mqtt = mqtt_address(options.mqtt_url, password_file=options.mqtt_password_file, ca_file=options.ca_file)
    api = api_address(options.api_url, ca_file=options.ca_file)
    if options.ca_file is not None and not (mqtt.tls or api.tls):
        raise ZaehlwerkError("--ca-file is given but neither --mqtt-url nor --api-url speaks TLS")
    read_secret(options.api_key_file, "--api-key-file")
    return RealServer(
        mqtt=mqtt,
        api=api,
        api_key_file=options.api_key_file.absolute(),
        topics=Topics(DEFAULT_PREFIX if options.mqtt_topic_prefix is None else options.mqtt_topic_prefix),
        tenant_id=_tenant(options.tenant_id),
        in_json=options.mqtt_json,
        keep=options.keep,
    )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _tenant(text: str | None) -> str:
    if text is None:
        return ""
    try:
        return str(UUID(text))
    except ValueError:
        raise ZaehlwerkError(
            f"--tenant-id {text}: expected a tenant's id as ChirpStack shows it, 8-4-4-4-12 hexadecimal digits"
        ) from None
