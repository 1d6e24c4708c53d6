"""Sleep and waking of the SX1262: data sheet sections 9.3 and 13.1.1."""

from __future__ import annotations

import pytest

from tools.tests.chips.sx1262_driver import (
    GET_PACKET_TYPE,
    GET_STATUS,
    MS,
    SET_RX_DUTY_CYCLE,
    SET_SLEEP,
    SET_STANDBY,
    STANDBY_RC,
    US,
    Driver,
)
from zaehlwerk_tools.simulator.chips.chip import FOREVER

COLD, WARM, WARM_WITH_RTC = 0x00, 0x04, 0x05


def asleep(config: int = WARM) -> Driver:
    driver = Driver(tcxo_mv=None)
    driver.ready_to_receive()
    driver.fill(0, b"payload")
    driver.command(SET_SLEEP, config)
    driver.wait(10 * MS)
    return driver


@pytest.mark.parametrize(("config", "duration"), [(WARM, 340 * US), (COLD, 3_500 * US)])
def test_a_falling_nss_wakes_and_busy_falls_after_the_documented_time(config: int, duration: int) -> None:
    driver = asleep(config)
    assert driver.busy == 1
    assert driver.chip.next_change() == FOREVER
    driver.chip.select(driver.now, 0)
    assert driver.until_ready() == duration
    driver.chip.select(driver.now, 1)
    assert driver.status()[0] == STANDBY_RC
    assert driver.complaints == []


def test_a_command_in_the_transaction_that_wakes_is_lost_and_no_violation() -> None:
    driver = asleep()
    driver.spi([GET_STATUS, 0])
    driver.until_ready()
    assert driver.status()[0] == STANDBY_RC
    assert driver.complaints == []


def test_a_command_may_follow_in_the_same_transaction_once_the_chip_is_awake() -> None:
    driver = asleep()
    driver.chip.select(driver.now, 0)
    driver.until_ready()
    got = driver.chip.transfer(driver.now, bytes([GET_PACKET_TYPE, 0, 0]), driver.now)
    driver.chip.select(driver.now, 1)
    assert got[2] == 1


def test_the_next_transaction_while_it_wakes_is_a_violation() -> None:
    driver = asleep()
    driver.spi([GET_STATUS, 0])
    driver.spi([GET_STATUS, 0])
    assert driver.complaints == ["GetStatus while BUSY is high (8.3.1)"]


def test_nss_within_500_us_after_the_command_is_a_violation_and_wakes_later() -> None:
    driver = Driver(tcxo_mv=None)
    driver.start()
    driver.command(SET_SLEEP, WARM)
    slept = driver.now
    driver.wait(100 * US)
    driver.spi([])
    driver.until_ready()
    assert driver.now == slept + 500 * US + 340 * US
    assert driver.complaints == ["NSS low within 500 µs after SetSleep (13.1.1)"]


def test_a_warm_start_keeps_the_settings_and_loses_the_buffer() -> None:
    driver = asleep()
    driver.spi([])
    assert driver.get(GET_PACKET_TYPE, 1) == b"\x01"
    assert driver.read(0x0740, 2) == b"\x34\x44"
    assert driver.read_buffer(0, 7) == bytes(7)
    driver.packet(inverted=True, crc=False)
    driver.receive()
    assert driver.antenna.window.lora.sync_word == 0x34
    assert driver.complaints == []


def test_a_cold_start_forgets_everything() -> None:
    driver = asleep(COLD)
    driver.spi([])
    assert driver.get(GET_PACKET_TYPE, 1) == b"\x00"
    assert driver.read(0x0740, 2) == b"\x14\x24"
    assert driver.irqs == 0


def test_a_warm_start_forgets_the_registers_that_are_not_on_the_retention_list() -> None:
    driver = Driver(tcxo_mv=None)
    driver.start()
    driver.write(0x08AC, 0x96)
    driver.write(0x0889, 0x05)
    driver.write(0x0736, 0x09)
    driver.write(0x08D8, 0xDE)
    driver.command(SET_SLEEP, WARM)
    driver.wait(MS)
    driver.spi([])
    assert [driver.read(address)[0] for address in (0x08AC, 0x0889, 0x0736, 0x08D8)] == [
        0x94,
        0x01,
        0x0D,
        0xDE,
    ]


def test_the_retention_list_keeps_up_to_four_registers() -> None:
    driver = Driver(tcxo_mv=None)
    driver.start()
    driver.write(0x08AC, 0x96)
    driver.write(0x0889, 0x05)
    driver.write(0x0736, 0x09)
    driver.write(0x029F, 2, 0x08, 0xAC, 0x08, 0x89)
    driver.command(SET_SLEEP, WARM)
    driver.wait(MS)
    driver.spi([])
    assert [driver.read(address)[0] for address in (0x08AC, 0x0889, 0x0736)] == [0x96, 0x05, 0x0D]


def test_after_a_warm_start_the_polarity_has_to_be_set_again() -> None:
    driver = asleep()
    driver.spi([])
    driver.receive()
    assert driver.complaints == [
        "receiving with inverted IQ and bit 2 of register 0x0736 set after SetPacketParams (15.4)"
    ]


def test_the_rtc_wakes_the_chip_after_the_sleep_period() -> None:
    driver = Driver(tcxo_mv=None)
    driver.start()
    driver.command(SET_RX_DUTY_CYCLE, 0, 0, 0, 0, 0x19, 0x00)
    driver.command(SET_SLEEP, WARM_WITH_RTC)
    slept = driver.now
    driver.until_ready()
    assert driver.now == slept + 500 * US + 0x1900 * 15_625 + 340 * US
    assert driver.status()[0] == STANDBY_RC


def test_without_a_period_the_rtc_does_not_wake() -> None:
    driver = asleep(WARM_WITH_RTC)
    assert driver.chip.next_change() == FOREVER
    assert driver.busy == 1


@pytest.mark.parametrize("standby", [0, 1])
def test_sleep_is_reached_from_both_standbys(standby: int) -> None:
    driver = Driver()
    driver.start()
    driver.command(SET_STANDBY, standby)
    driver.command(SET_SLEEP, WARM)
    driver.wait(MS)
    assert driver.busy == 1
    assert driver.complaints == []


def test_reserved_bits_of_sleep_are_a_violation() -> None:
    driver = Driver(tcxo_mv=None)
    driver.start()
    driver.command(SET_SLEEP, 0x0C)
    assert driver.complaints == ["SetSleep with reserved bits: 0x0C (13.1.1)"]
    assert driver.busy == 1
