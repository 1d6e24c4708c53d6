"""SX1276: supply, power-on reset and reset pin (data sheet rev. 7, section 7.2), and the registers after them (section 6)."""

from __future__ import annotations

import pytest

from tools.tests.chips.sx1276_antenna import FakeAntenna
from tools.tests.chips.sx1276_driver import LORA, MS, POWERED_NS, US, Driver
from zaehlwerk_tools.simulator.chips import sx1276_registers as reg
from zaehlwerk_tools.simulator.chips.chip import FOREVER
from zaehlwerk_tools.simulator.chips.sx1276 import Sx1276


def version(chip: Sx1276, at_ns: int) -> int:
    chip.select(at_ns, 0)
    answer = chip.transfer(at_ns, bytes([reg.VERSION, 0]), at_ns)[1]
    chip.select(at_ns, 1)
    return answer


def test_a_chip_without_supply_answers_nothing_and_complains_about_nothing() -> None:
    chip = Sx1276(FakeAntenna(), pa_boost=True)
    assert version(chip, 5) == 0
    assert chip.violations == []
    assert set(chip.lines(5).values()) == {0}
    assert chip.next_change() == FOREVER


def test_version_is_0x12_ten_milliseconds_after_power_on() -> None:
    chip = Sx1276(FakeAntenna(), pa_boost=True)
    chip.supply(0, True)
    assert chip.next_change() == 10 * MS
    assert version(chip, 10 * MS) == 0x12
    assert chip.violations == []


def test_spi_before_the_power_on_reset_is_over_reads_zero_and_is_a_violation() -> None:
    chip = Sx1276(FakeAntenna(), pa_boost=True)
    chip.supply(0, True)
    assert version(chip, 10 * MS - 1) == 0
    assert [v.at_ns for v in chip.violations] == [10 * MS - 1]
    assert "10 ms after power-on" in chip.violations[0].what


def test_writes_before_the_chip_is_ready_are_lost() -> None:
    chip = Sx1276(FakeAntenna(), pa_boost=True)
    chip.supply(0, True)
    chip.select(MS, 0)
    chip.transfer(MS, bytes([reg.SYNC_WORD | 0x80, 0x55]), MS)
    chip.transfer(MS, bytes([0x55, 0x55]), MS)
    chip.select(MS, 1)
    assert len(chip.violations) == 1, "one complaint per transaction"
    chip.select(11 * MS, 0)
    assert chip.transfer(11 * MS, bytes([0x39, 0]), 11 * MS) == b"\0\xf5", "FSK page, untouched"


def test_the_reset_pin_brings_back_the_values_after_a_reset_and_needs_5_ms() -> None:
    driver = Driver()
    driver.lorawan()
    driver.chip.reset(driver.now, 0)
    driver.wait(100 * US)
    driver.chip.reset(driver.now, 1)
    driver.wait(5 * MS - 1)
    assert driver.read(reg.VERSION) == 0
    assert driver.what() == ["SPI before the chip is ready: 10 ms after power-on, 5 ms after a reset"]
    driver.wait(1)
    assert driver.read(reg.OP_MODE) == 0x09
    assert driver.read_many(reg.FRF_MSB, 3) == b"\x6c\x80\x00"


def test_a_reset_shorter_than_100_us_is_a_violation() -> None:
    driver = Driver()
    driver.chip.reset(driver.now, 0)
    driver.wait(99 * US)
    driver.chip.reset(driver.now, 1)
    assert driver.what() == ["reset low for 99000 ns only, at least 100000"]


def test_a_held_reset_keeps_the_chip_silent() -> None:
    driver = Driver()
    driver.chip.reset(driver.now, 0)
    driver.wait(1_000 * MS)
    assert driver.read(reg.VERSION) == 0


def test_reset_pulled_low_during_the_power_on_reset_is_a_violation() -> None:
    chip = Sx1276(FakeAntenna(), pa_boost=True)
    chip.supply(0, True)
    chip.reset(9 * MS, 0)
    chip.reset(10 * MS, 1)
    assert len(chip.violations) == 1
    assert version(chip, 15 * MS) == 0x12
    held = Sx1276(FakeAntenna(), pa_boost=True)
    held.reset(0, 0)
    held.supply(1 * MS, True)
    held.reset(2 * MS, 1)
    assert len(held.violations) == 1
    assert version(held, 11 * MS) == 0x12


def test_a_reset_early_in_the_power_on_reset_does_not_shorten_it() -> None:
    chip = Sx1276(FakeAntenna(), pa_boost=True)
    chip.supply(50 * MS, True)
    chip.reset(51 * MS, 0)
    chip.reset(52 * MS, 1)
    assert version(chip, 60 * MS - 1) == 0
    assert version(chip, 60 * MS) == 0x12


def test_a_reset_held_while_the_supply_comes_has_its_shortest_time_too() -> None:
    chip = Sx1276(FakeAntenna(), pa_boost=True)
    chip.reset(0, 0)
    chip.supply(50 * MS, True)
    chip.reset(50 * MS + 99 * US, 1)
    assert [violation.what for violation in chip.violations][1:] == [
        "reset low for 99000 ns only, at least 100000"
    ]


def test_no_line_is_high_while_the_chip_is_reset_or_without_supply() -> None:
    driver = Driver()
    driver.lorawan()
    assert driver.lines()["dio5"] == 1
    driver.chip.reset(driver.now, 0)
    assert set(driver.lines().values()) == {0}
    driver.wait(1 * MS)
    driver.chip.reset(driver.now, 1)
    driver.wait(10 * MS)
    driver.to_lora()
    assert driver.lines()["dio5"] == 1
    driver.chip.supply(driver.now, False)
    assert set(driver.lines().values()) == {0}


def test_releasing_a_pin_that_was_not_low_changes_nothing() -> None:
    driver = Driver()
    driver.chip.reset(driver.now, 1)
    driver.chip.select(driver.now, 1)
    assert driver.read(reg.VERSION) == 0x12


def test_a_reset_ends_a_transmission_and_a_reception() -> None:
    driver = Driver()
    driver.lorawan()
    driver.load(b"abc")
    driver.mode(reg.TX)
    driver.wait(1 * MS)
    driver.chip.reset(driver.now, 0)
    assert driver.antenna.sent[0].stopped
    driver = Driver()
    driver.lorawan()
    driver.mode(reg.RXCONTINUOUS)
    driver.chip.reset(driver.now, 0)
    assert driver.antenna.windows[0].closed_ns == driver.now
    assert not driver.chip.listening


def test_supply_off_forgets_everything() -> None:
    driver = Driver()
    driver.lorawan()
    driver.chip.supply(driver.now, False)
    assert driver.read(reg.VERSION) == 0
    driver.chip.supply(driver.now, True)
    driver.wait(10 * MS)
    assert driver.read(reg.OP_MODE) == 0x09
    driver.to_lora()
    assert driver.read(reg.SYNC_WORD) == 0x12
    assert driver.what() == []


@pytest.mark.parametrize(
    ("address", "value"),
    # Data sheet rev. 7, table 41, column for the reset; LoRa registers in table 42.
    [
        (0x06, 0x6C), (0x07, 0x80), (0x08, 0x00), (0x09, 0x4F), (0x0A, 0x09), (0x0B, 0x2B), (0x0C, 0x20),
        (0x0D, 0x00), (0x0E, 0x80), (0x0F, 0x00), (0x11, 0x00), (0x12, 0x00), (0x18, 0x10), (0x1D, 0x72),
        (0x1E, 0x70), (0x1F, 0x64), (0x20, 0x00), (0x21, 0x08), (0x22, 0x01), (0x23, 0xFF), (0x24, 0x00),
        (0x26, 0x00), (0x31, 0xC3), (0x33, 0x27), (0x36, 0x03), (0x37, 0x0A), (0x39, 0x12), (0x3B, 0x1D),
        (0x40, 0x00), (0x41, 0x00), (0x42, 0x12), (0x44, 0x2D), (0x4B, 0x09), (0x4D, 0x84),
    ],
)  # fmt: skip
def test_lora_registers_after_a_reset(address: int, value: int) -> None:
    driver = Driver()
    driver.to_lora()
    assert driver.read(address) == value


@pytest.mark.parametrize(
    ("address", "value"),
    [
        (0x02, 0x1A),
        (0x03, 0x0B),
        (0x05, 0x52),
        (0x12, 0x15),
        (0x28, 0x55),
        (0x31, 0x40),
        (0x3B, 0x82),
        (0x3E, 0x80),
    ],
)
def test_fsk_registers_after_a_reset(address: int, value: int) -> None:
    assert Driver().read(address) == value


def test_time_is_spent_off_then_in_standby_then_asleep() -> None:
    chip = Sx1276(FakeAntenna(), pa_boost=True)
    assert sum(chip.time_in(0).values()) == 0
    chip.supply(POWERED_NS, True)
    chip.select(2 * POWERED_NS, 0)
    chip.transfer(2 * POWERED_NS, bytes([0x81, 0x00]), 2 * POWERED_NS)
    chip.select(2 * POWERED_NS, 1)
    assert chip.time_in(5 * POWERED_NS) == {
        "off": POWERED_NS,
        "standby_xosc": POWERED_NS,
        "sleep_warm": 3 * POWERED_NS,
    }


def test_lora_mode_keeps_its_registers_in_sleep() -> None:
    driver = Driver()
    driver.lorawan(9)
    driver.write(reg.OP_MODE, LORA | reg.SLEEP)
    driver.wait(1_000 * MS)
    driver.mode(reg.STDBY)
    assert driver.read(reg.MODEM_CONFIG_2) == 0x94
    assert driver.read(reg.SYNC_WORD) == 0x34
