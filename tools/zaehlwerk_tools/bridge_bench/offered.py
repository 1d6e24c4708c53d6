"""What is offered to the bridge: uplinks of many stations, as ChirpStack 4 writes them into its Redis stream."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from chirpstack_api import api, gw, integration
from google.protobuf.json_format import MessageToJson

from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.status import Status

INTERVAL_S = 900
STATIONS_MOST = 250
PER_STATION_LEAST = 4
"""Intervals of a station at least: a backlog is of all stations for some hours, never of each station once."""
CHANNELS = 2
HISTORY = 2
"""Intervals before its own that a count frame tells, as nodes send it."""
MODULUS = 65536
EPOCH = 0x5DE00000
_GATEWAYS = 2
_REGION = "eu868"
_INTERVAL_MS = 1000 * INTERVAL_S

Place = tuple[str, int]
"""A station's slug and the number of an interval."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the stream, and the counts that have to come of it; `place` None: of a status frame none come.

    `key` is DevEUI and frame counter with a slash between: it names the uplink.
    """

    id: str
    key: str
    value: bytes
    place: Place | None
    counts: tuple[int, ...] = ()

    @property
    def dev_eui(self) -> str:
        """The device that sent it, lower case."""
        return self.key.partition("/")[0]

    def log_item(self) -> bytes:
        """The same uplink as an item of the device's gRPC stream: its body is the JSON of the same protobuf."""
        event = integration.UplinkEvent.FromString(self.value)
        item = api.LogItem(id=self.id, description="up", body=MessageToJson(event, indent=None))
        item.time.CopyFrom(event.time)
        item.properties["DR"], item.properties["FPort"] = str(event.dr), str(event.f_port)
        item.properties["FCnt"], item.properties["Data"] = str(event.f_cnt), event.data.hex()
        written: bytes = item.SerializeToString()
        return written


class Offer:
    """Stations that count for `messages` intervals together, the last of which ended before `now_s`, Unix seconds.
    `stations`: so many, instead of as many as make sense.

    The same seed offers the same counts. Entry ids rise as a server's do: stations send one after the other within
    each interval. Every second interval of it is heard by two gateways, as it is in a city.
    """

    def __init__(self, messages: int, now_s: int, seed: int = 1, *, stations: int | None = None) -> None:
        self._stations = stations or max(1, min(STATIONS_MOST, messages // PER_STATION_LEAST))
        self._messages = messages
        self._intervals = -(-messages // self._stations)
        self._first = now_s // INTERVAL_S - self._intervals - 1
        self._dice = random.Random(seed)
        self._totals = [
            [self._dice.randrange(1, 100_000) for _ in range(CHANNELS)] for _ in range(self._stations)
        ]
        self._past: list[list[tuple[int, ...]]] = [[] for _ in range(self._stations)]
        self._f_cnt = [0] * self._stations

    @property
    def stations(self) -> int:
        """How many stations there are."""
        return self._stations

    @property
    def first(self) -> int:
        """The number of the first interval that count frames tell."""
        return self._first

    def greetings(self) -> Iterator[Entry]:
        """A status frame of each station: it names the epoch and anchors the totals."""
        anchor = (self._first - 1) % MODULUS
        for station in range(self._stations):
            frame = Status(1, 0, EPOCH + station, INTERVAL_S, (anchor, list(self._totals[station])))
            yield self._entry(station, self._first - 1, frame, None, ())

    def counts(self) -> Iterator[Entry]:
        """The count frames, all in all as many as messages were asked for."""
        for left in range(self._messages):
            back, station = divmod(left, self._stations)
            yield self._count(station, self._first + back)

    def _count(self, station: int, number: int) -> Entry:
        counts = tuple(self._dice.randrange(60) for _ in range(CHANNELS))
        totals = self._totals[station] = [
            total + count for total, count in zip(self._totals[station], counts, strict=True)
        ]
        past = self._past[station]
        frame = Counts(number % MODULUS, 0, [total % MODULUS for total in totals], past[:HISTORY])
        self._past[station] = [counts, *past[: HISTORY - 1]]
        return self._entry(station, number, frame, (slug(station), number), counts)

    def _entry(
        self, station: int, number: int, frame: Counts | Status, place: Place | None, counts: tuple[int, ...]
    ) -> Entry:
        self._f_cnt[station] += 1
        at_ms = (number + 1) * INTERVAL_S * 1000 + station * _INTERVAL_MS // self._stations // 2
        value = _uplink(
            station, at_ms, self._f_cnt[station], frame.PORT, frame.encode(), 1 + number % _GATEWAYS
        )
        return Entry(f"{at_ms}-0", f"{dev_eui(station)}/{self._f_cnt[station]}", value, place, counts)


def slug(station: int) -> str:
    """The name of a station in topics."""
    return f"station-{station}"


def dev_eui(station: int) -> str:
    """The DevEUI of a station's node."""
    return f"{0x70B3D57ED0000000 + station:016x}"


def _uplink(station: int, at_ms: int, f_cnt: int, port: int, payload: bytes, gateways: int) -> bytes:
    """The protobuf of an UplinkEvent with all that ChirpStack 4 puts in, and the tags that the bridge reads."""
    event = integration.UplinkEvent()
    event.deduplication_id = f"{at_ms:08x}-0000-4000-8000-{station:012x}"
    event.time.FromMilliseconds(at_ms)
    info = event.device_info
    info.tenant_id, info.tenant_name = "52f14cd4-c6f1-4fbd-8f87-4025e1d49242", "City"
    info.application_id, info.application_name = "17c82e96-be03-4f38-aef3-f83d48582d97", "Counting"
    info.device_profile_id, info.device_profile_name = "14855bf7-d10d-4aee-b618-ebfcb64dc7ad", "Counting node"
    info.device_name, info.dev_eui = f"Station {station}", dev_eui(station)
    tags = {
        "station": f"Station {station}",
        "channels": "in,out",
        "classes": "bicycle",
        "directions": "in,out",
    }
    for name, value in tags.items():
        info.tags[name] = value
    event.dev_addr, event.adr, event.dr = f"{0x01000000 + station:08x}", True, 5
    event.f_cnt, event.f_port, event.data = f_cnt, port, payload
    for gateway in range(gateways):
        reception = event.rx_info.add()
        reception.gateway_id = f"{0x0016C001FF000000 + gateway:016x}"
        reception.uplink_id = (at_ms + gateway) % 2**32
        reception.ns_time.FromMilliseconds(at_ms)
        reception.rssi, reception.snr, reception.channel = -80 - 9 * gateway, 7.5 - gateway, gateway
        reception.location.latitude, reception.location.longitude = 51.96, 7.62
        reception.context = b"\x00\x01\x02\x03"
        reception.metadata["region_common_name"] = "EU868"
        reception.metadata["region_config_id"] = _REGION
        reception.crc_status = gw.CRC_OK
    event.tx_info.frequency = 868_100_000
    event.tx_info.modulation.lora.bandwidth = 125_000
    event.tx_info.modulation.lora.spreading_factor = 7
    event.tx_info.modulation.lora.code_rate = gw.CR_4_5
    written: bytes = event.SerializeToString()
    return written
