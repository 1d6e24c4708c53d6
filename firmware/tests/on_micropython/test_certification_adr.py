"""Adaptive data rate on the device's side, by table 9 of LoRaWAN 1.0.4: see docs/CERTIFICATION.md."""

from lorawan_rig import HOUR_MS, Memory, Rig

from lorawan import frames


def quiet(uplinks, data_rate=1, tx_power=4, nb_trans=3, each=None):
    """A device after so many uplinks that nobody answered, and its session; each(rig, session) follows every one."""
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
        if each:
            each(rig, session)
    return rig, session


class Uplink:
    """What an uplink showed: whether it asked for a sign of life, power, spreading factor; and the session after it."""

    def __init__(self, rig, session):
        self.asked = bool(rig.sent.payload[5] & frames.ADR_ACK_REQ)
        self.power, self.sf = rig.sent.power, rig.sent.sf
        self.state = step(session)


def step(session):
    return session.data_rate, session.tx_power, session.nb_trans, session.channels.mask


# The example of table 9, played once: DR1, reduced power, three copies, channels of its own.
_example = []


def example(number):
    """The uplink of this number, from 1 on."""
    if not _example:
        quiet(200, each=lambda rig, session: _example.append(Uplink(rig, session)))
    return _example[number - 1]


def test_before_the_limit_nothing_is_asked_and_nothing_changes():
    for number in range(1, 64):
        assert not example(number).asked
        assert example(number).state == (1, 4, 3, 0b11111000)


def test_from_the_limit_on_a_sign_of_life_is_asked_for_and_nothing_changes_yet():
    for number in range(64, 96):
        assert example(number).asked
        assert example(number).state == (1, 4, 3, 0b11111000)


def test_the_first_step_is_full_power():
    for number in range(96, 128):
        assert (example(number).power, example(number).sf) == (16, 11)
        assert example(number).state == (1, 0, 3, 0b11111000)


def test_the_second_step_is_the_next_lower_rate():
    for number in range(128, 160):
        assert (example(number).power, example(number).sf) == (16, 12)
        assert example(number).state == (0, 0, 3, 0b11111000)


def test_the_last_step_is_one_copy_and_the_default_channels_beside_the_others():
    for number in range(160, 201):
        assert example(number).state == (0, 0, 1, 0b11111111)
        assert example(number).asked


def test_at_full_power_the_rate_is_lowered_no_sooner():
    rates = []
    quiet(256, 5, 0, 1, lambda rig, session: rates.append(session.data_rate))
    steps = [
        (number, rates[number - 1]) for number in range(2, 257) if rates[number - 1] != rates[number - 2]
    ]
    assert steps == [(128, 4), (160, 3), (192, 2), (224, 1), (256, 0)]


def test_copies_do_not_count():
    _, session = quiet(20, nb_trans=3)
    assert session.adr_ack_count == 20


def test_any_downlink_begins_the_count_anew_and_undoes_no_step():
    rig, session = quiet(128, nb_trans=1)
    rig.send(down=rig.downlink())
    assert session.adr_ack_count == 0
    rig.send()
    assert not rig.sent.payload[5] & frames.ADR_ACK_REQ
    assert step(session) == (0, 0, 1, 0b11111000)


def test_a_refused_downlink_does_not_begin_the_count_anew():
    rig, session = quiet(64, nb_trans=1)
    rig.send(down=bytes(20))
    assert session.adr_ack_count == 65


def test_the_count_survives_a_restart_to_within_a_block_of_counters():
    rig, _ = quiet(100, nb_trans=1)
    again = Rig(Memory(rig.files.content))
    assert 100 - 32 <= again.mac.session.adr_ack_count <= 100


def test_without_adr_nothing_is_asked_and_nothing_is_counted():
    for uplinks in (63, 70):
        rig, session = quiet(uplinks, nb_trans=1)
        rig.mac.adr = False
        for _ in range(3):
            rig.send(payload=b"")
        assert not rig.sent.payload[5] & (frames.ADR | frames.ADR_ACK_REQ)
        assert session.adr_ack_count == uplinks
