"""The SX1262's driver, by what it puts on the wires. Sections: SX1261/2 datasheet revision 2.1."""

import sys

from expect import raises
from fake_bus import asyncio, run
from fake_sx1262 import FakeSx1262
from world import world

from lorawan import region
from radio import RadioError
from radio.sx1262 import Sx1262
from radio.transceiver import Transceiver

TX_DONE, RX_DONE, HEADER, HEADER_ERROR, CRC_ERROR, TIMEOUT = 1, 2, 0x10, 0x20, 0x40, 0x200


def radio(tcxo_mv=1800):
    """(Transceiver, fake) after the start-up."""
    fake = FakeSx1262()
    transceiver = Transceiver(Sx1262(fake.spi, fake.nss, fake.reset, fake.busy, fake.dio1, tcxo_mv))
    transceiver.start()
    return transceiver, fake


def send(transceiver, fake, size=23, sf=7, bandwidth=125000, power=14):
    """Send a frame whose end is reported after its airtime; ticks of the end."""
    airtime = region.airtime_us(sf, bandwidth, size)
    fake.commands.clear()
    fake.after_start = lambda _: fake.finish(airtime + 305, TX_DONE)
    return run(transceiver.transmit(868100000, sf, bandwidth, power, bytes(range(size))))


def listen(transceiver, fake, symbols=8, sf=7, bandwidth=125000):
    """Open a window; what came of it."""
    fake.commands.clear()
    transceiver.prepare_receive(869525000, sf, bandwidth, symbols)
    return run(transceiver.receive())


# --- start-up


def test_the_start_up_gives_the_tcxo_its_supply_forgets_the_error_and_calibrates_in_that_order():
    _, fake = radio()
    opcodes = [command[0] for command in fake.commands]
    assert fake.sent(0x97) == [b"\x02\x00\x01\x40"], fake.sent(0x97)  # 1.8 V, 5 ms
    assert opcodes.index(0x97) < opcodes.index(0x07) < opcodes.index(0x89) < opcodes.index(0x98)
    assert fake.sent(0x89) == [b"\x7f"]
    assert fake.sent(0x98) == [b"\xd7\xdb"]  # table 9-2: 863 to 870 MHz


def test_a_board_with_a_crystal_leaves_dio3_alone():
    _, fake = radio(tcxo_mv=None)
    assert fake.sent(0x97) == []


def test_the_antenna_switch_the_regulator_and_the_sync_word_are_set():
    _, fake = radio()
    assert fake.sent(0x9D) == [b"\x01"]
    assert fake.sent(0x96) == [b"\x01"]
    assert fake.sent(0x8A) == [b"\x01"]
    assert (fake.registers[0x0740], fake.registers[0x0741]) == (0x34, 0x44)


def test_erratum_15_2_the_clamp_of_the_amplifier_is_opened():
    _, fake = radio()
    assert fake.registers[0x08D8] == 0xC8 | 0x1E


def test_after_the_start_up_it_sleeps_with_a_warm_start_and_its_modules_have_left_the_heap():
    _, fake = radio()
    assert fake.asleep
    assert fake.commands[-1] == b"\x84\x04"
    assert "radio.sx1262_start" not in sys.modules


def test_a_chip_that_says_nothing_is_named_with_its_pins():
    fake = FakeSx1262()
    fake.broken = True
    transceiver = Transceiver(Sx1262(fake.spi, fake.nss, fake.reset, fake.busy, fake.dio1))
    text = str(raises(RadioError, transceiver.start))
    assert "no answer" in text, text
    assert "Pin(8)" in text, text
    assert "Pin(12)" in text, text


def test_busy_that_stays_high_is_an_error_and_no_endless_wait():
    fake = FakeSx1262()
    fake.broken = True
    fake.busy.level = 1
    transceiver = Transceiver(Sx1262(fake.spi, fake.nss, fake.reset, fake.busy, fake.dio1))
    begun = world.now_us
    text = str(raises(RadioError, transceiver.start))
    assert "BUSY Pin(13) stays high" in text, text
    assert world.now_us - begun < 200000


def test_another_chip_is_recognised():
    fake = FakeSx1262()
    fake.reset.watch = lambda level: None
    fake.registers[0x0740] = 0x12
    text = str(raises(RadioError, Transceiver(Sx1262(fake.spi, fake.nss, fake.reset, fake.busy)).start))
    assert "0x1224" in text, text
    assert "another chip" in text, text


def test_an_oscillator_that_does_not_start_is_named():
    fake = FakeSx1262()
    transceiver = Transceiver(Sx1262(fake.spi, fake.nss, fake.reset, fake.busy))
    end = fake.end

    def failing(written):
        end(written)
        if written[0] == 0x89:
            fake.errors = 0x20

    fake.end = failing
    text = str(raises(RadioError, transceiver.start))
    assert "oscillator did not start" in text, text
    assert "tcxo_mv" in text, text


def test_a_command_that_the_chip_refuses_is_named():
    fake = FakeSx1262()
    transceiver = Transceiver(Sx1262(fake.spi, fake.nss, fake.reset, fake.busy))
    end = fake.end

    def refusing(written):
        end(written)
        fake.status = 0x28 if written[0] == 0x9D else 0x22

    fake.end = refusing
    text = str(raises(RadioError, transceiver.start))
    assert "0x9d" in text, text
    assert "not understood" in text, text


# --- sending


def test_a_frame_is_sent_as_lorawan_wants_it():
    transceiver, fake = radio()
    send(transceiver, fake, size=23, sf=9)
    assert fake.sent(0x8B) == [b"\x09\x04\x01\x00"]
    # Preamble 8, explicit header, 23 bytes, CRC, normal IQ.
    assert fake.sent(0x8C) == [b"\x00\x08\x00\x17\x01\x00"]
    assert fake.sent(0x86) == [bytes([0x36, 0x41, 0x99, 0x99])], fake.sent(0x86)
    assert fake.sent(0x0E) == [b"\x00" + bytes(range(23))]
    assert fake.sent(0x0F) == []


def test_the_last_command_is_the_start_with_the_oscillator_running_already():
    transceiver, fake = radio()
    send(transceiver, fake)
    opcodes = [command[0] for command in fake.commands]
    assert opcodes[-1] == 0x83
    assert fake.commands[-2] == b"\x80\x01"


def test_low_data_rate_optimisation_from_16_ms_on():
    transceiver, fake = radio()
    for sf, khz, slow in ((10, 125, 0), (11, 125, 1), (12, 125, 1), (12, 250, 1), (12, 500, 0)):
        send(transceiver, fake, size=5, sf=sf, bandwidth=khz * 1000)
        assert fake.sent(0x8B)[0][3] == slow, (sf, khz)


def test_the_amplifier_is_set_by_the_table_of_optimal_settings():
    transceiver, fake = radio()
    for power, amplifier, level in (
        (22, b"\x04\x07", 22),
        (20, b"\x03\x05", 22),
        (17, b"\x02\x03", 22),
        (16, b"\x02\x03", 21),
        (14, b"\x02\x02", 22),
        (2, b"\x02\x02", 10),
        (30, b"\x04\x07", 22),
        (-9, b"\x02\x02", -1),
        (-40, b"\x02\x02", -9),
    ):
        send(transceiver, fake, power=power)
        assert fake.sent(0x95) == [amplifier + b"\x00\x01"], power
        assert fake.sent(0x8E) == [bytes((level & 255, 0x04))], power
        assert fake.registers[0x08E7] == 0x38  # 140 mA, after SetPaConfig


def test_erratum_15_1_bit_2_is_set_for_125_khz_and_cleared_for_500_khz():
    transceiver, fake = radio()
    send(transceiver, fake, bandwidth=500000)
    assert fake.registers[0x0889] & 4 == 0
    send(transceiver, fake, bandwidth=125000)
    assert fake.registers[0x0889] & 4 == 4


def test_the_chip_gives_up_sending_after_a_quarter_more_than_the_airtime():
    transceiver, fake = radio()
    send(transceiver, fake, size=51, sf=12)
    timer_us = int.from_bytes(fake.sent(0x83)[0], "big") * 125 // 8
    airtime = region.airtime_us(12, 125000, 51)
    assert airtime * 5 // 4 < timer_us < airtime * 5 // 4 + 60000


def test_the_end_is_the_interrupts_when_it_comes_at_once():
    transceiver, fake = radio()
    end = send(transceiver, fake, size=23, sf=7)
    airtime = region.airtime_us(7, 125000, 23)
    assert end == (fake.started_us + airtime + 305) & 0x3FFFFFFF


def test_an_interrupt_that_is_delivered_late_does_not_move_the_end():
    transceiver, fake = radio()
    for sf, late_us in ((7, 5000), (7, 50000), (12, 50000)):
        fake.dio1.late_us = late_us
        end = send(transceiver, fake, size=23, sf=sf)
        true_end = fake.started_us + region.airtime_us(sf, 125000, 23) + 305
        assert abs(((end - true_end + 0x20000000) & 0x3FFFFFFF) - 0x20000000) < 200


def test_a_lost_interrupt_costs_some_milliseconds_and_not_the_frame():
    transceiver, fake = radio()
    fake.dio1.deaf = True
    end = send(transceiver, fake, size=23, sf=10)
    airtime = region.airtime_us(10, 125000, 23)
    assert 0 <= ((end - fake.started_us) & 0x3FFFFFFF) - airtime - 305 < 200
    assert world.now_us - fake.started_us < airtime + 20000


def test_without_a_dio1_wire_it_works_as_with_lost_interrupts():
    fake = FakeSx1262()
    transceiver = Transceiver(Sx1262(fake.spi, fake.nss, fake.reset, fake.busy))
    transceiver.start()
    send(transceiver, fake)
    assert world.now_us - fake.started_us < region.airtime_us(7, 125000, 23) + 20000


def test_an_interrupt_without_a_flag_is_not_the_end():
    transceiver, fake = radio()

    def start(_):
        airtime = region.airtime_us(7, 125000, 23)
        world.at(world.now_us + 1000, lambda: fake.dio1.handler(fake.dio1))
        fake.finish(airtime + 305, TX_DONE)

    fake.after_start = start
    end = run(transceiver.transmit(868100000, 7, 125000, 14, bytes(23)))
    assert (end - fake.started_us) & 0x3FFFFFFF > 50000


def test_a_timeout_of_the_chip_is_an_error_that_says_why():
    transceiver, fake = radio()

    def start(_):
        fake.errors = 0x100
        fake.finish(100000, TIMEOUT)

    fake.after_start = start
    text = str(raises(RadioError, run, transceiver.transmit(868100000, 7, 125000, 14, bytes(23))))
    assert "gave up sending" in text, text
    assert "amplifier" in text, text
    assert fake.asleep


def test_a_chip_that_never_reports_the_end_is_an_error_within_a_bounded_time():
    transceiver, fake = radio()
    fake.after_start = lambda _: None
    text = str(raises(RadioError, run, transceiver.transmit(868100000, 12, 125000, 14, bytes(51))))
    assert "end of sending" in text, text
    airtime = region.airtime_us(12, 125000, 51)
    assert world.now_us - fake.started_us < airtime * 5 // 4 + 200000
    assert fake.asleep


def test_an_error_of_the_amplifier_shows_before_the_window_at_the_latest():
    transceiver, fake = radio()
    send(transceiver, fake)
    fake.errors = 0x100
    text = str(raises(RadioError, transceiver.prepare_receive, 868100000, 7, 125000, 8))
    assert "amplifier" in text


def test_what_a_lora_frame_cannot_hold_is_refused():
    transceiver, _ = radio()
    for size in (0, 256):
        text = str(raises(RadioError, run, transceiver.transmit(868100000, 7, 125000, 14, bytes(size))))
        assert str(size) in text
    for sf, bandwidth in ((6, 125000), (13, 125000), (7, 62500)):
        raises(RadioError, run, transceiver.transmit(868100000, sf, bandwidth, 14, b"x"))
        raises(RadioError, transceiver.prepare_receive, 868100000, sf, bandwidth, 8)


def test_the_airtime_is_the_one_that_the_mac_reckons_with():
    transceiver, fake = radio()
    fake.dio1.deaf = True
    for sf in range(7, 13):
        for bandwidth in (125000, 250000):
            for size in (1, 13, 51, 64, 115, 242, 255):
                end = send(transceiver, fake, size=size, sf=sf, bandwidth=bandwidth)
                taken = ((end - fake.started_us) & 0x3FFFFFFF) - 305
                assert 0 <= taken - region.airtime_us(sf, bandwidth, size) < 200, (sf, bandwidth, size)


# --- receiving


def test_a_window_is_set_up_as_lorawan_wants_it():
    transceiver, fake = radio()
    fake.after_start = lambda _: fake.finish(9000, TIMEOUT)
    assert listen(transceiver, fake, sf=12) is None
    assert fake.sent(0x8C) == [b"\x00\x08\x00\xff\x00\x01"]  # no CRC, inverted IQ
    assert fake.sent(0x8B) == [b"\x0c\x04\x01\x01"]
    assert fake.registers[0x08AC] == 0x96
    assert fake.sent(0x08) == [b"\x02\x72\x02\x62\x00\x00\x00\x00"]
    assert fake.sent(0x02) == [b"\x03\xff"]


def test_erratum_15_4_bit_2_is_cleared_for_inverted_iq_after_setpacketparams_and_set_again_for_sending():
    transceiver, fake = radio()
    fake.after_start = lambda _: fake.finish(9000, TIMEOUT)
    for _ in range(2):
        listen(transceiver, fake)
        assert fake.registers[0x0736] == 0x09
        opcodes = [command[:3] for command in fake.commands]
        assert opcodes.index(b"\x8c\x00\x08") < opcodes.index(b"\x0d\x07\x36")
        send(transceiver, fake)
        assert fake.registers[0x0736] == 0x0D
        fake.after_start = lambda _: fake.finish(9000, TIMEOUT)


def test_opening_a_window_is_one_command_with_the_oscillator_running_already():
    transceiver, fake = radio()
    fake.after_start = lambda _: fake.finish(9000, TIMEOUT)
    transceiver.prepare_receive(868100000, 7, 125000, 8)
    assert fake.commands[-1] == b"\x80\x01"
    fake.commands.clear()
    begun = world.now_us
    run(transceiver.receive())
    assert fake.commands[0][0] == 0x82
    assert fake.started_us - begun < 100


def test_windows_up_to_248_symbols_are_counted_by_the_chip_and_never_shorter_than_asked_for():
    transceiver, fake = radio()
    for symbols in (1, 6, 8, 62, 63, 64, 97, 160, 247, 248):
        fake.after_start = lambda _: fake.finish(9000, TIMEOUT)
        listen(transceiver, fake, symbols=symbols)
        counted = fake.sent(0xA0)[0][0]
        register = fake.registers[0x0706]
        assert counted == (register >> 3) << 2 * (register & 7) + 1
        assert symbols <= counted <= symbols + 7, (symbols, counted)


def test_longer_windows_are_closed_by_the_chips_timer():
    transceiver, fake = radio()
    fake.after_start = lambda _: fake.finish(9000, TIMEOUT)
    listen(transceiver, fake, symbols=400)
    assert fake.sent(0xA0) == [b"\x00"]
    timer_us = int.from_bytes(fake.sent(0x82)[0], "big") * 125 // 8
    assert (400 + 21) * 1024 <= timer_us < 460 * 1024


def test_the_timer_leaves_room_for_the_header_of_a_packet_at_the_windows_end():
    transceiver, fake = radio()
    for sf in (7, 12):
        fake.after_start = lambda _: fake.finish(9000, TIMEOUT)
        listen(transceiver, fake, symbols=8, sf=sf)
        timer_us = int.from_bytes(fake.sent(0x82)[0], "big") * 125 // 8
        assert timer_us >= (8 + 21) * (1000 << sf) // 125


def test_a_packet_is_read_from_where_the_chip_put_it():
    transceiver, fake = radio()

    def start(_):
        fake.buffer[5:22] = b"seventeen letters"
        fake.buffer_status = 17 << 8 | 5
        fake.packet_status = 180 << 8 | (-26 & 255)
        fake.finish(20000, HEADER, line=False)
        fake.finish(60000, RX_DONE)

    fake.after_start = start
    packet = listen(transceiver, fake)
    assert packet.payload == b"seventeen letters"
    assert (packet.rssi, packet.snr) == (-90, -6)
    assert packet.end == (fake.started_us + 60000) & 0x3FFFFFFF
    assert type(packet.payload) is bytes
    assert fake.asleep


def test_erratum_15_3_the_timer_is_stopped_after_a_packet():
    transceiver, fake = radio()
    fake.registers[0x0902] = 0x55
    fake.after_start = lambda _: fake.finish(60000, RX_DONE)
    listen(transceiver, fake)
    assert fake.registers[0x0902] == 0
    assert fake.registers[0x0944] & 2


def test_what_is_damaged_is_nothing():
    transceiver, fake = radio()
    for flags in (RX_DONE | CRC_ERROR, HEADER_ERROR):
        fake.after_start = lambda _: fake.finish(50000, flags)  # noqa: B023 - called within the round
        assert listen(transceiver, fake) is None
        assert fake.asleep


def test_a_packet_that_has_begun_is_waited_for_to_its_end():
    transceiver, fake = radio()

    def start(_):
        fake.buffer_status = 0xFF00
        fake.finish(700000, HEADER, line=False)
        fake.finish(8500000, RX_DONE)

    fake.after_start = start
    packet = listen(transceiver, fake, sf=12, symbols=6)
    assert len(packet.payload) == 255


def test_a_lost_interrupt_of_a_window_is_noticed_soon_after_its_end():
    transceiver, fake = radio()
    fake.dio1.deaf = True
    fake.after_start = lambda _: fake.finish(8192, TIMEOUT)
    assert listen(transceiver, fake, symbols=8) is None
    assert world.now_us - fake.started_us < 60000


def test_a_window_that_the_chip_never_ends_is_an_error():
    transceiver, fake = radio()
    fake.after_start = lambda _: None
    transceiver.prepare_receive(868100000, 7, 125000, 8)
    text = str(raises(RadioError, run, transceiver.receive()))
    assert "window did not end" in text, text
    assert world.now_us - fake.started_us < 200000
    assert fake.asleep


def test_receiving_unprepared_is_an_error():
    transceiver, fake = radio()
    assert "prepare_receive" in str(raises(RadioError, run, transceiver.receive()))
    fake.after_start = lambda _: fake.finish(9000, TIMEOUT)
    listen(transceiver, fake)
    raises(RadioError, run, transceiver.receive())
    transceiver.prepare_receive(868100000, 7, 125000, 8)
    transceiver.sleep()
    raises(RadioError, run, transceiver.receive())


# --- cancelling, sleep, loss of supply


async def cancelled_after(ms, coroutine):
    task = asyncio.create_task(coroutine)
    await asyncio.sleep_ms(ms)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


def test_a_cancelled_transmission_leaves_the_air():
    transceiver, fake = radio()
    fake.after_start = lambda _: None
    assert run(cancelled_after(100, transceiver.transmit(868100000, 12, 125000, 14, bytes(51))))
    assert fake.commands[-2:] == [b"\x80\x00", b"\x84\x04"]
    assert fake.asleep


def test_a_cancelled_window_leaves_the_air():
    transceiver, fake = radio()
    fake.after_start = lambda _: None
    transceiver.prepare_receive(868100000, 12, 125000, 100)
    assert run(cancelled_after(100, transceiver.receive()))
    assert fake.asleep
    fake.after_start = lambda _: fake.finish(9000, TIMEOUT)
    assert listen(transceiver, fake) is None


def test_sleep_when_asleep_does_not_wake_it():
    transceiver, fake = radio()
    fake.commands.clear()
    transceiver.sleep()
    assert fake.asleep
    assert fake.commands == []


def test_sleep_raises_nothing_and_holds_a_chip_in_reset_that_does_not_obey():
    transceiver, fake = radio()
    transceiver.prepare_receive(868100000, 7, 125000, 8)
    fake.broken = True
    fake.busy.level = 1
    transceiver.sleep()
    assert fake.reset.level == 0
    text = str(raises(RadioError, run, transceiver.transmit(868100000, 7, 125000, 14, b"x")))
    assert "BUSY" in text


def test_a_chip_whose_supply_failed_is_noticed_and_mended_by_a_start():
    transceiver, fake = radio()
    fake._reset(1)
    text = str(raises(RadioError, run, transceiver.transmit(868100000, 7, 125000, 14, b"x")))
    assert "lost its settings" in text, text
    assert "supply" in text, text
    transceiver.start()
    send(transceiver, fake)


def test_the_error_that_waking_up_brings_is_forgotten():
    transceiver, fake = radio()
    fake.errors = 0x20
    send(transceiver, fake)
    assert fake.commands[0] == b"\x07\x00\x00"


# --- self-test


def test_the_self_test_of_a_good_board_is_all_right():
    transceiver, fake = radio()
    fake.after_start = lambda _: fake.finish(6144, TIMEOUT)
    results = transceiver.self_test()
    assert [name for name, _, _ in results] == ["identity", "registers", "buffer", "oscillator", "interrupt"]
    assert all([ok for _, ok, _ in results]), results
    assert fake.asleep
    assert "radio.sx1262_start" not in sys.modules
    assert "radio.sx1262_check" not in sys.modules
    send(transceiver, fake)


def test_the_self_test_finds_a_broken_dio1_wire():
    transceiver, fake = radio()
    fake.after_start = lambda _: fake.finish(6144, TIMEOUT, line=False)
    name, ok, detail = transceiver.self_test()[-1]
    assert (name, ok) == ("interrupt", False)
    assert "DIO1 Pin(14) stays low" in detail, detail


def test_the_self_test_ends_with_what_fails_and_raises_nothing():
    transceiver, fake = radio()
    fake.broken = True
    fake.busy.level = 0
    results = transceiver.self_test()
    assert len(results) == 1
    assert results[0][:2] == ("identity", False)
    assert "no answer" in results[0][2]
