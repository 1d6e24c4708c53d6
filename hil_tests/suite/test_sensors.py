"""A sensor that is blocked, stuck or dead is told, and its zeros are not those of an empty street."""

from __future__ import annotations

import pytest

from hil_tests.account import WHOLE, closed_intervals
from hil_tests.interface import Rig, Start, until
from hil_tests.needing import needs
from hil_tests.programme import S_US, Line
from zaehlwerk_protocol.alarm import SILENT, STUCK, Alarm
from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.state import FAULT


@pytest.mark.fast
@needs("pulse_generator", "gateway")
async def test_a_blocked_sensor_is_told_is_not_observed_and_is_well_again(rig: Rig) -> None:
    line = Line().burst(10, S_US).held(900 * S_US).pause(5 * S_US).burst(50, S_US)
    contact = {"class": "kfz", "sensor": "contact", "stuck_s": 120}
    await rig.begin(Start([contact, contact], [line, Line().burst(900, S_US)]))
    await until(
        rig,
        lambda: any(a.kind == STUCK and a.raised for a in rig.air.frames(Alarm)),
        600,
        "the alarm of a stuck sensor",
    )
    alarm = next(a for a in rig.air.frames(Alarm) if a.kind == STUCK)
    assert alarm.mask == 0b01
    await rig.wait(180)
    blocked = closed_intervals(rig.air.frames(Counts))[-1]
    assert blocked.shares[0] == 0
    assert blocked.shares[1] == WHOLE
    assert rig.air.frames(Counts)[-1].state & FAULT
    await until(
        rig,
        lambda: any(a.kind == STUCK and not a.raised for a in rig.air.frames(Alarm)),
        1500,
        "the end of the alarm",
    )
    await until(
        rig,
        lambda: closed_intervals(rig.air.frames(Counts))[-1].shares == (WHOLE, WHOLE),
        300,
        "whole intervals",
    )
    assert rig.air.totals() == (61, 900)


@pytest.mark.fast
@needs("pulse_generator", "gateway")
async def test_a_silent_sensor_is_told_and_not_observed(rig: Rig) -> None:
    line = Line().burst(60, S_US)
    await rig.begin(Start([{"class": "bicycle", "sensor": "pulse", "silent_s": 300}], [line]))
    await until(
        rig,
        lambda: any(a.kind == SILENT and a.raised for a in rig.air.frames(Alarm)),
        900,
        "the alarm of a silent sensor",
    )
    await rig.wait(240)
    assert closed_intervals(rig.air.frames(Counts))[-1].shares == (0,)
    assert rig.air.totals() == (60,)
