"""The SX1262's receive duty cycle: data sheet section 13.1.7."""

from __future__ import annotations

from tools.tests.chips.sx1262_driver import (
    MS,
    RX,
    RX_DONE,
    SET_RX_DUTY_CYCLE,
    SET_STANDBY,
    STANDBY_RC,
    US,
    Driver,
)

STEP_NS = 15_625
RECEIVE, SLEEP = 640, 6_400  # 10 ms, 100 ms
WAKE_AND_OPEN_NS = 340 * US + 83 * US


def cycling() -> Driver:
    driver = Driver(tcxo_mv=None)
    driver.ready_to_send()
    driver.packet(255)
    driver.write(0x029F, 1, 0x07, 0x36)
    driver.command(SET_RX_DUTY_CYCLE, *RECEIVE.to_bytes(3, "big"), *SLEEP.to_bytes(3, "big"))
    driver.until_ready()
    return driver


def test_windows_and_sleep_alternate() -> None:
    driver = cycling()
    opened = driver.now
    assert driver.status()[0] == RX
    driver.until_next_change()
    assert driver.now == opened + RECEIVE * STEP_NS
    assert driver.busy == 1
    assert not driver.chip.listening
    driver.until_ready()
    assert driver.now == opened + (RECEIVE + SLEEP) * STEP_NS + WAKE_AND_OPEN_NS
    assert driver.chip.listening
    assert len(driver.antenna.windows) == 2
    assert driver.irqs == 0


def test_each_sleep_forgets_the_registers_that_are_not_on_the_retention_list() -> None:
    driver = Driver(tcxo_mv=None)
    driver.ready_to_send()
    driver.packet(255, inverted=True)
    driver.command(SET_RX_DUTY_CYCLE, *RECEIVE.to_bytes(3, "big"), *SLEEP.to_bytes(3, "big"))
    driver.until_ready()
    assert driver.complaints == []
    driver.until_next_change()
    driver.until_ready()
    assert len(driver.complaints) == 1
    assert "(15.4)" in driver.complaints[0]


def test_a_preamble_holds_the_window_open_for_two_periods_and_a_sleep() -> None:
    driver = cycling()
    driver.wait(8 * MS)
    driver.antenna.window.hears.preamble(driver.now)
    heard = driver.now
    driver.until_next_change()
    assert driver.now == heard + (2 * RECEIVE + SLEEP) * STEP_NS
    assert driver.busy == 1


def test_a_packet_ends_the_cycle() -> None:
    driver = cycling()
    driver.wait(8 * MS)
    driver.antenna.window.hears.preamble(driver.now)
    driver.antenna.hear(driver.now + 60 * MS, b"found")
    driver.wait(60 * MS)
    assert driver.irqs & RX_DONE
    assert driver.status()[0] == STANDBY_RC
    driver.wait(1_000 * MS)
    assert len(driver.antenna.windows) == 1
    assert driver.read_buffer(0, 5) == b"found"


def test_standby_in_a_window_ends_the_cycle() -> None:
    driver = cycling()
    driver.command(SET_STANDBY, 0)
    driver.wait(1_000 * MS)
    assert len(driver.antenna.windows) == 1
    assert driver.status()[0] == STANDBY_RC


def test_nss_in_the_sleep_ends_the_cycle() -> None:
    driver = cycling()
    driver.wait(50 * MS)
    driver.spi([])
    assert driver.until_ready() == 340 * US - US
    driver.wait(1_000 * MS)
    assert driver.status()[0] == STANDBY_RC
    assert len(driver.antenna.windows) == 1
    assert driver.complaints == []
