"""The IRQ register of an SX1262 and its DIOs."""

from __future__ import annotations

import pytest

from tools.tests.chips.sx1262_driver import (
    ALL_IRQS,
    CLEAR_IRQ_STATUS,
    HEADER_VALID,
    MS,
    PREAMBLE,
    RX_DONE,
    SET_DIO2,
    SET_SLEEP,
    TIMEOUT,
    TX_DONE,
    Driver,
)
from zaehlwerk_tools.simulator.chips.antenna import Reception

HEARD = Reception(b"downlink", -80, 7.0, crc=False, crc_ok=False)


def receiving(mask: int, dio1: int = 0, dio2: int = 0, dio3: int = 0) -> Driver:
    driver = Driver(tcxo_mv=None, dio2_switch=False)
    driver.ready_to_receive()
    driver.command(SET_DIO2, 0)
    driver.interrupts(mask, dio1, dio2, dio3)
    driver.receive(0xFFFFFF)
    return driver


def test_after_a_reset_there_are_no_flags_and_everything_is_masked() -> None:
    driver = Driver()
    driver.ready_to_receive()
    driver.receive(timeout=64)
    driver.wait(2 * MS)
    assert driver.irqs == TIMEOUT
    driver.chip.reset(driver.now, 0)
    driver.wait(MS)
    driver.chip.reset(driver.now, 1)
    assert driver.irqs == 0
    driver.start(interrupts=False)
    driver.modulate()
    driver.packet()
    driver.receive(timeout=64)
    driver.wait(2 * MS)
    assert driver.irqs == 0
    assert driver.dio1 == 0


def test_each_step_of_a_reception_raises_its_flag_at_its_time() -> None:
    driver = receiving(ALL_IRQS)
    hears = driver.antenna.window.hears
    seen = []
    for step in (
        lambda: hears.preamble(driver.now),
        lambda: hears.header(driver.now),
        lambda: hears.frame(driver.now, HEARD),
    ):
        driver.wait(10 * MS)
        step()
        seen.append(driver.irqs)
    assert seen == [PREAMBLE, PREAMBLE | HEADER_VALID, PREAMBLE | HEADER_VALID | RX_DONE]


def test_a_masked_interrupt_is_not_even_logged() -> None:
    driver = receiving(RX_DONE)
    driver.antenna.hear(driver.now + 40 * MS, b"x")
    driver.wait(40 * MS)
    assert driver.irqs == RX_DONE


def test_a_line_needs_the_global_mask_and_its_own() -> None:
    driver = receiving(RX_DONE | PREAMBLE, dio1=RX_DONE | HEADER_VALID)
    hears = driver.antenna.window.hears
    levels = []
    for step in (
        lambda: hears.preamble(driver.now),
        lambda: hears.header(driver.now),
        lambda: hears.frame(driver.now, HEARD),
    ):
        driver.wait(MS)
        step()
        levels.append(driver.dio1)
    assert levels == [0, 0, 1]


def test_a_line_stays_high_until_all_that_is_mapped_to_it_is_cleared() -> None:
    driver = receiving(ALL_IRQS, dio1=RX_DONE | PREAMBLE)
    driver.antenna.hear(driver.now + 40 * MS, b"x")
    driver.wait(40 * MS)
    driver.command(CLEAR_IRQ_STATUS, 0, RX_DONE)
    assert driver.dio1 == 1
    driver.command(CLEAR_IRQ_STATUS, 0, PREAMBLE)
    assert driver.dio1 == 0
    assert driver.irqs == HEADER_VALID


@pytest.mark.parametrize("line", ["dio1", "dio2", "dio3"])
def test_each_line_can_carry_any_interrupt(line: str) -> None:
    driver = receiving(ALL_IRQS, **{line: RX_DONE})
    assert driver.chip.lines(driver.now)[line] == 0
    driver.antenna.hear(driver.now + 40 * MS, b"x")
    driver.wait(40 * MS)
    assert {name for name, level in driver.chip.lines(driver.now).items() if level} == {line}


def test_dio2_as_antenna_switch_is_high_while_sending_and_carries_no_interrupt() -> None:
    driver = Driver()
    driver.ready_to_send()
    driver.interrupts(ALL_IRQS, 0, ALL_IRQS)
    driver.until_ready()
    levels = [driver.chip.lines(driver.now)["dio2"]]
    driver.send()
    driver.until_ready()
    levels.append(driver.chip.lines(driver.now)["dio2"])
    driver.wait(60 * MS)
    levels.append(driver.chip.lines(driver.now)["dio2"])
    assert levels == [0, 1, 0]
    assert driver.irqs == TX_DONE


def test_dio3_as_tcxo_supply_is_high_while_the_32_mhz_are_needed() -> None:
    driver = Driver()
    driver.ready_to_send()
    driver.interrupts(ALL_IRQS, 0, 0, ALL_IRQS)
    driver.until_ready()
    levels = [driver.chip.lines(driver.now)["dio3"]]
    driver.send()
    levels.append(driver.chip.lines(driver.now)["dio3"])
    driver.until_ready()
    driver.wait(60 * MS)
    levels.append(driver.chip.lines(driver.now)["dio3"])
    assert levels == [0, 1, 0]


def test_a_warm_sleep_keeps_flags_and_masks_but_pulls_the_lines_down() -> None:
    driver = Driver()
    driver.ready_to_receive()
    driver.receive(timeout=64)
    driver.wait(2 * MS)
    assert driver.dio1 == 1
    driver.command(SET_SLEEP, 4)
    assert driver.dio1 == 0
    driver.wait(MS)
    driver.spi([])
    driver.until_ready()
    assert driver.dio1 == 1
    assert driver.irqs == TIMEOUT


def test_the_board_is_told_of_every_change_that_came_from_outside() -> None:
    driver = receiving(ALL_IRQS, dio1=ALL_IRQS)
    told: list[int] = []
    driver.chip.on_world_change = told.append
    end = driver.now + 40 * MS
    driver.antenna.hear(end, b"x")
    assert told == [end - 30 * MS, end - 20 * MS, end]
