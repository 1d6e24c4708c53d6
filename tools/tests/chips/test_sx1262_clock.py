"""The SX1262's clock: TCXO, calibration, device errors."""

from __future__ import annotations

import pytest

from tools.tests.chips.sx1262_driver import (
    CALIBRATE,
    CALIBRATE_IMAGE,
    CLEAR_DEVICE_ERRORS,
    FS,
    MS,
    RX,
    SET_DIO3,
    SET_FS,
    SET_PACKET_TYPE,
    SET_RX,
    SET_SLEEP,
    SET_STANDBY,
    SET_TX,
    STANDBY_RC,
    STANDBY_XOSC,
    TCXO_1V8,
    TCXO_5_MS,
    US,
    Driver,
)

XOSC_START = 1 << 5
ALL_CALIBRATIONS = 0b11111
EXECUTION_FAILURE = 5
STEP_NS = 15_625

USES = [(SET_STANDBY, 1), (SET_FS,), (SET_RX, 0, 0, 0), (SET_TX, 0, 0, 0), (0xC5,), (0xD1,)]


def feed(driver: Driver, voltage: int = TCXO_1V8, delay: int = TCXO_5_MS) -> None:
    driver.command(SET_DIO3, voltage, *delay.to_bytes(3, "big"))


def ready(**tcxo: int) -> Driver:
    driver = Driver()
    driver.ready_to_send()
    driver.until_ready()
    feed(driver, **tcxo)
    return driver


def test_with_a_tcxo_the_oscillator_error_is_there_after_power_on_and_can_be_cleared() -> None:
    driver = Driver()
    assert driver.errors == XOSC_START
    driver.command(CLEAR_DEVICE_ERRORS, 0, 0)
    assert driver.errors == 0
    assert driver.complaints == []


def test_with_a_crystal_there_is_no_error_after_power_on() -> None:
    driver = Driver(tcxo_mv=None)
    assert driver.errors == 0


@pytest.mark.parametrize("use", USES)
def test_without_its_supply_the_tcxo_does_not_run(use: tuple[int, ...]) -> None:
    driver = Driver()
    driver.tcxo = False
    driver.ready_to_send()
    driver.command(CLEAR_DEVICE_ERRORS, 0, 0)
    driver.chip.violations.clear()
    driver.command(*use)
    assert driver.status() == (STANDBY_RC, EXECUTION_FAILURE)
    assert driver.errors == XOSC_START
    assert driver.complaints[-1] == "the TCXO has no supply: SetDIO3AsTCXOCtrl is missing"
    assert driver.antenna.sent == driver.antenna.windows == []


def test_too_low_a_voltage_does_not_start_the_tcxo() -> None:
    driver = ready(voltage=1)
    driver.command(SET_FS)
    assert driver.status() == (STANDBY_RC, EXECUTION_FAILURE)
    assert driver.complaints == ["the TCXO needs 1800 mV and gets 1700 mV"]


def test_a_higher_voltage_does() -> None:
    driver = ready(voltage=3)
    driver.command(SET_FS)
    assert driver.status()[0] == FS


@pytest.mark.parametrize(("delay_ns", "mode"), [(2_000_000 - STEP_NS, STANDBY_RC), (2_000_000, FS)])
def test_the_tcxo_takes_2_ms_to_start_and_the_chip_does_not_wait_longer_than_it_was_told(
    delay_ns: int, mode: int
) -> None:
    driver = ready(delay=delay_ns // STEP_NS)
    driver.command(SET_FS)
    assert driver.status()[0] == mode
    assert bool(driver.complaints) == (mode == STANDBY_RC)


def test_the_delay_is_waited_out_before_sending_and_busy_tells_so() -> None:
    driver = ready()
    driver.until_ready()
    driver.spi([SET_TX, 0, 0, 0])
    begin = driver.now
    assert driver.until_ready() == 5 * MS + (126 + 40) * US
    assert driver.antenna.sent[0].start_ns == begin + 5 * MS + (126 + 40) * US


def test_a_tcxo_that_runs_is_not_waited_for_again() -> None:
    driver = ready()
    driver.command(SET_STANDBY, 1)
    assert driver.until_ready() == 5 * MS + 31 * US
    driver.spi([SET_RX, 0, 0, 0])
    assert driver.until_ready() == 62 * US
    assert driver.status()[0] == RX


def test_standby_rc_switches_the_tcxo_off() -> None:
    driver = ready()
    driver.command(SET_STANDBY, 1)
    driver.command(SET_STANDBY, 0)
    driver.until_ready()
    driver.spi([SET_STANDBY, 1])
    assert driver.until_ready() == 5 * MS + 31 * US
    assert driver.status()[0] == STANDBY_XOSC


def test_a_crystal_does_not_run_when_the_chip_is_told_that_it_is_a_tcxo() -> None:
    driver = Driver(tcxo_mv=None)
    driver.ready_to_send()
    feed(driver)
    driver.send()
    assert driver.errors == XOSC_START
    assert driver.complaints == ["the crystal does not run as a TCXO: this board has none at DIO3"]


def test_calibrating_without_a_clock_fails_and_says_what() -> None:
    driver = Driver()
    driver.until_ready()
    driver.command(CLEAR_DEVICE_ERRORS, 0, 0)
    driver.command(CALIBRATE, 0x7F)
    assert driver.status() == (STANDBY_RC, EXECUTION_FAILURE)
    assert driver.errors == XOSC_START | ALL_CALIBRATIONS
    assert driver.complaints == [
        "calibration without a clock: the TCXO has no supply: SetDIO3AsTCXOCtrl is missing"
    ]


def test_what_was_calibrated_without_the_tcxo_has_to_be_calibrated_again() -> None:
    driver = Driver()
    feed(driver)
    driver.tcxo = False
    driver.ready_to_send()
    driver.send()
    driver.receive()
    assert driver.complaints == [
        f"{command} without Calibrate after SetDIO3AsTCXOCtrl:"
        " RC64k, RC13M, PLL, ADC pulse, ADC bulk N, ADC bulk P (9.2, 13.3.6)"
        for command in ("SetTx", "SetRx")
    ]
    assert len(driver.antenna.sent) == 1


def test_only_some_blocks_are_not_enough() -> None:
    driver = Driver()
    driver.until_ready()
    feed(driver)
    driver.command(CALIBRATE, 0x7E)
    driver.tcxo = False
    driver.ready_to_send()
    driver.send()
    assert driver.complaints == ["SetTx without Calibrate after SetDIO3AsTCXOCtrl: RC64k (9.2, 13.3.6)"]


def test_calibration_waits_for_the_tcxo_too() -> None:
    driver = ready()
    driver.until_ready()
    driver.spi([CALIBRATE, 0x7F])
    assert driver.until_ready() == 5 * MS + 3_500 * US


def test_the_reserved_bit_of_calibrate_is_a_violation() -> None:
    driver = ready()
    driver.command(CALIBRATE, 0xFF)
    assert driver.complaints == ["Calibrate with the reserved bit 7 (13.1.12)"]


@pytest.mark.parametrize(
    ("band", "fits"), [((0xD7, 0xDB), True), ((0xE1, 0xE9), False), ((0xC1, 0xC5), False), (None, False)]
)
def test_receiving_at_868_mhz_needs_the_image_calibration_of_that_band(
    band: tuple[int, int] | None, fits: bool
) -> None:
    driver = Driver(tcxo_mv=None)
    driver.command(SET_PACKET_TYPE, 1)
    driver.frequency(868_100_000)
    driver.modulate()
    driver.packet()
    if band is not None:
        driver.command(CALIBRATE_IMAGE, *band)
    driver.receive()
    expected = [] if fits else ["SetRx at 868100000 Hz without CalibrateImage for it (9.2.1)"]
    assert driver.complaints == expected
    assert driver.chip.listening


def test_a_cold_start_forgets_tcxo_and_calibrations_and_a_warm_one_does_not() -> None:
    driver = ready()
    driver.command(CALIBRATE, 0x7F)
    driver.command(SET_SLEEP, 4)
    driver.wait(MS)
    driver.spi([])
    assert driver.errors == 0
    driver.command(SET_FS)
    assert driver.status()[0] == FS
    driver.command(SET_STANDBY, 0)
    driver.command(SET_SLEEP, 0)
    driver.wait(MS)
    driver.spi([])
    assert driver.errors == XOSC_START
    driver.command(SET_FS)
    assert driver.status()[0] == STANDBY_RC
