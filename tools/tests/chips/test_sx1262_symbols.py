"""The SX1262's symbol time-out: data sheet section 13.4.9, register 0x0706."""

from __future__ import annotations

import pytest

from tools.tests.chips.sx1262_driver import (
    MS,
    PREAMBLE,
    RX,
    SET_SYMBOLS,
    STANDBY_RC,
    TIMEOUT,
    Driver,
)
from zaehlwerk_tools.simulator.chips.chip import FOREVER

CONTINUOUS = 0xFFFFFF


def symbol_ns(sf: int) -> int:
    return (1_000_000_000 << sf) // 125_000


def ready(sf: int = 9, symbols: int = 8) -> Driver:
    driver = Driver()
    driver.ready_to_receive(sf)
    driver.command(SET_SYMBOLS, symbols)
    return driver


@pytest.mark.parametrize("sf", [5, 7, 8, 9, 10, 11, 12])
@pytest.mark.parametrize("symbols", [6, 8, 30])
def test_a_silent_window_closes_after_its_symbols(sf: int, symbols: int) -> None:
    driver = ready(sf, symbols)
    driver.receive()
    opened = driver.now
    driver.until_next_change()
    assert driver.now == opened + symbols * symbol_ns(sf)
    assert driver.irqs == TIMEOUT
    assert driver.dio1 == 1
    assert driver.status()[0] == STANDBY_RC
    assert driver.antenna.window.closed_ns == opened + symbols * symbol_ns(sf)


def test_a_preamble_within_the_symbols_keeps_the_window_open() -> None:
    driver = ready()
    driver.receive()
    driver.wait(7 * symbol_ns(9))
    driver.antenna.window.hears.preamble(driver.now)
    driver.wait(1_000 * MS)
    assert driver.status()[0] == RX
    assert driver.irqs == PREAMBLE


def test_a_preamble_with_the_last_symbol_is_in_time() -> None:
    driver = ready()
    driver.receive()
    driver.antenna.window.hears.preamble(driver.now + 8 * symbol_ns(9))
    driver.wait(8 * symbol_ns(9))
    assert driver.status()[0] == RX


def test_after_a_false_lock_nothing_but_the_driver_closes_the_window() -> None:
    driver = ready()
    driver.receive()
    driver.antenna.window.hears.preamble(driver.now + MS)
    driver.antenna.window.hears.lost(driver.now + 2 * MS)
    assert driver.chip.next_change() == FOREVER


def test_zero_symbols_wait_for_ever() -> None:
    driver = ready(symbols=0)
    driver.receive()
    assert driver.chip.next_change() == FOREVER


@pytest.mark.parametrize(
    ("asked", "waited"),
    # In pairs, then in units of 8: rounded down.
    [(1, 0), (2, 2), (7, 6), (62, 62), (63, 62), (64, 64), (100, 96), (248, 248), (255, 248)],
)
def test_the_command_rounds_down_to_what_the_register_can_hold(asked: int, waited: int) -> None:
    driver = ready(7, asked)
    mantissa, exponent = driver.read(0x0706)[0] >> 3, driver.read(0x0706)[0] & 7
    assert mantissa << (2 * exponent + 1) == waited
    driver.receive()
    expected = driver.now + waited * symbol_ns(7) if waited else FOREVER
    assert driver.chip.next_change() == expected


@pytest.mark.parametrize(("register", "symbols"), [(31 << 3 | 1, 248), (5 << 3 | 2, 160), (8 << 3 | 2, 256)])
def test_the_register_itself_can_hold_more(register: int, symbols: int) -> None:
    driver = ready(7, 0)
    driver.write(0x0706, register)
    driver.receive()
    assert driver.chip.next_change() == driver.now + symbols * symbol_ns(7)


def test_the_symbol_time_out_closes_a_continuous_receiver_too() -> None:
    driver = ready()
    driver.receive(CONTINUOUS)
    driver.wait(8 * symbol_ns(9))
    assert driver.status()[0] == STANDBY_RC
    assert driver.irqs == TIMEOUT


def test_of_both_time_outs_the_first_counts() -> None:
    driver = ready(9, 8)
    driver.receive(timeout=640)
    driver.wait(10 * MS)
    assert driver.irqs == TIMEOUT


def test_the_symbol_time_out_is_in_force_for_every_window_until_it_is_changed() -> None:
    driver = ready()
    for _ in range(2):
        driver.receive()
        opened = driver.now
        driver.until_next_change()
        assert driver.now == opened + 8 * symbol_ns(9)


def test_half_the_bandwidth_doubles_the_symbol() -> None:
    driver = ready()
    driver.modulate(sf=9, bandwidth=3)
    driver.receive()
    assert driver.chip.next_change() == driver.now + 8 * 2 * symbol_ns(9)
