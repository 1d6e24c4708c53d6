"""What a simulated city is to do: the stations and days of a table, how the air and the power behave, and where."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path

from zaehlwerk_tools.city_table import City, Station
from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.gateway_backend.real_server import RealServer
from zaehlwerk_tools.local_time import NS, SLOT_S, slot_of
from zaehlwerk_tools.sensors import Kind

DEFAULT_LOSS = 0.1
DEFAULT_SEED = 1
SETTLE_INTERVALS = 12  # the boards run on this long at most after the last quarter-hour
TOPIC_PREFIX = "zaehlwerk"


class OutageKind(StrEnum):
    """What fails for a while."""

    GATEWAY = "gateway"  # the gateways hear nobody; every board goes on counting
    RADIO = "radio"  # nobody hears this station; it goes on counting
    POWER = "power"  # this station's board has no power: what passes then is counted by nobody
    SERVER = "server"  # the network server hears nobody, and afterwards knows no session any more


@dataclass(frozen=True, slots=True)
class Outage:
    """A planned failure, from `start_ns` to `end_ns` (UTC Unix nanoseconds)."""

    kind: OutageKind
    station: str  # slug; empty for gateways and server
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Broker:
    """The MQTT broker that bridge and subscriber meet at."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides a run. The same plan gives the same frames and the same ledger."""

    city: City
    stations: tuple[Station, ...]
    first_day: date
    days: int
    slots: range  # the quarter-hours to play: slot = unix seconds // 900
    workdir: Path  # for ledger, flash images, sockets; removed after the run
    loss: float = DEFAULT_LOSS  # share of uplinks that no gateway receives
    seed: int = DEFAULT_SEED
    outages: tuple[Outage, ...] = ()
    bits: int = 64  # which MicroPython: 64, or 32 with the ESP32's memory layout
    broker: Broker | None = None  # a running broker; None: start one of our own
    broker_port: int | None = None  # of our own broker; None: any free port
    real_time: float | None = None  # None: virtual time; else how many times faster than the wall clock
    settle_intervals: int = SETTLE_INTERVALS
    topic_prefix: str = TOPIC_PREFIX
    server: RealServer | None = None  # a real network server, in real time; None: the stand-in of our own
    kinds: Mapping[str, Kind] = field(default_factory=dict)  # of sensors, by station id; others count pulses
    notes: tuple[str, ...] = ()  # what a person should know of how this was planned

    @property
    def start_ns(self) -> int:
        """The begin of the first quarter-hour, UTC Unix nanoseconds."""
        return self.slots.start * SLOT_S * NS

    @property
    def end_ns(self) -> int:
        """The end of the last quarter-hour, UTC Unix nanoseconds."""
        return self.slots.stop * SLOT_S * NS

    @property
    def channels(self) -> int:
        """Channels of all stations together."""
        return sum(len(station.channels) for station in self.stations)

    @property
    def intervals(self) -> int:
        """Station x channel x quarter-hour."""
        return self.channels * len(self.slots)

    @property
    def pulses(self) -> int:
        """What the table counts over the plan's quarter-hours."""
        return sum(
            count or 0 for station in self.stations for slot in self.slots for count in station.row(slot)
        )


_OUTAGE = re.compile(
    r"(?P<kind>gateway|radio|power|server)(?::(?P<station>[^@]+))?@(?:(?P<day>\d{4}-\d{2}-\d{2}|daily)T)?"
    r"(?P<hour>\d{2}):(?P<minute>\d{2})\+(?P<minutes>\d+)",
)
_ALL, _DAILY = "all", "daily"


def parse_outages(
    text: str, city: City, selected: Sequence[Station], first_day: date, days: int
) -> list[Outage]:
    """Reads `gateway@08:00+60`, `radio:neutor@17:30+45`, `server@12:00+5`, `power:neutor@2026-06-18T12:00+30`, or for every
    station and day `power:all@dailyT03:00+10` (local time, minutes).

    Raises ZaehlwerkError if it is not of that form, or names a station that does not take part.
    """
    match = _OUTAGE.fullmatch(text.strip())
    if match is None:
        raise ZaehlwerkError(
            f"outage '{text}': expected KIND[:STATION]@[DAY T]HH:MM+MINUTES, e.g. gateway@08:00+60"
        )
    kind = OutageKind(match["kind"])
    named = match["station"]
    if (kind in {OutageKind.GATEWAY, OutageKind.SERVER}) == bool(named):
        raise ZaehlwerkError(f"outage '{text}': a {kind.value} outage {_STATION_RULE[kind]}")
    slugs = [""]
    if named == _ALL:
        slugs = [station.slug for station in selected]
    elif named:
        slugs = [city.select(named)[0].slug]
        if slugs[0] not in {chosen.slug for chosen in selected}:
            raise ZaehlwerkError(
                f"outage '{text}': the station {slugs[0]} does not take part, see --stations"
            )
    try:
        if match["day"] == _DAILY:
            moments = [first_day + timedelta(days=n) for n in range(days)]
        else:
            moments = [date.fromisoformat(match["day"]) if match["day"] else first_day]
        clock = time(int(match["hour"]), int(match["minute"]))
    except ValueError as error:
        raise ZaehlwerkError(f"outage '{text}': {error}") from None
    minutes = int(match["minutes"])
    return [_outage(kind, slug, datetime.combine(day, clock), minutes) for day in moments for slug in slugs]


def _outage(kind: OutageKind, slug: str, local: datetime, minutes: int) -> Outage:
    quarter = local.replace(minute=local.minute // 15 * 15)
    start_s = slot_of(quarter) * SLOT_S + (local - quarter) // timedelta(seconds=1)
    return Outage(kind, slug, start_s * NS, (start_s + minutes * 60) * NS)


_STATION_RULE = {
    OutageKind.GATEWAY: "names no station",
    OutageKind.RADIO: "names one, e.g. radio:neutor@17:30+45",
    OutageKind.POWER: "names one, e.g. power:neutor@12:00+30",
    OutageKind.SERVER: "names no station",
}
