"""A cell that is nearly empty is told."""

from __future__ import annotations

import pytest

from hil_tests.interface import Rig, Start, until
from hil_tests.needing import needs
from zaehlwerk_protocol.alarm import LOW_BATTERY, Alarm
from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.state import LOW_BATTERY as LOW
from zaehlwerk_protocol.status import Status

PULSE = [{"class": "bicycle", "sensor": "pulse"}]
TOLERANCE_MV = 120
"""The divider's resistors, 1 % each, and the converter."""


@pytest.mark.fast
@needs("battery", "gateway")
async def test_a_low_battery_is_an_alarm_and_a_flag_of_every_frame(rig: Rig) -> None:
    await rig.begin(Start(PULSE, battery_mv=3150))
    await until(rig, lambda: bool(rig.air.frames(Alarm)), 400, "an alarm")
    alarm = rig.air.frames(Alarm)[0]
    assert (alarm.kind, alarm.raised, alarm.mask) == (LOW_BATTERY, True, 0)
    assert abs(alarm.value - 3150) <= TOLERANCE_MV
    await until(rig, lambda: bool(rig.air.frames(Counts)), 200, "counts")
    assert rig.air.frames(Counts)[-1].state & LOW


@pytest.mark.fast
@needs("battery", "gateway")
async def test_a_full_battery_is_none(rig: Rig) -> None:
    await rig.begin(Start(PULSE, battery_mv=4000))
    await rig.wait(600)
    assert rig.air.frames(Alarm) == []
    assert not rig.air.frames(Counts)[-1].state & LOW
    assert abs(rig.air.frames(Status)[0].health.battery_mv - 4000) <= TOLERANCE_MV
