"""First of all: is every wire where the rig's description says? What comes after means nothing otherwise."""

from __future__ import annotations

import pytest

from hil_tests.interface import Rig, Start, until
from hil_tests.needing import needs
from hil_tests.programme import Line

CHANNELS = 4
CLASSES = ("bicycle", "kfz", "pedestrian", "heavy")


@pytest.mark.fast
@needs("pulse_generator", "gateway")
async def test_pulses_at_one_input_are_counted_in_its_channel_and_in_no_other(rig: Rig) -> None:
    lines = [Line(10_000_000 + 8_000_000 * n).burst(3 + n, 200_000) for n in range(CHANNELS)]
    channels = [{"class": name, "sensor": "pulse"} for name in CLASSES]
    await rig.begin(Start(channels, lines))
    await until(rig, lambda: rig.air.is_joined, 180, "the node joins")
    await until(rig, lambda: rig.air.totals() is not None, 180, "the node reports counts")
    assert rig.air.totals() == (3, 4, 5, 6)


@pytest.mark.fast
@needs("gateway")
async def test_without_pulses_nothing_is_counted(rig: Rig) -> None:
    await rig.begin(Start([{"class": name, "sensor": "pulse"} for name in CLASSES], [Line()] * CHANNELS))
    await until(rig, lambda: rig.air.totals() is not None, 300, "the node reports counts")
    await rig.wait(120)
    assert rig.air.totals() == (0, 0, 0, 0)
