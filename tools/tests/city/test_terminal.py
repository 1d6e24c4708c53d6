"""What a person at the terminal reads of a station's quarter-hours."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import date

import pytest
from rich.console import Console

from tools.tests.city.conftest import BUNDLED, Tables
from zaehlwerk_tools.comparison import (
    Cell,
    ChannelComparison,
    Comparison,
    StationComparison,
    Verdict,
)
from zaehlwerk_tools.plan import Plan
from zaehlwerk_tools.terminal import print_stations


@pytest.fixture
def plan(tables: Tables) -> Plan:
    """One station of the real city."""
    tables.write("300038855.csv", (BUNDLED / "300038855.csv").read_bytes())
    return tables.plan(date(2026, 6, 18), 1)


@pytest.mark.parametrize(
    ("verdicts", "share", "result"),
    [
        ({Verdict.EXACT: 96}, "96/96", "exact"),
        ({Verdict.EXACT: 90, Verdict.NOT_OBSERVED: 6}, "96/96", "exact"),
        ({Verdict.EXACT: 20, Verdict.SILENT: 76}, "20/96", "exact, 76 ∅"),
        ({Verdict.EXACT: 17, Verdict.IN_SPAN: 3, Verdict.SILENT: 76}, "17/96", "exact, 3 Σ, 76 ∅"),
        ({Verdict.SILENT: 96}, "0/96", "silent"),
        ({Verdict.SILENT: 95, Verdict.WRONG: 1}, "0/96", "NOT EXACT"),
    ],
)
def test_a_street_of_a_dead_sensor_is_called_silent_and_not_exact(
    plan: Plan, verdicts: Mapping[Verdict, int], share: str, result: str
) -> None:
    cells = tuple(
        Cell(slot, 0, 0, "", verdict) for verdict, number in verdicts.items() for slot in range(number)
    )
    channel = ChannelComparison("in", cells, (), 0, 0, 0, 0, 0, 0)
    comparison = Comparison((StationComparison(plan.stations[0], (channel,)),), 0, (), 0)
    shown = io.StringIO()
    print_stations(comparison, Console(file=shown, width=80))
    lines = shown.getvalue().splitlines()
    (line,) = [line.rstrip() for line in lines if plan.stations[0].name[:10] in line]
    assert line.endswith(result)
    assert share in line
    assert max(len(line.rstrip()) for line in lines) <= 80
