"""Nonces and counters only ever rise, whenever the power goes: a used one is never used again."""

from __future__ import annotations

import random

import pytest

from hil_tests.account import counters_not_rising, nonces_not_rising
from hil_tests.interface import Rig, Start, until
from hil_tests.needing import needs

PULSE = [{"class": "bicycle", "sensor": "pulse"}]
CUTS = 22


@pytest.mark.fast
@needs("power_switch", "gateway")
async def test_counters_rise_over_more_than_twenty_power_cuts(rig: Rig) -> None:
    randoms = random.Random(1)
    await rig.begin(Start(PULSE))
    await until(rig, lambda: len(rig.air.data) > 2, 300, "the first frames")
    for _ in range(CUTS):
        await rig.wait(randoms.uniform(20, 140))
        await rig.cut_power(randoms.uniform(0.2, 4))
    await rig.wait(200)
    assert rig.starts() == ["power"] * (CUTS + 1)
    assert counters_not_rising(rig.air.data) == []
    assert len(rig.air.joins) == 1
    assert len({one.address for one in rig.air.data}) == 1
    assert len(rig.air.data) > CUTS
    assert rig.rules_broken() == []


@pytest.mark.fast
@needs("power_switch", "gateway")
async def test_nonces_rise_over_more_than_twenty_power_cuts_without_a_network(rig: Rig) -> None:
    randoms = random.Random(2)
    rig.air.is_deaf = True
    await rig.begin(Start(PULSE))
    for _ in range(CUTS):
        await rig.wait(randoms.uniform(60, 400))
        await rig.cut_power(randoms.uniform(0.2, 4))
    rig.air.is_deaf = False
    await until(rig, lambda: rig.air.is_joined, 3600, "the node joins")
    assert len(rig.air.joins) >= CUTS // 2
    assert nonces_not_rising(rig.air.joins) == []
    assert rig.rules_broken() == []
