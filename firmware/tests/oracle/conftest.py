"""One lora-packet for all tests of this directory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from firmware.tests.oracle.lora_packet import MODULES, NODE, LoraPacket


@pytest.fixture(scope="session")
def lora_packet() -> Iterator[LoraPacket]:
    """Started once; the tests fail without it, because a frame that nobody else has read proves nothing."""
    if not (NODE.exists() and (MODULES / "lora-packet").is_dir()):
        pytest.fail("no lora-packet on this machine: run `make setup`, it says why")
    with LoraPacket() as oracle:
        yield oracle
