"""MAC commands as the LoRaWAN 1.0.4 certification asks for them: see docs/CERTIFICATION.md."""

from lorawan_rig import HOUR_MS, Memory, Rig, fopts_of, port_of, rest_ms

from lorawan import eu868
from lorawan.operations import Wait


def joined(**settings):
    """A joined device of no CFList, so that channels 3 to 15 are undefined; it sends at DR0 unless told otherwise."""
    rig = Rig(**settings)
    rig.join()
    rig.now += HOUR_MS
    for index in range(3, eu868.MAX_CHANNELS):
        rig.mac.session.channels.remove(index)
    return rig


def answers(rig, commands):
    """FOpts of the uplink after one that brought `commands`, on FPort 0 where FOpts is too short for them."""
    data = bytes.fromhex(commands)
    rig.send(down=rig.downlink(data) if len(data) < 16 else rig.downlink(port=0, payload=data))
    rig.send()
    return fopts_of(rig.sent.payload).hex()


def adr_state(rig):
    session = rig.mac.session
    return session.data_rate, session.tx_power, session.nb_trans, session.channels.mask


# --- 5.2 LinkADRReq


def test_link_adr_of_all_off_is_refused_and_the_channels_stay():
    rig = joined()
    assert answers(rig, "070388668450" + "0350070001") == "0703" + "0307"
    assert rig.mac.session.channels.mask == 0b111
    assert answers(rig, "0350000001") == "0306"
    assert rig.mac.session.channels.mask == 0b111


def test_a_block_of_link_adr_with_an_empty_mask_at_its_end_is_refused_in_every_answer():
    rig = joined()
    before = adr_state(rig)
    assert answers(rig, "0344010000" + "0331000061" + "0350000001") == "030603060306"
    assert adr_state(rig) == before


def test_channel_mask_controls_that_are_reserved_are_refused():
    for control in (1, 2, 3, 4, 5, 7):
        rig = joined()
        before = adr_state(rig)
        assert answers(rig, "03500700%02x" % (control << 4 | 1)) == "0306"
        assert adr_state(rig) == before


def test_channel_mask_control_six_takes_no_notice_of_the_mask():
    rig = joined()
    rig.mac.session.channels.mask = 0b1
    assert answers(rig, "0350000061") == "0307"
    assert rig.mac.session.channels.mask == 0b111


def test_a_mask_with_an_undefined_channel_is_refused():
    rig = joined()
    assert answers(rig, "03500f0001") == "0306"


def test_the_reserved_bit_of_redundancy_is_not_looked_at():
    rig = joined()
    assert answers(rig, "0350070081") == "0307"


def test_all_uplinks_keep_to_the_mask():
    rig = joined()
    assert answers(rig, "0350050001") == "0307"
    used = set()
    for _ in range(20):
        rig.send()
        used.add(rig.sent.frequency)
        rig.now += HOUR_MS
    assert used == {868100000, 868500000}


def test_the_last_of_a_block_alone_sets_rate_power_and_copies():
    rig = joined()
    assert answers(rig, "0312070003" + "0324070002") == "03070307"
    assert adr_state(rig) == (2, 4, 2, 0b111)


def test_rate_and_power_of_fifteen_stay_and_the_mask_changes():
    rig = joined()
    rig.mac.session.tx_power, rig.mac.session.data_rate = 3, 4
    assert answers(rig, "03ff030000") == "0307"
    assert adr_state(rig) == (4, 3, 1, 0b011)


def test_without_adr_the_mask_is_taken_and_rate_power_and_copies_are_refused():
    rig = joined()
    rig.mac.adr = False
    assert answers(rig, "0323060003") == "0301"
    assert adr_state(rig) == (5, 0, 1, 0b110)
    assert answers(rig, "03ff030003") == "0307"
    assert adr_state(rig) == (5, 0, 1, 0b011)


def test_every_power_step_takes_two_decibels_off():
    for step in range(eu868.MAX_TX_POWER + 1):
        rig = joined()
        assert answers(rig, "035%d070001" % step) == "0307"
        assert rig.sent.power == 16 - 2 * step
    assert answers(joined(), "0358070001") == "0303"


# --- 5.3 DutyCycleReq


def silence_after(rig):
    """ms between the end of an uplink and the next that the MAC allows."""
    rig.send()
    ended = rig.now - 2000
    operation = rig.mac.send(rig.now, 1, b"")
    assert isinstance(operation, Wait)
    rig.mac.failed()
    return operation.until - ended, rig.sent.airtime_us


def test_duty_cycle_request_is_answered_and_silences_all_channels():
    rig = joined()
    assert answers(rig, "0407") == "04"
    rig.now += HOUR_MS
    silence, airtime = silence_after(rig)
    assert silence == (airtime * 127 + 999) // 1000


def test_duty_cycle_request_counts_from_the_frame_that_it_answers():
    rig = joined()
    rig.send(down=rig.downlink(b"\x04\x0f"))
    ended, airtime = rig.now - 1000, rig.sent.airtime_us
    assert rig.mac.send(rig.now, 1, b"").until == ended + (airtime * 32767 + 999) // 1000


def test_duty_cycle_request_of_zero_lifts_the_silence_at_once():
    rig = joined()
    assert answers(rig, "040f") == "04"
    rig.now += 24 * HOUR_MS
    rig.send(down=rig.downlink(b"\x04\x00"))
    silence, airtime = silence_after(rig)
    assert silence <= rest_ms(airtime)


def test_the_reserved_bits_of_duty_cycle_request_are_not_looked_at():
    rig = joined()
    assert answers(rig, "04f2") == "04"
    assert rig.mac.session.max_duty == 2


# --- 5.4 RXParamSetupReq, 5.7 RXTimingSetupReq, 5.6 DlChannelReq: repeated until a downlink comes


def test_rx_param_setup_of_the_certification_moves_both_windows_and_is_repeated():
    rig = joined()
    rig.mac.session.data_rate = 2
    for _ in range(3):
        if rig.mac.session.rx1_offset == 0:
            rig.send(down=rig.downlink(bytes.fromhex("0522c28684")))
        rig.send()
        assert fopts_of(rig.sent.payload).hex() == "0507"
        first, second = rig.listened
        assert (first.sf, second.sf, second.frequency) == (12, 10, 868525000)
    rig.send(down=rig.downlink(bytes.fromhex("0703886684500350070001")))
    rig.send()
    assert fopts_of(rig.sent.payload).hex() == "07030307"


def test_rx2_data_rate_of_fifteen_stays():
    rig = joined()
    rig.mac.session.rx2_data_rate = 3
    assert answers(rig, "052f" + "d2ad84") == "0507"
    assert (rig.mac.session.rx1_offset, rig.mac.session.rx2_data_rate) == (2, 3)


def test_rx_timing_setup_of_fifteen_seconds_is_repeated_until_a_downlink_comes():
    rig = joined()
    assert answers(rig, "080f") == "08"
    rig.send()
    assert fopts_of(rig.sent.payload) == b"\x08"
    assert 14000000 < rig.listened[0].after_us <= 15000000
    assert 15000000 < rig.listened[1].after_us <= 16100000
    rig.send(down=rig.downlink(port=224, payload=b"\x08\x01\x02\x03"))
    rig.send()
    assert fopts_of(rig.sent.payload) == b""


def test_dl_channel_moves_the_first_window_alone_and_is_repeated():
    rig = joined()
    rig.mac.session.channels.mask = 0b1
    assert answers(rig, "0a00f87d84") == "0a03"
    rig.send()
    assert fopts_of(rig.sent.payload).hex() == "0a03"
    assert rig.sent.frequency == 868100000
    assert (rig.listened[0].frequency, rig.listened[1].frequency) == (868300000, 869525000)


def test_a_channel_that_is_made_anew_listens_where_it_sends():
    rig = joined()
    answers(rig, "070388668450")
    assert answers(rig, "0a03f87d84") == "0a03"
    answers(rig, "070318668450")
    assert rig.mac.session.channels.downlink(3) == rig.mac.session.channels.frequencies[3]


def test_sticky_answers_stay_while_a_downlink_is_refused():
    rig = joined()
    assert answers(rig, "0803") == "08"
    rig.send(down=bytes(20))
    rig.send()
    assert fopts_of(rig.sent.payload) == b"\x08"


# --- 5.5 DevStatusReq


def test_dev_status_of_the_certification_is_answered_once():
    rig = joined(battery=lambda: 77)
    rig.ready(rig.mac.send(rig.now, 1, b"\1"))
    rig.windows(rig.downlink(port=0, payload=b"\x06"), snr=-15)
    rig.send()
    assert fopts_of(rig.sent.payload) == b"\x06\x4d\x31"
    rig.send()
    assert fopts_of(rig.sent.payload) == b""


# --- 5.6 NewChannelReq


def test_default_channels_can_be_neither_changed_nor_removed():
    rig = joined()
    assert answers(rig, "0700184f84500701184f84500702184f8450") == "070007000700"
    assert answers(rig, "070000000050070100000050070200000050") == "070007000700"
    assert rig.mac.session.channels.frequencies[:3] == [868100000, 868300000, 868500000]


def test_a_new_channel_is_used_and_after_its_removal_not_any_more():
    rig = joined()
    assert answers(rig, "070f88668450") == "0703"
    used = set()
    for _ in range(20):
        rig.send()
        used.add(rig.sent.frequency)
        rig.now += HOUR_MS
    assert 867700000 in used
    assert answers(rig, "070f00000050") == "0703"
    for _ in range(20):
        rig.send()
        assert rig.sent.frequency != 867700000
        rig.now += HOUR_MS


def test_thirteen_channels_fit_beside_the_defaults():
    rig = joined()
    for index in range(3, 16):
        request = bytes([0x07, index]) + (8650000 + 2000 * index).to_bytes(3, "little") + b"\x50"
        assert answers(rig, request.hex()) == "0703"
    assert rig.mac.session.channels.mask == 0xFFFF


def test_a_new_channel_outside_the_band_or_of_unknown_rates_is_refused_by_bit():
    rig = joined()
    before = rig.mac.session.channels.frequencies[:]
    assert answers(rig, "0703287684cd") == "0701"
    assert answers(rig, "0703" + (8700100).to_bytes(3, "little").hex() + "50") == "0702"
    assert answers(rig, "0703" + (8686500).to_bytes(3, "little").hex() + "61") == "0700"
    assert rig.mac.session.channels.frequencies == before


def test_the_last_channel_that_is_enabled_cannot_be_removed():
    rig = joined()
    answers(rig, "070388668450")
    answers(rig, "0350080001")
    assert rig.mac.session.channels.mask == 0b1000
    assert answers(rig, "070300000050") == "0700"
    assert rig.mac.session.channels.mask == 0b1000


# --- chapter 5: order, priority, truncation


def test_answers_come_in_the_order_of_the_commands_and_before_requests():
    rig = joined()
    rig.send(down=rig.downlink(bytes.fromhex("060350070001")))
    rig.send(payload=b"", link_check=True)
    assert fopts_of(rig.sent.payload).hex() == "06ff07" + "0307" + "02"


def test_answers_have_priority_over_a_payload_that_does_not_fit_beside_them():
    rig = joined()
    rig.mac.session.data_rate = 0
    rig.send(down=rig.downlink(b"\x06\x06"))
    assert not rig.send(payload=bytes(51), confirmed=True).sent
    assert (fopts_of(rig.sent.payload), port_of(rig.sent.payload)) == (b"\x06\xff\x07" * 2, None)
    done = rig.send(payload=bytes(51), confirmed=True)
    assert done.sent
    assert (fopts_of(rig.sent.payload), rig.plain(rig.sent.payload)) == (b"", bytes(51))


def test_fifteen_bytes_of_answers_ride_along_and_sixteen_do_not():
    rig = joined()
    rig.send(down=rig.downlink(b"\x06" * 5))
    assert rig.send(payload=b"\1").sent
    assert len(fopts_of(rig.sent.payload)) == 15
    rig.send(down=rig.downlink(b"\x06" * 4 + b"\x04\x00" + b"\x08\x01" + b"\x05\x00\xd2\xad\x84"))
    assert not rig.send(payload=b"\1").sent
    assert (port_of(rig.sent.payload), fopts_of(rig.sent.payload)) == (0, b"")
    assert rig.plain(rig.sent.payload).hex() == "06ff07" * 4 + "04" + "08" + "0507"


def test_the_answers_of_the_certification_beyond_fopts_are_all_in_one_frame():
    rig = joined()
    answers(rig, "0350070001")
    rig.send(down=rig.downlink(port=0, payload=bytes.fromhex("060500d2ad84" + "06" * 14 + "0300070001")))
    rig.send(port=None, payload=b"")
    assert port_of(rig.sent.payload) == 0
    assert rig.plain(rig.sent.payload).hex() == "06ff07" + "0507" + "06ff07" * 14 + "0307"
    assert len(rig.plain(rig.sent.payload)) <= eu868.MAX_PAYLOAD[0]


def test_answers_beyond_the_longest_frame_are_cut_after_a_whole_one_and_all_commands_are_obeyed():
    rig = joined()
    rig.send(down=rig.downlink(port=0, payload=b"\x06" * 20 + bytes.fromhex("0300070001")))
    assert rig.mac.session.data_rate == 0
    rig.send(port=None, payload=b"")
    assert rig.plain(rig.sent.payload) == b"\x06\xff\x07" * 17
    rig.send()
    assert fopts_of(rig.sent.payload) == b""


def test_a_frame_full_of_commands_is_obeyed_and_answered_as_far_as_a_frame_goes():
    rig = joined()
    rig.send(down=rig.downlink(port=0, payload=b"\x06" * 242))
    rig.send(port=None, payload=b"")
    assert rig.plain(rig.sent.payload) == b"\x06\xff\x07" * 80


def test_answers_to_what_the_frame_of_answers_brought_go_first_again():
    rig = joined()
    rig.send(down=rig.downlink(b"\x06" * 7))
    assert not rig.send(payload=b"\1", down=rig.downlink(b"\x06" * 6)).sent
    assert not rig.send(payload=b"\1").sent
    assert rig.plain(rig.sent.payload) == b"\x06\xff\x07" * 6
    assert rig.send(payload=b"\1").sent


def test_sticky_answers_that_do_not_fit_hold_up_every_payload_but_once():
    rig = joined()
    rig.mac.session.data_rate = 0
    rig.send(down=rig.downlink(port=0, payload=bytes.fromhex("0a00f87d84" * 8)))
    for _ in range(3):
        assert not rig.send(payload=b"\1").sent
        assert rig.plain(rig.sent.payload) == b"\x0a\x03" * 8
        assert rig.send(payload=b"\1").sent
        assert rig.plain(rig.sent.payload) == b"\1"
    assert fopts_of(rig.sent.payload) == b"\x0a\x03" * 7


def test_answers_that_were_not_sent_yet_survive_a_restart_in_their_order():
    rig = joined()
    commands = bytes.fromhex("06" + "0402" + "0350070001" + "070388668450" + "0803")
    rig.send(down=rig.downlink(port=0, payload=commands))
    again = Rig(Memory(rig.files.content))
    again.now = 24 * HOUR_MS
    again.send(port=None, payload=b"")
    assert fopts_of(again.sent.payload).hex() == "06ff07" + "04" + "0307" + "0703" + "08"


def test_answers_that_were_sent_do_not_come_again_after_a_restart_but_the_sticky_ones_do():
    rig = joined()
    rig.send(down=rig.downlink(bytes.fromhex("06" + "0803")))
    rig.ready(rig.mac.send(rig.now, 1, b"\1"))
    again = Rig(Memory(rig.files.content))
    again.now = 24 * HOUR_MS
    again.send()
    assert fopts_of(again.sent.payload) == b"\x08"


def test_answers_of_a_frame_that_the_radio_did_not_send_go_with_the_next():
    rig = joined()
    rig.send(down=rig.downlink(b"\x06", confirmed=True))
    rig.ready(rig.mac.send(rig.now, 1, b"\1"))
    rig.mac.failed()
    rig.send()
    assert fopts_of(rig.sent.payload) == b"\x06\xff\x07"
    assert rig.sent.payload[5] & 0x20


# --- 5.1 LinkCheckReq, 5.9 DeviceTimeReq


def test_link_check_is_answered_in_the_same_windows_or_not_at_all():
    rig = joined()
    assert rig.send(link_check=True).link_check is None
    assert rig.send(down=rig.downlink(b"\x02\x14\x01")).link_check is None
    assert rig.send(link_check=True, down=rig.downlink(b"\x02\x14\x01")).link_check == (20, 1)


def test_device_time_is_bounded_by_its_resolution_and_the_end_of_the_transmission():
    rig = joined()
    done = rig.send(device_time=True, down=rig.downlink(b"\x0d\xc0\x33\x2e\x58\x1d"))
    assert done.time == (0x582E33C0, 0x1D)
    assert done.time_error_ms == 5


def test_the_time_that_answers_a_copy_may_be_that_of_the_first():
    rig = joined()
    rig.mac.session.nb_trans = 2
    wait = rig.send(device_time=True)
    first_end = rig.now - 2000
    rig.ready(wait)
    second_end = rig.now
    done = rig.windows(rig.downlink(b"\x0d\xc0\x33\x2e\x58\x1d"))
    assert done.time_error_ms == 5 + second_end - first_end
