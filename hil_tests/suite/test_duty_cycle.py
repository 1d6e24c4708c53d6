"""No sub-band is used for longer than the law allows, whatever is asked of the node."""

from __future__ import annotations

import pytest

from hil_tests.account import beyond_duty_cycle
from hil_tests.interface import Rig, Start, until
from hil_tests.needing import needs
from zaehlwerk_protocol.command import BACKFILL, STATUS

PULSE = [{"class": "bicycle", "sensor": "pulse"}]


@pytest.mark.fast
@needs("gateway")
async def test_at_the_lowest_data_rate_with_commands_and_backfill(rig: Rig) -> None:
    await rig.begin(Start(PULSE))
    await until(rig, lambda: rig.air.is_joined, 300, "the node joins")
    rig.air.ask_data_rate(0)
    await rig.wait(600)
    for _ in range(8):
        rig.air.command(STATUS)
        rig.air.command(BACKFILL, (0, rig.begun_ns // 60_000_000_000 & 0xFFFF, 60))
        await rig.wait(900)
    assert sum(one.data_rate == 0 for one in rig.air.data) > 20
    assert beyond_duty_cycle(rig.air.sent) == []
    assert rig.rules_broken() == []


@needs("power_switch", "gateway")
async def test_over_power_cuts_at_the_lowest_data_rate(rig: Rig) -> None:
    await rig.begin(Start(PULSE))
    await until(rig, lambda: rig.air.is_joined, 300, "the node joins")
    rig.air.ask_data_rate(0)
    await rig.wait(600)
    for _ in range(20):
        await rig.cut_power(1)
        await rig.wait(240)
    assert beyond_duty_cycle(rig.air.sent) == []
