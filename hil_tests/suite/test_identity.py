"""The node is who it should be, and runs what is tested."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from hil_tests.interface import Rig, Start, until
from hil_tests.needing import needs
from zaehlwerk_protocol.status import Status

SOURCE = Path(__file__).resolve().parents[2] / "firmware" / "app" / "__init__.py"
BICYCLES = [{"class": "bicycle", "direction": "in", "sensor": "pulse"}]


def version() -> int:
    statement = next(line for line in SOURCE.read_text().splitlines() if line.startswith("VERSION"))
    major, minor, patch = ast.literal_eval(statement.partition("=")[2].strip())
    return int(major) << 16 | int(minor) << 8 | int(patch)


@pytest.mark.fast
@needs("gateway")
async def test_the_first_status_names_firmware_and_channels_and_counts_the_starts(rig: Rig) -> None:
    await rig.begin(Start(BICYCLES))
    await until(rig, lambda: bool(rig.air.frames(Status)), 180, "a status")
    status = rig.air.frames(Status)[0]
    assert status.health.firmware == version()
    assert status.health.channels == ((2, 1),)
    assert status.interval_s == 60
    assert status.health.boots == 1
    assert status.health.crash is None


@pytest.mark.fast
@needs("gateway")
async def test_a_node_on_trial_of_its_first_minutes_breaks_no_rule(rig: Rig) -> None:
    await rig.begin(Start(BICYCLES))
    await rig.wait(900)
    assert rig.air.is_joined
    assert rig.rules_broken() == []
    assert "Traceback" not in rig.said()
