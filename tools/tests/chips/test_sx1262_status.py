"""What an SX1262 answers, and what it refuses."""

from __future__ import annotations

import pytest

from tools.tests.chips.sx1262_driver import (
    ALL_IRQS,
    CALIBRATE,
    CLEAR_IRQ_STATUS,
    FS,
    GET_DEVICE_ERRORS,
    GET_IRQ_STATUS,
    GET_PACKET_TYPE,
    GET_RSSI_INST,
    GET_STATUS,
    MS,
    READ_REGISTER,
    RX,
    SET_DIO3,
    SET_FALLBACK,
    SET_FS,
    SET_MODULATION,
    SET_PACKET,
    SET_PACKET_TYPE,
    SET_REGULATOR_MODE,
    SET_RF_FREQUENCY,
    SET_SLEEP,
    SET_STANDBY,
    SET_TX_PARAMS,
    STANDBY_RC,
    STANDBY_XOSC,
    TX,
    WRITE_BUFFER,
    Driver,
)

PROCESSED, DATA_AVAILABLE, TIMED_OUT, PROCESSING_ERROR, EXECUTION_FAILURE, SENT = 1, 2, 3, 4, 5, 6


def started() -> Driver:
    driver = Driver()
    driver.start()
    return driver


def test_the_status_byte_comes_out_with_every_byte_of_a_command() -> None:
    driver = started()
    assert (
        driver.command(SET_RF_FREQUENCY, 0, 0, 0, 0)[1:]
        == bytes([0x80 | STANDBY_RC << 4 | PROCESSED << 1]) * 4
    )


def test_an_answer_comes_after_the_parameters_and_one_nop_even_in_pieces() -> None:
    driver = started()
    driver.until_ready()
    driver.chip.select(driver.now, 0)
    got = b"".join(
        driver.chip.transfer(driver.now, piece, driver.now)
        for piece in (b"\x1d", b"\x07", b"\x40\x00\x00", b"\x00")
    )
    driver.chip.select(driver.now, 1)
    assert got[4:] == b"\x14\x24"


def test_the_chip_mode_is_told_in_each_mode() -> None:
    driver = Driver()
    driver.ready_to_send()
    modes = [driver.status()[0]]
    driver.command(SET_STANDBY, 1)
    modes.append(driver.status()[0])
    driver.command(SET_FS)
    modes.append(driver.status()[0])
    driver.receive()
    modes.append(driver.status()[0])
    driver.send()
    modes.append(driver.status()[0])
    assert modes == [STANDBY_RC, STANDBY_XOSC, FS, RX, TX]


def test_the_command_status_tells_of_packets_and_time_outs_until_the_next_command() -> None:
    driver = Driver()
    driver.ready_to_send()
    driver.send()
    driver.until_ready()
    driver.wait(60 * MS)
    assert driver.status() == (STANDBY_RC, SENT)
    driver.receive(timeout=64)
    driver.wait(2 * MS)
    assert driver.status() == (STANDBY_RC, TIMED_OUT)
    driver.receive()
    driver.antenna.hear(driver.now + 40 * MS, b"x")
    driver.wait(40 * MS)
    assert driver.status() == (STANDBY_RC, DATA_AVAILABLE)
    driver.command(CLEAR_IRQ_STATUS, 3, 0xFF)
    assert driver.status() == (STANDBY_RC, PROCESSED)


def test_an_unknown_opcode_is_a_processing_error() -> None:
    driver = started()
    driver.command(0x42, 1, 2)
    assert driver.status() == (STANDBY_RC, PROCESSING_ERROR)
    assert driver.complaints == ["there is no command 0x42 (table 11-1 to 11-5)"]


def test_a_violation_has_the_time_of_the_end_of_its_transaction() -> None:
    driver = started()
    driver.command(0x42, 1, 2)
    assert [violation.at_ns for violation in driver.chip.violations] == [driver.now]


@pytest.mark.parametrize(
    "command",
    [
        (SET_STANDBY,),
        (SET_STANDBY, 0, 0),
        (SET_RF_FREQUENCY, 1, 2, 3),
        (SET_MODULATION, 9, 4, 1),
        (SET_PACKET, 0, 8, 0, 12, 1),
        (SET_FS, 0),
        (WRITE_BUFFER,),
        (0x00, 0, 0),
        (0x07, 0),
    ],
)
def test_a_wrong_number_of_parameters_is_a_processing_error(command: tuple[int, ...]) -> None:
    driver = started()
    driver.command(*command)
    assert driver.status()[1] == PROCESSING_ERROR
    assert len(driver.complaints) == 1


@pytest.mark.parametrize(
    "command",
    [
        (SET_MODULATION, 9, 4, 1, 0, 0, 0, 0, 0),
        (SET_PACKET, 0, 8, 0, 12, 1, 0, 0, 0, 0),
    ],
)
def test_parameters_that_only_other_modems_read_do_no_harm(command: tuple[int, ...]) -> None:
    driver = started()
    driver.modulate()
    driver.command(*command)
    assert driver.status()[1] == PROCESSED
    assert driver.complaints == []


@pytest.mark.parametrize(
    "command",
    [
        (SET_STANDBY, 2),
        (SET_PACKET_TYPE, 7),
        (SET_MODULATION, 4, 4, 1, 0),
        (SET_MODULATION, 13, 4, 1, 0),
        (SET_MODULATION, 9, 7, 1, 0),
        (SET_MODULATION, 9, 4, 0, 0),
        (SET_MODULATION, 9, 4, 1, 2),
        (SET_PACKET, 0, 0, 0, 12, 1, 0),
        (SET_PACKET, 0, 8, 2, 12, 1, 0),
        (SET_TX_PARAMS, 14, 8),
        (SET_FALLBACK, 0x10),
        (SET_DIO3, 8, 0, 1, 64),
        (0x88, 5, 21, 10, 0, 0, 0, 0),
        (0x88, 2, 21, 10, 2, 0, 0, 0),
    ],
)
def test_a_value_that_the_tables_do_not_have_is_a_processing_error(command: tuple[int, ...]) -> None:
    driver = started()
    driver.modulate()
    driver.command(*command)
    assert driver.status()[1] == PROCESSING_ERROR
    assert len(driver.complaints) == 1


@pytest.mark.parametrize("hertz", [149_000_000, 961_000_000])
def test_a_frequency_outside_150_to_960_mhz_is_refused(hertz: int) -> None:
    driver = started()
    driver.frequency(hertz)
    assert driver.status()[1] == EXECUTION_FAILURE
    assert "outside 150 to 960 MHz" in driver.complaints[0]


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ((SET_SLEEP, 4), "SetSleep outside STDBY (13.1.1)"),
        ((CALIBRATE, 0x7F), "Calibrate outside STDBY_RC (13.1.12)"),
        ((0x98, 0xD7, 0xDB), "CalibrateImage outside STDBY (9.2)"),
        ((SET_PACKET_TYPE, 1), "SetPacketType outside STDBY_RC (13.4.2)"),
        ((0x94, 0, 0, 64, 0, 0, 64), "SetRxDutyCycle outside STDBY_RC (13.1.7)"),
    ],
)
def test_what_the_present_mode_does_not_allow_fails_to_execute(command: tuple[int, ...], what: str) -> None:
    driver = Driver()
    driver.ready_to_receive()
    driver.command(SET_FS)
    driver.command(*command)
    assert driver.status() == (FS, EXECUTION_FAILURE)
    assert driver.complaints == [what]


@pytest.mark.parametrize("command", [(SET_REGULATOR_MODE, 1), (SET_DIO3, 2, 0, 1, 64)])
def test_what_belongs_into_standby_rc_is_done_elsewhere_too_but_not_unnoticed(
    command: tuple[int, ...],
) -> None:
    driver = started()
    driver.command(SET_STANDBY, 1)
    driver.command(*command)
    assert driver.status() == (STANDBY_XOSC, PROCESSED)
    assert len(driver.complaints) == 1
    assert "outside STDBY_RC" in driver.complaints[0]


def test_a_modem_that_is_receiving_is_not_to_be_configured() -> None:
    driver = Driver()
    driver.ready_to_receive()
    driver.receive()
    driver.modulate()
    assert driver.complaints == ["SetModulationParams while receiving (14.2, 14.3)"]


def test_one_zero_is_a_nop_and_seven_reset_the_statistics() -> None:
    driver = started()
    driver.command(0x00)
    driver.command(0x00, 0, 0, 0, 0, 0, 0)
    assert driver.complaints == []


def test_reading_leaves_the_command_status_alone() -> None:
    driver = started()
    driver.command(0x42)
    driver.command(GET_IRQ_STATUS, 0, 0, 0)
    driver.command(READ_REGISTER, 0x07, 0x40, 0, 0)
    assert driver.status()[1] == PROCESSING_ERROR


def test_instantaneous_rssi_is_minus_two_times_dbm_while_receiving_and_nothing_otherwise() -> None:
    driver = Driver()
    driver.ready_to_receive()
    assert driver.get(GET_RSSI_INST, 1) == b"\0"
    assert driver.complaints == ["GetRssiInst while not receiving (13.5.4)"]
    driver.receive()
    assert driver.get(GET_RSSI_INST, 1) == bytes([2 * 117])


def test_the_packet_type_is_what_was_set() -> None:
    driver = started()
    assert driver.get(GET_PACKET_TYPE, 1) == b"\x01"
    driver.command(SET_PACKET_TYPE, 0)
    assert driver.get(GET_PACKET_TYPE, 1) == b"\x00"


def test_get_status_needs_no_more_than_its_opcode_and_a_nop() -> None:
    driver = started()
    assert driver.command(GET_STATUS, 0)[1] == STANDBY_RC << 4 | PROCESSED << 1
    assert driver.command(GET_DEVICE_ERRORS, 0)[1] & 0x7F == STANDBY_RC << 4 | PROCESSED << 1


def test_registers_have_the_data_sheets_values_after_power_on() -> None:
    driver = Driver()
    driver.until_ready()
    values = {
        address: driver.read(address)[0]
        for address in (0x0736, 0x0740, 0x0741, 0x0889, 0x08AC, 0x08D8, 0x08E7)
    }
    assert values == {
        0x0736: 0x0D,
        0x0740: 0x14,
        0x0741: 0x24,
        0x0889: 0x01,
        0x08AC: 0x94,
        0x08D8: 0xC8,
        0x08E7: 0x18,
    }


def test_registers_are_written_and_read_in_a_row() -> None:
    driver = started()
    driver.write(0x06C0, 1, 2, 3)
    assert driver.read(0x06C0, 4) == b"\x01\x02\x03\x00"


def test_the_buffer_wraps_at_256() -> None:
    driver = started()
    driver.fill(254, b"\x01\x02\x03\x04")
    assert driver.read_buffer(254, 4) == b"\x01\x02\x03\x04"
    assert driver.read_buffer(0, 2) == b"\x03\x04"


def test_random_numbers_differ_from_read_to_read_and_follow_from_the_seed() -> None:
    reads = []
    for _ in range(2):
        driver = started()
        driver.command(0x82, 0xFF, 0xFF, 0xFF)
        reads.append([driver.read(0x0819, 4) for _ in range(3)])
    assert len(set(reads[0])) == 3
    assert reads[0] == reads[1]


def test_a_chip_that_was_never_driven_wrongly_has_no_violations() -> None:
    driver = Driver()
    driver.ready_to_send()
    driver.interrupts(ALL_IRQS, ALL_IRQS)
    driver.send()
    driver.until_ready()
    driver.wait(60 * MS)
    assert driver.complaints == []
