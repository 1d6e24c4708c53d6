"""The boards with an SX1276: one power chip that feeds what hangs on it, and no GPIO twice."""

from __future__ import annotations

import pytest

from tools.tests.chips.sx1276_antenna import FakeAntenna
from zaehlwerk_tools.simulator.chips.axp192 import Axp192
from zaehlwerk_tools.simulator.chips.axp2101 import Axp2101
from zaehlwerk_tools.simulator.chips.power_chip import PowerChip
from zaehlwerk_tools.simulator.chips.sx1276 import Sx1276
from zaehlwerk_tools.simulator.hardware import Hardware
from zaehlwerk_tools.simulator.hardware_sx1276 import T3_V16, T_BEAM_AXP192, T_BEAM_AXP2101

MS = 1_000_000
BOARDS = [T_BEAM_AXP192, T_BEAM_AXP2101, T3_V16]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_no_gpio_has_two_jobs(board: Hardware) -> None:
    radio = board.radio
    taken = [radio.sck, radio.mosi, radio.miso, radio.nss, radio.reset, *radio.dio.values(), *radio.switch]
    if board.power_chip is not None:
        taken += [
            pin
            for pin in (board.power_chip.sda, board.power_chip.scl, board.power_chip.irq)
            if pin is not None
        ]
    if board.battery is not None and board.battery.pin is not None:
        taken.append(board.battery.pin)
    if board.led is not None:
        taken.append(board.led[0])
    assert len({*taken, *board.free}) == len(taken) + len(board.free)
    # GPIO 6 to 11 are the flash, 1 and 3 the console, 0 decides the boot; 20, 24, 28 to 31 do not exist.
    assert not {*taken, *board.free} & {0, 1, 3, *range(6, 12), 20, 24, *range(28, 32)}
    assert board.source


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_outputs_are_no_inputs_only(board: Hardware) -> None:
    radio = board.radio
    assert max(radio.sck, radio.mosi, radio.nss, radio.reset) < 34


@pytest.mark.parametrize(
    ("board", "power_chip", "switch_on"),
    [(T_BEAM_AXP192, Axp192(3_700), b"\x12\x07"), (T_BEAM_AXP2101, Axp2101(3_700), b"\x90\x02")],
    ids=["axp192", "axp2101"],
)
def test_the_radio_of_a_t_beam_answers_once_its_rail_is_on(
    board: Hardware, power_chip: PowerChip, switch_on: bytes
) -> None:
    radio = Sx1276(FakeAntenna(), pa_boost=board.radio.pa_boost)
    assert board.radio.supply in power_chip.rails

    def feed(at_ns: int, rail: str, on: bool) -> None:
        if rail == board.radio.supply:
            radio.supply(at_ns, on)

    power_chip.on_rail = feed
    power_chip.power(0, on=True)

    def version(at_ns: int) -> int:
        radio.select(at_ns, 0)
        answer = radio.transfer(at_ns, b"\x42\0", at_ns)[1]
        radio.select(at_ns, 1)
        return answer

    assert version(100 * MS) == 0
    power_chip.write(101 * MS, switch_on)
    assert version(111 * MS) == 0x12
    assert radio.violations == []
    power_chip.power(200 * MS, on=False)
    assert version(201 * MS) == 0
