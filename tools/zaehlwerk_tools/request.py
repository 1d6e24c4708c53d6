"""What the command line asked for, and the plan that follows from it and the tables."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from zaehlwerk_tools.city_table import read_city
from zaehlwerk_tools.errors import BrokerError, DayError, ZaehlwerkError
from zaehlwerk_tools.gateway_backend.played_day import play_now
from zaehlwerk_tools.gateway_backend.real_server import (
    CHIRPSTACK,
    DEFAULT_MINUTES,
    RealServer,
    ServerOptions,
    real_server,
)
from zaehlwerk_tools.local_time import start_of_slot
from zaehlwerk_tools.plan import (
    DEFAULT_LOSS,
    DEFAULT_SEED,
    SETTLE_INTERVALS,
    TOPIC_PREFIX,
    Broker,
    OutageKind,
    Plan,
    parse_outages,
)
from zaehlwerk_tools.sensors import Kind, equip

REAL_SETTLE_INTERVALS = 4
"""In real time nobody waits longer; what is still missing then was asked for again, and given up as a span before."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asked for, as it was typed."""

    data: Path
    day: str | None = None  # None: the first day of the tables
    days: int = 1
    stations: str = "all"
    loss: float = DEFAULT_LOSS
    seed: int = DEFAULT_SEED
    outages: tuple[str, ...] = ()
    bits: int = 64
    broker: str | None = None  # HOST:PORT
    broker_port: int | None = None
    real_time: float | None = None
    out: Path | None = None
    as_json: bool = False
    sensors: str = Kind.PULSE
    server: ServerOptions = field(default_factory=ServerOptions)


def make_plan(request: Request, workdir: Path, server: RealServer | None = None) -> Plan:
    """Checks the request against the tables. Raises ZaehlwerkError for the first thing that does not fit.

    `server` replaces what the request says of a real network server.
    """
    if not 0 <= request.loss < 1:
        raise ZaehlwerkError(f"--loss {request.loss}: expected a share from 0 to below 1, e.g. 0.1")
    if request.days < 1:
        raise DayError(f"--days {request.days}: expected at least 1")
    if request.bits not in {32, 64}:
        raise ZaehlwerkError(f"--bits {request.bits}: expected 64, or 32 for the ESP32's memory layout")
    if request.real_time is not None and not request.real_time > 0:
        raise ZaehlwerkError(
            f"--real-time {request.real_time}: expected how many times faster than the clock, e.g. 60"
        )
    server = server or real_server(request.server)
    city = read_city(request.data)
    first = _date(request.day) if request.day is not None else city.first_day()
    stations = city.select(request.stations)
    if server is None:
        days, slots = request.days, city.slots(stations, first, request.days)
    else:
        _require_real_time(request)
        minutes = DEFAULT_MINUTES if request.server.minutes is None else request.server.minutes
        now_ns = server.clock.now_ns()
        played = play_now(city, stations, now_ns, minutes, first, request.server.play_from)
        slots, stations = played.slots, played.stations
        server = replace(server, table_start=played.table_start)
        city = replace(city, source=f"{city.source} {played.told}".strip())
        first, last = start_of_slot(slots.start).date(), start_of_slot(slots.stop - 1).date()
        days = (last - first).days + 1
    outages = tuple(
        outage for text in request.outages for outage in parse_outages(text, city, stations, first, days)
    )
    if server is not None and any(outage.kind is OutageKind.SERVER for outage in outages):
        raise ZaehlwerkError(
            f"--outage server: with --network {CHIRPSTACK} the server is not ours to restart"
        )
    stations, kinds, notes = equip(stations, slots, request.sensors)
    broker = _broker(request.broker)
    prefix = TOPIC_PREFIX if broker is None else f"{TOPIC_PREFIX}-{secrets.token_hex(4)}"
    return Plan(
        city=city,
        stations=stations,
        first_day=first,
        days=days,
        slots=slots,
        workdir=workdir,
        loss=request.loss,
        seed=request.seed,
        outages=outages,
        bits=request.bits,
        broker=broker,
        broker_port=request.broker_port or None,
        real_time=request.real_time,
        topic_prefix=prefix,
        settle_intervals=SETTLE_INTERVALS if server is None else REAL_SETTLE_INTERVALS,
        server=server,
        kinds=kinds,
        notes=notes,
    )


def _require_real_time(request: Request) -> None:
    """A real network server lives in real time, and its nodes count as long as somebody waits for them."""
    if request.real_time is not None:
        raise ZaehlwerkError(f"--real-time: --network {CHIRPSTACK} always runs by the clock")
    if request.days != 1:
        raise DayError(f"--days {request.days}: with --network {CHIRPSTACK} say --minutes")


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise DayError(f"--day {text}: expected a date as YYYY-MM-DD") from None


def _broker(text: str | None) -> Broker | None:
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise BrokerError(f"--broker {text}: expected HOST:PORT, e.g. 127.0.0.1:1883")
    return Broker(host.strip("[]"), int(port))
