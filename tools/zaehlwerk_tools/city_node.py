"""The node of a station in a simulated city: identity, settings file, tags, pins, and when it is switched on."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass, field

from zaehlwerk_tools.city_table import Station
from zaehlwerk_tools.plan import OutageKind, Plan
from zaehlwerk_tools.provisioning import Node
from zaehlwerk_tools.pulses import channel_inputs
from zaehlwerk_tools.simulator.board_spec import BoardSpec, PowerCut
from zaehlwerk_tools.simulator.inputs import PulseInputs
from zaehlwerk_tools.simulator.scheduler import NS

JOIN_EUI = "0000000000000000"
DEV_EUI_BASE = 0x70B3D57E5A570000
LEAD_S = 3 * 3600
"""Boards are switched on so long before the first quarter-hour: time to join and to know the time, also where half of
all frames are lost. What is counted before a node knows the time is numbered from its switching on, not by slots."""
STAGGER_S = 17
"""Seconds between two boards' switching on: a technician goes from one to the next."""
CRYSTAL_PPB = 20_000
"""How far a board's crystal may be off, parts per billion: an ESP32 board's 40 MHz crystal, +-20 ppm."""
MAX_RATE = 6000
"""Bicycles per hour and channel that no counter of the tables comes near."""
PULSE_PIN, OK_PIN = 4, 20
WRAP_MS = 1 << 30
"""Where the ESP32's ticks_ms begin anew: after 12.4 days."""


@dataclass(frozen=True, slots=True)
class CityNode:
    """A station's node. `app_key` never appears in a `repr`."""

    number: int  # from 1
    station: Station
    dev_eui: str
    app_key: bytes = field(repr=False)

    @classmethod
    def of(cls, number: int, station: Station, seed: int) -> CityNode:
        """The node of `station`; its key follows from the seed, for nothing real is guarded by it."""
        key = hashlib.blake2b(f"{seed}/app key/{station.id}".encode(), digest_size=16).digest()
        return cls(number, station, f"{DEV_EUI_BASE + number:016x}", key)

    def registration(self) -> Node:
        """What ChirpStack is told of it."""
        channels = self.station.channels
        tags = {
            "station": self.station.name,
            "channels": ",".join(channel.name for channel in channels),
            "classes": ",".join(channel.traffic_class for channel in channels),
            "directions": ",".join(channel.direction for channel in channels),
            "max_rate": str(MAX_RATE),
        }
        return Node(self.dev_eui, self.station.slug, self.app_key, tags, JOIN_EUI)

    def settings(self) -> bytes:
        """Its settings.json."""
        channels = [
            {
                "class": channel.traffic_class,
                "direction": channel.direction,
                "sensor": "pulse",
                "pin": PULSE_PIN + index,
                "ok_pin": OK_PIN + index,
            }
            for index, channel in enumerate(self.station.channels)
        ]
        document = {
            "dev_eui": self.dev_eui,
            "join_eui": JOIN_EUI,
            "app_key": self.app_key.hex(),
            "board": "virtual",
            "history_bytes": min(36, 16 + 4 * len(channels)),
            "channels": channels,
        }
        return json.dumps(document).encode()

    def inputs(self, plan: Plan) -> PulseInputs:
        """What its pins see over the plan's quarter-hours."""
        pulses = {}
        levels = {}
        for index, seen in enumerate(channel_inputs(self.station, plan.slots, plan.seed)):
            pulses[PULSE_PIN + index] = seen.pulses
            levels[OK_PIN + index] = seen.ok or ((0, 1),)
        return PulseInputs(pulses, levels)

    def board(self, plan: Plan) -> BoardSpec:
        """Its board, whose ticks wrap within the run at a moment that follows from the seed."""
        randoms = random.Random(f"{plan.seed}/board/{self.station.id}")
        lifetime_ms = (plan.end_ns - plan.start_ns) // 1_000_000 + LEAD_S * 1000
        cuts = tuple(
            PowerCut(outage.start_ns, outage.end_ns)
            for outage in plan.outages
            if outage.kind is OutageKind.POWER and outage.station == self.station.slug
        )
        return BoardSpec(
            number=self.number,
            files={"settings.json": self.settings()},
            inputs=self.inputs(plan),
            boot_ns=first_boot_ns(plan) + (self.number - 1) * STAGGER_S * NS,
            bits=plan.bits,
            heap=128 * 1024 if plan.bits == 32 else None,
            crystal_ppb=randoms.randint(-CRYSTAL_PPB, CRYSTAL_PPB),
            ticks_ms=WRAP_MS - randoms.randrange(min(lifetime_ms, WRAP_MS)),
            ticks_us=randoms.randrange(WRAP_MS),
            power_cuts=cuts,
            battery_mv=3900,
            seed=f"{plan.seed}/{self.station.id}",
        )


def first_boot_ns(plan: Plan) -> int:
    """When the first board is switched on, UTC Unix nanoseconds."""
    return plan.start_ns - LEAD_S * NS
