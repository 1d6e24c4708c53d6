"""A node's day in software: joins, ADR, downlinks, backfill, a silence and a network that forgets its sessions."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chirpstack_api import api
from grpc import aio

from zaehlwerk_protocol import ports
from zaehlwerk_protocol.command import BACKFILL, STATUS, Command
from zaehlwerk_tools.channel_names import Channel
from zaehlwerk_tools.city_table import Station
from zaehlwerk_tools.network_server.reception import Downlink, Reception
from zaehlwerk_tools.network_server.server import NetworkServer
from zaehlwerk_tools.provisioning import Node, Plan, provision
from zaehlwerk_tools.sensors import Equipment, Kind, Settings
from zaehlwerk_tools.simulator.air import Air
from zaehlwerk_tools.simulator.air_frames import Gateway, Heard
from zaehlwerk_tools.simulator.board import Board
from zaehlwerk_tools.simulator.board_spec import BoardSpec
from zaehlwerk_tools.simulator.firmware_tree import NodeTree
from zaehlwerk_tools.simulator.inputs import PulseInputs
from zaehlwerk_tools.simulator.known_boards import KnownBoard
from zaehlwerk_tools.simulator.propagation import Place
from zaehlwerk_tools.simulator.scheduler import NS, Scheduler

START_NS = 1_781_740_800 * NS
"""2026-06-18 00:00 UTC."""
DAY_S = 86_400
INTERVAL_S = 900
DEV_EUI = "70b3d57e5a57ffff"
GATEWAY = "0102030405060708"
_HOUR_NS = 3600 * NS
_SILENCE = (10 * _HOUR_NS, 12 * _HOUR_NS)
_FORGETS_NS = 15 * _HOUR_NS
_MEAN_GAP_S = 7.0
_PER_INTERVAL = 100
"""Passages of a quarter-hour at a sensor that is no pulse counter."""
_BACKFILL_ROWS = 60
SLEEP_PPM = 3_300
"""How much too fast the ticks go in light sleep: 12 s an hour, measured on an ESP32-WROOM-32E (espressif/esp-idf issue 6030)."""


@dataclass(frozen=True, slots=True)
class Day:
    """What a day came to. `radio_ns`: nanoseconds per state of the chip; `light_sleep_ns`: of the processor; `notes`: what the node complained of."""

    uplinks: int
    downlinks: int
    joins: int
    seconds: int
    cpu_s: float
    radio_ns: dict[str, int]
    light_sleep_ns: int
    violations: list[str]
    duty_cycle_violations: int
    log: str

    @property
    def notes(self) -> list[str]:
        """Lines in which the node says what went wrong."""
        return [line for line in self.log.splitlines() if line.startswith("zaehlwerk:") or "Error" in line]


@dataclass(frozen=True, slots=True)
class Course:
    """How a day is run: the node's heap in bytes, whether its peaks are looked for (`probe`), or nothing is ever
    collected and what was allocated is told every hour (`hoard`); `sleep`: with the low-power profile."""

    board: KnownBoard
    heap: int
    probe: bool = False
    hoard: bool = False
    seconds: int = DAY_S
    channels: int = 0  # 0: as many as the board has hardware counters
    sensor: Kind = Kind.PULSE
    sleep: bool = False


async def run_day(course: Course, tree: NodeTree, micropython: Path, folder: Path) -> Day:
    """Run one board for a day in `folder`, which must exist. Raises BoardError if its program ends."""
    scheduler = Scheduler(START_NS)
    joins = 0

    def heard(end_ns: int, phy: bytes, by: Heard) -> None:
        nonlocal joins
        joins += phy[0] >> 5 == 0
        server.uplink(
            end_ns,
            phy,
            Reception(by.gateway_id, by.frequency, by.sf, by.bandwidth, by.rssi, by.snr, by.channel),
        )

    def send(down: Downlink) -> str | None:
        return air.downlink(
            down.gateway_id, down.start_ns, down.frequency, down.sf, down.bandwidth, down.power, down.phy
        )

    air = Air(
        scheduler,
        seed=1,
        gateways=[Gateway(GATEWAY)],
        on_uplink=heard,
        places={1: Place(600.0, 0.0)},
        silences={1: [(START_NS + _SILENCE[0], START_NS + _SILENCE[1])]},
    )
    server = NetworkServer(scheduler, send, seed=1)
    port = await server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            key = random.Random("bench").randbytes(16)
            node = Node(DEV_EUI, "bench", key, {"station": "bench"})
            await provision(channel, server.admin_key, Plan("bench", [node], tenant="bench"))
            board = Board(
                _spec(course, key),
                scheduler=scheduler,
                air=air,
                tree=tree,
                micropython=micropython,
                folder=folder,
            )
            _ask(scheduler, _enqueue(channel, server.admin_key))
            scheduler.at(START_NS + _FORGETS_NS, server.forget_sessions)
            board.start()
            try:
                await scheduler.run(START_NS + course.seconds * NS)
                cpu_s = board.cpu_s
            finally:
                board.stop()
    finally:
        await server.stop()
    now = scheduler.now_ns
    return Day(
        uplinks=air.uplinks_sent,
        downlinks=air.downlinks_sent,
        joins=joins,
        seconds=course.seconds,
        cpu_s=cpu_s,
        radio_ns=dict(board.radio.chip.time_in(now)),
        light_sleep_ns=board.light_sleep_ns,
        violations=[f"{violation.at_ns}: {violation.what}" for violation in board.radio.violations],
        duty_cycle_violations=len(air.duty_cycle.violations),
        log=board.log.read_text(),
    )


def _spec(course: Course, key: bytes) -> BoardSpec:
    hardware = course.board.hardware
    wired, inputs = _pulses(course) if course.sensor is Kind.PULSE else _passages(course)
    document: dict[str, object] = {
        "dev_eui": DEV_EUI,
        "join_eui": "0" * 16,
        "app_key": key.hex(),
        "board": course.board.file,
        "channels": wired,
    }
    if course.sleep:
        document["sleep"] = "light"
    return BoardSpec(
        1,
        {"settings.json": json.dumps(document).encode()},
        inputs,
        START_NS,
        bits=32,
        heap=course.heap,
        hardware=hardware,
        battery_mv=3900,
        crystal_ppb=10_000,
        strict=True,
        probe=course.probe,
        hoard=course.hoard,
        sleep_ppm=SLEEP_PPM if course.sleep else None,
    )


def _passages(course: Course) -> tuple[Settings, PulseInputs]:
    """One sensor of its kind, with traffic all day in both directions."""
    slots = range(START_NS // NS // INTERVAL_S, (START_NS // NS + course.seconds) // INTERVAL_S)
    ways = ("in", "out") if course.sensor in (Kind.DIRECTION, Kind.RADAR) else ("in",)
    # Tubes count both directions of what they cannot name in one channel; a direction sensor has a third one for that.
    channels = [Channel(way, way, "kfz", way, "") for way in ways]
    if course.sensor is Kind.TUBE:
        channels = [Channel("both", "both", "unknown", "both", "")]
    rows: tuple[int, ...] = (_PER_INTERVAL // len(channels),) * len(channels)
    if course.sensor is Kind.DIRECTION:
        channels.append(Channel("unknown", "unknown", "kfz", "unknown", ""))
        rows = (*rows, 0)
    station = Station(
        "bench", "bench", "bench", Path("bench.csv"), tuple(channels), dict.fromkeys(slots, rows), frozenset()
    )
    return Equipment(course.sensor, station, slots, 1).wired(course.board.hardware.free)


def _pulses(course: Course) -> tuple[Settings, PulseInputs]:
    hardware = course.board.hardware
    channels = course.channels or min(hardware.pcnt_units, 6)
    randoms = random.Random("bench pulses")
    pulses = {}
    for pin in hardware.free[:channels]:
        moments, at_s = [], 0.0
        while at_s < course.seconds:
            at_s += randoms.expovariate(1 / _MEAN_GAP_S)
            moments.append(START_NS + round(at_s * NS))
        pulses[pin] = moments
    wired: Settings = [
        {"class": "bicycle", "direction": ("in", "out")[n % 2], "sensor": "pulse", "pin": pin}
        for n, pin in enumerate(hardware.free[:channels])
    ]
    return wired, PulseInputs(pulses)


def _ask(scheduler: Scheduler, enqueue: Callable[[Command, bool], Awaitable[object]]) -> None:
    # What an operator and the bridge ask of a node within a day.
    for hour, command, confirmed in (
        (3, Command(1, STATUS), True),
        (6, Command(2, BACKFILL, (0, 0, _BACKFILL_ROWS)), False),
        (13, Command(3, BACKFILL, (0, (START_NS // NS // INTERVAL_S + 4) & 0xFFFF, _BACKFILL_ROWS)), True),
    ):
        scheduler.at(START_NS + hour * _HOUR_NS, partial(enqueue, command, confirmed))


def _enqueue(channel: aio.Channel, key: str) -> Callable[[Command, bool], Awaitable[object]]:
    stub = api.DeviceServiceStub(channel)  # type: ignore[no-untyped-call]

    def enqueue(command: Command, confirmed: bool) -> Awaitable[object]:
        item = api.DeviceQueueItem(
            dev_eui=DEV_EUI, f_port=ports.COMMAND, data=command.encode(), confirmed=confirmed
        )
        request = api.EnqueueDeviceQueueItemRequest(queue_item=item)
        call = stub.Enqueue(request, metadata=(("authorization", f"Bearer {key}"),))
        return asyncio.wait_for(call, 60)

    return enqueue
