"""What the command line asked for, and the plan that follows from it and the tables."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from zaehlwerk_tools.city_table import read_city
from zaehlwerk_tools.errors import BrokerError, DayError, ZaehlwerkError
from zaehlwerk_tools.plan import DEFAULT_LOSS, DEFAULT_SEED, TOPIC_PREFIX, Broker, Plan, parse_outage


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


def make_plan(request: Request, workdir: Path) -> Plan:
    """Checks the request against the tables. Raises ZaehlwerkError for the first thing that does not fit."""
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
    city = read_city(request.data)
    first = _date(request.day) if request.day is not None else city.first_day()
    stations = city.select(request.stations)
    slots = city.slots(stations, first, request.days)
    outages = tuple(parse_outage(text, city, stations, first) for text in request.outages)
    broker = _broker(request.broker)
    prefix = TOPIC_PREFIX if broker is None else f"{TOPIC_PREFIX}-{secrets.token_hex(4)}"
    return Plan(
        city=city,
        stations=stations,
        first_day=first,
        days=request.days,
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
    )


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
