"""SX1276: operating modes, how long they take (data sheet rev. 7, table 7, sections 4.1.3 and 4.2.6) and the DIO lines (4.1.6)."""

from __future__ import annotations

import pytest

from tools.tests.chips.sx1276_driver import LORA, MS, US, Driver
from zaehlwerk_tools.simulator.chips import sx1276_registers as reg
from zaehlwerk_tools.simulator.chips.chip import FOREVER

IQ = 32_000_000_000_000 // 125_000_000  # 32 chips of 125 kHz, ns


@pytest.fixture
def driver() -> Driver:
    driver = Driver()
    driver.lorawan()
    return driver


def test_sleep_and_standby_have_nothing_ahead(driver: Driver) -> None:
    assert driver.chip.next_change() == FOREVER
    driver.mode(reg.SLEEP)
    assert driver.chip.next_change() == FOREVER
    assert driver.lines()["dio5"] == 1, "asleep at once"


def test_an_oscillator_that_starts_is_no_sleep(driver: Driver) -> None:
    before = driver.chip.time_in(driver.now)["standby_xosc"]
    driver.mode(reg.SLEEP)
    driver.wait(1 * MS)
    driver.mode(reg.TX)
    driver.wait(250 * US)
    # And the transaction that sends it to sleep.
    assert driver.chip.time_in(driver.now)["standby_xosc"] - before == 250 * US + 2 * US


def test_waking_up_takes_the_oscillator_250_us(driver: Driver) -> None:
    driver.mode(reg.SLEEP)
    driver.mode(reg.STDBY)
    assert driver.lines()["dio5"] == 0
    assert driver.chip.next_change() == driver.now + 250 * US
    driver.wait(250 * US)
    assert driver.lines()["dio5"] == 1
    assert driver.chip.next_change() == FOREVER


def test_registers_are_there_while_the_oscillator_starts(driver: Driver) -> None:
    driver.mode(reg.SLEEP)
    driver.mode(reg.STDBY)
    driver.write(reg.SYNC_WORD, 0x21)
    assert driver.read(reg.SYNC_WORD) == 0x21
    assert driver.what() == []


@pytest.mark.parametrize("mode", [reg.FSTX, reg.FSRX])
def test_the_synthesizer_locks_in_60_us(driver: Driver, mode: int) -> None:
    driver.write(reg.DIO_MAPPING_2, 0x40)
    driver.mode(mode)
    assert driver.lines()["dio4"] == 0
    driver.wait(60 * US - 1)
    assert (driver.lines()["dio4"], driver.lines()["dio5"]) == (0, 0)
    driver.wait(1)
    assert (driver.lines()["dio4"], driver.lines()["dio5"]) == (1, 1)
    assert driver.read(reg.OP_MODE) == LORA | mode


@pytest.mark.parametrize("mode", [reg.STDBY, reg.SLEEP])
def test_the_synthesizer_is_off_in_standby_and_sleep(driver: Driver, mode: int) -> None:
    driver.write(reg.DIO_MAPPING_2, 0x40)
    driver.mode(reg.FSTX)
    driver.wait(1 * MS)
    driver.mode(mode)
    assert driver.lines()["dio4"] == 0


def test_from_fstx_only_the_amplifier_has_to_start(driver: Driver) -> None:
    driver.mode(reg.FSTX)
    driver.wait(1 * MS)
    driver.mode(reg.TX)
    assert driver.antenna.sent[0].start_ns == driver.now + 55 * US


def test_from_fsrx_only_the_receiver_has_to_start(driver: Driver) -> None:
    driver.mode(reg.FSRX)
    driver.wait(1 * MS)
    driver.mode(reg.RXSINGLE)
    assert driver.antenna.windows[0].open_ns == driver.now + IQ


def test_from_fsrx_to_sending_the_synthesizer_locks_again(driver: Driver) -> None:
    driver.mode(reg.FSRX)
    driver.wait(1 * MS)
    driver.mode(reg.TX)
    assert driver.antenna.sent[0].start_ns == driver.now + 115 * US


def test_from_sleep_to_sending_everything_has_to_start(driver: Driver) -> None:
    driver.mode(reg.SLEEP)
    driver.mode(reg.TX)
    assert driver.antenna.sent[0].start_ns == driver.now + (250 + 60 + 55) * US


def test_a_receiver_opens_after_synthesizer_and_32_chips(driver: Driver) -> None:
    driver.mode(reg.RXCONTINUOUS)
    assert driver.antenna.windows[0].open_ns == driver.now + 60 * US + IQ
    assert driver.chip.listening
    assert driver.lines()["dio5"] == 0
    driver.wait(60 * US + IQ)
    assert driver.lines()["dio5"] == 1


@pytest.mark.parametrize(
    ("value", "microseconds"),
    list(enumerate([3400, 2000, 1000, 500, 250, 125, 100, 62, 50, 40, 31, 25, 20, 15, 12, 10])),
)
def test_pa_ramp_decides_when_the_frame_begins(driver: Driver, value: int, microseconds: int) -> None:
    driver.write(reg.PA_RAMP, value)
    driver.mode(reg.TX)
    assert driver.antenna.sent[0].start_ns == driver.now + 65 * US + microseconds * 1_250


def test_who_goes_on_from_fstx_before_it_has_locked_waits_for_that(driver: Driver) -> None:
    driver.mode(reg.FSTX)
    begin = driver.now
    driver.mode(reg.TX)
    assert driver.antenna.sent[0].start_ns == begin + 115 * US


def test_writing_the_mode_that_is_on_restarts_nothing(driver: Driver) -> None:
    driver.mode(reg.RXCONTINUOUS)
    driver.mode(reg.RXCONTINUOUS)
    assert len(driver.antenna.windows) == 1


def test_states_of_consumption(driver: Driver) -> None:
    driver.antenna.airtime_ns = 50 * MS
    driver.load(b"abc")
    before = driver.chip.time_in(driver.now)
    driver.mode(reg.TX)
    driver.wait(100 * MS)
    driver.symbols(100)
    driver.mode(reg.RXSINGLE)
    driver.wait(200 * MS)
    driver.mode(reg.SLEEP)
    driver.wait(7 * MS)
    spent = {state: ns - before.get(state, 0) for state, ns in driver.chip.time_in(driver.now).items()}
    assert spent["tx14"] == 50 * MS
    assert spent["rx"] == 100 * 1_024_000
    assert spent["fs"] == 2 * 60 * US + 55 * US + IQ
    assert spent["sleep_warm"] == 7 * MS


def test_the_state_of_sending_names_the_power_at_the_pin(driver: Driver) -> None:
    driver.write(reg.PA_CONFIG, 0x80)
    driver.mode(reg.TX)
    driver.wait(100 * MS)
    assert "tx2" in driver.chip.time_in(driver.now)


# -- DIO


@pytest.mark.parametrize(
    ("line", "register", "shift", "mapping", "flag"),
    # Table 18.
    [
        ("dio0", reg.DIO_MAPPING_1, 6, 0, reg.RX_DONE),
        ("dio0", reg.DIO_MAPPING_1, 6, 1, reg.TX_DONE),
        ("dio0", reg.DIO_MAPPING_1, 6, 2, reg.CAD_DONE),
        ("dio0", reg.DIO_MAPPING_1, 6, 3, 0),
        ("dio1", reg.DIO_MAPPING_1, 4, 0, reg.RX_TIMEOUT),
        ("dio1", reg.DIO_MAPPING_1, 4, 1, reg.FHSS_CHANGE_CHANNEL),
        ("dio1", reg.DIO_MAPPING_1, 4, 2, reg.CAD_DETECTED),
        ("dio2", reg.DIO_MAPPING_1, 2, 0, reg.FHSS_CHANGE_CHANNEL),
        ("dio2", reg.DIO_MAPPING_1, 2, 1, reg.FHSS_CHANGE_CHANNEL),
        ("dio2", reg.DIO_MAPPING_1, 2, 2, reg.FHSS_CHANGE_CHANNEL),
        ("dio3", reg.DIO_MAPPING_1, 0, 0, reg.CAD_DONE),
        ("dio3", reg.DIO_MAPPING_1, 0, 1, reg.VALID_HEADER),
        ("dio3", reg.DIO_MAPPING_1, 0, 2, reg.PAYLOAD_CRC_ERROR),
        ("dio4", reg.DIO_MAPPING_2, 6, 0, reg.CAD_DETECTED),
    ],
)
def test_a_dio_line_shows_the_flag_it_is_mapped_to(
    driver: Driver, line: str, register: int, shift: int, mapping: int, flag: int
) -> None:
    driver.write(register, mapping << shift)
    assert driver.lines()[line] == 0
    # Whatever raises it: the line follows the flag and nothing else.
    driver.chip._flags = 0xFF & ~flag
    assert driver.lines()[line] == 0
    driver.chip._flags = flag
    assert driver.lines()[line] == (1 if flag else 0)
    driver.write(reg.IRQ_FLAGS, 0xFF)
    assert driver.lines()[line] == 0


def test_clkout_is_no_level_and_the_fsk_modem_has_mode_ready_on_mapping_11(driver: Driver) -> None:
    driver.write(reg.DIO_MAPPING_2, 0x10)
    assert driver.lines()["dio5"] == 0
    driver.mode(reg.SLEEP)
    driver.write(reg.OP_MODE, reg.SLEEP)
    driver.write(reg.OP_MODE, reg.STDBY)
    driver.wait(1 * MS)
    assert driver.lines()["dio5"] == 0
    driver.write(reg.DIO_MAPPING_2, 0x30)
    assert driver.lines()["dio5"] == 1


# -- flags


def test_writing_ones_clears_flags_and_zeros_leave_them(driver: Driver) -> None:
    driver.chip._flags = reg.RX_DONE | reg.VALID_HEADER | reg.TX_DONE
    driver.write(reg.IRQ_FLAGS, reg.VALID_HEADER)
    assert driver.read(reg.IRQ_FLAGS) == reg.RX_DONE | reg.TX_DONE
    driver.write(reg.IRQ_FLAGS, 0xFF)
    assert driver.read(reg.IRQ_FLAGS) == 0


def test_a_masked_interrupt_is_not_raised(driver: Driver) -> None:
    driver.write(reg.IRQ_FLAGS_MASK, reg.TX_DONE)
    driver.write(reg.DIO_MAPPING_1, 0x40)
    driver.mode(reg.TX)
    driver.wait(100 * MS)
    assert driver.read(reg.IRQ_FLAGS) == 0
    assert driver.lines()["dio0"] == 0
    assert driver.read(reg.OP_MODE) == LORA | reg.STDBY


# -- what may be written when


@pytest.mark.parametrize("mode", [reg.TX, reg.RXCONTINUOUS, reg.RXSINGLE, reg.CAD])
def test_static_registers_written_while_the_radio_works_are_violations(driver: Driver, mode: int) -> None:
    driver.mode(mode)
    driver.write(reg.SYNC_WORD, 0x12)
    assert driver.what() == [
        f"register 0x39 written in {reg.MODE_NAMES[mode]}; only in SLEEP, STDBY, FSTX, FSRX"
    ]
    assert driver.read(reg.SYNC_WORD) == 0x12, "but they are written"


@pytest.mark.parametrize("mode", [reg.SLEEP, reg.STDBY, reg.FSTX, reg.FSRX])
def test_static_registers_may_be_written_in_sleep_standby_and_synthesis(driver: Driver, mode: int) -> None:
    driver.mode(mode)
    driver.write(reg.SYNC_WORD, 0x12)
    assert driver.what() == []


def test_flags_masks_mappings_and_the_fifo_pointer_may_be_written_any_time(driver: Driver) -> None:
    driver.mode(reg.RXCONTINUOUS)
    for address in (
        reg.IRQ_FLAGS,
        reg.IRQ_FLAGS_MASK,
        reg.DIO_MAPPING_1,
        reg.DIO_MAPPING_2,
        reg.FIFO_ADDR_PTR,
    ):
        driver.write(address, 0)
    assert driver.what() == []


def test_the_frequency_counts_when_its_lowest_byte_is_written(driver: Driver) -> None:
    driver.write(reg.FRF_MSB, 0xD9, 0x61)
    driver.mode(reg.TX)
    assert driver.antenna.sent[0].lora.frequency == 868_099_976
    assert driver.what() == ["RegFrfMsb or RegFrfMid written without RegFrfLsb: not taken"]


def test_the_frequency_is_taken_on_entering_synthesis(driver: Driver) -> None:
    driver.mode(reg.FSTX)
    driver.frequency(868_500_000)
    driver.wait(1 * MS)
    driver.mode(reg.TX)
    assert driver.antenna.sent[0].lora.frequency == 868_099_976
    assert driver.what() == ["RegFrf written in FSTX: it counts when FS is entered"]


def test_a_new_frequency_while_receiving_counts_only_with_fast_hop(driver: Driver) -> None:
    driver.mode(reg.RXCONTINUOUS)
    driver.frequency(868_500_000)
    assert len(driver.antenna.windows) == 1
    assert len(driver.what()) == 3, "each of the three registers is static"
    driver = Driver()
    driver.lorawan()
    driver.write(reg.PLL_HOP, 0xAD)
    driver.mode(reg.RXCONTINUOUS)
    driver.frequency(868_500_000)
    assert [window.lora.frequency for window in driver.antenna.windows] == [868_099_976, 868_500_000]
    assert driver.antenna.windows[1].open_ns == driver.now + 60 * US + IQ
    assert driver.what() == []


# -- calibration


def test_image_calibration_runs_10_ms_in_fsk_standby() -> None:
    driver = Driver()
    driver.frequency(868_000_000)
    driver.write(reg.FSK_IMAGE_CAL, 0x42)
    assert driver.read(reg.FSK_IMAGE_CAL) == 0x22
    driver.wait(10 * MS)
    assert driver.read(reg.FSK_IMAGE_CAL) == 0x02
    assert driver.what() == []


def test_other_bits_of_its_register_start_no_calibration() -> None:
    driver = Driver()
    driver.write(reg.FSK_IMAGE_CAL, 0x02)
    assert driver.read(reg.FSK_IMAGE_CAL) == 0x02


def test_the_fsk_modem_receives_nothing_but_measures() -> None:
    driver = Driver()
    driver.antenna.noise = -101.5
    assert driver.read(reg.FSK_RSSI_VALUE) == 0
    driver.write(reg.OP_MODE, reg.RXCONTINUOUS)
    driver.wait(1 * MS)
    assert driver.read(reg.FSK_RSSI_VALUE) == 203
    assert not driver.chip.listening
    assert "rx" in driver.chip.time_in(driver.now)
    assert driver.what() == []


def test_the_fsk_modems_fifo_is_not_the_lora_modems() -> None:
    driver = Driver()
    driver.write(reg.FIFO, *b"hello")
    assert driver.read_many(reg.FIFO, 5) == bytes(5)
    driver.to_lora()
    assert driver.read_many(reg.FIFO, 5) == bytes(5)
    assert driver.read(reg.FIFO_ADDR_PTR) == 5


def test_image_calibration_in_another_mode_is_a_violation_and_does_not_run(driver: Driver) -> None:
    driver.write(reg.OP_MODE, LORA | reg.ACCESS_SHARED_REG | reg.STDBY)
    driver.write(reg.FSK_IMAGE_CAL, 0x42)
    assert driver.read(reg.FSK_IMAGE_CAL) == 0x02
    assert driver.what() == ["image calibration started in LoRa mode; only in FSK mode (section 4.2.3.8)"]
    driver = Driver()
    driver.write(reg.OP_MODE, reg.SLEEP)
    driver.write(reg.FSK_IMAGE_CAL, 0x42)
    assert driver.what() == ["image calibration started in SLEEP; only in STDBY"]


def test_leaving_standby_while_it_calibrates_is_a_violation() -> None:
    driver = Driver()
    driver.write(reg.FSK_IMAGE_CAL, 0x42)
    driver.wait(5 * MS)
    driver.write(reg.OP_MODE, reg.SLEEP)
    assert driver.what() == ["mode changed while the image calibration is running"]
    assert driver.read(reg.FSK_IMAGE_CAL) == 0x02


def test_temperature_and_flags_of_the_fsk_modem_can_be_read() -> None:
    driver = Driver()
    assert driver.read(reg.FSK_TEMP) == 0xE7
    assert driver.read(reg.FSK_IRQ_FLAGS_1) == 0x80
    driver.write(reg.OP_MODE, reg.FSTX)
    assert driver.read(reg.FSK_IRQ_FLAGS_1) == 0x00
    driver.wait(60 * US)
    assert driver.read(reg.FSK_IRQ_FLAGS_1) == 0x90
