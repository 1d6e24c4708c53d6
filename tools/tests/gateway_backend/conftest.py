"""A broker for the gateways."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from zaehlwerk_tools.broker import BrokerProcess


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[BrokerProcess]:
    """A broker of its own for each test."""
    folder = tmp_path / "gateways-broker"
    folder.mkdir()
    async with await BrokerProcess.start(folder) as started:
        yield started
