"""Known limitations of the SX1262: data sheet chapter 15."""

from __future__ import annotations

import pytest

from tools.tests.chips.sx1262_driver import MS, RX, RX_DONE, STANDBY_RC, TIMEOUT, TX_DONE, Driver

STEP_NS = 15_625
NARROW, WIDE = 4, 6  # 125 and 500 kHz


@pytest.mark.parametrize(
    ("bandwidth", "register", "right"),
    [(NARROW, 0x05, True), (NARROW, 0x01, False), (WIDE, 0x01, True), (WIDE, 0x05, False)],
)
def test_15_1_bit_2_of_0x0889_is_clear_for_500_khz_only(bandwidth: int, register: int, right: bool) -> None:
    driver = Driver()
    driver.ready_to_send()
    driver.modulate(bandwidth=bandwidth)
    driver.write(0x0889, register)
    driver.send()
    assert bool(driver.complaints) is not right
    assert all("0x0889" in what for what in driver.complaints)
    assert len(driver.antenna.sent) == 1


def test_15_1_is_no_matter_for_receiving() -> None:
    driver = Driver()
    driver.ready_to_receive()
    driver.write(0x0889, 0x01)
    driver.receive()
    assert driver.complaints == []


@pytest.mark.parametrize(("clamp", "right"), [(0xC8, False), (0xDE, True), (0x1E, True), (0xDC, False)])
def test_15_2_bits_4_to_1_of_0x08d8_are_set_before_sending(clamp: int, right: bool) -> None:
    driver = Driver()
    driver.ready_to_send()
    driver.write(0x08D8, clamp)
    driver.send()
    assert driver.complaints == (
        [] if right else ["sending without bits 4 to 1 of register 0x08D8 set (15.2)"]
    )


@pytest.mark.parametrize("inverted", [False, True])
def test_15_4_packet_parameters_set_bit_2_of_0x0736_whatever_it_was(inverted: bool) -> None:
    driver = Driver()
    driver.ready_to_send()
    driver.write(0x0736, 0x09)
    driver.packet(5, inverted=inverted, workaround=False)
    assert driver.read(0x0736) == b"\x0d"


@pytest.mark.parametrize(
    ("inverted", "register", "right"),
    [(False, 0x0D, True), (False, 0x09, False), (True, 0x09, True), (True, 0x0D, False)],
)
@pytest.mark.parametrize("sending", [False, True])
def test_15_4_the_wrong_polarity_is_a_violation_and_frames_still_go_through(
    inverted: bool, register: int, right: bool, sending: bool
) -> None:
    driver = Driver()
    driver.ready_to_send()
    driver.packet(255 if not sending else 5, inverted=inverted, workaround=False)
    driver.write(0x0736, register)
    if sending:
        driver.send()
        assert len(driver.antenna.sent) == 1
    else:
        driver.receive()
        driver.antenna.hear(driver.now + 40 * MS, b"x")
        driver.wait(40 * MS)
        assert driver.irqs & RX_DONE
    assert bool(driver.complaints) is not right
    assert all("(15.4)" in what for what in driver.complaints)


def implicit_reception() -> Driver:
    """A packet without header, received 40 ms into a window of 100 ms."""
    driver = Driver(tcxo_mv=None)
    driver.ready_to_send()
    driver.packet(8, implicit=True)
    driver.receive(timeout=6_400)
    driver.antenna.hear(driver.now + 40 * MS, b"8 octets")
    driver.wait(40 * MS)
    assert driver.irqs & RX_DONE
    driver.command(0x02, 0x03, 0xFF)
    return driver


def test_15_3_without_a_header_the_timer_goes_on_and_raises_a_stray_time_out() -> None:
    driver = implicit_reception()
    driver.wait(60 * MS)
    assert driver.irqs == TIMEOUT
    assert driver.complaints == [
        "the timer of a reception without header was not stopped after RxDone (15.3)"
    ]


@pytest.mark.parametrize("sending", [False, True])
def test_15_3_the_stray_time_out_ends_what_is_going_on(sending: bool) -> None:
    driver = implicit_reception()
    driver.wait(30 * MS)
    if sending:
        driver.send()
    else:
        driver.receive()
    driver.until_ready()
    driver.wait(35 * MS)
    assert driver.irqs == TIMEOUT
    assert driver.status()[0] == STANDBY_RC


def test_15_3_stopping_the_timer_prevents_it() -> None:
    driver = implicit_reception()
    driver.write(0x0902, 0x00)
    driver.write(0x0944, driver.read(0x0944)[0] | 0x02)
    driver.wait(1_000 * MS)
    assert driver.irqs == 0
    assert driver.complaints == []


@pytest.mark.parametrize("sending", [False, True])
def test_15_3_a_new_timer_replaces_the_old_one(sending: bool) -> None:
    driver = implicit_reception()
    if sending:
        driver.send(timeout=64_000)
    else:
        driver.receive(timeout=64_000)
    driver.wait(200 * MS)
    assert driver.irqs == (TX_DONE if sending else 0)
    assert driver.status()[0] == (STANDBY_RC if sending else RX)
    assert driver.complaints == []


def test_15_3_with_a_header_the_timer_is_stopped() -> None:
    driver = Driver(tcxo_mv=None)
    driver.ready_to_receive()
    driver.receive(timeout=6_400)
    driver.antenna.hear(driver.now + 40 * MS, b"x")
    driver.wait(40 * MS)
    driver.command(0x02, 0x03, 0xFF)
    driver.wait(1_000 * MS)
    assert driver.irqs == 0


def test_a_packet_without_header_is_not_cut_off_by_the_timer() -> None:
    driver = Driver(tcxo_mv=None)
    driver.ready_to_send()
    driver.packet(8, implicit=True)
    driver.receive(timeout=6_400)
    driver.antenna.hear(driver.now + 110 * MS, b"8 octets")
    driver.wait(110 * MS)
    assert driver.irqs & (RX_DONE | TIMEOUT) == RX_DONE
    driver.wait(1_000 * MS)
    assert driver.complaints == []
