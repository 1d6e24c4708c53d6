"""MAC commands: each obeyed or refused as a whole, and answered."""

from lorawan_rig import HOUR_MS, Memory, Rig, fopts_of, port_of


def joined():
    rig = Rig()
    rig.join()
    rig.now += HOUR_MS
    return rig


def link_adr(data_rate, power, mask, control=0, copies=1):
    return bytes([0x03, data_rate << 4 | power, mask & 0xFF, mask >> 8, control << 4 | copies])


def new_channel(index, frequency, lowest=0, highest=5):
    return bytes([0x07, index]) + (frequency // 100).to_bytes(3, "little") + bytes([highest << 4 | lowest])


def adr_state(rig):
    session = rig.mac.session
    return session.data_rate, session.tx_power, session.nb_trans, session.channels.mask


def test_link_adr_of_the_recorded_server_is_obeyed_and_answered():
    rig = joined()
    assert rig.commands(bytes.fromhex("0351ff0001")) == b"\x03\x07"
    assert adr_state(rig) == (5, 1, 1, 0xFF)
    assert rig.sent.power == 14


def test_link_adr_sets_mask_rate_power_and_copies_together():
    rig = joined()
    assert rig.commands(link_adr(3, 4, 0b101, copies=1)) == b"\x03\x07"
    assert adr_state(rig) == (3, 4, 1, 0b101)


def test_link_adr_with_one_refused_part_changes_nothing():
    for request, status in (
        (link_adr(3, 9, 0b111), 0b011),
        (link_adr(7, 1, 0b111), 0b101),
        (link_adr(3, 1, 0b1000000000), 0b110),
        (link_adr(3, 1, 0), 0b110),
        (link_adr(3, 1, 0b111, control=3), 0b110),
    ):
        rig = joined()
        before = adr_state(rig)
        assert rig.commands(request) == bytes([0x03, status])
        assert adr_state(rig) == before


def test_link_adr_keeps_rate_and_power_on_fifteen():
    rig = joined()
    rig.mac.session.tx_power = 2
    assert rig.commands(link_adr(15, 15, 0b11)) == b"\x03\x07"
    assert adr_state(rig) == (5, 2, 1, 0b11)


def test_link_adr_control_six_enables_all_defined_channels():
    rig = joined()
    rig.mac.session.channels.mask = 1
    assert rig.commands(link_adr(5, 0, 0, control=6)) == b"\x03\x07"
    assert rig.mac.session.channels.mask == 0xFF


def test_no_copies_means_one():
    rig = joined()
    rig.commands(link_adr(5, 0, 0xFF, copies=0))
    assert rig.mac.session.nb_trans == 1


def test_a_block_of_link_adr_is_one_request_with_one_answer_each():
    rig = joined()
    block = link_adr(0, 0, 0b1) + link_adr(2, 2, 0b110)
    assert rig.commands(block) == b"\x03\x07\x03\x07"
    assert adr_state(rig) == (2, 2, 1, 0b110)


def test_a_block_fails_as_a_whole():
    rig = joined()
    before = adr_state(rig)
    block = link_adr(2, 2, 0b110, control=3) + link_adr(2, 2, 0b110)
    assert rig.commands(block) == b"\x03\x06\x03\x06"
    assert adr_state(rig) == before


def test_another_command_separates_two_blocks():
    rig = joined()
    assert rig.commands(link_adr(9, 0, 1) + b"\x06" + link_adr(2, 2, 1)) == b"\x03\x05\x06\xff\x07\x03\x07"
    assert rig.mac.session.data_rate == 2


def test_a_rate_that_no_channel_of_the_mask_carries_is_refused():
    rig = joined()
    rig.send(down=rig.downlink(new_channel(8, 867300000, 5, 5)))
    assert rig.commands(link_adr(2, 0, 1 << 8)) == b"\x03\x05"


def test_dev_status_tells_battery_and_margin():
    rig = Rig(battery=lambda: 77)
    rig.join()
    rig.now += HOUR_MS
    rig.send()
    for snr, margin in ((-40, 0x20), (-3, 0x3D), (7, 7), (50, 31)):
        rig.ready(rig.mac.send(rig.now, 1, b""))
        rig.windows(rig.downlink(b"\x06"), snr=snr)
        rig.send()
        assert fopts_of(rig.sent.payload) == bytes([0x06, 77, margin])


def test_rx_param_setup_moves_the_windows():
    rig = joined()
    request = b"\x05" + bytes([0x23]) + (8695250 + 50).to_bytes(3, "little")
    assert rig.commands(request) == b"\x05\x07"
    rig.send()
    first, second = rig.listened
    assert (first.sf, second.sf, second.frequency) == (9, 9, 869530000)


def test_rx_param_setup_is_refused_as_a_whole():
    for settings, frequency, status in ((0x70, 869525000, 3), (0x06, 869525000, 5), (0x00, 870100000, 6)):
        rig = joined()
        assert rig.commands(b"\x05" + bytes([settings]) + (frequency // 100).to_bytes(3, "little")) == bytes(
            [0x05, status]
        )
        session = rig.mac.session
        assert (session.rx1_offset, session.rx2_data_rate, session.rx2_frequency) == (0, 0, 869525000)


def test_rx_timing_setup_moves_the_windows():
    rig = joined()
    assert rig.commands(b"\x08\x03") == b"\x08"
    rig.send()
    assert rig.listened[0].after_us > 2900000
    assert rig.commands(b"\x08\x00") == b"\x08"
    assert rig.mac.session.rx_delay == 1


def test_sticky_answers_are_repeated_until_a_downlink_comes():
    rig = joined()
    rig.send(down=rig.downlink(b"\x08\x02" + b"\x05\x00" + (8695250).to_bytes(3, "little") + b"\x06"))
    rig.send()
    assert fopts_of(rig.sent.payload) == b"\x08\x05\x07\x06\xff\x07"
    rig.send()
    assert fopts_of(rig.sent.payload) == b"\x08\x05\x07"
    rig.send(down=rig.downlink())
    rig.send()
    assert fopts_of(rig.sent.payload) == b""


def test_sticky_answers_survive_a_restart():
    rig = joined()
    rig.send(down=rig.downlink(b"\x08\x02"))
    again = Rig(Memory(rig.files.content))
    again.now = HOUR_MS
    again.send()
    assert fopts_of(again.sent.payload) == b"\x08"


def test_new_channel_is_defined_used_and_removed():
    rig = joined()
    assert rig.commands(new_channel(8, 865100000, 1, 4)) == b"\x07\x03"
    channels = rig.mac.session.channels
    assert (channels.frequencies[8], channels.lowest[8], channels.highest[8]) == (865100000, 1, 4)
    assert channels.mask >> 8 & 1
    assert rig.commands(new_channel(8, 0)) == b"\x07\x03"
    assert channels.frequencies[8] == 0


def test_new_channel_refuses_default_channels_gaps_and_unknown_rates():
    for request, status in (
        (new_channel(0, 865100000), 0),
        (new_channel(2, 0), 0),
        (new_channel(16, 865100000), 0),
        (new_channel(8, 868650000), 2),
        (new_channel(8, 870100000), 2),
        (new_channel(8, 865100000, 0, 7), 1),
        (new_channel(8, 865100000, 4, 2), 1),
    ):
        rig = joined()
        before = list(rig.mac.session.channels.frequencies)
        assert rig.commands(request) == bytes([0x07, status])
        assert rig.mac.session.channels.frequencies == before


def test_dl_channel_moves_the_first_window():
    rig = joined()
    rig.mac.session.channels.mask = 0b1
    assert rig.commands(b"\x0a\x00" + (8691000).to_bytes(3, "little")) == b"\x0a\x03"
    rig.send()
    assert rig.listened[0].frequency == 869100000
    assert rig.commands(b"\x0a\x0c" + (8691000).to_bytes(3, "little")) == b"\x0a\x01"
    assert rig.commands(b"\x0a\x00" + (8701000).to_bytes(3, "little")) == b"\x0a\x02"


def test_tx_param_setup_is_dropped_in_silence():
    rig = joined()
    assert rig.commands(b"\x09\x25\x06") == b"\x06\xff\x07"


def test_an_unknown_command_ends_the_list():
    rig = joined()
    assert rig.commands(b"\x06\x55\x06") == b"\x06\xff\x07"


def test_a_command_cut_off_is_not_carried_out():
    rig = joined()
    assert rig.commands(b"\x06\x03\x51") == b"\x06\xff\x07"


def test_answers_beyond_fifteen_bytes_have_a_frame_of_their_own_and_the_payload_follows():
    rig = joined()
    rig.send(down=rig.downlink(b"\x06" * 7))
    assert not rig.send(payload=b"count").sent
    assert port_of(rig.sent.payload) == 0
    assert rig.plain(rig.sent.payload) == b"\x06\xff\x07" * 7
    assert rig.send(payload=b"count").sent
    assert (fopts_of(rig.sent.payload), rig.plain(rig.sent.payload)) == (b"", b"count")
