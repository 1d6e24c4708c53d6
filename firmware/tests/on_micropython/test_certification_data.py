"""Data frames, their repetition and acknowledgement, and the receive windows: see docs/CERTIFICATION.md."""

from expect import raises
from lorawan_rig import ACCEPT, HOUR_MS, Listen, Memory, Rig, Transmit, counter_of, fopts_of, port_of

from lorawan import crypto, eu868, frames, region
from lorawan.mac import DEFAULT_RX_ERROR_MS, NotJoined
from lorawan.operations import Done, Wait
from lorawan.session import FCNT_UP_END


def joined(**settings):
    rig = Rig(**settings)
    rig.join()
    rig.now += HOUR_MS
    return rig


def resealed(rig, down, at, value):
    """`down`, the next frame of the network, with the byte `at` changed under a right MIC."""
    changed = bytearray(down[:-4])
    changed[at] = value
    session = rig.mac.session
    message = bytes(changed)
    return message + crypto.data_mic(session.nwk_s_key, 1, session.address, rig.down - 1, message)


def state(rig):
    """What a refused frame must not change."""
    session = rig.mac.session
    return (
        session.fcnt_down,
        session.data_rate,
        session.channels.mask,
        session.rx_delay,
        session.ack_due,
        session.answers,
        rig.files.content["session"],
    )


def assert_refused(rig, down, reason):
    before = state(rig)
    done = rig.send(down=down)
    assert not done.heard
    assert state(rig) == before
    assert rig.mac.refused == {reason: 1}


# --- 4.2 MHDR, 4.3 frame header


def test_another_major_version_is_refused():
    rig = joined()
    down = rig.downlink(port=1, payload=b"\1")
    assert_refused(rig, resealed(rig, down, 0, down[0] | 1), "not a data downlink")


def test_the_reserved_bits_of_mhdr_are_not_looked_at():
    rig = joined()
    down = rig.downlink(port=1, payload=b"\1", confirmed=True)
    done = rig.send(down=resealed(rig, down, 0, down[0] | 0x1C))
    assert (done.port, done.ack_due) == (1, True)


def test_uplink_and_proprietary_frames_are_refused():
    for kind in (frames.UNCONFIRMED_UP, frames.CONFIRMED_UP, 0xC0, 0xE0, frames.JOIN_REQUEST):
        rig = joined()
        down = rig.downlink(port=1, payload=b"\1")
        assert_refused(rig, resealed(rig, down, 0, kind), "not a data downlink")


def test_a_join_accept_that_nobody_asked_for_is_refused():
    assert_refused(joined(), ACCEPT, "not a data downlink")


def test_a_frame_for_another_address_is_refused():
    rig = joined()
    down = rig.downlink(port=1, payload=b"\1")
    assert_refused(rig, resealed(rig, down, 1, down[1] ^ 1), "another device's address")


def test_a_wrong_mic_is_refused():
    rig = joined()
    down = rig.downlink(b"\x08\x05", 1, b"\1")
    assert_refused(rig, down[:-1] + bytes([down[-1] ^ 1]), "MIC or counter")


def test_adr_and_class_b_bits_of_a_downlink_are_not_looked_at():
    rig = joined()
    done = rig.send(down=rig.downlink(port=1, payload=b"\1", control=0xC0))
    assert (done.port, done.pending, done.acknowledged) == (1, False, False)


def test_fopts_longer_than_the_frame_are_refused():
    rig = joined()
    down = rig.downlink(b"\x06")
    assert_refused(rig, resealed(rig, down, 5, 0x0F), "FOpts longer than the frame")


def test_commands_in_fopts_and_on_port_zero_at_once_are_refused():
    rig = joined()
    assert_refused(rig, rig.downlink(b"\x08\x05", 0, b"\x06"), "FOpts together with FPort 0")


def test_port_zero_without_a_payload_beside_fopts_is_refused():
    rig = joined()
    assert_refused(rig, rig.downlink(b"\x08\x05", 0, b""), "FOpts together with FPort 0")


def test_reserved_ports_bring_commands_and_no_payload():
    for port in (224, 225, 255):
        rig = joined()
        done = rig.send(down=rig.downlink(b"\x06", port, b"\x01"))
        assert (done.heard, done.port, done.payload) == (True, None, b"")
        assert rig.mac.refused == {"FPort reserved": 1}
        rig.send()
        assert fopts_of(rig.sent.payload) == b"\x06\xff\x07"


def test_an_empty_payload_with_a_port_is_handed_out():
    rig = joined()
    done = rig.send(down=rig.downlink(port=7, payload=b""))
    assert (done.port, done.payload) == (7, b"")


def test_an_application_cannot_send_on_ports_that_are_not_its_own():
    rig = joined()
    for port in (0, 224, 225, 255, 256):
        raises(ValueError, rig.mac.send, rig.now, port, b"\1")
    assert rig.mac.session.fcnt_up == 0


# --- 4.3.1.5 frame counters


def test_a_downlink_after_any_gap_of_16_bits_is_taken():
    for gap in (1, 16384, 16385, 65535):
        rig = joined()
        rig.mac.session.fcnt_down = 4
        assert rig.send(down=rig.downlink(counter=4 + gap)).heard, gap
        assert rig.mac.session.fcnt_down == 4 + gap


def test_a_confirmed_downlink_that_comes_twice_is_neither_taken_nor_acknowledged_twice():
    rig = joined()
    down = rig.downlink(port=1, payload=b"\1", confirmed=True)
    assert rig.send(down=down).ack_due
    done = rig.send(down=down)
    assert rig.sent.payload[5] & frames.ACK
    assert not done.heard
    rig.send()
    assert not rig.sent.payload[5] & frames.ACK


def test_downlink_counters_end_before_they_begin_anew():
    rig = joined()
    rig.mac.session.fcnt_down = 0xFFFFFFFD
    assert rig.send(down=rig.downlink(counter=0xFFFFFFFE)).heard
    again = Rig(Memory(rig.files.content))
    assert again.mac.session.fcnt_down == 0xFFFFFFFE
    rig.mac.session.fcnt_down = 0xFFFFFFFE
    for counter in (0xFFFFFFFF, 0x100000000):
        assert not rig.send(down=rig.downlink(counter=counter & 0xFFFFFFFF)).heard


def test_uplink_counters_end_before_they_begin_anew_and_a_join_is_due():
    rig = joined()
    session = rig.mac.session
    session.fcnt_up = FCNT_UP_END - 1
    rig.send()
    assert counter_of(rig.sent.payload) == (FCNT_UP_END - 1) & 0xFFFF
    assert not rig.mac.joined
    raises(NotJoined, rig.mac.send, rig.now, 1, b"")
    assert not Rig(Memory(rig.files.content)).mac.joined


def test_the_counter_on_the_air_is_the_lower_half_of_one_of_32_bits():
    rig = joined()
    session = rig.mac.session
    session.fcnt_up = 0x2FFFF
    rig.send(payload=b"payload")
    assert counter_of(rig.sent.payload) == 0xFFFF
    phy = rig.sent.payload
    assert phy[-4:] == crypto.data_mic(session.nwk_s_key, 0, session.address, 0x2FFFF, phy[:-4])
    assert crypto.crypt_payload(session.app_s_key, 0, session.address, 0x2FFFF, phy[9:-4]) == b"payload"


# --- payload lengths


def test_a_downlink_longer_than_its_data_rate_allows_is_refused_in_either_window():
    rig = joined()
    session = rig.mac.session
    for data_rate, longest in ((0, 51), (1, 51), (2, 51), (3, 115), (4, 242)):
        session.data_rate = session.rx2_data_rate = data_rate
        for window in (1, 2):
            for length, heard in ((longest, True), (longest + 1, False)):
                down = rig.downlink(port=10, payload=bytes(length))
                done = rig.send(down=down) if window == 1 else rig.send(second=down)
                assert done.heard == heard, (data_rate, window, length)
                rig.now += HOUR_MS
    assert rig.mac.refused == {"longer than the data rate allows": 10}


def test_fopts_count_towards_the_longest_downlink():
    rig = joined()
    rig.mac.session.data_rate = 0
    assert rig.send(down=rig.downlink(b"\x06\x06", 10, bytes(49))).heard
    assert not rig.send(down=rig.downlink(b"\x06\x06", 10, bytes(50))).heard


def test_an_oversized_downlink_leaves_the_answers_that_are_repeated():
    """The certification's oversized payload: LinkADRReq and RXParamSetupReq before, 52 bytes at SF12 after."""
    rig = joined()
    rig.send(down=rig.downlink(bytes.fromhex("0300070001" + "0500d2ad84")))
    rig.send(down=rig.downlink(port=224, payload=b"\x07\x02" + b"\1" * 50))
    assert fopts_of(rig.sent.payload).hex() == "0307" + "0507"
    rig.send(second=rig.downlink(port=224, payload=b"\x07\x02" + b"\1" * 50))
    assert fopts_of(rig.sent.payload).hex() == "0507"
    assert (rig.listened[1].frequency, rig.listened[1].sf) == (869525000, 12)


# --- 4.3.1.3 repetition


def copies(rig, wait):
    """All further Transmits of a frame that nobody answers, and what it ended with."""
    sent = []
    while isinstance(wait, Wait):
        sent.append(rig.ready(wait))
        wait = rig.windows()
    return sent, wait


def test_unanswered_frames_are_repeated_as_often_as_asked_confirmed_or_not():
    for confirmed in (False, True):
        for count in (1, 2, 3, 15):
            rig = joined()
            rig.mac.session.nb_trans = count
            wait = rig.send(confirmed=confirmed)
            first = rig.sent.payload
            sent, done = copies(rig, wait)
            assert [copy.payload for copy in sent] == [first] * (count - 1)
            assert isinstance(done, Done)
            assert not done.acknowledged
            assert rig.mac.session.fcnt_up == 1


def test_copies_hop_over_all_channels_before_one_is_used_again():
    rig = joined()
    rig.mac.duty.regional = False
    rig.send()
    rig.mac.session.nb_trans = 8
    for _ in range(3):
        wait = rig.send()
        first = rig.sent
        sent, _ = copies(rig, wait)
        assert len({first.frequency} | {copy.frequency for copy in sent}) == 8


def test_a_channel_whose_sub_band_rests_is_not_waited_for_while_another_is_free():
    rig = joined()
    rig.mac.session.nb_trans = 15
    bands = [region.sub_band(eu868, copy.frequency) for copy in copies(rig, rig.send())[0]]
    assert all([bands[i] != bands[i + 1] for i in range(len(bands) - 1)])


def test_each_sub_band_goes_round_its_own_channels():
    rig = joined()
    rig.mac.session.nb_trans = 15
    sent, _ = copies(rig, rig.send())
    by_band = {}
    for copy in sent:
        by_band.setdefault(region.sub_band(eu868, copy.frequency), []).append(copy.frequency)
    # Three default channels in the one, five of the CFList in the other.
    for frequencies, count in ((by_band[2], 3), (by_band[1], 5)):
        assert len(set(frequencies[:count])) == count


def test_an_ack_ends_the_copies_of_a_confirmed_frame():
    rig = joined()
    rig.mac.session.nb_trans = 3
    rig.ready(rig.send(confirmed=True))
    done = rig.windows(rig.downlink(ack=True))
    assert isinstance(done, Done)
    assert done.acknowledged


def test_any_valid_downlink_ends_the_copies_confirmed_or_not():
    for confirmed in (False, True):
        for window in (1, 2):
            rig = joined()
            rig.mac.session.nb_trans = 3
            down = rig.downlink()
            done = rig.send(confirmed=confirmed, down=down if window == 1 else None, second=down)
            assert isinstance(done, Done)
            assert (done.heard, done.acknowledged) == (True, False)


def test_a_refused_downlink_ends_no_copies():
    rig = joined()
    rig.mac.session.nb_trans = 2
    assert isinstance(rig.send(down=bytes(20), second=rig.downlink()[:-1] + b"?"), Wait)


def test_a_change_of_copies_rate_and_power_holds_for_the_next_frame():
    rig = joined()
    rig.mac.session.nb_trans = 3
    wait = rig.send(confirmed=True)
    rig.ready(wait)
    done = rig.windows(rig.downlink(bytes.fromhex("0324ff0002")))
    assert isinstance(done, Done)
    wait = rig.send()
    assert (rig.sent.sf, rig.sent.power) == (10, 8)
    sent, _ = copies(rig, wait)
    assert len(sent) == 1


def test_copies_keep_their_rate_and_count_once_towards_the_back_off():
    rig = joined()
    session = rig.mac.session
    session.nb_trans = 4
    sent, _ = copies(rig, rig.send())
    assert {copy.sf for copy in sent} == {7}
    assert session.adr_ack_count == 1


def test_after_an_unacknowledged_frame_the_next_one_waits_for_the_retransmit_timeout():
    for dice, least in ((lambda n: 0, 1000), (lambda n: n - 1, 2999)):
        for down in (False, True):
            rig = joined(random=dice)
            rig.send(confirmed=True, down=rig.downlink() if down else None)
            rx2 = rig.now + 1000 if down else rig.now
            operation = rig.mac.send(rig.now, 1, b"")
            assert isinstance(operation, Wait)
            assert operation.until == rx2 + least


def test_after_an_acknowledged_or_unconfirmed_frame_nothing_waits_but_the_duty_cycle():
    rig = joined()
    rig.send(confirmed=True, down=rig.downlink(ack=True))
    assert isinstance(rig.mac.send(rig.now, 1, b""), Transmit)
    rig = joined()
    rig.send()
    assert isinstance(rig.mac.send(rig.now, 1, b""), Transmit)


# --- 4.3.1.2 acknowledgement, 4.3.1.4 FPending


def test_a_confirmed_downlink_is_acknowledged_by_an_empty_frame_if_asked_for():
    rig = joined()
    done = rig.send(down=rig.downlink(port=10, payload=b"\1", confirmed=True))
    assert done.ack_due
    assert not rig.send(port=None, payload=b"").ack_due
    assert rig.sent.payload[5] == frames.ADR | frames.ACK
    assert (port_of(rig.sent.payload), len(rig.sent.payload)) == (None, frames.OVERHEAD)


def test_an_acknowledgement_is_repeated_with_its_frame_and_with_no_other():
    rig = joined()
    rig.mac.session.nb_trans = 2
    rig.send(down=rig.downlink(confirmed=True))
    sent, _ = copies(rig, rig.send())
    assert rig.sent.payload[5] & frames.ACK
    assert sent[0].payload == rig.sent.payload
    rig.send()
    assert not rig.sent.payload[5] & frames.ACK


def test_an_acknowledgement_that_was_not_sent_yet_survives_a_restart():
    rig = joined()
    rig.send(down=rig.downlink(confirmed=True))
    again = Rig(Memory(rig.files.content))
    again.now = HOUR_MS
    again.send()
    assert again.sent.payload[5] & frames.ACK


def test_an_acknowledgement_that_was_sent_does_not_come_again_after_a_restart():
    rig = joined()
    rig.send(down=rig.downlink(confirmed=True))
    rig.ready(rig.mac.send(rig.now, 1, b""))
    again = Rig(Memory(rig.files.content))
    again.now = HOUR_MS
    again.send()
    assert not again.sent.payload[5] & frames.ACK


def test_a_network_with_more_to_send_says_so():
    rig = joined()
    assert rig.send(down=rig.downlink(control=frames.PENDING)).pending
    assert not rig.send(down=rig.downlink()).pending


# --- 3.3 receive windows


def test_no_second_window_after_a_valid_first_and_one_after_an_invalid():
    rig = joined()
    rig.send(down=rig.downlink())
    assert len(rig.listened) == 1
    rig.send(down=bytes(20))
    assert len(rig.listened) == 2


def heard_symbols(listen, delay_s, shift_us):
    """Symbols of a preamble, sent exactly at `delay_s`, in a window that is opened `shift_us` too late."""
    symbol = region.symbol_us(listen.sf, listen.bandwidth)
    opens = listen.after_us + shift_us
    start = delay_s * 1000000
    overlap = min(start + 8 * symbol, opens + listen.symbols * symbol) - max(start, opens)
    return overlap / symbol


def test_six_symbols_of_the_preamble_lie_in_the_window_whatever_the_errors():
    """Late or early code up to rx_error_ms, a crystal of 100 ppm, 2 ms of the anchor: in all combinations."""
    for rx_error_ms in (5, DEFAULT_RX_ERROR_MS, 200):
        rig = joined(rx_error_ms=rx_error_ms)
        session = rig.mac.session
        for data_rate in range(6):
            for delay in range(1, 16):
                session.data_rate = session.rx2_data_rate = data_rate
                session.rx_delay = delay
                rig.send()
                for i in (0, 1):
                    seconds = delay + i
                    for late in (-rx_error_ms * 1000, 0, rx_error_ms * 1000):
                        for ppm in (-100, 0, 100):
                            for anchor in (-2000, 0, 2000):
                                shift = late + seconds * ppm + anchor
                                symbols = heard_symbols(rig.listened[i], seconds, shift)
                                assert symbols >= 6, (rx_error_ms, data_rate, delay, shift, symbols)
                rig.now += HOUR_MS


def test_six_symbols_of_a_join_accepts_preamble_lie_in_the_windows_whatever_the_errors():
    rig = Rig()
    for data_rate in range(6):
        rig.ready(rig.mac.join(rig.now, data_rate))
        rig.windows()
        for i, seconds in enumerate((5, 6)):
            for shift in (-32000 - 100 * seconds, 0, 32000 + 100 * seconds):
                assert heard_symbols(rig.listened[i], seconds, shift) >= 6
        rig.now += HOUR_MS


def test_a_window_is_no_longer_than_its_errors_need():
    for data_rate, symbols in ((5, 68), (3, 20), (0, 6)):
        rig = Rig()
        rig.ready(rig.mac.join(0, data_rate))
        rig.windows()
        assert rig.listened[0].symbols == symbols


def test_each_window_has_the_frequency_and_rate_of_its_own():
    rig = joined()
    session = rig.mac.session
    for data_rate in range(6):
        for offset in range(6):
            session.data_rate, session.rx1_offset = data_rate, offset
            rig.send()
            first, second = rig.listened
            assert isinstance(first, Listen)
            assert (first.frequency, 12 - first.sf) == (rig.sent.frequency, max(data_rate - offset, 0))
            assert (second.frequency, second.sf, second.bandwidth) == (eu868.RX2_FREQUENCY, 12, 125000)
            rig.now += HOUR_MS
