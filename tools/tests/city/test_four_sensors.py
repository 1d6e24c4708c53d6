"""Four sensors that tell of nothing out of the ordinary to the eye, and a platform that knows each of them for what it is.

Real firmware, bridge and broker, one night: a sensor that fell silent, one that hangs, one whose case was opened, and one
on an empty street.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from tools.tests.city.asked_network import ASKED_S, AskedNetwork, run_asked
from tools.tests.city.attentive_platform import Platform
from tools.tests.city.conftest import DAY, Tables, local_times, table_text
from zaehlwerk_tools.city_node import CityNode
from zaehlwerk_tools.local_time import NS, SLOT_S
from zaehlwerk_tools.plan import Plan
from zaehlwerk_tools.simulator.board_spec import BoardSpec
from zaehlwerk_tools.simulator.inputs import EdgeTrain, PulseInputs

STATIONS = ("gestoert", "haengend", "leer", "stumm")
SLOTS = 12
"""Midnight to three."""
PULSES, CASE = 2, 39
"""GPIOs that none of the boards has anything else on."""
EVERY_S, CLOSED_S = 60, 2
LAST_S = 30 * 60
"""Seconds after midnight at which the last one passes the empty street, and both broken sensors."""
OPENED_S = 37 * 60
SILENT_S, STUCK_S = 3600, 600


def passages(plan: Plan, spec: BoardSpec, until_s: int) -> Sequence[int]:
    """A passage in the middle of every minute from power-on until `until_s` after midnight."""
    first = spec.boot_ns // (EVERY_S * NS) * EVERY_S * NS + EVERY_S * NS // 2
    return range(first, plan.start_ns + until_s * NS, EVERY_S * NS)


def equipped(plan: Plan, spec: BoardSpec, station: str) -> BoardSpec:
    """The station's board with its one sensor."""
    night = SLOTS * SLOT_S + 4 * 3600
    settings = json.loads(spec.files["settings.json"])
    (channel,) = settings["channels"]
    channel |= {"pin": PULSES, "ok_pin": None}
    pulses = {PULSES: passages(plan, spec, night if station == "gestoert" else LAST_S)}
    inputs = PulseInputs(pulses)
    if station == "stumm":
        channel["silent_s"] = SILENT_S
    elif station == "gestoert":
        settings["tamper_pin"] = CASE
        # Nobody closes it again.
        inputs = PulseInputs(pulses, {CASE: [(0, 0), (plan.start_ns + OPENED_S * NS, 1)]})
    elif station == "haengend":
        channel |= {"sensor": "presence", "stuck_s": STUCK_S}
        edges = [at + n * CLOSED_S * NS for at in pulses[PULSES] for n in (0, 1)]
        # The last one is there until morning.
        inputs = PulseInputs(trains={PULSES: EdgeTrain([*edges, plan.start_ns + LAST_S * NS])})
    return replace(spec, files={"settings.json": json.dumps(settings).encode()}, inputs=inputs)


class Night(AskedNetwork):
    """The stand-in for ChirpStack with those four sensors before it."""

    def board(self, node: CityNode) -> BoardSpec:
        return equipped(self._plan, super().board(node), node.station.slug)


@dataclass(frozen=True, slots=True)
class Known:
    """What the platform knows of a station after the night."""

    alarms: list[tuple[str, bool, list[str], int | None]]
    fault: bool
    tamper: bool
    interval: tuple[int | None, float | None, str]
    """Count, coverage and quality from 2:00 to 2:15."""


def plan_of(tables: Tables) -> Plan:
    for station in STATIONS:
        rows = table_text(local_times(DAY), lambda _row, _channel: 1, ("1 (Teststraße stadteinwärts)",))
        tables.write(f"{station}.csv", rows)
    whole = tables.plan(DAY)
    workdir = tables.path.parent / "work"
    workdir.mkdir()
    return replace(whole, slots=whole.slots[:SLOTS], workdir=workdir, loss=0.0)


async def test_dead_stuck_tampered_and_empty_are_four_different_things_to_the_platform(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(tables)
    result = await run_asked(plan, Night, monkeypatch)
    asked = plan.start_ns // NS + ASKED_S
    at_night = {
        record.station: (record.channels[0].count, record.channels[0].coverage, record.channels[0].quality)
        for record in result.records
        if record.start_s == asked
    }
    found = {}
    for station in STATIONS:
        status = Platform.told[station, "status"][-1]
        assert status["health"]["crash"] is None
        alarms = [
            (alarm["kind"], alarm["raised"], alarm["channels"], alarm["value"])
            for alarm in Platform.told.get((station, "alarm"), [])
        ]
        found[station] = Known(alarms, status["fault"], status["tamper"], at_night[station])
        assert status["received"] > Platform.told[station, "status"][-2]["received"]
    ((_, _, _, silence),) = found["stumm"].alarms
    assert SILENT_S <= silence <= SILENT_S + 2 * EVERY_S
    assert found == {
        "stumm": Known([("silent", True, ["in"], silence)], True, False, (None, 0.0, "not_observed")),
        "haengend": Known([("stuck", True, ["in"], None)], True, False, (None, 0.0, "not_observed")),
        "gestoert": Known([("tamper", True, [], None)], False, True, (SLOT_S // EVERY_S, 1.0, "ok")),
        "leer": Known([], False, False, (0, 1.0, "ok")),
    }
