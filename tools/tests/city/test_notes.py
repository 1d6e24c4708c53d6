"""Sensors of every kind that get what is beyond their limits, and a platform that is told so: which channel, and how often.

Real firmware, bridge and broker, three hours of the night. Every other minute brings a passage that the kind counts, and the
minutes in between a train that it cannot; one node has the passages alone.
"""

from __future__ import annotations

import json
import random
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tools.tests.city.asked_network import ASKED_S, AskedNetwork, run_asked
from tools.tests.city.attentive_platform import Platform
from tools.tests.city.conftest import DAY, Tables, local_times, table_text
from zaehlwerk_tools.city_node import CityNode
from zaehlwerk_tools.local_time import NS, SLOT_S
from zaehlwerk_tools.plan import Plan
from zaehlwerk_tools.result import CityResult
from zaehlwerk_tools.sensors import DISTANCE_MM, Kind, equip
from zaehlwerk_tools.simulator.board_spec import BoardSpec
from zaehlwerk_tools.simulator.inputs import PulseInputs
from zaehlwerk_tools.simulator.passages import (
    CAR,
    MS,
    WORST,
    Radar,
    Sighting,
    Stay,
    Vehicle,
    contact,
    tubes,
)

SOUND = "gesund"
KINDS = {kind.value: kind for kind in Kind} | {SOUND: Kind.CONTACT}
"""Sensors by station."""
SLOTS = 12
"""Midnight to three."""
EVERY_S = 120
BEGIN_S = 1800
"""Seconds after midnight from which on there is what no sensor can count."""
PULSES, BURST_S = 70_000, 50
"""More than 32,000 of them between two readings, whenever these are."""
CLOSE_BEHIND = (0, 3600, 4900, 9900, 12_600)
"""Axles of a lorry, and 5 m behind it those of a car."""
NOTED: Mapping[str, Mapping[str, list[str]]] = {
    "pulse": {"in": ["chatter"]},
    "contact": {"in": ["merged"]},
    "presence": {"in": ["merged"]},
    "direction": {name: ["ambiguous"] for name in ("in", "out", "unknown")},
    "tube": {"both": ["merged"]},
    "radar": {name: ["missed", "merged"] for name in ("in", "out")},
    SOUND: {},
}
"""By station and channel. What shares a sensor shares its notes; the second contact of a station has none."""


PASSED = (SLOTS * SLOT_S - BEGIN_S) // EVERY_S
COUNTED = {
    "contact": {"in": 2 * PASSED, "out": PASSED},
    "presence": {"in": 2 * PASSED, "out": PASSED},
    "direction": {"in": PASSED // 2, "out": PASSED - PASSED // 2, "unknown": 2 * PASSED},
    "tube": {"both": 2 * PASSED},
    SOUND: {"in": PASSED, "out": PASSED},
}
"""What was surely seen in that time: of two that are merged one, of two who meet both, without a direction."""


class Street:
    """What comes past one board: `passing` and `hostile` are moments in ns, one of each in `EVERY_S`."""

    def __init__(self, plan: Plan, spec: BoardSpec, channels: Sequence[Mapping[str, Any]]) -> None:
        last = plan.end_ns + 4 * 3600 * NS
        self.passing = range(spec.boot_ns // (EVERY_S * NS) * EVERY_S * NS + 90 * NS, last, EVERY_S * NS)
        self.hostile = range(plan.start_ns + BEGIN_S * NS + 30 * NS, last, EVERY_S * NS)
        self._pins = [channel[name] for channel in channels for name in ("pin", "pin_b") if name in channel]
        self._randoms = random.Random(1)

    def stays(self, length_ms: int, gap_ms: int | None) -> Iterator[Stay]:
        """Alone, and in pairs with a gap; None: nobody comes in pairs."""
        pairs = set(() if gap_ms is None else self.hostile)
        for at in sorted([*self.passing, *pairs]):
            yield Stay(at, at + length_ms * MS)
            if at in pairs:
                again = at + (length_ms + (gap_ms or 0)) * MS
                yield Stay(again, again + length_ms * MS)

    def pulse(self) -> PulseInputs:
        first = self.hostile[0]
        burst = array("q", (first + n * BURST_S * NS // PULSES for n in range(PULSES)))
        sound, other = self._pins
        return PulseInputs({sound: array("q", sorted([*self.passing, *burst])), other: self.passing})

    def contact(self, length_ms: int = 60, gap_ms: int | None = 20) -> PulseInputs:
        trains = [contact(self._randoms, self.stays(length_ms, gap), WORST) for gap in (gap_ms, None)]
        return PulseInputs(trains=dict(zip(self._pins, trains, strict=True)))

    def presence(self) -> PulseInputs:
        """Two whose gap is shorter than a bounce lasts."""
        trains = [contact(self._randoms, self.stays(900, gap)) for gap in (5, None)]
        return PulseInputs(trains=dict(zip(self._pins, trains, strict=True)))

    def gesund(self) -> PulseInputs:
        """As short as a contact counts it, with all the bounces that it may have."""
        return self.contact(gap_ms=None)

    def direction(self) -> PulseInputs:
        """Two who meet: 60 ms at a sensor each, and 200 ms from one to the other."""
        begins = [(at, n % 2) for n, at in enumerate(self.passing)]
        begins += [(at + back * 20 * MS, back) for at in self.hostile for back in (0, 1)]
        trains = []
        for side in (0, 1):
            there = sorted(at + (side ^ back) * 200 * MS for at, back in begins)
            trains.append(contact(self._randoms, [Stay(at, at + 60 * MS) for at in there]))
        return PulseInputs(trains=dict(zip(self._pins, trains, strict=True)))

    def tube(self) -> PulseInputs:
        """A car close behind a lorry."""
        alone = [Vehicle(at, CAR, 300) for at in self.passing]
        close = [Vehicle(at, CLOSE_BEHIND, 300) for at in self.hostile]
        vehicles = sorted([*alone, *close], key=lambda vehicle: vehicle.at_ns)
        return PulseInputs(
            trains=dict(zip(self._pins, tubes(self._randoms, vehicles, DISTANCE_MM), strict=True))
        )

    def radar(self) -> PulseInputs:
        """One so close behind another that no report is missing but one, and a line that is none."""
        seen = [Sighting(at, 250, n % 2 == 0) for n, at in enumerate(self.passing)]
        seen += [Sighting(at + later * MS, 250, False) for at in self.hostile for later in (0, 800)]
        seen.sort(key=lambda sighting: sighting.at_ns)
        lines = Radar().lines(self._randoms, seen)
        lines += [(at + 5 * NS, b'{"speed":2?.0, "direction":"inbound"}\r\n') for at in self.hostile]
        (pin,) = self._pins
        return PulseInputs(serial={pin: Radar().sent(sorted(lines))})


class Night(AskedNetwork):
    """The stand-in for ChirpStack with those streets before it."""

    def board(self, node: CityNode) -> BoardSpec:
        spec = super().board(node)
        street = Street(self._plan, spec, json.loads(spec.files["settings.json"])["channels"])
        return replace(spec, inputs=getattr(street, node.station.slug)())


def plan_of(tables: Tables) -> Plan:
    headings = ("1 (Teststraße Kfz stadteinwärts)", "2 (Teststraße Kfz stadtauswärts)")
    for station in KINDS:
        rows = table_text(local_times(DAY), lambda _row, _channel: 1, headings)
        tables.write(f"{station}.csv", rows)
    whole = tables.plan(DAY)
    workdir = tables.path.parent / "work"
    workdir.mkdir()
    slots = whole.slots[:SLOTS]
    stations, kinds = [], {}
    for station in whole.stations:
        (equipped,), wanted, notes = equip([station], slots, KINDS[station.slug])
        assert not notes
        stations.append(equipped)
        kinds |= wanted
    return replace(whole, slots=slots, workdir=workdir, loss=0.0, stations=tuple(stations), kinds=kinds)


def counted(result: CityResult, station: str, seconds: range) -> dict[str, int]:
    """Sums by channel of the quarter-hours that begin within `seconds`."""
    sums: dict[str, int] = {}
    for record in result.records:
        if record.station == station and record.start_s in seconds:
            for channel in record.channels:
                sums[channel.name] = sums.get(channel.name, 0) + (channel.count or 0)
    return sums


async def test_what_is_beyond_the_limits_of_a_sensor_is_told_to_the_platform_of_its_channels_alone(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(tables)
    result = await run_asked(plan, Night, monkeypatch)
    told = {
        station: [status for status in Platform.told[station, "status"] if status["notes"] is not None]
        for station in NOTED
    }
    for station, expected in NOTED.items():
        for status in told[station]:
            found = {channel["name"]: channel["notes"] for channel in status["notes"]["channels"]}
            assert found in (expected, {}), station
    begin = datetime.fromtimestamp(plan.start_ns // NS + BEGIN_S, UTC)
    for station in [name for name, expected in NOTED.items() if expected]:
        first, *_, asked = told[station]
        assert first["notes"]["channels"]
        assert begin < datetime.fromisoformat(first["received"]) < begin + timedelta(minutes=20), station
        # Asked later on, it tells of the time since: every other minute, or one or two of them.
        assert asked["notes"]["minutes"] < ASKED_S // 60
        shares = [channel["share"] for channel in asked["notes"]["channels"]]
        if station == "pulse":
            assert shares in ([], [0.01], [0.02], [0.03]), station
        else:
            assert all(0.45 <= share <= 0.55 for share in shares), station
    faults = {station for station in NOTED if any(status["fault"] for status in told[station])}
    assert faults <= {"pulse"}
    late = range(plan.start_ns // NS + BEGIN_S, plan.end_ns // NS)
    assert {station: counted(result, station, late) for station in COUNTED} == COUNTED
