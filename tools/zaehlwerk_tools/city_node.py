"""The node of a station in a simulated city: identity, settings file, tags, pins, and when it is switched on."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass, field
from typing import Any

from zaehlwerk_tools.city_table import Station
from zaehlwerk_tools.plan import OutageKind, Plan
from zaehlwerk_tools.provisioning import Node
from zaehlwerk_tools.pulses import ChannelInput, channel_inputs, wire
from zaehlwerk_tools.sensors import Equipment
from zaehlwerk_tools.simulator.board_spec import BoardSpec, Lateness, PowerCut
from zaehlwerk_tools.simulator.inputs import PulseInputs
from zaehlwerk_tools.simulator.known_boards import KNOWN_BOARDS, KnownBoard
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
GC_MS = 20
"""How long a collection of garbage keeps handlers waiting on boards whose sensors interrupt: generous, not measured."""
WRAP_MS = 1 << 30
"""Where the ESP32's ticks_ms begin anew: after 12.4 days."""

Pins = list[tuple[int, int | None]]


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

    def known_board(self, inputs: tuple[ChannelInput, ...]) -> KnownBoard:
        """What it is built on, for pulses. ValueError if no board has counters and pins enough."""
        return self.board_with(len(inputs), len(inputs) + sum(seen.ok is not None for seen in inputs))

    def board_with(self, counters: int, pins: int) -> KnownBoard:
        """Boards of every kind take turns, among those with so many hardware counters and pins.

        ValueError if no board has as many.
        """
        fit = [
            board
            for board in KNOWN_BOARDS.values()
            if board.hardware.pcnt_units >= counters and len(board.hardware.free) >= pins
        ]
        if not fit:
            raise ValueError(f"{self.station.name}: no board has {counters} counters and {pins} free pins")
        return fit[self.number % len(fit)]

    def settings(self, board: KnownBoard, pins: Pins) -> bytes:
        """Its settings.json, for a sensor of each channel on (pulse pin, ok pin or None)."""
        channels = [
            {
                "class": channel.traffic_class,
                "direction": channel.direction,
                "sensor": "pulse",
                "pin": pin,
                "ok_pin": ok_pin,
            }
            for channel, (pin, ok_pin) in zip(self.station.channels, pins, strict=True)
        ]
        return self._document(board, channels)

    def _document(self, board: KnownBoard, channels: list[dict[str, Any]]) -> bytes:
        document = {
            "dev_eui": self.dev_eui,
            "join_eui": JOIN_EUI,
            "app_key": self.app_key.hex(),
            "board": board.file,
            "history_bytes": min(36, 16 + 4 * len(channels)),
            "channels": channels,
        }
        return json.dumps(document).encode()

    def board(self, plan: Plan) -> BoardSpec:
        """Its board, whose ticks wrap within the run at a moment that follows from the seed."""
        randoms = random.Random(f"{plan.seed}/board/{self.station.id}")
        lifetime_ms = (plan.end_ns - plan.start_ns) // 1_000_000 + LEAD_S * 1000
        cuts = tuple(
            PowerCut(outage.start_ns, outage.end_ns)
            for outage in plan.outages
            if outage.kind is OutageKind.POWER and outage.station == self.station.slug
        )
        known, settings, inputs = self._equipped(plan)
        return BoardSpec(
            number=self.number,
            files={"settings.json": settings},
            inputs=inputs,
            hardware=known.hardware,
            boot_ns=first_boot_ns(plan) + (self.number - 1) * STAGGER_S * NS,
            bits=plan.bits,
            heap=128 * 1024 if plan.bits == 32 else None,
            crystal_ppb=randoms.randint(-CRYSTAL_PPB, CRYSTAL_PPB),
            ticks_ms=WRAP_MS - randoms.randrange(min(lifetime_ms, WRAP_MS)),
            ticks_us=randoms.randrange(WRAP_MS),
            power_cuts=cuts,
            battery_mv=3900,
            lateness=Lateness(gc_ms=GC_MS if inputs.interrupting else 0),
            seed=f"{plan.seed}/{self.station.id}",
        )

    def _equipped(self, plan: Plan) -> tuple[KnownBoard, bytes, PulseInputs]:
        kind = plan.kinds.get(self.station.id)
        if kind is None:
            pulses = channel_inputs(self.station, plan.slots, plan.seed)
            known = self.known_board(pulses)
            pins = wired(known, pulses)
            return known, self.settings(known, pins), wire(pulses, pins)
        equipment = Equipment(kind, self.station, plan.slots, plan.seed)
        known = self.board_with(0, equipment.pins)
        channels, inputs = equipment.wired(known.hardware.free)
        return known, self._document(known, channels), inputs


def wired(board: KnownBoard, inputs: tuple[ChannelInput, ...]) -> Pins:
    """(pulse pin, ok pin or None) per channel; a sensor that is blind at times has an output that says so."""
    free = iter(board.hardware.free)
    return [(next(free), None if seen.ok is None else next(free)) for seen in inputs]


def first_boot_ns(plan: Plan) -> int:
    """When the first board is switched on, UTC Unix nanoseconds."""
    return plan.start_ns - LEAD_S * NS
