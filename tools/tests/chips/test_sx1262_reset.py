"""Supply, reset, start-up and BUSY of the SX1262."""

from __future__ import annotations

import pytest

from tools.tests.chips.sx1262_driver import (
    CALIBRATE,
    CALIBRATE_IMAGE,
    CLEAR_DEVICE_ERRORS,
    GET_STATUS,
    MS,
    SET_FS,
    SET_PACKET_TYPE,
    SET_RX,
    SET_STANDBY,
    SET_TX,
    STANDBY_RC,
    US,
    Driver,
)
from zaehlwerk_tools.simulator.chips.chip import FOREVER


def test_without_supply_all_lines_are_low_and_nobody_answers() -> None:
    driver = Driver(powered=False)
    assert dict(driver.chip.lines(driver.now)) == {"busy": 0, "dio1": 0, "dio2": 0, "dio3": 0}
    assert driver.spi([GET_STATUS, 0]) == b"\0\0"
    assert driver.chip.next_change() == FOREVER
    assert driver.complaints == []


def test_after_power_on_busy_is_high_for_3_5_ms_and_standby_rc_follows() -> None:
    driver = Driver()
    assert driver.until_ready() == 3_500 * US
    assert driver.status()[0] == STANDBY_RC


def test_a_command_while_the_chip_starts_is_ignored_and_a_violation() -> None:
    driver = Driver()
    assert driver.spi([SET_PACKET_TYPE, 1]) == b"\0\0"
    driver.until_ready()
    assert driver.get(0x11, 1) == b"\x00"
    assert driver.complaints == ["SetPacketType while BUSY is high (8.3.1)"]


def test_nss_alone_while_busy_is_no_command() -> None:
    driver = Driver()
    driver.spi([])
    assert driver.complaints == []


def test_a_reset_of_100_us_forgets_everything() -> None:
    driver = Driver(tcxo_mv=None)
    driver.start()
    driver.write(0x0740, 0x34, 0x44)
    driver.chip.reset(driver.now, 0)
    driver.wait(100 * US)
    assert driver.busy == 1
    driver.chip.reset(driver.now, 1)
    assert driver.until_ready() == 3_500 * US
    assert driver.read(0x0740, 2) == b"\x14\x24"
    assert driver.get(0x11, 1) == b"\x00"
    assert driver.complaints == []


def test_a_reset_pulse_below_100_us_is_a_violation_and_below_50_us_none_at_all() -> None:
    driver = Driver(tcxo_mv=None)
    driver.start()
    for low, busy in ((20 * US, 0), (60 * US, 1)):
        driver.until_ready()
        driver.chip.reset(driver.now, 0)
        driver.wait(low)
        driver.chip.reset(driver.now, 1)
        assert driver.busy == busy
    assert driver.complaints == [
        "NRESET low for 20000 ns, at least 100 µs (8.1)",
        "NRESET low for 60000 ns, at least 100 µs (8.1)",
    ]


def test_the_chip_waits_with_starting_while_reset_is_low() -> None:
    driver = Driver(powered=False)
    driver.chip.reset(driver.now, 0)
    driver.chip.supply(driver.now, True)
    driver.wait(10 * MS)
    assert driver.busy == 1
    driver.chip.reset(driver.now, 1)
    assert driver.until_ready() == 3_500 * US


@pytest.mark.parametrize("stop", ["reset", "supply"])
def test_reset_and_power_failure_end_what_is_on_the_air(stop: str) -> None:
    driver = Driver()
    driver.ready_to_send()
    driver.send()
    driver.until_ready()
    driver.wait(5 * MS)
    if stop == "reset":
        driver.chip.reset(driver.now, 0)
        driver.wait(100 * US)
    else:
        driver.chip.supply(driver.now, False)
    assert driver.antenna.sent[0].stopped_ns is not None
    if stop == "supply":
        assert driver.chip.next_change() == FOREVER


@pytest.mark.parametrize(
    ("command", "duration"),
    [
        # Table 8-2, from STDBY_RC with a crystal; SetTx with 40 µs of ramp.
        ((SET_STANDBY, 1), 31 * US),
        ((SET_FS,), 50 * US),
        ((SET_RX, 0, 0, 0), 83 * US),
        ((SET_TX, 0, 0, 0), (126 + 40) * US),
        ((CALIBRATE, 0x7F), 3_500 * US),
        ((CALIBRATE_IMAGE, 0xD7, 0xDB), 3_500 * US),
        ((CLEAR_DEVICE_ERRORS, 0, 0), 15 * US),
    ],
)
def test_busy_is_high_from_the_rise_of_nss_for_as_long_as_the_data_sheet_says(
    command: tuple[int, ...], duration: int
) -> None:
    driver = Driver(tcxo_mv=None)
    driver.ready_to_send()
    driver.until_ready()
    driver.spi(command)
    assert driver.busy == 1
    assert driver.until_ready() == duration
    assert driver.complaints == []


@pytest.mark.parametrize(
    ("first", "then", "duration"),
    [
        ((SET_STANDBY, 1), (SET_FS,), 40 * US),
        ((SET_STANDBY, 1), (SET_RX, 0, 0, 0), 62 * US),
        ((SET_STANDBY, 1), (SET_TX, 0, 0, 0), (105 + 40) * US),
        ((SET_FS,), (SET_RX, 0, 0, 0), 41 * US),
        ((SET_FS,), (SET_TX, 0, 0, 0), (76 + 40) * US),
        ((SET_RX, 0, 0, 0), (SET_FS,), 15 * US),
        ((SET_RX, 0, 0, 0), (SET_TX, 0, 0, 0), (92 + 40) * US),
    ],
)
def test_a_running_clock_shortens_the_way(
    first: tuple[int, ...], then: tuple[int, ...], duration: int
) -> None:
    driver = Driver()
    driver.ready_to_send()
    driver.command(*first)
    driver.until_ready()
    driver.spi(then)
    assert driver.until_ready() == duration


def test_reading_does_not_make_the_chip_busy() -> None:
    driver = Driver()
    driver.until_ready()
    driver.spi([GET_STATUS, 0])
    assert driver.busy == 0
