"""Downlinks are heard in both windows, at every data rate."""

from __future__ import annotations

import pytest

from hil_tests.interface import Rig, Start, until
from hil_tests.needing import needs
from zaehlwerk_protocol.answer import OK, Answer
from zaehlwerk_protocol.command import IDENTIFY

PULSE = [{"class": "bicycle", "sensor": "pulse"}]
SLOW_S = 1500
"""At SF12 the duty cycle lets a frame out every few minutes, and an answer takes a share of that."""


async def answered(rig: Rig, window: int, within_s: float) -> None:
    """A command in this window only, confirmed, and the node's answer to it."""
    token = rig.air.command(IDENTIFY, (1,), confirmed=True)
    sent = len(rig.air.answers)

    def is_answered() -> bool:
        return any(answer.token == token and answer.result == OK for answer in rig.air.frames(Answer))

    await until(rig, is_answered, within_s, f"the answer to a command in RX{window}")
    assert {answer.window for answer in rig.air.answers[sent:]} == {window}


async def at_data_rate(rig: Rig, data_rate: int) -> None:
    """Uplinks have this data rate from now on."""
    rig.air.answer_in(1)
    rig.air.ask_data_rate(data_rate)
    await until(rig, lambda: rig.air.data[-1].data_rate == data_rate, SLOW_S, f"an uplink at DR{data_rate}")


@pytest.mark.fast
@needs("gateway")
@pytest.mark.parametrize("window", [1, 2])
async def test_a_command_is_heard_in_the_window(rig: Rig, window: int) -> None:
    await rig.begin(Start(PULSE))
    await until(rig, lambda: rig.air.is_joined, 300, "the node joins")
    rig.air.answer_in(window)
    await answered(rig, window, 300)


@pytest.mark.fast
@needs("gateway")
@pytest.mark.parametrize("window", [1, 2])
async def test_the_join_accept_is_heard_in_the_window(rig: Rig, window: int) -> None:
    rig.air.answer_in(window)
    await rig.begin(Start(PULSE))
    await until(rig, lambda: rig.air.is_joined, 60, "the node joins at its first request")
    assert len(rig.air.joins) == 1


@needs("gateway")
@pytest.mark.parametrize("data_rate", range(6))
async def test_rx1_at_every_data_rate(rig: Rig, data_rate: int) -> None:
    await rig.begin(Start(PULSE))
    await until(rig, lambda: rig.air.is_joined, 300, "the node joins")
    await at_data_rate(rig, data_rate)
    await answered(rig, 1, 2 * SLOW_S)
    assert rig.air.answers[-1].data_rate == data_rate


@needs("gateway")
@pytest.mark.parametrize("data_rate", range(6))
async def test_rx2_at_every_data_rate(rig: Rig, data_rate: int) -> None:
    await rig.begin(Start(PULSE))
    await until(rig, lambda: rig.air.is_joined, 300, "the node joins")
    rig.air.answer_in(1)
    rig.air.ask_rx2(data_rate)
    seen = len(rig.air.data)
    await until(
        rig, lambda: any(b"\x05\x07" in one.commands for one in rig.air.data[seen:]), 300, "RXParamSetupAns"
    )
    await rig.wait(130)
    rig.air.answer_in(2, data_rate)
    await answered(rig, 2, 600)
    assert rig.air.answers[-1].data_rate == data_rate


@needs("gateway")
@pytest.mark.parametrize("data_rate", [0, 3, 5])
async def test_rx2_after_an_uplink_at_another_rate(rig: Rig, data_rate: int) -> None:
    await rig.begin(Start(PULSE))
    await until(rig, lambda: rig.air.is_joined, 300, "the node joins")
    await at_data_rate(rig, data_rate)
    rig.air.answer_in(2)
    await answered(rig, 2, 2 * SLOW_S)
