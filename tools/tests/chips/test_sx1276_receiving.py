"""SX1276: receiving with the LoRa modem (data sheet rev. 7, sections 4.1.2.3, 4.1.3, 4.1.5, 5.5.5), CAD, and what the errata
note asks for."""

from __future__ import annotations

import pytest

from tools.tests.chips.sx1276_antenna import Window, received
from tools.tests.chips.sx1276_driver import LORA, MS, US, Driver
from zaehlwerk_tools.simulator.chips import sx1276_registers as reg
from zaehlwerk_tools.simulator.chips.antenna import LoRa, Reception

SYMBOL = 1_024 * US  # SF7, 125 kHz


@pytest.fixture
def driver() -> Driver:
    driver = Driver()
    driver.lorawan()
    driver.symbols(10)
    return driver


def receive(driver: Driver, mode: int = reg.RXSINGLE) -> Window:
    driver.mode(mode)
    return driver.antenna.windows[-1]


def hear(driver: Driver, reception: Reception, *, header: bool = True) -> None:
    """A frame from the world: preamble, header, end."""
    hears = driver.antenna.windows[-1].hears
    driver.now += 2 * MS
    hears.preamble(driver.now)
    driver.now += 8 * MS
    if header:
        hears.header(driver.now)
    driver.now += 30 * MS
    hears.frame(driver.now, reception)


# -- the window


def test_the_antenna_is_told_what_is_listened_for(driver: Driver) -> None:
    driver.invert(receive=True)
    window = receive(driver)
    assert window.lora == LoRa(868_099_976, 7, 125_000, 1, 8, 0x34, True, True, True, False, 0)
    assert driver.chip.listening
    assert driver.what() == []


def test_an_implicit_header_brings_its_length(driver: Driver) -> None:
    driver.update(reg.MODEM_CONFIG_1, 0x01, 0x01)
    driver.write(reg.PAYLOAD_LENGTH, 17)
    assert receive(driver).lora.length == 17
    assert not driver.antenna.windows[0].lora.explicit


@pytest.mark.parametrize(("sf", "symbols"), [(7, 4), (7, 1023), (12, 5), (10, 256)])
def test_single_reception_times_out_after_its_symbols(driver: Driver, sf: int, symbols: int) -> None:
    driver.modulation(sf)
    driver.symbols(symbols)
    window = receive(driver)
    end = window.open_ns + symbols * (SYMBOL << (sf - 7))
    driver.wait(window.open_ns - driver.now)
    assert driver.chip.next_change() == end
    driver.wait(end - driver.now)
    assert driver.lines()["dio1"] == 1
    assert driver.read(reg.IRQ_FLAGS) == reg.RX_TIMEOUT
    assert driver.read(reg.OP_MODE) == LORA | reg.STDBY
    assert window.closed_ns == end
    assert not driver.chip.listening
    assert driver.what() == []


@pytest.mark.parametrize(("field", "divisor"), list(enumerate([64, 48, 32, 24, 16, 12, 8, 4, 2, 1])))
def test_a_symbol_lasts_as_long_as_its_bandwidth_has_it(driver: Driver, field: int, divisor: int) -> None:
    driver.modulation(8, field)
    driver.symbols(100)
    window = receive(driver)
    driver.wait(window.open_ns - driver.now)
    # The bandwidths are 500 kHz divided.
    assert driver.chip.next_change() == window.open_ns + 100 * 256 * 2_000 * divisor


def test_fewer_than_4_symbols_are_a_violation(driver: Driver) -> None:
    driver.symbols(3)
    receive(driver)
    assert driver.what() == ["SymbTimeout (0x1E, 0x1F): 3 symbols, at least 4"]


def test_continuous_reception_does_not_care_for_the_symbol_timeout(driver: Driver) -> None:
    driver.symbols(0)
    receive(driver, reg.RXCONTINUOUS)
    driver.wait(10_000 * MS)
    assert driver.chip.listening
    assert driver.what() == []


def test_what_comes_after_the_timeout_is_not_heard_even_if_nobody_has_asked(driver: Driver) -> None:
    window = receive(driver)
    late = window.open_ns + 10 * SYMBOL + 1
    window.hears.preamble(late)
    window.hears.frame(late + MS, received(b"late"))
    driver.now = late + 2 * MS
    assert driver.read(reg.IRQ_FLAGS) == reg.RX_TIMEOUT
    assert window.closed_ns == late - 1


def test_leaving_receive_mode_closes_the_receiver(driver: Driver) -> None:
    window = receive(driver, reg.RXCONTINUOUS)
    driver.wait(5 * MS)
    driver.mode(reg.SLEEP)
    assert window.closed_ns == driver.now
    assert not driver.chip.listening
    window.hears.frame(driver.now + MS, received(b"late"))
    assert driver.read(reg.IRQ_FLAGS) == 0


# -- frames


def test_a_frame_is_received(driver: Driver) -> None:
    window = receive(driver)
    hear(driver, received(b"hello", rssi=-100, snr=-2.5))
    assert window.closed_ns == driver.now
    assert driver.lines()["dio0"] == 1
    assert driver.read(reg.IRQ_FLAGS) == reg.RX_DONE | reg.VALID_HEADER
    assert driver.read(reg.OP_MODE) == LORA | reg.STDBY
    assert driver.read(reg.RX_NB_BYTES) == 5
    assert driver.read(reg.FIFO_RX_CURRENT_ADDR) == 0
    assert driver.read(reg.FIFO_RX_BYTE_ADDR) == 4
    driver.write(reg.FIFO_ADDR_PTR, driver.read(reg.FIFO_RX_CURRENT_ADDR))
    assert driver.read_many(reg.FIFO, 5) == b"hello"
    assert driver.what() == []


def test_the_world_changes_the_chip_at_the_moment_it_is_about(driver: Driver) -> None:
    changes: list[tuple[int, int]] = []
    driver.write(reg.DIO_MAPPING_1, 0x01)
    driver.chip.on_world_change = lambda at: changes.append((at, dict(driver.chip.lines(at))["dio3"]))
    receive(driver)
    start = driver.now
    hear(driver, received(b"hello"))
    assert changes == [(start + 2 * MS, 0), (start + 10 * MS, 1), (start + 40 * MS, 1)]


def test_a_preamble_within_the_window_keeps_it_open(driver: Driver) -> None:
    window = receive(driver)
    window.hears.preamble(window.open_ns + 10 * SYMBOL)
    # The last moment belongs to the time-out; one before it, to the preamble.
    driver.now = window.open_ns + 11 * SYMBOL
    assert driver.read(reg.IRQ_FLAGS) == reg.RX_TIMEOUT
    driver.write(reg.IRQ_FLAGS, 0xFF)
    window = receive(driver)
    window.hears.preamble(window.open_ns + 10 * SYMBOL - 1)
    driver.wait(1_000 * MS)
    assert driver.chip.listening
    window.hears.header(driver.now)
    window.hears.frame(driver.now + MS, received(b"slow"))
    driver.wait(2 * MS)
    assert driver.read(reg.IRQ_FLAGS) == reg.RX_DONE | reg.VALID_HEADER


def test_a_signal_lost_within_the_window_leaves_what_is_left_of_it(driver: Driver) -> None:
    window = receive(driver)
    window.hears.preamble(window.open_ns + 2 * SYMBOL)
    window.hears.lost(window.open_ns + 4 * SYMBOL)
    assert driver.chip.next_change() == window.open_ns + 10 * SYMBOL


def test_a_signal_lost_after_the_window_ends_it(driver: Driver) -> None:
    window = receive(driver)
    window.hears.preamble(window.open_ns + 2 * SYMBOL)
    window.hears.lost(window.open_ns + 40 * SYMBOL)
    driver.now = window.open_ns + 40 * SYMBOL
    assert driver.lines()["dio1"] == 1
    assert not driver.chip.listening


def test_continuous_reception_goes_on_after_a_frame_and_appends_to_the_fifo(driver: Driver) -> None:
    driver.write(reg.FIFO_RX_BASE_ADDR, 0xFA)
    receive(driver, reg.RXCONTINUOUS)
    hear(driver, received(b"hello"))
    assert driver.chip.listening
    assert driver.read(reg.FIFO_RX_CURRENT_ADDR) == 0xFA
    driver.write(reg.IRQ_FLAGS, 0xFF)
    hear(driver, received(b"world!"))
    assert driver.read(reg.FIFO_RX_CURRENT_ADDR) == 0xFF
    assert driver.read(reg.FIFO_RX_BYTE_ADDR) == 0x04
    driver.write(reg.FIFO_ADDR_PTR, 0xFA)
    assert driver.read_many(reg.FIFO, 11) == b"helloworld!"
    assert driver.what() == []


def test_receive_mode_begins_at_its_base_address_each_time(driver: Driver) -> None:
    for _ in range(2):
        receive(driver)
        hear(driver, received(b"hello"))
        assert driver.read(reg.FIFO_RX_CURRENT_ADDR) == 0


def test_a_wrong_payload_crc_is_told_and_the_payload_is_there(driver: Driver) -> None:
    driver.write(reg.DIO_MAPPING_1, 0x02)
    receive(driver)
    hear(driver, received(b"hexlo", crc_ok=False))
    assert driver.read(reg.IRQ_FLAGS) == reg.RX_DONE | reg.VALID_HEADER | reg.PAYLOAD_CRC_ERROR
    assert driver.lines()["dio3"] == 1
    assert driver.read(reg.HOP_CHANNEL) == reg.CRC_ON_PAYLOAD
    driver.write(reg.FIFO_ADDR_PTR, 0)
    assert driver.read_many(reg.FIFO, 5) == b"hexlo"


def test_the_header_says_whether_there_is_a_crc(driver: Driver) -> None:
    receive(driver)
    hear(driver, received(b"hexlo", crc=False, crc_ok=False))
    assert driver.read(reg.IRQ_FLAGS) == reg.RX_DONE | reg.VALID_HEADER
    assert driver.read(reg.HOP_CHANNEL) == 0


def test_an_implicit_header_is_none_and_the_crc_is_as_configured(driver: Driver) -> None:
    driver.update(reg.MODEM_CONFIG_1, 0x01, 0x01)
    driver.write(reg.PAYLOAD_LENGTH, 5)
    receive(driver)
    hear(driver, received(b"hexlo", crc_ok=False))
    assert driver.read(reg.IRQ_FLAGS) == reg.RX_DONE | reg.PAYLOAD_CRC_ERROR


def test_an_implicit_frame_without_crc_is_not_checked(driver: Driver) -> None:
    driver.update(reg.MODEM_CONFIG_1, 0x01, 0x01)
    driver.update(reg.MODEM_CONFIG_2, 0x04, 0)
    driver.write(reg.PAYLOAD_LENGTH, 5)
    assert not receive(driver).lora.crc
    hear(driver, received(b"hexlo", crc=False, crc_ok=False))
    assert driver.read(reg.IRQ_FLAGS) == reg.RX_DONE


def test_an_implicit_header_needs_a_length(driver: Driver) -> None:
    driver.update(reg.MODEM_CONFIG_1, 0x01, 0x01)
    driver.write(reg.PAYLOAD_LENGTH, 0)
    receive(driver)
    assert driver.what() == ["RegPayloadLength (0x22): an implicit header needs the length that is expected"]


def test_an_explicit_header_needs_none(driver: Driver) -> None:
    driver.write(reg.PAYLOAD_LENGTH, 0)
    receive(driver)
    assert driver.what() == []


def test_a_frame_longer_than_the_maximum_is_not_received(driver: Driver) -> None:
    driver.write(reg.MAX_PAYLOAD_LENGTH, 4)
    receive(driver)
    hear(driver, received(b"hello"))
    assert driver.read(reg.IRQ_FLAGS) == reg.VALID_HEADER | reg.RX_TIMEOUT, "and its window is over"
    assert not driver.chip.listening
    driver.write(reg.MAX_PAYLOAD_LENGTH, 5)
    driver.write(reg.IRQ_FLAGS, 0xFF)
    receive(driver)
    hear(driver, received(b"hello"))
    assert driver.read(reg.IRQ_FLAGS) & reg.RX_DONE


def test_headers_and_packets_are_counted_from_entering_receive_mode_until_sleep(driver: Driver) -> None:
    receive(driver, reg.RXCONTINUOUS)
    for ok in (True, False, True):
        hear(driver, received(b"hello", crc_ok=ok))
    assert driver.read_many(reg.RX_HEADER_CNT_MSB, 4) == bytes([0, 3, 0, 2])
    driver.antenna.windows[-1].hears.header(driver.now)
    assert driver.read_many(reg.RX_HEADER_CNT_MSB, 4) == bytes([0, 4, 0, 2])
    driver.mode(reg.STDBY)
    assert driver.read_many(reg.RX_HEADER_CNT_MSB, 4) == bytes([0, 4, 0, 2])
    receive(driver)
    assert driver.read_many(reg.RX_HEADER_CNT_MSB, 4) == bytes(4)
    hear(driver, received(b"hello"))
    driver.mode(reg.SLEEP)
    assert driver.read_many(reg.RX_HEADER_CNT_MSB, 4) == bytes(4)


def test_modem_status_follows_the_signal(driver: Driver) -> None:
    assert driver.read(reg.MODEM_STAT) == 0x10
    window = receive(driver, reg.RXCONTINUOUS)
    assert driver.read(reg.MODEM_STAT) == 0x14
    window.hears.preamble(driver.now)
    assert driver.read(reg.MODEM_STAT) == 0x07
    window.hears.header(driver.now)
    assert driver.read(reg.MODEM_STAT) == 0x0F
    window.hears.frame(driver.now, Reception(b"x", -80, 9, True, True, coding_rate=3))
    assert driver.read(reg.MODEM_STAT) == 0x74, "and the coding rate of the header"
    driver.mode(reg.STDBY)
    assert driver.read(reg.MODEM_STAT) == 0x70


# -- strength


@pytest.mark.parametrize("rssi", [-127, -120, -100, -80, -50, -30])
def test_a_packets_rssi_above_the_noise_follows_the_corrected_slope(driver: Driver, rssi: int) -> None:
    receive(driver)
    hear(driver, received(b"x", rssi=rssi, snr=6.25))
    assert driver.read(reg.PKT_SNR_VALUE) == 25
    assert round(-157 + 16 / 15 * driver.read(reg.PKT_RSSI_VALUE)) == pytest.approx(rssi, abs=1)


@pytest.mark.parametrize(("rssi", "snr"), [(-130, -12.0), (-137, -19.5), (-121, -0.25)])
def test_a_packets_rssi_below_the_noise_needs_the_snr(driver: Driver, rssi: int, snr: float) -> None:
    receive(driver)
    hear(driver, received(b"x", rssi=rssi, snr=snr))
    quarters = driver.read(reg.PKT_SNR_VALUE)
    assert quarters - 256 == snr * 4
    assert -157 + driver.read(reg.PKT_RSSI_VALUE) + (quarters - 256) / 4 == pytest.approx(rssi, abs=0.5)


def test_the_low_frequency_port_has_another_offset(driver: Driver) -> None:
    driver.frequency(434_000_000)
    receive(driver)
    hear(driver, received(b"x", rssi=-125, snr=-5.0))
    assert driver.read(reg.PKT_RSSI_VALUE) == 164 - 125 + 5


def test_the_momentary_rssi_is_the_noise_at_the_antenna(driver: Driver) -> None:
    driver.antenna.noise = -107.0
    receive(driver, reg.RXCONTINUOUS)
    assert -157 + driver.read(reg.RSSI_VALUE) == -107


def test_the_wideband_rssi_has_chance_in_its_lowest_bit(driver: Driver) -> None:
    receive(driver, reg.RXCONTINUOUS)
    bits = []
    for _ in range(200):
        driver.wait(1 * MS)
        bits.append(driver.read(reg.RSSI_WIDEBAND) & 1)
    assert 60 < sum(bits) < 140


# -- inversion and errata


@pytest.mark.parametrize(
    ("invert_iq", "invert_iq_2", "inverted"), [(0x27, 0x1D, False), (0x67, 0x19, True), (0x66, 0x19, True)]
)
def test_invert_iq_rx(driver: Driver, invert_iq: int, invert_iq_2: int, inverted: bool) -> None:
    driver.write(reg.INVERT_IQ, invert_iq)
    driver.write(reg.INVERT_IQ_2, invert_iq_2)
    assert receive(driver).lora.inverted == inverted
    assert driver.what() == []


@pytest.mark.parametrize(("invert_iq", "invert_iq_2"), [(0x27, 0x19), (0x67, 0x1D), (0x67, 0x00)])
def test_receiving_with_registers_that_contradict_each_other_is_a_violation(
    driver: Driver, invert_iq: int, invert_iq_2: int
) -> None:
    driver.write(reg.INVERT_IQ, invert_iq)
    driver.write(reg.INVERT_IQ_2, invert_iq_2)
    receive(driver)
    [fault] = driver.what()
    assert "RegInvertIQ (0x33) has receiving" in fault


def test_automatic_if_below_500_khz_is_a_violation(driver: Driver) -> None:
    driver.write(reg.DETECT_OPTIMIZE, 0xC3)
    receive(driver)
    assert driver.what() == ["errata note 2.3: below 500 kHz AutomaticIFOn (0x31) must be off"]


def test_the_intermediate_frequency_must_then_be_set_by_hand(driver: Driver) -> None:
    driver.write(reg.IF_FREQ_1, 0x20)
    receive(driver)
    assert driver.what() == ["errata note 2.3: at 125000 Hz 0x2F must be 0x40 and 0x30 0x00"]


def test_errata_concern_receiving_only(driver: Driver) -> None:
    driver.write(reg.DETECT_OPTIMIZE, 0xC3)
    driver.load(b"x")
    driver.mode(reg.TX)
    assert driver.what() == []


@pytest.mark.parametrize(
    ("field", "value"), list(enumerate([0x48, 0x44, 0x44, 0x44, 0x44, 0x44, 0x40, 0x40, 0x40]))
)
def test_the_intermediate_frequency_by_bandwidth(driver: Driver, field: int, value: int) -> None:
    driver.modulation(7, field)
    driver.write(reg.IF_FREQ_1, value)
    receive(driver)
    assert driver.what() == []
    driver.mode(reg.STDBY)
    driver.write(reg.IF_FREQ_1, value + 1)
    receive(driver)
    assert len(driver.what()) == 1


@pytest.mark.parametrize(("field", "above"), [(0, 7_810), (5, 41_670), (6, 0), (7, 0), (9, 0)])
def test_narrow_receivers_are_tuned_one_bandwidth_above_the_channel(
    driver: Driver, field: int, above: int
) -> None:
    driver.modulation(7, field)
    driver.frequency(868_100_000 + above)
    assert receive(driver).lora.frequency == pytest.approx(868_100_000, abs=61)


def test_with_the_automatic_if_a_narrow_receiver_hears_where_it_is_tuned(driver: Driver) -> None:
    driver.modulation(7, 3)
    driver.write(reg.DETECT_OPTIMIZE, 0xC3)
    assert receive(driver).lora.frequency == pytest.approx(868_100_000, abs=61)


@pytest.mark.parametrize(("hertz", "second"), [(868_100_000, 0x64), (434_000_000, 0x7F)])
def test_500_khz_needs_its_sensitivity_optimised(driver: Driver, hertz: int, second: int) -> None:
    driver.modulation(7, 9)
    driver.frequency(hertz)
    driver.write(reg.HIGH_BW_OPTIMIZE_2, second)
    receive(driver)
    assert driver.what() == []
    driver.mode(reg.STDBY)
    driver.write(reg.HIGH_BW_OPTIMIZE_2, 0x52)
    receive(driver)
    assert driver.what() == [f"errata note 2.1: at 500 kHz 0x36 must be 0x02 and 0x3A 0x{second:02X}"]


def test_500_khz_needs_the_automatic_if(driver: Driver) -> None:
    driver.modulation(7, 9)
    driver.write(reg.DETECT_OPTIMIZE, 0x43)
    receive(driver)
    assert driver.what() == ["errata note 2.3: at 500 kHz AutomaticIFOn (0x31) must be on"]


def test_the_optimisation_for_500_khz_must_be_taken_back(driver: Driver) -> None:
    driver.write(reg.HIGH_BW_OPTIMIZE_1, 0x02)
    receive(driver)
    assert driver.what() == ["errata note 2.1: below 500 kHz 0x36 must be 0x03"]


def test_a_reserved_lna_boost_is_a_violation(driver: Driver) -> None:
    driver.write(reg.LNA, 0x21)
    receive(driver)
    assert driver.what() == ["RegLna (0x0C): reserved LnaBoostHf"]


# -- channel activity detection


def test_cad_ends_in_standby_with_cad_done(driver: Driver) -> None:
    driver.write(reg.DIO_MAPPING_1, 0x80)
    driver.mode(reg.CAD)
    window = driver.antenna.windows[0]
    assert driver.chip.listening
    start = driver.now
    driver.wait(10 * MS)
    # (2**7 + 32) / 125 kHz of listening, after the PLL has locked.
    assert window.closed_ns == start + 60 * US + 1_280 * US
    assert driver.lines()["dio0"] == 1
    assert driver.read(reg.IRQ_FLAGS) == reg.CAD_DONE
    assert driver.read(reg.OP_MODE) == LORA | reg.STDBY
    assert driver.lines()["dio5"] == 1
    assert driver.what() == []


def test_cad_needs_what_receiving_needs(driver: Driver) -> None:
    driver.write(reg.DETECT_OPTIMIZE, 0xC3)
    driver.mode(reg.CAD)
    assert driver.what() == ["errata note 2.3: below 500 kHz AutomaticIFOn (0x31) must be off"]


def test_cad_finds_a_preamble_that_is_heard_while_it_listens(driver: Driver) -> None:
    driver.mode(reg.CAD)
    window = driver.antenna.windows[0]
    window.hears.preamble(window.open_ns + MS)
    driver.wait(10 * MS)
    assert driver.read(reg.IRQ_FLAGS) == reg.CAD_DONE | reg.CAD_DETECTED
    assert driver.lines()["dio4"] == 1
    driver.write(reg.IRQ_FLAGS, 0xFF)
    driver.mode(reg.CAD)
    driver.wait(10 * MS)
    assert driver.read(reg.IRQ_FLAGS) == reg.CAD_DONE, "each time anew"


@pytest.mark.parametrize(("sf", "symbols"), [(7, 1.75), (12, 1.87)])
def test_cad_takes_a_little_less_than_two_symbols(driver: Driver, sf: int, symbols: float) -> None:
    driver.modulation(sf)
    driver.mode(reg.CAD)
    start = driver.now
    while driver.chip.listening or driver.chip.next_change() < 1 << 62:
        driver.now = driver.chip.next_change()
        driver.chip.lines(driver.now)
    assert (driver.now - start) / (SYMBOL << (sf - 7)) == pytest.approx(symbols, abs=0.1)
