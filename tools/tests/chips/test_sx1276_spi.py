"""SX1276: SPI transactions (data sheet rev. 7, section 2.2), FIFO (section 4.1.2.3) and register pages (section 6)."""

from __future__ import annotations

import pytest

from tools.tests.chips.sx1276_driver import LORA, MS, US, Driver
from zaehlwerk_tools.simulator.chips import sx1276_registers as reg


@pytest.fixture
def driver() -> Driver:
    driver = Driver()
    driver.to_lora()
    return driver


def test_single_access_writes_with_the_top_bit_and_reads_without(driver: Driver) -> None:
    driver.spi(bytes([0xB9, 0x34]))
    assert driver.spi(bytes([0x39, 0xFF])) == b"\0\x34"
    assert driver.read(0x39) == 0x34, "the byte of a read is no data"


def test_burst_access_counts_the_address_up(driver: Driver) -> None:
    driver.write(reg.FRF_MSB, 0xD9, 0x06, 0x66)
    assert driver.read_many(reg.FRF_MSB, 4) == b"\xd9\x06\x66\x4f"


def test_a_transaction_may_come_in_pieces(driver: Driver) -> None:
    chip, now = driver.chip, driver.now
    chip.select(now, 0)
    assert chip.transfer(now, bytes([reg.FRF_MSB | 0x80]), now) == b"\0"
    chip.transfer(now, b"\x01", now)
    chip.transfer(now, b"", now)
    chip.transfer(now, b"\x02\x03", now)
    chip.select(now, 1)
    assert driver.read_many(reg.FRF_MSB, 3) == b"\1\2\3"


def test_bytes_without_nss_low_are_answered_by_nobody(driver: Driver) -> None:
    assert driver.chip.transfer(driver.now, bytes([0xB9, 0x77]), driver.now) == b"\0\0"
    assert driver.read(0x39) == 0x12


def test_a_write_takes_effect_when_its_byte_has_come(driver: Driver) -> None:
    driver.lorawan()
    driver.load(b"x")
    before = driver.now
    driver.mode(reg.TX)
    assert driver.now == before + 2 * US
    # 60 µs for the PLL, 5 µs + 1.25 * 40 µs for the PA.
    assert driver.antenna.sent[0].start_ns == driver.now + 115 * US


def test_read_only_registers_stay_as_they_are(driver: Driver) -> None:
    for address in (reg.VERSION, reg.RX_NB_BYTES, reg.PKT_SNR_VALUE, reg.FIFO_RX_CURRENT_ADDR):
        before = driver.read(address)
        driver.write(address, 0x5A)
        assert driver.read(address) == before
    assert driver.what() == []


# -- FIFO


def test_the_fifo_is_reached_through_its_pointer_without_counting_the_address(driver: Driver) -> None:
    driver.write(reg.FIFO_ADDR_PTR, 0x10)
    driver.write(reg.FIFO, *b"hello")
    assert driver.read(reg.FIFO_ADDR_PTR) == 0x15
    driver.write(reg.FIFO_ADDR_PTR, 0x11)
    assert driver.read_many(reg.FIFO, 3) == b"ell"
    assert driver.read(reg.FIFO_ADDR_PTR) == 0x14


def test_the_fifo_has_256_bytes_and_wraps(driver: Driver) -> None:
    driver.write(reg.FIFO_ADDR_PTR, 0xFE)
    driver.write(reg.FIFO, *b"abcd")
    assert driver.read(reg.FIFO_ADDR_PTR) == 0x02
    driver.write(reg.FIFO_ADDR_PTR, 0x00)
    assert driver.read_many(reg.FIFO, 2) == b"cd"


def test_sleep_clears_the_fifo(driver: Driver) -> None:
    driver.write(reg.FIFO, *b"hello")
    driver.mode(reg.SLEEP)
    driver.mode(reg.STDBY)
    driver.wait(250 * US)
    driver.write(reg.FIFO_ADDR_PTR, 0)
    assert driver.read_many(reg.FIFO, 5) == bytes(5)
    assert driver.what() == []


def test_the_fifo_in_sleep_is_a_violation_and_reads_zero(driver: Driver) -> None:
    driver.mode(reg.SLEEP)
    driver.write(reg.FIFO, 1, 2, 3)
    assert driver.read(reg.FIFO_ADDR_PTR) == 0
    assert driver.read_many(reg.FIFO, 2) == b"\0\0"
    assert driver.what() == ["FIFO accessed in sleep, where it is cleared and cannot be reached"] * 2


def test_the_fifo_right_after_sleep_works_and_is_a_violation(driver: Driver) -> None:
    driver.mode(reg.SLEEP)
    driver.mode(reg.STDBY)
    driver.write(reg.FIFO, 7)
    assert driver.what() == ["FIFO accessed before the oscillator runs, 250 µs after sleep"]
    driver.write(reg.FIFO_ADDR_PTR, 0)
    driver.wait(250 * US)
    assert driver.read(reg.FIFO) == 7


@pytest.mark.parametrize("mode", [reg.FSTX, reg.TX, reg.FSRX, reg.RXCONTINUOUS])
def test_filling_the_fifo_outside_standby_is_a_violation_and_reading_it_is_none(
    driver: Driver, mode: int
) -> None:
    driver.lorawan()
    driver.load(b"abc")
    driver.mode(mode)
    driver.wait(1 * MS)
    driver.write(reg.FIFO_ADDR_PTR, 0)
    assert driver.read_many(reg.FIFO, 3) == b"abc"
    assert driver.what() == []
    driver.write(reg.FIFO, 1)
    assert driver.what() == [f"FIFO written in {reg.MODE_NAMES[mode]}; it can only be filled in STDBY"]


# -- LongRangeMode and pages


def test_lora_and_fsk_registers_lie_on_two_pages() -> None:
    driver = Driver()
    driver.write(0x39, 0x77)
    driver.to_lora()
    assert driver.read(0x39) == 0x12
    driver.write(0x39, 0x34)
    driver.mode(reg.SLEEP)
    driver.write(reg.OP_MODE, reg.SLEEP)
    driver.write(reg.OP_MODE, reg.STDBY)
    assert driver.read(0x39) == 0x77
    driver.to_lora()
    assert driver.read(0x39) == 0x34
    assert driver.what() == []


def test_common_registers_are_on_both_pages() -> None:
    driver = Driver()
    driver.write(reg.PA_DAC, 0x87)
    driver.frequency(868_000_000)
    driver.to_lora()
    assert driver.read(reg.PA_DAC) == 0x87
    assert driver.read(reg.FRF_MSB) == 0xD9


def test_access_shared_reg_shows_the_fsk_page_in_lora_mode(driver: Driver) -> None:
    driver.write(reg.SYNC_WORD, 0x34)
    driver.write(reg.OP_MODE, LORA | reg.ACCESS_SHARED_REG | reg.STDBY)
    assert driver.read(0x39) == 0xF5
    driver.write(0x39, 0x11)
    driver.mode(reg.STDBY)
    assert driver.read(0x39) == 0x34
    assert driver.what() == []


def test_long_range_mode_cannot_be_set_outside_sleep() -> None:
    driver = Driver()
    driver.write(reg.OP_MODE, LORA | reg.STDBY)
    assert driver.read(reg.OP_MODE) == reg.STDBY
    assert driver.what() == ["LongRangeMode changed by a write that does not stay in SLEEP: ignored"]


def test_a_write_that_leaves_sleep_does_not_take_long_range_mode_with_it() -> None:
    driver = Driver()
    driver.write(reg.OP_MODE, reg.SLEEP)
    driver.write(reg.OP_MODE, LORA | reg.STDBY)
    assert driver.read(reg.OP_MODE) == reg.STDBY
    assert len(driver.what()) == 1


def test_a_write_that_goes_to_sleep_sets_long_range_mode_and_is_a_violation() -> None:
    driver = Driver()
    driver.write(reg.OP_MODE, LORA | reg.SLEEP)
    assert driver.read(reg.OP_MODE) == LORA | reg.SLEEP
    assert driver.what() == ["LongRangeMode set by the write that goes to sleep; only in SLEEP"]


def test_a_write_that_goes_to_sleep_does_not_clear_long_range_mode_and_is_a_violation(driver: Driver) -> None:
    driver.write(reg.OP_MODE, reg.SLEEP)
    assert driver.read(reg.OP_MODE) == LORA | reg.SLEEP
    assert driver.what() == ["LongRangeMode cleared by the write that goes to sleep: ignored; only in SLEEP"]


def test_in_lora_mode_modes_written_without_long_range_mode_are_those_of_the_lora_modem(
    driver: Driver,
) -> None:
    driver.write(reg.OP_MODE, reg.FSRX)
    assert driver.read(reg.OP_MODE) == LORA | reg.FSRX
    assert len(driver.what()) == 1


def test_low_frequency_mode_on_is_kept_as_written(driver: Driver) -> None:
    driver.write(reg.OP_MODE, LORA | 0x08 | reg.STDBY)
    assert driver.read(reg.OP_MODE) == LORA | 0x08 | reg.STDBY
    driver.write(reg.OP_MODE, LORA | 0x30 | reg.STDBY)
    assert driver.read(reg.OP_MODE) == LORA | reg.STDBY, "bits 5 and 4 are reserved in LoRa mode"


def test_low_frequency_mode_on_reads_zero_after_the_modem_was_changed() -> None:
    driver = Driver()
    driver.write(reg.OP_MODE, 0x08 | reg.SLEEP)
    assert driver.read(reg.OP_MODE) == 0x08
    driver.write(reg.OP_MODE, LORA | 0x08 | reg.SLEEP)
    assert driver.read(reg.OP_MODE) == LORA


def test_modes_6_and_7_do_not_exist_in_fsk_mode() -> None:
    driver = Driver()
    driver.write(reg.OP_MODE, reg.RXSINGLE)
    assert driver.read(reg.OP_MODE) == reg.STDBY
    assert driver.what() == ["RegOpMode: mode 6 is reserved in FSK mode: ignored"]
