"""Data frames: counters, windows, repetition, acknowledgement, room, duty cycle."""

from expect import raises
from lorawan_rig import HOUR_MS, Memory, Rig, counter_of, fopts_of, rest_ms

from lorawan import adr, eu868, frames, region
from lorawan.mac import NotJoined, PayloadTooLong
from lorawan.operations import Done, Wait


def joined(**settings):
    rig = Rig(**settings)
    rig.join()
    rig.now += HOUR_MS
    return rig


def test_sending_without_a_session_is_an_error():
    raises(NotJoined, Rig().mac.send, 0, 1, b"")


def test_uplinks_count_up_and_ask_for_adr():
    rig = joined()
    counters = []
    for _ in range(3):
        rig.send()
        counters.append(counter_of(rig.sent.payload))
        assert rig.sent.payload[5] & frames.ADR
    assert counters == [0, 1, 2]


def test_windows_open_one_and_two_seconds_after_the_uplink():
    rig = joined(rx_error_ms=10)
    rig.send()
    first, second = rig.listened
    # 12.1 ms and 12.2 ms of error; the second at DR0.
    assert (first.frequency, first.sf) == (rig.sent.frequency, 7)
    assert first.symbols == 4 + 24
    assert first.after_us == 1000000 - 28 * 1024 // 2 + 4 * 1024
    assert (second.frequency, second.sf, second.symbols) == (869525000, 12, 6)
    assert second.after_us == 2000000 - 3 * 32768 + 4 * 32768


def test_rx1_keeps_the_uplinks_rate_minus_the_offset_but_not_below_zero():
    rig = joined()
    rig.mac.session.rx1_offset = 3
    rig.send()
    assert rig.listened[0].sf == 10
    rig.mac.session.data_rate = 1
    rig.send()
    assert rig.listened[0].sf == 12


def test_confirmed_uplink_is_acknowledged():
    rig = joined()
    assert rig.send(confirmed=True, down=rig.downlink(ack=True)).acknowledged
    assert rig.sent.payload[0] == frames.CONFIRMED_UP
    assert not rig.send(confirmed=True).acknowledged
    assert not rig.send(confirmed=True, down=rig.downlink()).acknowledged


def test_an_ack_nobody_asked_for_acknowledges_nothing():
    rig = joined()
    assert not rig.send(down=rig.downlink(ack=True)).acknowledged


def test_unacknowledged_frame_is_not_sent_again_under_its_counter():
    """The server does not acknowledge a copy: what is tried again is a new frame."""
    rig = joined()
    rig.send(confirmed=True)
    before = counter_of(rig.sent.payload)
    rig.send(confirmed=True)
    assert counter_of(rig.sent.payload) == before + 1


def test_copies_of_nb_trans_are_the_same_frame_until_something_is_heard():
    rig = joined()
    rig.mac.session.nb_trans = 3
    wait = rig.send()
    first = rig.sent.payload
    assert isinstance(wait, Wait)
    assert 1000 <= wait.until - rig.now <= 3000
    second = rig.ready(wait)
    assert second.payload == first
    assert isinstance(rig.windows(rig.downlink()), Done)


def test_nb_trans_copies_end():
    rig = joined()
    rig.mac.session.nb_trans = 2
    wait = rig.send()
    rig.ready(wait)
    assert isinstance(rig.windows(), Done)


def test_confirmed_downlink_is_acknowledged_by_the_next_uplink_once():
    rig = joined()
    rig.send(down=rig.downlink(port=10, payload=b"\1\2", confirmed=True))
    rig.send()
    assert rig.sent.payload[5] & frames.ACK
    rig.send()
    assert not rig.sent.payload[5] & frames.ACK


def test_application_data_of_a_downlink_is_handed_out():
    rig = joined()
    done = rig.send(down=rig.downlink(port=10, payload=b"\1\2"))
    assert (done.port, done.payload) == (10, b"\1\2")


def test_a_replayed_downlink_is_refused():
    rig = joined()
    down = rig.downlink(port=10, payload=b"\1")
    rig.send(down=down)
    done = rig.send(down=down)
    assert not done.heard
    assert rig.mac.refused == {"MIC or counter": 1}


def test_downlink_counter_is_continued_beyond_16_bits():
    rig = joined()
    rig.mac.session.fcnt_down = 0xFFFE
    assert rig.send(down=rig.downlink(counter=0xFFFF)).heard
    assert rig.send(down=rig.downlink(counter=0x10000)).heard
    assert rig.mac.session.fcnt_down == 0x10000


def test_every_flipped_bit_of_a_downlink_changes_nothing():
    rig = joined()
    down = rig.downlink(b"\x03\x51\xff\x00\x01", 10, b"\1\2\3")
    for at in range(len(down)):
        broken = bytearray(down)
        broken[at] ^= 0x40
        rate, counter = rig.mac.session.data_rate, rig.mac.session.fcnt_down
        assert not rig.send(down=bytes(broken)).heard
        assert (rig.mac.session.data_rate, rig.mac.session.fcnt_down) == (rate, counter)
    assert sum(rig.mac.refused.values()) == len(down)


def test_short_frames_and_foreign_addresses_are_refused_by_reason():
    rig = joined()
    rig.send(down=b"\x60\x01")
    rig.send(down=bytes([frames.UNCONFIRMED_DOWN]) + bytes(20))
    rig.send(down=bytes(20))
    assert rig.mac.refused == {
        "shorter than a data frame": 1,
        "another device's address": 1,
        "not a data downlink": 1,
    }


def test_fopts_together_with_port_zero_are_refused():
    rig = joined()
    assert not rig.send(down=rig.downlink(b"\x06", 0, b"\x06")).heard
    assert rig.mac.refused == {"FOpts together with FPort 0": 1}


def test_commands_on_port_zero_are_obeyed():
    rig = joined()
    rig.send(down=rig.downlink(port=0, payload=b"\x06"))
    rig.send()
    assert fopts_of(rig.sent.payload) == b"\x06\xff\x07"


def test_refused_first_window_leaves_the_second():
    rig = joined()
    assert rig.send(down=bytes(20), second=rig.downlink(ack=False)).heard


def test_payload_may_fill_the_data_rate_minus_the_commands():
    rig = joined()
    session = rig.mac.session
    for data_rate, longest in ((0, 51), (1, 51), (2, 51), (3, 115), (4, 242), (5, 242)):
        session.data_rate = data_rate
        assert rig.mac.room() == longest
        assert rig.mac.room(1) == longest - 1
    session.data_rate = 0
    raises(PayloadTooLong, rig.mac.send, rig.now, 1, bytes(52))
    raises(PayloadTooLong, rig.mac.send, rig.now, 1, bytes(51), device_time=True)
    assert session.fcnt_up == 0


def test_room_counts_the_answers_that_wait():
    rig = joined()
    rig.send(down=rig.downlink(b"\x06"))
    assert rig.mac.room() == 242 - 3


def test_device_time_is_handed_out_only_when_it_was_asked_for():
    rig = joined()
    answer = b"\x0d\xc0\x33\x2e\x58\x1d"
    assert rig.send(down=rig.downlink(answer)).time is None
    done = rig.send(device_time=True, down=rig.downlink(answer))
    assert fopts_of(rig.sent.payload) == b"\x0d"
    assert done.time == (0x582E33C0, 0x1D)


def test_link_check_is_asked_and_answered():
    rig = joined()
    done = rig.send(link_check=True, down=rig.downlink(b"\x02\x14\x01"))
    assert fopts_of(rig.sent.payload) == b"\x02"
    assert done.link_check == (20, 1)


def test_a_frame_leaves_its_sub_band_at_rest_for_its_share():
    rig = joined()
    rig.mac.session.channels.mask = 0b111
    rig.send(payload=bytes(10))
    airtime = rig.sent.airtime_us
    ended = rig.now - 2000
    wait = rig.mac.send(rig.now, 1, b"")
    assert isinstance(wait, Wait)
    assert wait.until == ended + rest_ms(airtime)


def test_another_sub_band_is_used_meanwhile():
    rig = joined()
    rig.send()
    first = region.sub_band(eu868, rig.sent.frequency)
    rig.send()
    assert region.sub_band(eu868, rig.sent.frequency) != first


def test_no_sub_band_ever_exceeds_its_share():
    rig = joined()
    state = [12345]

    def dice(n):
        state[0] = (state[0] * 1103515245 + 12345) & 0x3FFFFFFF
        return state[0] % n

    rig.mac.random = dice
    ends = {}
    for i in range(300):
        rig.mac.session.data_rate = i % 6
        rig.send(payload=bytes(i % 40))
        band = region.sub_band(eu868, rig.sent.frequency)
        start = rig.now - 2000 - rig.sent.airtime_us // 1000
        if band in ends:
            assert start >= ends[band]
        ends[band] = rig.now - 2000 + rig.sent.airtime_us * (eu868.SUB_BANDS[band][2] - 1) // 1000


def test_duty_cycle_request_demands_silence_on_all_sub_bands():
    rig = joined()
    rig.send(down=rig.downlink(b"\x04\x07"))
    rig.now += HOUR_MS
    rig.send()
    assert fopts_of(rig.sent.payload) == b"\x04"
    ended = rig.now - 2000
    wait = rig.mac.send(rig.now, 1, b"")
    assert wait.until == ended + (rig.sent.airtime_us * 127 + 999) // 1000


def test_after_a_restart_the_longest_frame_of_the_session_counts_as_just_sent():
    rig = joined()
    again = Rig(Memory(rig.files.content))
    longest = region.airtime_us(7, 125000, 242 + 13)
    assert again.mac.send(0, 1, b"").until == rest_ms(longest)


def test_power_is_reduced_by_steps_and_by_the_antennas_gain():
    rig = joined(gain=3)
    rig.mac.session.tx_power = 2
    rig.send()
    assert rig.sent.power == 16 - 4 - 3


def test_network_is_asked_for_a_sign_of_life_after_64_uplinks():
    rig = joined()
    for i in range(1, 67):
        rig.send()
        assert bool(rig.sent.payload[5] & frames.ADR_ACK_REQ) == (i >= adr.ACK_LIMIT)
    rig.send(down=rig.downlink())
    rig.send()
    assert not rig.sent.payload[5] & frames.ADR_ACK_REQ


def test_silence_raises_power_then_lowers_the_data_rate_then_restores_the_channels():
    rig = joined()
    session = rig.mac.session
    session.tx_power, session.data_rate, session.nb_trans = 3, 2, 1
    session.channels.mask = 0b11111000
    seen = []
    while session.channels.mask != 0xFF:
        rig.send(payload=b"")
        state = (session.tx_power, session.data_rate)
        if not seen or seen[-1] != state:
            seen.append(state)
    assert seen == [(3, 2), (0, 2), (0, 1), (0, 0)]
    assert session.adr_ack_count == adr.ACK_LIMIT + 4 * adr.ACK_DELAY


def test_room_foresees_the_step_of_the_back_off():
    rig = joined()
    session = rig.mac.session
    session.data_rate, session.tx_power = 3, 0
    session.adr_ack_count = adr.ACK_LIMIT + 2 * adr.ACK_DELAY - 1
    assert rig.mac.room() == 51
    rig.send(payload=bytes(51))
    assert session.data_rate == 2


def test_airtime_is_that_of_the_datasheets_formula():
    # 13 B of frame and 32 B of payload: facts of the band, to the millisecond.
    for sf, length, milliseconds in (
        (12, 45, 2138),
        (10, 45, 575),
        (7, 45, 92),
        (12, 64, 2793),
        (7, 64, 118),
    ):
        assert region.airtime_us(sf, 125000, length) // 1000 == milliseconds


def test_only_frequencies_of_a_sub_band_may_be_used():
    assert region.sub_band(eu868, 868100000) == 2
    assert region.sub_band(eu868, 867100000) == 1
    assert region.sub_band(eu868, 869525000) == 4
    for gap in (862900000, 868650000, 869300000, 869690000, 870100000):
        assert region.sub_band(eu868, gap) is None
