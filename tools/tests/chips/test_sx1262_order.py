"""The order of commands that the SX1262 needs: data sheet sections 14.2, 14.3, 14.5."""

from __future__ import annotations

from tools.tests.chips.sx1262_driver import (
    CALIBRATE_IMAGE,
    GET_PACKET_TYPE,
    RX,
    SET_DIO2,
    SET_PA_CONFIG,
    SET_PACKET_TYPE,
    SET_STANDBY,
    SET_TX_PARAMS,
    STANDBY_RC,
    Driver,
)

EXECUTION_FAILURE = 5


def crystal() -> Driver:
    driver = Driver(tcxo_mv=None)
    driver.until_ready()
    driver.command(SET_DIO2, 1)
    driver.command(CALIBRATE_IMAGE, 0xD7, 0xDB)
    driver.command(SET_PA_CONFIG, 4, 7, 0, 1)
    driver.command(SET_TX_PARAMS, 14, 2)
    driver.write(0x08D8, 0xDE)
    driver.write(0x0889, 0x05)
    return driver


def test_modulation_before_the_packet_type_is_refused() -> None:
    driver = crystal()
    driver.modulate()
    assert driver.status()[1] == EXECUTION_FAILURE
    assert driver.complaints == ["SetModulationParams before SetPacketType (14.5)"]


def test_packet_parameters_before_the_packet_type_are_refused() -> None:
    driver = crystal()
    driver.packet(4, workaround=False)
    assert driver.status()[1] == EXECUTION_FAILURE
    assert driver.complaints == ["SetPacketParams before SetPacketType (14.5)"]


def test_packet_parameters_before_the_modulation_are_a_violation() -> None:
    driver = crystal()
    driver.command(SET_PACKET_TYPE, 1)
    driver.packet(4)
    assert driver.complaints == ["SetPacketParams before SetModulationParams (14.5)"]


def test_another_packet_type_forgets_modulation_packet_and_sync_word() -> None:
    driver = crystal()
    driver.command(SET_PACKET_TYPE, 1)
    driver.write(0x0740, 0x34, 0x44)
    driver.modulate()
    driver.command(SET_PACKET_TYPE, 0)
    driver.command(SET_PACKET_TYPE, 1)
    assert driver.read(0x0740, 2) == b"\x14\x24"
    driver.packet(4)
    assert driver.complaints == ["SetPacketParams before SetModulationParams (14.5)"]


def test_to_another_modem_the_chip_goes_in_standby_rc_only() -> None:
    driver = crystal()
    driver.command(SET_STANDBY, 1)
    driver.command(SET_PACKET_TYPE, 1)
    driver.command(SET_PACKET_TYPE, 1)
    assert driver.complaints == ["SetPacketType to another modem outside STDBY_RC (13.4.2)"]
    assert driver.get(GET_PACKET_TYPE, 1) == b"\x01"


def test_the_same_packet_type_again_keeps_all_but_the_symbol_time_out() -> None:
    driver = crystal()
    driver.command(SET_PACKET_TYPE, 1)
    driver.write(0x0740, 0x34, 0x44)
    driver.write(0x0706, 3 << 3)
    driver.command(SET_PACKET_TYPE, 1)
    assert driver.read(0x0740, 2) == b"\x34\x44"
    assert driver.read(0x0706) == b"\x00"


def test_sending_is_refused_until_everything_is_set() -> None:
    driver = crystal()
    expected = []
    for step, missing in (
        (
            lambda: driver.command(SET_PACKET_TYPE, 1),
            "SetTx with a packet type other than LoRa: this model sends nothing else",
        ),
        (driver.modulate, "SetTx without SetModulationParams (14.2, 14.3)"),
        (lambda: driver.packet(4), "SetTx without SetPacketParams (14.2, 14.3)"),
        (lambda: driver.frequency(868_100_000), "SetTx without SetRfFrequency (14.2, 14.3)"),
    ):
        driver.send()
        assert driver.status() == (STANDBY_RC, EXECUTION_FAILURE)
        expected.append(missing)
        step()
    driver.send()
    assert driver.complaints == expected
    assert len(driver.antenna.sent) == 1


def test_a_receiver_that_nobody_set_up_is_open_and_hears_nothing() -> None:
    # Reference drivers draw random numbers like this.
    driver = crystal()
    driver.command(SET_PACKET_TYPE, 1)
    driver.receive(0xFFFFFF)
    assert driver.status()[0] == RX
    assert driver.antenna.windows == []
    assert not driver.chip.listening
    assert driver.complaints == ["SetRx without SetModulationParams (14.2, 14.3)"]


def test_a_receiver_of_another_modem_hears_nothing() -> None:
    driver = crystal()
    driver.command(SET_PACKET_TYPE, 0)
    driver.frequency(868_100_000)
    driver.receive()
    assert driver.status()[0] == RX
    assert driver.antenna.windows == []
    assert driver.complaints == []
