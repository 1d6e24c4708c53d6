"""SX1276: sending with the LoRa modem (data sheet rev. 7, sections 4.1.2.3, 4.1.3, 5.4)."""

from __future__ import annotations

import pytest

from tools.tests.chips.sx1276_driver import LORA, MS, US, Driver
from zaehlwerk_tools.simulator.chips import sx1276_registers as reg
from zaehlwerk_tools.simulator.chips.antenna import LoRa


@pytest.fixture
def driver() -> Driver:
    driver = Driver()
    driver.lorawan()
    return driver


def send(driver: Driver, payload: bytes = b"hello") -> None:
    driver.load(payload)
    driver.mode(reg.TX)
    driver.wait(100 * MS)


def test_the_payload_goes_out_as_programmed(driver: Driver) -> None:
    send(driver, b"hello")
    sent = driver.antenna.sent[0]
    assert sent.payload == b"hello"
    assert sent.lora == LoRa(868_099_976, 7, 125_000, 1, 8, 0x34, False, True, True, False, 0)
    assert sent.power_dbm == 14
    assert not sent.stopped
    assert driver.what() == []


def test_tx_done_comes_with_the_end_and_the_chip_is_in_standby(driver: Driver) -> None:
    driver.load(b"hello")
    driver.write(reg.DIO_MAPPING_1, 0x40)
    driver.mode(reg.TX)
    sent = driver.antenna.sent[0]
    driver.wait(sent.end_ns - driver.now - 10 * US)
    assert driver.lines()["dio0"] == 0
    assert driver.chip.next_change() == sent.end_ns
    driver.wait(10 * US)
    assert driver.now == sent.end_ns
    assert driver.lines()["dio0"] == 1
    assert driver.read(reg.IRQ_FLAGS) == reg.TX_DONE
    assert driver.read(reg.OP_MODE) == LORA | reg.STDBY


def test_a_board_that_asks_late_finds_the_same(driver: Driver) -> None:
    driver.load(b"hello")
    driver.mode(reg.TX)
    driver.now += 10_000 * MS
    assert driver.read(reg.IRQ_FLAGS) == reg.TX_DONE
    assert driver.chip.time_in(driver.now)["tx14"] == 50 * MS


def test_leaving_transmit_mode_stops_the_frame(driver: Driver) -> None:
    driver.load(b"hello")
    driver.mode(reg.TX)
    driver.wait(10 * MS)
    driver.mode(reg.STDBY)
    assert driver.antenna.sent[0].stopped
    assert driver.antenna.sent[0].end_ns == driver.now
    driver.wait(100 * MS)
    assert driver.read(reg.IRQ_FLAGS) == 0
    driver.mode(reg.SLEEP)
    assert len(driver.antenna.stops) == 1


def test_a_frame_that_has_ended_is_not_stopped(driver: Driver) -> None:
    send(driver)
    driver.mode(reg.SLEEP)
    assert driver.antenna.stops == []


def test_mode_ready_comes_with_the_amplifier(driver: Driver) -> None:
    driver.mode(reg.TX)
    driver.wait(115 * US - 1)
    assert driver.lines()["dio5"] == 0
    driver.wait(1)
    assert driver.lines()["dio5"] == 1


def test_leaving_transmit_mode_before_the_amplifier_is_up_leaves_a_frame_of_no_length(driver: Driver) -> None:
    driver.load(b"hello")
    driver.mode(reg.TX)
    driver.wait(20 * US)
    driver.mode(reg.STDBY)
    sent = driver.antenna.sent[0]
    assert sent.stopped
    assert sent.end_ns == sent.start_ns


def test_the_payload_comes_from_the_transmit_base_address_and_wraps(driver: Driver) -> None:
    driver.write(reg.FIFO_TX_BASE_ADDR, 0xFE)
    send(driver, b"abcd")
    assert driver.antenna.sent[0].payload == b"abcd"
    driver.write(reg.FIFO_TX_BASE_ADDR, 0xFF)
    driver.mode(reg.TX)
    assert driver.antenna.sent[1].payload == b"bcd\0"


def test_the_same_fifo_can_be_sent_again(driver: Driver) -> None:
    send(driver)
    driver.mode(reg.TX)
    driver.wait(100 * MS)
    assert [sent.payload for sent in driver.antenna.sent] == [b"hello", b"hello"]


def test_a_payload_of_255_bytes(driver: Driver) -> None:
    send(driver, bytes(range(255)))
    assert driver.antenna.sent[0].payload == bytes(range(255))


def test_length_zero_is_not_permitted(driver: Driver) -> None:
    driver.write(reg.PAYLOAD_LENGTH, 0)
    driver.mode(reg.TX)
    assert driver.what() == ["RegPayloadLength (0x22): 0 is not permitted"]


@pytest.mark.parametrize("coding_rate", [1, 2, 3, 4])
def test_coding_rate_and_implicit_header(driver: Driver, coding_rate: int) -> None:
    driver.write(reg.MODEM_CONFIG_1, 0x70 | coding_rate << 1 | 1)
    send(driver)
    lora = driver.antenna.sent[0].lora
    assert (lora.coding_rate, lora.explicit, lora.length) == (coding_rate, False, 5)


def test_crc_preamble_and_sync_word(driver: Driver) -> None:
    driver.update(reg.MODEM_CONFIG_2, 0x04, 0)
    driver.write(reg.PREAMBLE_MSB, 0x01, 0x02)
    driver.write(reg.SYNC_WORD, 0x12)
    send(driver)
    lora = driver.antenna.sent[0].lora
    assert (lora.crc, lora.preamble, lora.sync_word) == (False, 258, 0x12)


@pytest.mark.parametrize("sf", range(7, 13))
def test_spreading_factors(driver: Driver, sf: int) -> None:
    driver.modulation(sf)
    send(driver)
    lora = driver.antenna.sent[0].lora
    assert (lora.sf, lora.low_rate) == (sf, sf >= 11)
    assert driver.what() == []


@pytest.mark.parametrize(
    ("field", "hertz"),
    list(enumerate([7_810, 10_420, 15_630, 20_830, 31_250, 41_670, 62_500, 125_000, 250_000, 500_000])),
)
def test_bandwidths(driver: Driver, field: int, hertz: int) -> None:
    driver.modulation(7, field)
    send(driver)
    lora = driver.antenna.sent[0].lora
    assert (lora.bandwidth, lora.low_rate) == (hertz, field == 0)
    assert driver.what() == []


def test_spreading_factor_6_has_settings_of_its_own(driver: Driver) -> None:
    driver.write(reg.MODEM_CONFIG_1, 0x73)
    driver.write(reg.MODEM_CONFIG_2, 0x64)
    driver.write(reg.DETECT_OPTIMIZE, 0x45)
    driver.write(reg.DETECTION_THRESHOLD, 0x0C)
    send(driver)
    assert driver.antenna.sent[0].lora.sf == 6
    assert driver.what() == []


def test_spreading_factor_6_without_them_is_a_violation(driver: Driver) -> None:
    driver.write(reg.MODEM_CONFIG_2, 0x64)
    send(driver)
    assert driver.what() == [
        "SF6 needs 0x05 in RegDetectOptimize (0x31) and 0x0C in 0x37",
        "RegModemConfig1 (0x1D): SF6 works with implicit headers only",
    ]


def test_settings_for_spreading_factor_6_with_another_are_a_violation(driver: Driver) -> None:
    driver.write(reg.DETECTION_THRESHOLD, 0x0C)
    send(driver)
    assert driver.what() == ["SF7 needs 0x03 in RegDetectOptimize (0x31) and 0x0A in 0x37"]


def test_a_symbol_of_more_than_16_ms_needs_low_data_rate_optimisation(driver: Driver) -> None:
    driver.modulation(11)
    driver.write(reg.MODEM_CONFIG_3, 0x04)
    send(driver)
    assert driver.what() == ["RegModemConfig3 (0x26): a symbol longer than 16 ms needs LowDataRateOptimize"]
    assert not driver.antenna.sent[0].lora.low_rate


def test_low_data_rate_optimisation_is_allowed_where_it_is_not_needed(driver: Driver) -> None:
    driver.write(reg.MODEM_CONFIG_3, 0x0C)
    send(driver)
    assert driver.antenna.sent[0].lora.low_rate
    assert driver.what() == []


@pytest.mark.parametrize(
    ("address", "value", "fault"),
    [
        (reg.MODEM_CONFIG_1, 0xA2, "RegModemConfig1 (0x1D): reserved bandwidth"),
        (reg.MODEM_CONFIG_1, 0x70, "RegModemConfig1 (0x1D): reserved coding rate"),
        (reg.MODEM_CONFIG_2, 0xD4, "RegModemConfig2 (0x1E): reserved spreading factor"),
        (reg.PREAMBLE_LSB, 5, "RegPreamble (0x20, 0x21): at least 6 symbols"),
        (reg.HOP_PERIOD, 1, "RegHopPeriod (0x24): frequency hopping is not modelled"),
        (reg.PA_DAC, 0x80, "RegPaDac (0x4D): 0x84 or 0x87"),
    ],
)
def test_values_that_do_not_exist_are_violations(
    driver: Driver, address: int, value: int, fault: str
) -> None:
    driver.write(address, value)
    send(driver)
    assert fault in driver.what()


def test_a_frequency_outside_the_bands_is_a_violation(driver: Driver) -> None:
    driver.frequency(600_000_000)
    send(driver)
    assert driver.what() == ["RegFrf (0x06-0x08): 600000000 Hz is in none of the chip's bands"]


# -- inversion


def test_the_reset_value_sends_not_inverted(driver: Driver) -> None:
    assert driver.read(reg.INVERT_IQ) == 0x27
    send(driver)
    assert not driver.antenna.sent[0].lora.inverted


@pytest.mark.parametrize(
    ("invert_iq", "invert_iq_2", "inverted"),
    [(0x27, 0x1D, False), (0x26, 0x19, True), (0x67, 0x1D, False), (0x66, 0x19, True)],
)
def test_invert_iq_tx_is_active_low(driver: Driver, invert_iq: int, invert_iq_2: int, inverted: bool) -> None:
    driver.write(reg.INVERT_IQ, invert_iq)
    driver.write(reg.INVERT_IQ_2, invert_iq_2)
    send(driver)
    assert driver.antenna.sent[0].lora.inverted == inverted
    assert driver.what() == []


@pytest.mark.parametrize(("invert_iq", "invert_iq_2"), [(0x27, 0x19), (0x26, 0x1D), (0x66, 0x1D)])
def test_sending_with_registers_that_contradict_each_other_is_a_violation(
    driver: Driver, invert_iq: int, invert_iq_2: int
) -> None:
    driver.write(reg.INVERT_IQ, invert_iq)
    driver.write(reg.INVERT_IQ_2, invert_iq_2)
    send(driver)
    [fault] = driver.what()
    assert "RegInvertIQ (0x33) has sending" in fault


# -- power


@pytest.mark.parametrize(("output", "dbm"), [(0, 2), (12, 14), (15, 17)])
def test_pa_boost_sends_2_to_17_dbm(driver: Driver, output: int, dbm: int) -> None:
    driver.write(reg.PA_CONFIG, 0x80 | output)
    send(driver)
    assert driver.antenna.sent[0].power_dbm == dbm
    assert driver.what() == []


@pytest.mark.parametrize(("output", "dbm"), [(0, 5), (15, 20)])
def test_pa_boost_with_high_power_sends_up_to_20_dbm(driver: Driver, output: int, dbm: int) -> None:
    driver.write(reg.PA_CONFIG, 0x80 | output)
    driver.write(reg.PA_DAC, 0x87)
    driver.write(reg.OCP, 0x20 | 0x11)
    send(driver)
    assert driver.antenna.sent[0].power_dbm == dbm
    assert driver.what() == []


@pytest.mark.parametrize(("config", "dbm"), [(0x7F, 15.0), (0x7E, 14.0), (0x4F, 13.2), (0x00, -4.2)])
def test_rfo_sends_what_max_power_and_output_power_say(config: int, dbm: float) -> None:
    driver = Driver(pa_boost=False)
    driver.lorawan()
    driver.write(reg.PA_CONFIG, config)
    send(driver)
    assert driver.antenna.sent[0].power_dbm == dbm
    assert driver.what() == []


def test_the_wrong_pin_is_a_violation_and_nearly_nothing_is_heard(driver: Driver) -> None:
    driver.write(reg.PA_CONFIG, 0x7E)
    send(driver)
    assert driver.antenna.sent[0].power_dbm == 14 - 30
    assert driver.what() == ["RegPaConfig (0x09): sends on RFO, the antenna is on PA_BOOST"]
    other = Driver(pa_boost=False)
    other.lorawan()
    send(other)
    assert other.antenna.sent[0].power_dbm == 14 - 30
    assert other.what() == ["RegPaConfig (0x09): sends on PA_BOOST, the antenna is on RFO"]


def test_high_power_on_rfo_is_a_violation() -> None:
    driver = Driver(pa_boost=False)
    driver.lorawan()
    driver.write(reg.PA_CONFIG, 0x7E)
    driver.write(reg.PA_DAC, 0x87)
    send(driver)
    assert driver.what() == ["RegPaDac (0x4D): high power is for PA_BOOST only"]


def test_the_over_current_protection_must_allow_the_power(driver: Driver) -> None:
    driver.write(reg.PA_CONFIG, 0x8F)
    driver.write(reg.PA_DAC, 0x87)
    send(driver)
    assert driver.what() == ["RegOcp (0x0B): 100 mA is too low for 20 dBm, which takes 120 mA"]


@pytest.mark.parametrize(
    ("ocp", "milliamperes"), [(0x20, 45), (0x28, 85), (0x2F, 120), (0x30, 130), (0x3B, 240), (0x3F, 240)]
)
def test_the_protection_trims_from_45_to_240_ma(driver: Driver, ocp: int, milliamperes: int) -> None:
    driver.write(reg.PA_CONFIG, 0x8F)
    driver.write(reg.OCP, ocp)
    send(driver)
    too_low = [f"RegOcp (0x0B): {milliamperes} mA is too low for 17 dBm, which takes 87 mA"]
    assert driver.what() == (too_low if milliamperes < 87 else [])


def test_without_the_protection_no_power_is_too_much(driver: Driver) -> None:
    driver.write(reg.PA_CONFIG, 0x8F)
    driver.write(reg.PA_DAC, 0x87)
    driver.write(reg.OCP, 0x0B)
    send(driver)
    assert driver.what() == []


# -- no packets


def test_continuous_mode_is_a_carrier_until_the_mode_is_left(driver: Driver) -> None:
    driver.update(reg.MODEM_CONFIG_2, 0x08, 0x08)
    driver.mode(reg.TX)
    start = driver.now
    driver.wait(1_000 * MS)
    assert driver.antenna.sent == []
    assert driver.read(reg.OP_MODE) == LORA | reg.TX
    driver.mode(reg.STDBY)
    [carrier] = driver.antenna.carriers
    assert (carrier.start_ns, carrier.frequency, carrier.power_dbm) == (start + 115 * US, 868_099_976, 14)
    assert carrier.end_ns == driver.now


def test_the_fsk_modem_sends_a_carrier() -> None:
    driver = Driver()
    driver.frequency(868_300_000)
    driver.write(reg.PA_CONFIG, 0x8C)
    driver.write(reg.OP_MODE, reg.TX)
    driver.wait(10 * MS)
    driver.write(reg.OP_MODE, reg.STDBY)
    assert driver.antenna.carriers[0].end_ns == driver.now
    assert driver.what() == []
