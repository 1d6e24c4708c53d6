"""Three bridges share a city's work: `scale_out` runs it for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.tests.service import postgres_server, scale_out
from bridge.tests.service.scale_out import TAKEN_OVER_S

SECONDS = 20.0


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_three_bridges_of_which_one_is_always_gone_lose_and_double_nothing(tmp_path: Path) -> None:
    """SIGKILL and a new start, or SIGSTOP and back as a zombie; what it left is taken over in time."""
    reason = postgres_server.why_not()
    if reason:
        pytest.skip(reason)
    outcome = await scale_out.run(tmp_path, SECONDS, seed=1)
    assert (outcome.lost, outcome.unexpected) == (0, 0)
    assert outcome.offered > 100
    assert sum(outcome.faults.values()) >= 2
    assert outcome.left_behind >= 1
    assert max(outcome.takeover_s) < TAKEN_OVER_S
    assert outcome.last_behind == 0
