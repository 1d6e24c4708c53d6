"""Channel activity detection of the SX1262: data sheet sections 13.1.8 and 13.4.7."""

from __future__ import annotations

import pytest

from tools.tests.chips.sx1262_driver import (
    CAD_DETECTED,
    CAD_DONE,
    MS,
    PREAMBLE,
    RX,
    RX_DONE,
    SET_CAD,
    SET_CAD_PARAMS,
    SET_PACKET_TYPE,
    STANDBY_RC,
    TIMEOUT,
    TX,
    TX_DONE,
    Driver,
)

SYMBOL_NS = 4_096_000  # SF9, 125 kHz
ONLY, THEN_RECEIVE, THEN_SEND = 0x00, 0x01, 0x10


def detecting(leave: int = ONLY, symbols: int = 3, timeout: int = 0) -> Driver:
    driver = Driver()
    driver.ready_to_send()
    driver.command(SET_CAD_PARAMS, symbols, 22, 10, leave, *timeout.to_bytes(3, "big"))
    driver.command(SET_CAD)
    driver.until_ready()
    return driver


@pytest.mark.parametrize(("code", "symbols"), [(0, 1), (1, 2), (2, 4), (3, 8), (4, 16)])
def test_a_quiet_channel_is_told_after_the_symbols(code: int, symbols: int) -> None:
    driver = detecting(symbols=code)
    assert driver.chip.listening
    begin = driver.now
    driver.until_next_change()
    assert driver.now == begin + symbols * SYMBOL_NS
    assert driver.irqs == CAD_DONE
    assert driver.status()[0] == STANDBY_RC
    assert driver.antenna.window.closed_ns == begin + symbols * SYMBOL_NS


def test_a_preamble_is_detected() -> None:
    driver = detecting()
    driver.antenna.window.hears.preamble(driver.now + 5 * SYMBOL_NS)
    driver.wait(8 * SYMBOL_NS)
    assert driver.irqs == CAD_DONE | CAD_DETECTED | PREAMBLE
    assert driver.status()[0] == STANDBY_RC


def test_the_packet_can_be_received_at_once() -> None:
    driver = detecting(THEN_RECEIVE, timeout=64_000)
    driver.antenna.hear(driver.now + 50 * MS, b"found")
    driver.wait(50 * MS)
    assert driver.irqs & (CAD_DONE | CAD_DETECTED | RX_DONE) == CAD_DONE | CAD_DETECTED | RX_DONE
    assert driver.read_buffer(0, 5) == b"found"


def test_the_reception_after_a_detection_has_its_time_out() -> None:
    driver = detecting(THEN_RECEIVE, timeout=640)
    driver.antenna.window.hears.preamble(driver.now + 5 * SYMBOL_NS)
    driver.wait(8 * SYMBOL_NS)
    assert driver.status()[0] == RX
    driver.wait(10 * MS)
    assert driver.irqs & TIMEOUT
    assert driver.status()[0] == STANDBY_RC


def test_a_quiet_channel_can_be_used_at_once() -> None:
    driver = detecting(THEN_SEND)
    driver.wait(8 * SYMBOL_NS)
    driver.until_ready()
    assert driver.status()[0] == TX
    driver.wait(60 * MS)
    assert driver.irqs == CAD_DONE | TX_DONE


def test_a_busy_channel_is_not_used() -> None:
    driver = detecting(THEN_SEND)
    driver.antenna.window.hears.preamble(driver.now + 5 * SYMBOL_NS)
    driver.wait(8 * SYMBOL_NS)
    assert driver.status()[0] == STANDBY_RC
    assert driver.antenna.sent == []


def test_only_lora_can_do_it() -> None:
    driver = Driver()
    driver.ready_to_send()
    driver.command(SET_PACKET_TYPE, 0)
    driver.command(SET_CAD)
    assert driver.status() == (STANDBY_RC, 5)
    assert driver.complaints == ["SetCad with a packet type other than LoRa (13.1.8)"]


def test_it_needs_a_modulation() -> None:
    driver = Driver()
    driver.start()
    driver.command(SET_CAD)
    assert driver.status() == (STANDBY_RC, 5)
    assert driver.complaints == ["SetCad without SetModulationParams (14.5)"]
