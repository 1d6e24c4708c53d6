"""Receiving with an SX1262."""

from __future__ import annotations

import pytest

from tools.tests.chips.sx1262_driver import (
    CRC_ERR,
    FS,
    GET_PACKET_STATUS,
    GET_RX_BUFFER_STATUS,
    GET_STATS,
    HEADER_ERR,
    HEADER_VALID,
    MS,
    PREAMBLE,
    RESET_STATS,
    RX,
    RX_DONE,
    SET_BUFFER_BASE,
    SET_FALLBACK,
    SET_STANDBY,
    STANDBY_RC,
    STANDBY_XOSC,
    STOP_TIMER_ON_PREAMBLE,
    TIMEOUT,
    Driver,
)
from zaehlwerk_tools.simulator.chips.antenna import LoRa, Reception
from zaehlwerk_tools.simulator.chips.chip import FOREVER

STEP_NS = 15_625
CONTINUOUS = 0xFFFFFF


def listening(timeout: int = 0) -> Driver:
    driver = Driver()
    driver.ready_to_receive()
    driver.receive(timeout)
    return driver


def downlink(driver: Driver, payload: bytes = b"downlink", **reception: object) -> None:
    """A frame that ends 40 ms from now."""
    driver.antenna.hear(driver.now + 40 * MS, payload, **reception)
    driver.wait(40 * MS)


def test_the_receiver_opens_when_busy_falls_as_configured() -> None:
    driver = listening()
    window = driver.antenna.window
    assert window.open_ns == driver.now
    assert driver.chip.listening
    assert window.lora == LoRa(
        868_100_000, sf=9, bandwidth=125_000, preamble=8, sync_word=0x34, inverted=True, explicit=True
    )


def test_while_the_receiver_is_opening_nothing_can_be_heard() -> None:
    driver = Driver()
    driver.ready_to_receive()
    driver.command(0x82, 0, 0, 0)
    assert not driver.chip.listening
    driver.until_ready()
    assert driver.chip.listening


def test_a_single_reception_ends_in_standby_with_the_payload_in_the_buffer() -> None:
    driver = listening()
    downlink(driver)
    assert driver.irqs == PREAMBLE | HEADER_VALID | RX_DONE
    assert driver.dio1 == 1
    assert driver.status()[0] == STANDBY_RC
    assert not driver.chip.listening
    assert driver.antenna.window.closed_ns == driver.antenna.window.open_ns + 40 * MS
    assert driver.get(GET_RX_BUFFER_STATUS, 2) == bytes([8, 0])
    assert driver.read_buffer(0, 8) == b"downlink"


@pytest.mark.parametrize(("fallback", "mode"), [(0x20, STANDBY_RC), (0x30, STANDBY_XOSC), (0x40, FS)])
def test_after_a_packet_comes_the_fallback_mode(fallback: int, mode: int) -> None:
    driver = Driver()
    driver.ready_to_receive()
    driver.command(SET_FALLBACK, fallback)
    driver.receive()
    downlink(driver)
    assert driver.status()[0] == mode


def test_the_payload_is_written_to_the_base_address_and_wraps() -> None:
    driver = Driver()
    driver.ready_to_receive()
    driver.command(SET_BUFFER_BASE, 0, 252)
    driver.receive()
    downlink(driver)
    assert driver.get(GET_RX_BUFFER_STATUS, 2) == bytes([8, 252])
    assert driver.read_buffer(252, 8) == b"downlink"
    assert driver.read_buffer(0, 4) == b"link"


def test_a_continuous_receiver_stays_open_and_puts_packets_one_after_another() -> None:
    driver = listening(CONTINUOUS)
    downlink(driver, b"one")
    downlink(driver, b"two")
    assert driver.status()[0] == RX
    assert driver.chip.listening
    assert driver.get(GET_RX_BUFFER_STATUS, 2) == bytes([3, 3])
    assert driver.read_buffer(0, 6) == b"onetwo"
    assert driver.chip.next_change() == FOREVER


def test_opening_the_receiver_again_starts_at_the_base_address_again() -> None:
    driver = listening(CONTINUOUS)
    downlink(driver, b"one")
    driver.receive(CONTINUOUS)
    downlink(driver, b"two")
    assert driver.get(GET_RX_BUFFER_STATUS, 2) == bytes([3, 0])


def test_without_a_time_out_a_single_receiver_waits_for_ever() -> None:
    driver = listening()
    driver.wait(3_600_000 * MS)
    assert driver.chip.next_change() == FOREVER
    assert driver.status()[0] == RX


def test_the_time_out_runs_from_the_opening_and_ends_in_standby_rc() -> None:
    driver = Driver()
    driver.ready_to_receive()
    driver.command(SET_FALLBACK, 0x40)
    driver.receive(timeout=6_400)
    opened = driver.now
    assert driver.chip.next_change() == opened + 6_400 * STEP_NS
    driver.until_next_change()
    assert driver.irqs == TIMEOUT
    assert driver.dio1 == 1
    assert driver.status()[0] == STANDBY_RC
    assert driver.antenna.window.closed_ns == opened + 6_400 * STEP_NS


def test_a_header_stops_the_timer() -> None:
    driver = listening(timeout=6_400)  # 100 ms
    hears = driver.antenna.window.hears
    driver.wait(80 * MS)
    hears.preamble(driver.now)
    driver.wait(10 * MS)
    hears.header(driver.now)
    driver.wait(100 * MS)
    assert driver.status()[0] == RX
    hears.frame(driver.now, Reception(b"late", -80, 7.0, crc=False, crc_ok=False))
    assert driver.irqs == PREAMBLE | HEADER_VALID | RX_DONE


def test_a_preamble_alone_does_not_stop_the_timer() -> None:
    driver = listening(timeout=6_400)
    driver.wait(80 * MS)
    driver.antenna.window.hears.preamble(driver.now)
    driver.wait(20 * MS)
    assert driver.irqs == PREAMBLE | TIMEOUT
    assert driver.status()[0] == STANDBY_RC


def test_a_preamble_stops_the_timer_when_told_so() -> None:
    driver = Driver()
    driver.ready_to_receive()
    driver.command(STOP_TIMER_ON_PREAMBLE, 1)
    driver.receive(timeout=6_400)
    driver.wait(80 * MS)
    driver.antenna.window.hears.preamble(driver.now)
    driver.wait(1_000 * MS)
    assert driver.status()[0] == RX


def test_a_preamble_in_the_moment_of_the_time_out_comes_in_time() -> None:
    driver = Driver()
    driver.ready_to_receive()
    driver.command(STOP_TIMER_ON_PREAMBLE, 1)
    driver.receive(timeout=6_400)
    opened = driver.now
    driver.antenna.window.hears.preamble(opened + 6_400 * STEP_NS)
    driver.wait(100 * MS)
    assert driver.status()[0] == RX


def test_what_comes_after_the_time_out_is_not_heard_though_nobody_asked_the_chip_in_between() -> None:
    driver = listening(timeout=640)
    late = driver.now + 100 * MS
    driver.antenna.hear(late, b"late")
    driver.now = late
    assert driver.irqs == TIMEOUT
    assert driver.antenna.window.closed_ns == driver.antenna.window.open_ns + 10 * MS


def test_a_wrong_crc_is_told_with_the_packet() -> None:
    driver = listening()
    downlink(driver, b"broken", crc=True, crc_ok=False)
    assert driver.irqs == PREAMBLE | HEADER_VALID | RX_DONE | CRC_ERR
    assert driver.status()[0] == STANDBY_RC
    assert driver.read_buffer(0, 6) == b"broken"


def test_without_a_crc_nobody_can_tell() -> None:
    driver = listening()
    downlink(driver, b"broken", crc=False, crc_ok=False)
    assert driver.irqs == PREAMBLE | HEADER_VALID | RX_DONE


def test_a_packet_longer_than_the_receiver_accepts_is_a_header_error() -> None:
    driver = Driver()
    driver.ready_to_receive()
    driver.packet(4, inverted=True, crc=False)
    driver.receive()
    downlink(driver)
    assert driver.irqs == PREAMBLE | HEADER_VALID | HEADER_ERR
    assert driver.status()[0] == RX


def test_a_signal_lost_before_its_header_leaves_the_receiver_open() -> None:
    driver = listening()
    hears = driver.antenna.window.hears
    hears.preamble(driver.now)
    driver.wait(MS)
    hears.lost(driver.now)
    assert driver.irqs == PREAMBLE | HEADER_ERR
    downlink(driver)
    assert driver.irqs == PREAMBLE | HEADER_ERR | HEADER_VALID | RX_DONE


def test_a_signal_lost_after_its_header_ends_as_a_packet_with_a_wrong_crc() -> None:
    driver = listening()
    hears = driver.antenna.window.hears
    hears.preamble(driver.now)
    hears.header(driver.now)
    driver.wait(MS)
    hears.lost(driver.now)
    assert driver.irqs == PREAMBLE | HEADER_VALID | RX_DONE | CRC_ERR
    assert driver.status()[0] == STANDBY_RC
    assert driver.get(GET_RX_BUFFER_STATUS, 2)[0] == 0


def test_an_implicit_packet_has_no_header_flag_and_its_length_in_the_register() -> None:
    driver = Driver()
    driver.ready_to_receive()
    driver.packet(8, inverted=True, implicit=True, crc=False)
    driver.receive()
    assert driver.antenna.window.lora.explicit is False
    assert driver.antenna.window.lora.length == 8
    downlink(driver)
    assert driver.irqs == PREAMBLE | RX_DONE
    assert driver.get(GET_RX_BUFFER_STATUS, 2) == bytes([8, 0])
    assert driver.read(0x0702) == b"\x08"


@pytest.mark.parametrize(
    ("rssi", "snr", "coded"),
    [
        (-80, 7.25, (160, 29, 160)),
        (-121, -5.5, (242, 256 - 22, 253)),
        (-127, -20.0, (254, 256 - 80, 255)),
        (3, 10.0, (0, 40, 0)),
    ],
)
def test_rssi_and_snr_are_coded_as_in_the_data_sheet(rssi: int, snr: float, coded: tuple[int, ...]) -> None:
    driver = listening()
    downlink(driver, rssi=rssi, snr=snr)
    assert driver.get(GET_PACKET_STATUS, 3) == bytes(coded)


def test_the_header_of_the_last_packet_can_be_read() -> None:
    driver = listening()
    downlink(driver, crc=True, crc_ok=True, coding_rate=3)
    assert driver.read(0x0749)[0] >> 4 & 7 == 3
    assert driver.read(0x076B)[0] >> 4 & 1 == 1


def test_statistics_count_packets_wrong_crcs_and_wrong_headers_until_they_are_reset() -> None:
    driver = listening(CONTINUOUS)
    downlink(driver)
    downlink(driver, crc=True, crc_ok=False)
    hears = driver.antenna.window.hears
    hears.preamble(driver.now)
    hears.lost(driver.now)
    assert driver.get(GET_STATS, 6) == bytes([0, 2, 0, 1, 0, 1])
    driver.command(RESET_STATS, *bytes(6))
    assert driver.get(GET_STATS, 6) == bytes(6)


def test_standby_closes_the_receiver() -> None:
    driver = listening()
    driver.wait(10 * MS)
    driver.command(SET_STANDBY, 0)
    assert driver.antenna.window.closed_ns == driver.now
    assert not driver.chip.listening
    driver.antenna.hear(driver.now + 50 * MS, b"too late")
    driver.wait(50 * MS)
    assert driver.irqs == 0
