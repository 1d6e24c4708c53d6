"""In which state of consumption an SX1262 was for how long."""

from __future__ import annotations

import pytest

from tools.tests.chips.sx1262_antenna import FRAME_NS
from tools.tests.chips.sx1262_driver import (
    MS,
    SET_FS,
    SET_PA_CONFIG,
    SET_SLEEP,
    SET_STANDBY,
    SET_TX_PARAMS,
    START_NS,
    US,
    Driver,
)


def spent(driver: Driver, since: dict[str, int]) -> dict[str, int]:
    now = driver.chip.time_in(driver.now)
    return {state: ns - since.get(state, 0) for state, ns in now.items() if ns != since.get(state, 0)}


def test_all_time_is_accounted_for() -> None:
    driver = Driver()
    driver.ready_to_send()
    driver.send()
    driver.until_ready()
    driver.wait(100 * MS)
    driver.receive(timeout=640)
    driver.wait(100 * MS)
    driver.command(SET_SLEEP, 4)
    driver.wait(1_000 * MS)
    assert sum(driver.chip.time_in(driver.now).values()) == driver.now - START_NS


def test_a_frame_waits_for_the_tcxo_in_standby_and_then_sends_with_its_power() -> None:
    driver = Driver()
    driver.ready_to_send()
    driver.until_ready()
    driver.send()
    before = dict(driver.chip.time_in(driver.now))
    driver.until_ready()
    driver.wait(FRAME_NS)
    assert spent(driver, before) == {"standby_xosc": 5 * MS, "fs": 126 * US, "tx14": FRAME_NS + 40 * US}


def test_on_the_way_to_standby_xosc_nothing_else_is_running() -> None:
    driver = Driver()
    driver.start()
    driver.until_ready()
    driver.command(SET_STANDBY, 1)
    before = dict(driver.chip.time_in(driver.now))
    driver.until_ready()
    assert spent(driver, before) == {"standby_xosc": 5 * MS + 31 * US}


def test_the_power_is_that_at_the_pin() -> None:
    driver = Driver()
    driver.ready_to_send()
    driver.command(SET_PA_CONFIG, 2, 3, 0, 1)
    driver.command(SET_TX_PARAMS, 22, 2)
    driver.send()
    driver.until_ready()
    driver.wait(FRAME_NS)
    assert "tx17" in driver.chip.time_in(driver.now)


@pytest.mark.parametrize(
    ("command", "state"),
    [
        ((SET_SLEEP, 0), "sleep_cold"),
        ((SET_SLEEP, 4), "sleep_warm"),
        ((SET_STANDBY, 0), "standby_rc"),
        ((SET_STANDBY, 1), "standby_xosc"),
        ((SET_FS,), "fs"),
        ((0x82, 0xFF, 0xFF, 0xFF), "rx"),
    ],
)
def test_each_mode_has_its_state(command: tuple[int, ...], state: str) -> None:
    driver = Driver()
    driver.ready_to_receive()
    driver.command(*command)
    driver.wait(10 * MS)
    before = dict(driver.chip.time_in(driver.now))
    driver.wait(1_000 * MS)
    assert spent(driver, before) == {state: 1_000 * MS}


def test_without_supply_the_chip_is_off() -> None:
    driver = Driver()
    driver.ready_to_receive()
    driver.receive()
    driver.chip.supply(driver.now, False)
    before = dict(driver.chip.time_in(driver.now))
    driver.wait(1_000 * MS)
    assert spent(driver, before) == {"off": 1_000 * MS}


def test_looking_changes_nothing() -> None:
    driver = Driver()
    driver.ready_to_receive()
    driver.wait(MS)
    assert driver.chip.time_in(driver.now) == driver.chip.time_in(driver.now)
