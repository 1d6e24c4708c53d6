"""Joining: what is asked, what is accepted, and that nothing is believed before its MIC."""

from expect import raises
from lorawan_rig import ACCEPT, APP_KEY, HOUR_MS, Memory, Rig, rest_ms

from lorawan import crypto, eu868, frames, join, join_round
from lorawan.operations import Done, Listen

# The request that a real ChirpStack took for DevNonce 0.
REQUEST = "000000000000000000010000d07ed5b37000004ddda00b"


def flipped(phy, at):
    broken = bytearray(phy)
    broken[at] ^= 1
    return bytes(broken)


def accept_with(plain):
    """A join accept with this content (MHDR to RxDelay or CFList), as the network sends it: decrypted with AES."""
    import cryptolib

    plain += crypto.mic(APP_KEY, plain)
    return plain[:1] + cryptolib.aes(APP_KEY, 1).decrypt(plain[1:])


def test_join_request_is_the_one_that_chirpstack_took():
    rig = Rig()
    request = rig.ready(rig.mac.join(0, 5))
    assert request.payload.hex() == REQUEST
    assert (request.sf, request.bandwidth) == (7, 125000)
    assert request.frequency in (868100000, 868300000, 868500000)
    assert request.power == 16


def test_join_accept_gives_address_delays_and_the_channels_of_its_list():
    session = Rig().join()
    assert session.address == 0x019059C1
    assert session.rx_delay == 1
    assert session.channels.frequencies[:8] == [
        868100000,
        868300000,
        868500000,
        867100000,
        867300000,
        867500000,
        867700000,
        867900000,
    ]
    assert session.channels.mask == 0xFF
    assert session.channels.usable(0xFF, 5) == [0, 1, 2, 3, 4, 5, 6, 7]


def test_join_accept_settings_are_taken_over():
    plain = b"\x20" + b"\x05\0\0" + b"\0\0\0" + b"\1\2\3\4" + bytes([0x23, 0x04])
    session = Rig().join(accept=accept_with(plain))
    assert (session.rx1_offset, session.rx2_data_rate, session.rx_delay) == (2, 3, 4)
    assert session.channels.mask == 0b111


def test_rx_delay_of_zero_means_one_second():
    plain = b"\x20" + b"\x05\0\0" + b"\0\0\0" + b"\1\2\3\4" + bytes([0, 0])
    assert Rig().join(accept=accept_with(plain)).rx_delay == 1


def test_a_flipped_bit_anywhere_in_the_accept_changes_nothing():
    for at in range(1, len(ACCEPT)):
        rig = Rig()
        rig.ready(rig.mac.join(0, 5))
        before = dict(rig.files.content)
        done = rig.windows(flipped(ACCEPT, at))
        assert not done.joined
        assert rig.mac.session is None
        assert rig.files.content == before
        assert rig.mac.refused == {"join accept: MIC": 1}


def test_windows_of_a_join_open_five_and_six_seconds_after_the_request():
    rig = Rig(rx_error_ms=30)
    sent = rig.ready(rig.mac.join(0, 5))
    assert isinstance(rig.windows(), Done)
    first, second = rig.listened
    # SF7: 1.024 ms a symbol; an error of 32.5 ms each way and 4 symbols make 68 symbols around the preamble.
    assert (first.frequency, first.sf, first.symbols) == (sent.frequency, 7, 68)
    assert first.after_us == 5000000 - 68 * 1024 // 2 + 4 * 1024
    assert (second.frequency, second.sf, second.symbols) == (869525000, 12, 6)
    assert second.after_us == 6000000 - 6 * 32768 // 2 + 4 * 32768


def test_accept_in_the_second_window_is_as_good():
    rig = Rig()
    rig.ready(rig.mac.join(0, 5))
    assert rig.windows(None, ACCEPT).joined


def test_no_second_window_after_a_valid_first():
    rig = Rig()
    rig.ready(rig.mac.join(0, 5))
    rig.windows(ACCEPT)
    assert len(rig.listened) == 1


def test_a_join_nonce_that_was_used_before_is_refused():
    rig = Rig()
    rig.join()
    first = rig.mac.session
    rig.now += HOUR_MS
    rig.ready(rig.mac.join(rig.now, 5))
    # The same accept again: a replay. Its MIC does not cover the DevNonce.
    assert not rig.windows(ACCEPT).joined
    assert rig.mac.session is first
    assert rig.mac.refused == {"join accept: JoinNonce used before": 1}


def test_a_join_nonce_is_refused_after_a_restart_too():
    rig = Rig()
    rig.join()
    again = Rig(Memory(rig.files.content))
    again.now = HOUR_MS
    again.ready(again.mac.join(again.now, 5))
    assert not again.windows(ACCEPT).joined


def test_a_smaller_join_nonce_is_accepted():
    rig = Rig()
    rig.join(accept=accept_with(b"\x20\x09\0\0" + b"\0\0\0" + b"\1\2\3\4" + bytes([0, 1])))
    rig.now += HOUR_MS
    rig.join(accept=accept_with(b"\x20\x02\0\0" + b"\0\0\0" + b"\1\2\3\5" + bytes([0, 1])))
    assert rig.mac.session.address == 0x05030201


def test_dev_nonces_count_up_from_zero():
    rig = Rig()
    nonces = []
    for _ in range(3):
        sent = rig.ready(rig.mac.join(rig.now, 5))
        nonces.append(sent.payload[17] | sent.payload[18] << 8)
        rig.windows()
        rig.now += HOUR_MS
    assert nonces == [0, 1, 2]


def test_all_dev_nonces_spent_is_an_error_and_not_a_repetition():
    from lorawan.store import DEV_NONCE_END, NoncesSpent

    rig = Rig()
    rig.mac.store.dev_nonce = DEV_NONCE_END
    raises(NoncesSpent, rig.mac.join, 0, 5)


def test_a_downlink_is_no_join_accept():
    raises(frames.FrameRefused, join.read_accept, APP_KEY, bytes([frames.UNCONFIRMED_DOWN]) + bytes(16))


def test_a_round_varies_the_data_rate_from_the_fastest_to_the_slowest_and_around():
    assert [join_round.data_rate(eu868, attempts) for attempts in range(7)] == [5, 4, 3, 2, 1, 0, 5]


def requests_of_a_round(hours, airtime_us, random):
    """The ms since the first request at which requests of `airtime_us` go out in the first hours of a round."""
    now, sent = 0, []
    while now < hours * HOUR_MS:
        sent.append(now)
        now += join_round.pause_ms(airtime_us, now // 1000, random)
    return sent


def test_a_round_keeps_the_back_off_of_the_specification_and_nearly_uses_it():
    """Less than 36 s of airtime in the first hour, 36 s in the next ten, 8.7 s in each day after that, at any rate."""
    for airtime_us in (61696, 370688, 1482752):
        sent = requests_of_a_round(4 * 24, airtime_us, lambda n: 0)
        periods = [(0, HOUR_MS, 36000000), (HOUR_MS, 11 * HOUR_MS, 36000000)]
        for day in range(3):
            start = (11 + 24 * day) * HOUR_MS
            periods.append((start, start + 24 * HOUR_MS, 8700000))
        for begin, end, budget_us in periods:
            used = sum([airtime_us for at in sent if begin <= at < end])
            assert used < budget_us, (airtime_us, begin)
            # At SF7 the pause for the windows is the longer one in the first hour.
            assert used >= budget_us * 0.7 - airtime_us or (begin == 0 and airtime_us < 100000)


def test_the_budget_of_the_ten_hours_is_not_spent_in_the_first_of_them():
    sent = requests_of_a_round(2, 1482752, lambda n: 0)
    assert len([at for at in sent if at >= HOUR_MS]) <= 3


def test_two_requests_are_never_closer_than_the_windows_of_the_first():
    assert join_round.pause_ms(1000, 0, lambda n: 0) >= 8000


def test_after_a_restart_a_request_is_as_likely_in_each_minute_and_comes_no_later_than_without():
    """A third of the back-off on average while the power lasts for less than the pause."""
    state = [1]

    def dice(n):
        state[0] = (state[0] * 1103515245 + 12345) & 0x3FFFFFFF
        return (state[0] >> 8) % n

    waits = [join_round.resumed_ms(1482752, 40 * 3600, dice) for _ in range(2000)]
    pause = 1482752 * 12000 // 1000
    assert max(waits) <= pause + 8000
    for part in (10, 4, 2):
        early = len([wait for wait in waits if wait < pause // part])
        # 1 - exp(-1 / (3 * part)), and four times its spread.
        expected = {10: 66, 4: 160, 2: 307}[part]
        assert abs(early - expected) < 4 * expected**0.5, (part, early)


def test_pauses_differ_between_devices():
    assert join_round.pause_ms(61696, 0, lambda n: 0) != join_round.pause_ms(61696, 0, lambda n: n - 1)


def test_request_after_a_restart_waits_as_if_the_last_one_had_just_ended():
    rig = Rig()
    rig.ready(rig.mac.join(0, 0))
    again = Rig(Memory(rig.files.content))
    operation = again.mac.join(0, 5)
    assert not isinstance(operation, Listen)
    # A request at SF12 takes 1.48 s.
    assert operation.until == rest_ms(1482752)
