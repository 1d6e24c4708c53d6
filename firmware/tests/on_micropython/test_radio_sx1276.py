"""The SX1276's driver, by what it puts on the wires. Sections: SX1276 datasheet rev. 7, errata note."""

import sys

from expect import raises
from fake_bus import asyncio, run
from fake_sx1276 import FakeSx1276
from world import world

from lorawan import region
from radio import RadioError
from radio.sx1276 import Sx1276
from radio.transceiver import Transceiver

RX_TIMEOUT, RX_DONE, CRC_ERROR, HEADER, TX_DONE, CAD_DONE = 0x80, 0x40, 0x20, 0x10, 0x08, 0x04


def radio():
    """(Transceiver, fake) after the start-up."""
    fake = FakeSx1276()
    transceiver = Transceiver(Sx1276(fake.spi, fake.nss, fake.reset, fake.dio0, fake.dio1))
    transceiver.start()
    return transceiver, fake


def send(transceiver, fake, size=23, sf=7, bandwidth=125000, power=14):
    """Send a frame whose end is reported after its airtime; ticks of the end."""
    airtime = region.airtime_us(sf, bandwidth, size)
    fake.frames.clear()
    fake.after_start = lambda _: fake.finish(airtime + 180, TX_DONE, fake.dio0)
    return run(transceiver.transmit(868100000, sf, bandwidth, power, bytes(range(size))))


def listen(transceiver, fake, symbols=8, sf=7, bandwidth=125000):
    """Open a window; what came of it."""
    transceiver.prepare_receive(869525000, sf, bandwidth, symbols)
    return run(transceiver.receive())


def silence(fake):
    """The window ends by itself."""
    fake.after_start = lambda _: fake.finish(9000, RX_TIMEOUT, fake.dio1)


# --- start-up


def test_after_the_start_up_it_sleeps_in_lora_mode_with_lorawans_sync_word():
    _, fake = radio()
    assert fake.mode == 0x80
    assert fake.registers[0x39] == 0x34
    assert fake.registers[0x4D] == 0x84  # no +20 dBm
    assert fake.registers[0x37] == 0x0A
    assert "radio.sx1276_start" not in sys.modules


def test_image_rejection_is_calibrated_at_868_mhz_with_the_amplifier_off_before_lora_mode():
    _, fake = radio()
    frequency = fake.history.index((0x06, 0xD9))
    start = fake.history.index((0x3B, 0x82 | 0x40))
    lora = fake.history.index((0x01, 0x80))
    assert fake.history.index((0x09, 0)) < start
    assert frequency < start < lora


def test_a_calibration_that_does_not_end_is_an_error():
    fake = FakeSx1276()
    fake.calibrating = 1000
    text = str(raises(RadioError, Transceiver(Sx1276(fake.spi, fake.nss, fake.reset)).start))
    assert "calibration" in text


def test_no_answer_and_another_chip_are_told_apart():
    fake = FakeSx1276()
    fake.broken = True
    transceiver = Transceiver(Sx1276(fake.spi, fake.nss, fake.reset))
    text = str(raises(RadioError, transceiver.start))
    assert "no answer" in text, text
    assert "Pin(18)" in text, text
    fake.broken = False
    fake.reset.watch = lambda level: None
    fake.registers[0x42] = 0x22
    text = str(raises(RadioError, transceiver.start))
    assert "0x22" in text, text
    assert "another chip" in text, text


# --- sending


def test_a_frame_is_sent_as_lorawan_wants_it():
    transceiver, fake = radio()
    send(transceiver, fake, size=23, sf=9)
    registers = fake.registers
    assert registers[0x1D] == 0x72  # 125 kHz, 4/5, explicit header
    assert registers[0x1E] & 0xFC == 0x94  # SF9, CRC
    assert (registers[0x20], registers[0x21]) == (0, 8)
    assert registers[0x22] == 23
    assert (registers[0x06], registers[0x07], registers[0x08]) == (0xD9, 0x06, 0x66)
    assert (registers[0x33], registers[0x3B]) == (0x27, 0x1D)  # nothing inverted
    assert registers[0x40] & 0xC0 == 0x40  # DIO0 is TxDone
    assert bytes(fake.fifo[:23]) == bytes(range(23))


def test_the_last_frame_on_the_bus_is_the_start_from_standby():
    transceiver, fake = radio()
    send(transceiver, fake)
    modes = [value for register, value in fake.history if register == 0x01]
    assert fake.frames[-1] == b"\x81\x83"
    assert modes[-2:] == [0x81, 0x83]


def test_power_is_2_to_17_dbm_at_pa_boost():
    transceiver, fake = radio()
    for power, register in ((14, 0xFC), (2, 0xF0), (17, 0xFF), (20, 0xFF), (-3, 0xF0)):
        send(transceiver, fake, power=power)
        assert fake.registers[0x09] == register, power
        assert fake.registers[0x0B] == 0x2B  # 100 mA


def test_low_data_rate_optimisation_from_16_ms_on():
    transceiver, fake = radio()
    for sf, khz, slow in ((10, 125, 0), (11, 125, 1), (12, 125, 1), (12, 250, 1), (12, 500, 0)):
        send(transceiver, fake, size=5, sf=sf, bandwidth=khz * 1000)
        assert fake.registers[0x26] == slow << 3 | 4, (sf, khz)


def test_the_end_is_the_interrupts_and_a_late_interrupt_does_not_move_it():
    transceiver, fake = radio()
    airtime = region.airtime_us(10, 125000, 23)
    end = send(transceiver, fake, sf=10)
    assert end == (fake.started_us + airtime + 180) & 0x3FFFFFFF
    fake.dio0.late_us = 50000
    end = send(transceiver, fake, sf=10)
    assert ((end - fake.started_us) & 0x3FFFFFFF) - airtime - 180 < 200


def test_a_lost_interrupt_costs_some_milliseconds_and_not_the_frame():
    transceiver, fake = radio()
    fake.dio0.deaf = True
    send(transceiver, fake, sf=10)
    assert world.now_us - fake.started_us < region.airtime_us(10, 125000, 23) + 20000


def test_a_chip_that_never_reports_the_end_is_an_error_within_a_bounded_time():
    transceiver, fake = radio()
    fake.after_start = lambda _: None
    text = str(raises(RadioError, run, transceiver.transmit(868100000, 12, 125000, 14, bytes(51))))
    assert "end of sending" in text, text
    assert world.now_us - fake.started_us < region.airtime_us(12, 125000, 51) * 5 // 4 + 200000
    assert fake.mode == 0x80


# --- receiving


def test_a_window_is_set_up_as_lorawan_wants_it():
    transceiver, fake = radio()
    silence(fake)
    assert listen(transceiver, fake, sf=12) is None
    registers = fake.registers
    assert registers[0x1E] & 0xFC == 0xC0  # SF12, no CRC of its own
    assert (registers[0x33], registers[0x3B]) == (0x67, 0x19)  # inverted when receiving only
    assert registers[0x40] & 0xF0 == 0x00  # DIO0 RxDone, DIO1 RxTimeout
    assert (registers[0x0D], registers[0x0E], registers[0x0F]) == (0, 0, 0)
    assert registers[0x23] == 255


def test_windows_have_4_to_1023_symbols():
    transceiver, fake = radio()
    for symbols, counted in ((1, 4), (6, 6), (160, 160), (255, 255), (256, 256), (400, 400), (5000, 1023)):
        silence(fake)
        listen(transceiver, fake, symbols=symbols)
        assert (fake.registers[0x1E] & 3) << 8 | fake.registers[0x1F] == counted


def test_opening_a_window_is_one_short_frame_from_standby():
    transceiver, fake = radio()
    silence(fake)
    transceiver.prepare_receive(868100000, 7, 125000, 8)
    assert fake.mode == 0x81
    fake.frames.clear()
    begun = world.now_us
    run(transceiver.receive())
    assert fake.frames[0] == b"\x81\x86"
    assert fake.started_us - begun < 100


def test_erratum_2_3_no_automatic_intermediate_frequency_below_500_khz():
    transceiver, fake = radio()
    for khz, detect, frequency in ((500, 0xC3, None), (125, 0x43, (0x40, 0)), (250, 0x43, (0x40, 0))):
        silence(fake)
        listen(transceiver, fake, bandwidth=khz * 1000)
        assert fake.registers[0x31] == detect
        if frequency:
            assert (fake.registers[0x2F], fake.registers[0x30]) == frequency


def test_erratum_2_1_sensitivity_at_500_khz_and_back():
    transceiver, fake = radio()
    silence(fake)
    listen(transceiver, fake, bandwidth=500000)
    assert (fake.registers[0x36], fake.registers[0x3A]) == (0x02, 0x64)
    silence(fake)
    listen(transceiver, fake, bandwidth=125000)
    assert fake.registers[0x36] == 0x03


def test_a_packet_is_read_from_where_the_chip_put_it():
    transceiver, fake = radio()

    def start(_):
        fake.fifo[7:24] = b"seventeen letters"
        fake.registers.update({0x13: 17, 0x10: 7, 0x19: -26 & 255, 0x1A: 60})
        fake.finish(60000, RX_DONE | HEADER, fake.dio0)

    fake.after_start = start
    packet = listen(transceiver, fake)
    assert packet.payload == b"seventeen letters"
    assert (packet.rssi, packet.snr) == (-157 + 60 - 7, -6)
    assert packet.end == (fake.started_us + 60000) & 0x3FFFFFFF
    assert fake.mode == 0x80


def test_above_the_noise_the_slope_of_the_rssi_is_16_15():
    transceiver, fake = radio()

    def start(_):
        fake.registers.update({0x13: 1, 0x10: 0, 0x19: 40, 0x1A: 90})
        fake.finish(60000, RX_DONE | HEADER, fake.dio0)

    fake.after_start = start
    packet = listen(transceiver, fake)
    assert (packet.rssi, packet.snr) == (-157 + 96, 10)


def test_what_is_damaged_is_nothing():
    transceiver, fake = radio()
    fake.after_start = lambda _: fake.finish(60000, RX_DONE | HEADER | CRC_ERROR, fake.dio0)
    assert listen(transceiver, fake) is None


def test_noise_that_was_taken_for_a_preamble_ends_the_window_and_is_no_error():
    transceiver, fake = radio()
    fake.after_start = lambda _: None
    assert listen(transceiver, fake, symbols=8) is None
    assert world.now_us - fake.started_us < 200000
    assert fake.mode == 0x80


def test_a_chip_that_stopped_listening_without_a_word_is_an_error():
    transceiver, fake = radio()
    fake.after_start = lambda _: fake.finish(5000, 0)
    transceiver.prepare_receive(868100000, 7, 125000, 8)
    assert "window did not end" in str(raises(RadioError, run, transceiver.receive()))


def test_a_packet_that_has_begun_is_waited_for_to_its_end():
    transceiver, fake = radio()

    def start(_):
        fake.registers.update({0x13: 255, 0x10: 0})
        fake.finish(700000, HEADER, standby=False)
        fake.finish(8500000, RX_DONE, fake.dio0)

    fake.after_start = start
    assert len(listen(transceiver, fake, sf=12, symbols=6).payload) == 255


def test_without_dio_lines_windows_and_frames_still_end():
    fake = FakeSx1276()
    transceiver = Transceiver(Sx1276(fake.spi, fake.nss, fake.reset))
    transceiver.start()
    send(transceiver, fake)
    silence(fake)
    assert listen(transceiver, fake) is None
    assert world.now_us - fake.started_us < 60000


# --- cancelling, loss of supply


def test_a_cancelled_transmission_leaves_the_air():
    transceiver, fake = radio()
    fake.after_start = lambda _: None

    async def cancelled():
        task = asyncio.create_task(transceiver.transmit(868100000, 12, 125000, 14, bytes(51)))
        await asyncio.sleep_ms(100)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return True

    assert run(cancelled())
    assert fake.mode == 0x80


def test_a_chip_whose_supply_failed_is_noticed():
    transceiver, fake = radio()
    fake.registers[0x39] = 0x12
    text = str(raises(RadioError, run, transceiver.transmit(868100000, 7, 125000, 14, b"x")))
    assert "lost its settings" in text, text


def test_a_chip_that_does_not_answer_any_more_is_noticed():
    transceiver, fake = radio()
    fake.broken = True
    text = str(raises(RadioError, transceiver.prepare_receive, 868100000, 7, 125000, 8))
    assert "no answer over SPI" in text, text
    assert "Pin(18)" in text, text


# --- self-test


def answer(fake):
    """Windows and channel activity detection end by themselves."""

    def start(mode):
        if mode == 0x87:
            fake.finish(2000, CAD_DONE, fake.dio0 if fake.registers[0x40] & 0xC0 == 0x80 else None)
        else:
            fake.finish(6144, RX_TIMEOUT, fake.dio1)

    fake.after_start = start


def test_the_self_test_of_a_good_board_is_all_right():
    transceiver, fake = radio()
    answer(fake)
    results = transceiver.self_test()
    assert [name for name, _, _ in results] == ["identity", "oscillator", "registers", "buffer", "interrupts"]
    assert all([ok for _, ok, _ in results]), results
    assert fake.mode == 0x80
    assert "radio.sx1276_start" not in sys.modules
    assert "radio.sx1276_check" not in sys.modules
    send(transceiver, fake)


def test_the_self_test_names_the_line_that_is_broken():
    for name in ("dio0", "dio1"):
        transceiver, fake = radio()
        answer(fake)
        line = getattr(fake, name)
        line.drive = lambda level: None
        _, ok, detail = transceiver.self_test()[-1]
        assert not ok
        assert "%s %s stays low" % (name.upper(), line) in detail, detail
