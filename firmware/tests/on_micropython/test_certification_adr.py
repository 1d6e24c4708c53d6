"""Adaptive data rate on the device's side, by table 9 of LoRaWAN 1.0.4: see docs/CERTIFICATION.md."""

from lorawan_rig import HOUR_MS, Memory, Rig

from lorawan import frames


def quiet(uplinks, data_rate=1, tx_power=4, nb_trans=3):
    """A device after so many uplinks that nobody answered; (what it sent last, its session)."""
    rig = Rig()
    session = rig.join()
    rig.mac.duty.regional = False
    rig.now += HOUR_MS
    session.data_rate, session.tx_power, session.nb_trans = data_rate, tx_power, nb_trans
    session.channels.mask = 0b11111000
    for _ in range(uplinks):
        wait = rig.send(payload=b"")
        for _ in range(session.nb_trans - 1):
            rig.ready(wait)
            wait = rig.windows()
    return rig, session


def step(session):
    return session.data_rate, session.tx_power, session.nb_trans, session.channels.mask


def test_before_the_limit_nothing_is_asked_and_nothing_changes():
    rig, session = quiet(63)
    assert not rig.sent.payload[5] & frames.ADR_ACK_REQ
    assert step(session) == (1, 4, 3, 0b11111000)


def test_from_the_limit_on_a_sign_of_life_is_asked_for_and_nothing_changes_yet():
    for uplinks in (64, 95):
        rig, session = quiet(uplinks)
        assert rig.sent.payload[5] & frames.ADR_ACK_REQ
        assert step(session) == (1, 4, 3, 0b11111000)


def test_the_first_step_is_full_power():
    for uplinks in (96, 127):
        rig, session = quiet(uplinks)
        assert rig.sent.power == 16
        assert step(session) == (1, 0, 3, 0b11111000)


def test_the_second_step_is_the_next_lower_rate():
    for uplinks in (128, 159):
        rig, session = quiet(uplinks)
        assert rig.sent.sf == 12
        assert step(session) == (0, 0, 3, 0b11111000)


def test_the_last_step_is_one_copy_and_the_default_channels_beside_the_others():
    for uplinks in (160, 300):
        rig, session = quiet(uplinks)
        assert step(session) == (0, 0, 1, 0b11111111)
        assert rig.sent.payload[5] & frames.ADR_ACK_REQ


def test_at_full_power_the_rate_is_lowered_no_sooner():
    for uplinks, data_rate in ((96, 5), (127, 5), (128, 4), (160, 3), (192, 2), (224, 1), (256, 0)):
        _, session = quiet(uplinks, data_rate=5, tx_power=0, nb_trans=1)
        assert session.data_rate == data_rate, uplinks


def test_copies_do_not_count():
    _, session = quiet(20, nb_trans=3)
    assert session.adr_ack_count == 20


def test_any_downlink_begins_the_count_anew_and_undoes_no_step():
    rig, session = quiet(128)
    rig.send(down=rig.downlink())
    assert session.adr_ack_count == 0
    rig.send()
    assert not rig.sent.payload[5] & frames.ADR_ACK_REQ
    assert step(session) == (0, 0, 3, 0b11111000)


def test_a_refused_downlink_does_not_begin_the_count_anew():
    rig, session = quiet(64)
    rig.send(down=bytes(20))
    assert session.adr_ack_count == 65


def test_the_count_survives_a_restart_to_within_a_block_of_counters():
    rig, _ = quiet(100)
    again = Rig(Memory(rig.files.content))
    assert 100 - 32 <= again.mac.session.adr_ack_count <= 100


def test_without_adr_nothing_is_asked_and_nothing_is_counted():
    for uplinks in (63, 70):
        rig, session = quiet(uplinks)
        rig.mac.adr = False
        session.nb_trans = 1
        for _ in range(40):
            rig.send(payload=b"")
        assert not rig.sent.payload[5] & (frames.ADR | frames.ADR_ACK_REQ)
        assert session.adr_ack_count == uplinks
