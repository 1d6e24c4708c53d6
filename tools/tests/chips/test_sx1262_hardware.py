"""The boards with an SX1262."""

from __future__ import annotations

import pytest

from zaehlwerk_tools.simulator.hardware import Hardware
from zaehlwerk_tools.simulator.hardware_sx1262 import HELTEC_V3, T3_S3

BOARDS = [HELTEC_V3, T3_S3]
FLASH_AND_PSRAM = {27, 28, 29, 30, 31, 32}
STRAPPING_USB_CONSOLE = {0, 3, 45, 46, 19, 20, 43, 44}


def used(board: Hardware) -> list[int]:
    radio = board.radio
    pins = [radio.sck, radio.mosi, radio.miso, radio.nss, radio.reset, *radio.dio.values(), *radio.switch]
    pins += [pin for pin in (radio.busy,) if pin is not None]
    if board.battery is not None:
        pins += [pin for pin in (board.battery.pin,) if pin is not None]
        pins += [board.battery.enable[0]] if board.battery.enable else []
    return pins + ([board.led[0]] if board.led else [])


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_no_gpio_is_used_twice(board: Hardware) -> None:
    pins = used(board)
    assert len(set(pins)) == len(pins)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_a_free_gpio_is_free(board: Hardware) -> None:
    free = set(board.free)
    assert len(free) == len(board.free) >= 8
    assert not free & (set(used(board)) | FLASH_AND_PSRAM | STRAPPING_USB_CONSOLE)
    assert free <= set(range(49))


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_the_board_says_where_its_pins_were_read(board: Hardware) -> None:
    assert "schematic" in board.source


@pytest.mark.parametrize(("board", "battery_mv", "pin_mv"), [(HELTEC_V3, 3_920, 800), (T3_S3, 4_000, 2_000)])
def test_the_divider_brings_the_battery_into_the_adcs_range(
    board: Hardware, battery_mv: int, pin_mv: int
) -> None:
    assert board.battery is not None
    assert battery_mv * board.battery.num // board.battery.den == pin_mv
