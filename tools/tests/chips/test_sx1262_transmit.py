"""Sending with an SX1262."""

from __future__ import annotations

import pytest

from tools.tests.chips.sx1262_antenna import FRAME_NS
from tools.tests.chips.sx1262_driver import (
    ALL_IRQS,
    FS,
    MS,
    SET_BUFFER_BASE,
    SET_DIO2,
    SET_FALLBACK,
    SET_FS,
    SET_PA_CONFIG,
    SET_STANDBY,
    SET_TX_CONTINUOUS_WAVE,
    SET_TX_INFINITE_PREAMBLE,
    SET_TX_PARAMS,
    STANDBY_RC,
    STANDBY_XOSC,
    TIMEOUT,
    TX,
    TX_DONE,
    US,
    Driver,
)
from zaehlwerk_tools.simulator.chips.antenna import LoRa


def ready(payload: bytes = b"hello", **board: bool) -> Driver:
    driver = Driver(**board)  # type: ignore[arg-type]
    driver.ready_to_send(payload)
    return driver


def test_a_frame_leaves_as_configured() -> None:
    driver = ready()
    driver.write(0x0740, 0x34, 0x44)
    driver.send()
    sent = driver.antenna.sent[0]
    assert sent.payload == b"hello"
    assert sent.power_dbm == 14
    assert sent.lora == LoRa(868_100_000, sf=9, bandwidth=125_000, coding_rate=1, preamble=8, sync_word=0x34)


def test_every_part_of_the_modulation_reaches_the_antenna() -> None:
    driver = ready()
    driver.frequency(869_525_000)
    driver.modulate(sf=12, bandwidth=5, coding_rate=4, low_rate=1)
    driver.packet(5, inverted=True, implicit=True, crc=False)
    driver.send()
    assert driver.antenna.sent[0].lora == LoRa(
        869_525_000,
        sf=12,
        bandwidth=250_000,
        coding_rate=4,
        preamble=8,
        sync_word=0x12,
        inverted=True,
        explicit=False,
        crc=False,
        low_rate=True,
        length=5,
    )


@pytest.mark.parametrize(
    ("high", "low", "sync_word"),
    [(0x14, 0x24, 0x12), (0x34, 0x44, 0x34), (0xA4, 0xB4, 0xAB), (0x34, 0x34, 0x33)],
)
def test_the_two_sync_word_registers_make_one_byte(high: int, low: int, sync_word: int) -> None:
    driver = ready()
    driver.write(0x0740, high, low)
    driver.send()
    lora = driver.antenna.sent[0].lora
    assert lora is not None
    assert lora.sync_word == sync_word


def test_an_odd_sync_word_is_nobody_elses() -> None:
    driver = ready()
    driver.write(0x0740, 0x12, 0x34)
    driver.send()
    lora = driver.antenna.sent[0].lora
    assert lora is not None
    assert lora.sync_word > 0xFF


def test_the_frame_begins_when_busy_falls_and_tx_done_comes_at_its_end() -> None:
    driver = ready()
    driver.send()
    assert driver.dio1 == 0
    driver.until_ready()
    begin = driver.now
    assert driver.antenna.sent[0].start_ns == begin
    assert driver.status()[0] == TX
    assert driver.chip.next_change() == begin + FRAME_NS
    driver.until_next_change()
    assert driver.now == begin + FRAME_NS
    assert driver.dio1 == 1
    assert driver.irqs == TX_DONE
    assert driver.status()[0] == STANDBY_RC


def test_the_ramp_delays_the_frame() -> None:
    starts = []
    for ramp in (0, 7):
        driver = ready()
        driver.command(SET_TX_PARAMS, 14, ramp)
        driver.until_ready()
        before = driver.now
        driver.send()
        starts.append(driver.antenna.sent[0].start_ns - before)
    assert starts[1] - starts[0] == 3_400 * US - 10 * US


def test_the_payload_is_read_from_the_base_address_and_wraps() -> None:
    driver = ready()
    driver.fill(250, b"wraps around")
    driver.command(SET_BUFFER_BASE, 250, 0)
    driver.packet(12)
    driver.send()
    assert driver.antenna.sent[0].payload == b"wraps around"


def test_only_the_payload_length_is_sent() -> None:
    driver = ready()
    driver.packet(3)
    driver.send()
    assert driver.antenna.sent[0].payload == b"hel"


@pytest.mark.parametrize(("fallback", "mode"), [(0x20, STANDBY_RC), (0x30, STANDBY_XOSC), (0x40, FS)])
def test_after_a_frame_comes_the_fallback_mode(fallback: int, mode: int) -> None:
    driver = ready()
    driver.command(SET_FALLBACK, fallback)
    driver.send()
    driver.until_ready()
    driver.wait(FRAME_NS)
    assert driver.status()[0] == mode


def test_a_time_out_ends_the_frame_in_standby_rc() -> None:
    driver = ready()
    driver.command(SET_FALLBACK, 0x40)
    driver.send(timeout=640)
    driver.until_ready()
    begin = driver.now
    driver.wait(FRAME_NS)
    assert driver.antenna.sent[0].stopped_ns == begin + 640 * 15_625
    assert driver.irqs == TIMEOUT
    assert driver.status()[0] == STANDBY_RC


def test_a_time_out_after_the_end_does_nothing() -> None:
    driver = ready()
    driver.send(timeout=6_400)
    driver.until_ready()
    driver.wait(200 * MS)
    assert driver.irqs == TX_DONE
    assert driver.antenna.sent[0].stopped_ns is None


def test_standby_stops_a_frame_without_tx_done() -> None:
    driver = ready()
    driver.send()
    driver.until_ready()
    driver.wait(10 * MS)
    driver.command(SET_STANDBY, 0)
    stopped = driver.antenna.sent[0].stopped_ns
    driver.wait(100 * MS)
    assert stopped is not None
    assert driver.irqs == 0


@pytest.mark.parametrize(
    ("pa", "power", "leaves"),
    [
        # Table 13-21.
        ((4, 7, 0, 1), 22, 22),
        ((3, 5, 0, 1), 22, 20),
        ((2, 3, 0, 1), 22, 17),
        ((2, 2, 0, 1), 22, 14),
        ((4, 7, 0, 1), -9, -9),
        ((4, 7, 0, 1), 16, 16),
    ],
)
def test_pa_and_tx_parameters_make_the_power(pa: tuple[int, ...], power: int, leaves: int) -> None:
    driver = ready()
    driver.command(SET_PA_CONFIG, *pa)
    driver.command(SET_TX_PARAMS, power & 0xFF, 2)
    driver.send()
    assert driver.antenna.sent[0].power_dbm == leaves
    assert driver.complaints == []


@pytest.mark.parametrize(
    ("pa", "what"),
    [
        ((5, 7, 0, 1), "paDutyCycle 0x05 damages an SX1262, at most 0x04 (13.1.14)"),
        ((4, 8, 0, 1), "hpMax 0x08 ages an SX1262, at most 0x07 (13.1.14)"),
        ((4, 7, 1, 1), "deviceSel 1 is an SX1261's PA (13.1.14)"),
        ((4, 7, 0, 0), "paLut 0x00, always 0x01 (13.1.14)"),
    ],
)
def test_a_pa_configuration_that_is_not_an_sx1262s_is_a_violation(pa: tuple[int, ...], what: str) -> None:
    driver = ready()
    driver.command(SET_PA_CONFIG, *pa)
    assert driver.complaints == [what]


@pytest.mark.parametrize(("power", "sent"), [(-10, -9), (23, 22)])
def test_power_outside_minus_9_to_22_dbm_is_a_violation(power: int, sent: int) -> None:
    driver = ready()
    driver.command(SET_TX_PARAMS, power & 0xFF, 2)
    driver.send()
    assert driver.complaints == [f"SetTxParams with {power} dBm, from -9 to 22 dBm (13.4.4)"]
    assert driver.antenna.sent[0].power_dbm == sent


def test_each_pa_configuration_sets_the_current_limit_anew() -> None:
    driver = Driver()
    driver.start()
    assert driver.read(0x08E7) == b"\x18"
    driver.command(SET_PA_CONFIG, 4, 7, 0, 1)
    assert driver.read(0x08E7) == b"\x38"
    driver.write(0x08E7, 0x20)
    driver.command(SET_PA_CONFIG, 4, 7, 0, 1)
    assert driver.read(0x08E7) == b"\x38"


def test_without_a_pa_configuration_next_to_nothing_is_radiated() -> None:
    driver = Driver()
    driver.start()
    driver.write(0x08D8, 0xDE)
    driver.command(SET_TX_PARAMS, 14, 2)
    driver.modulate()
    driver.packet(5)
    driver.write(0x0889, 0x05)
    driver.send()
    assert driver.antenna.sent[0].power_dbm == 14 - 30
    assert driver.complaints == [
        "sending without SetPaConfig for an SX1262: the PA at the antenna's pin is off (13.1.14)"
    ]


@pytest.mark.parametrize(("board", "power"), [(True, 14 - 30), (False, 14)])
def test_the_antenna_switch_needs_dio2_where_it_hangs_on_dio2(board: bool, power: int) -> None:
    driver = ready(dio2_switch=board)
    driver.command(SET_DIO2, 0)
    driver.send()
    assert driver.antenna.sent[0].power_dbm == power
    assert bool(driver.complaints) is board


@pytest.mark.parametrize("command", [SET_TX_CONTINUOUS_WAVE, SET_TX_INFINITE_PREAMBLE])
def test_a_carrier_stays_until_another_mode_is_set(command: int) -> None:
    driver = ready()
    driver.command(command)
    driver.until_ready()
    begin = driver.now
    driver.wait(10_000 * MS)
    assert driver.status()[0] == TX
    driver.command(SET_FS)
    sent = driver.antenna.sent[0]
    assert (sent.start_ns, sent.frequency, sent.power_dbm, sent.lora) == (begin, 868_100_000, 14, None)
    assert sent.stopped_ns is not None
    assert driver.irqs == 0


def test_a_second_frame_follows_the_first() -> None:
    driver = ready()
    for payload in (b"first", b"other"):
        driver.fill(0, payload)
        driver.send()
        driver.until_ready()
        driver.wait(FRAME_NS)
        driver.command(0x02, 0x03, 0xFF)
    assert [sent.payload for sent in driver.antenna.sent] == [b"first", b"other"]
    driver.interrupts(ALL_IRQS, 0)
    assert driver.complaints == []
