"""A jam before a construction site is on the platform's alarm topic while one can still turn off before it.

Real firmware, air, bridge and broker: a loop in a lane over which cars roll, then stand, then roll again.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

import pytest

from tools.tests.city.attentive_platform import Platform
from tools.tests.city.conftest import DAY, Tables, local_times, table_text
from zaehlwerk_tools import city
from zaehlwerk_tools.city_network import EmbeddedNetwork
from zaehlwerk_tools.city_node import CityNode
from zaehlwerk_tools.local_time import NS
from zaehlwerk_tools.plan import Plan
from zaehlwerk_tools.provisioning import Node
from zaehlwerk_tools.simulator.board_spec import BoardSpec
from zaehlwerk_tools.simulator.inputs import EdgeTrain

STATION = "baustelle"
SLOTS = 4
LOOP = 4
"""GPIO."""
THRESHOLD = 350
"""Per mille of the time that the loop is occupied."""
EVERY_S, OVER_IT_S = 10, 1
"""Cars that roll: a tenth of the time there is one."""
JAMS = ((1000, 1300), (2000, 2075))
"""Seconds after midnight at which cars stand over the loop, and roll again."""
TOLD_WITHIN_S = 30
FADES_S = 60
"""So long the occupancy of what was takes to fall 30 % below the threshold, and to be told."""


def cars(plan: Plan, boot_ns: int) -> EdgeTrain:
    """Each car's arrival and departure."""
    edges: list[int] = []
    for second in range((boot_ns - plan.start_ns) // NS // EVERY_S * EVERY_S + EVERY_S, SLOTS * 900, EVERY_S):
        if not any(begin <= second < end for begin, end in JAMS):
            edges += [second, second + OVER_IT_S]
    for begin, end in JAMS:
        edges += [begin, end - 1]
    return EdgeTrain([plan.start_ns + second * NS for second in sorted(edges)])


class Tagged(CityNode):
    """A node at a construction site, as its tags say."""

    def registration(self) -> Node:
        """What ChirpStack is told of it."""
        node = super().registration()
        return replace(node, tags={**node.tags, "corridor": "B 270 Süd", "works": "Brücke Lauterstraße"})


class Site(EmbeddedNetwork):
    """The stand-in for ChirpStack with a loop before it."""

    def __init__(self, plan: Plan, patience_s: float) -> None:
        super().__init__(plan, patience_s)
        self.nodes = [Tagged.of(node.number, node.station, plan.seed) for node in self.nodes]

    def board(self, node: CityNode) -> BoardSpec:
        spec = super().board(node)
        settings = json.loads(spec.files["settings.json"])
        (channel,) = settings["channels"]
        channel |= {"pin": LOOP, "ok_pin": None, "sensor": "presence", "class": "kfz", "stuck_s": 600}
        channel["jam_occupancy"] = THRESHOLD
        inputs = type(spec.inputs)(trains={LOOP: cars(self._plan, spec.boot_ns)})
        return replace(spec, files={"settings.json": json.dumps(settings).encode()}, inputs=inputs)


def second_of(plan: Plan, time: str) -> float:
    """Seconds after the run's begin of a time in a message."""
    return datetime.fromisoformat(time).timestamp() - plan.start_ns / NS


async def test_a_jam_is_told_within_half_a_minute_with_the_corridor_and_the_works_that_it_is_of(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = table_text(local_times(DAY), lambda _row, _channel: 1, ("1 (Teststraße stadteinwärts)",))
    tables.write(f"{STATION}.csv", rows)
    whole = tables.plan(DAY)
    workdir = tables.path.parent / "work"
    workdir.mkdir()
    plan = replace(whole, slots=whole.slots[:SLOTS], workdir=workdir, loss=0.0)
    monkeypatch.setattr(Platform, "told", {})
    monkeypatch.setattr(city, "Subscriber", Platform)
    monkeypatch.setattr(city, "EmbeddedNetwork", Site)
    await city.run_city(plan, lambda _: None)
    alarms = Platform.told[STATION, "alarm"]
    assert [(alarm["kind"], alarm["raised"]) for alarm in alarms] == [
        ("congestion", True),
        ("congestion", False),
    ] * len(JAMS)
    for alarm in alarms:
        assert (alarm["corridor"], alarm["works"]) == ("B 270 Süd", "Brücke Lauterstraße")
        assert alarm["channels"] == ["in"]
    for (begin, end), raised, over in zip(JAMS, alarms[::2], alarms[1::2], strict=True):
        assert begin < second_of(plan, raised["received"]) <= begin + TOLD_WITHIN_S
        assert raised["value"] >= THRESHOLD
        assert end < second_of(plan, over["received"]) <= end + FADES_S
