"""The certification protocol on FPort 224 (TS009) as far as Class A goes: see docs/CERTIFICATION.md."""

from lorawan_rig import ACCEPT, HOUR_MS, Memory, Rig, fopts_of, port_of

from lorawan import frames
from lorawan.operations import Transmit

FIRMWARE = b"\0\2\1\0"


def under_test(**settings):
    rig = Rig(certification=FIRMWARE, **settings)
    rig.join()
    rig.now += HOUR_MS
    return rig


def command(rig, payload, **downlink):
    """An uplink of the device under test that is answered with a command; then what it sends next."""
    rig.send(down=rig.downlink(port=224, payload=bytes.fromhex(payload), **downlink))
    uplink(rig)


def uplink(rig, down=None):
    """What the test has the device send next."""
    port, payload, confirmed, link_check, device_time = rig.mac.certification.uplink()
    return rig.send(
        port, payload, down, None, confirmed=confirmed, link_check=link_check, device_time=device_time
    )


def answer(rig):
    return port_of(rig.sent.payload), rig.plain(rig.sent.payload).hex()


def test_the_package_is_the_sixth_in_its_first_version():
    rig = under_test()
    command(rig, "00")
    assert answer(rig) == (224, "000601")


def test_versions_are_those_of_firmware_lorawan_and_regional_parameters():
    rig = under_test()
    command(rig, "7f")
    assert answer(rig) == (224, "7f" + "00020100" + "01000400" + "02010004")


def test_an_echo_is_each_byte_plus_one_and_cut_to_the_longest_payload():
    rig = under_test()
    command(rig, "080105ff")
    assert answer(rig) == (224, "08020600")
    rig.mac.session.data_rate = 4
    rig.send(down=rig.downlink(port=224, payload=b"\x08" + bytes(241)))
    rig.mac.session.data_rate = 0
    uplink(rig)
    assert answer(rig) == (224, "08" + "01" * 50)


def test_application_downlinks_and_acknowledgements_are_counted_and_others_are_not():
    rig = under_test()
    rig.send(down=rig.downlink(port=1, payload=b"\1"))
    rig.send(down=rig.downlink(b"\x06"))
    rig.send(down=rig.downlink(port=0, payload=b"\x06"))
    rig.send(confirmed=True, down=rig.downlink(ack=True))
    rig.send(down=bytes(20))
    command(rig, "09")
    assert answer(rig) == (224, "090300")
    command(rig, "0a")
    command(rig, "09")
    assert answer(rig) == (224, "090100")


def test_a_link_check_goes_with_the_next_uplink_after_the_answers():
    rig = under_test()
    command(rig, "20", fopts=bytes.fromhex("060350ff0001"))
    assert fopts_of(rig.sent.payload).hex() == "06ff07" + "0307" + "02"
    uplink(rig)
    assert fopts_of(rig.sent.payload) == b""


def test_the_time_is_asked_for_with_the_next_uplink():
    rig = under_test()
    command(rig, "21")
    assert fopts_of(rig.sent.payload) == b"\x0d"
    rig.send(down=rig.downlink(port=224, payload=b"\x21"))
    assert uplink(rig, rig.downlink(b"\x0d\1\0\0\0\x80")).time == (1, 0x80)


def test_uplinks_become_confirmed_and_unconfirmed_again_and_zero_changes_nothing():
    rig = under_test()
    for payload, kind in (
        ("0702", frames.CONFIRMED_UP),
        ("0700", frames.CONFIRMED_UP),
        ("0702" + "01" * 40, frames.CONFIRMED_UP),
        ("0701", frames.UNCONFIRMED_UP),
        ("0700", frames.UNCONFIRMED_UP),
        ("0703", frames.UNCONFIRMED_UP),
    ):
        command(rig, payload)
        assert rig.sent.payload[0] == kind, payload


def test_the_adr_bit_is_switched_off_and_on():
    rig = under_test()
    command(rig, "0400")
    assert not rig.sent.payload[5] & frames.ADR
    command(rig, "0402")
    assert not rig.sent.payload[5] & frames.ADR
    command(rig, "0401")
    assert rig.sent.payload[5] & frames.ADR


def test_the_regional_duty_cycle_is_switched_off_and_on_and_that_of_the_network_is_not():
    rig = under_test()
    rig.mac.session.channels.mask = 0b1
    command(rig, "0500")
    assert isinstance(rig.mac.send(rig.now, 1, b""), Transmit)
    rig.mac.failed()
    rig.mac.session.max_duty = 15
    assert not isinstance(rig.mac.send(rig.now, 1, b""), Transmit)
    rig.mac.failed()
    rig.mac.session.max_duty = 0
    command(rig, "0501")
    assert not isinstance(rig.mac.send(rig.now, 1, b""), Transmit)


def test_the_period_of_uplinks_is_one_of_eleven():
    rig = under_test()
    own = rig.mac.certification.period_s
    for index, seconds in enumerate((own, 5, 10, 20, 30, 40, 50, 60, 120, 240, 480)):
        command(rig, "06%02x" % index)
        assert rig.mac.certification.period_s == seconds
    command(rig, "060b")
    assert rig.mac.certification.period_s == 480


def test_a_join_and_a_reset_are_left_to_whoever_runs_the_test():
    rig = under_test()
    test = rig.mac.certification
    assert (test.join, test.reset) == (False, False)
    command(rig, "02")
    assert (test.join, test.reset) == (True, False)
    command(rig, "01")
    assert test.reset


def test_a_continuous_wave_is_the_radios_if_it_has_one():
    rig = under_test()
    command(rig, "7d0800d8b2830e")
    assert rig.mac.refused == {"FPort 224: command 0x7d": 1}
    sent = []
    rig.mac.certification.continuous_wave = lambda *asked: sent.append(asked)
    command(rig, "7d0800d8b2830e")
    command(rig, "7d0800d8b283fe")
    command(rig, "7d0800d8b2")
    assert sent == [(8, 863100000, 14), (8, 863100000, -2)]


def test_class_a_stays_and_other_classes_are_refused_and_counted():
    rig = under_test()
    command(rig, "0300")
    assert rig.mac.refused == {}
    for payload in ("0301", "0302", "2203", "4001", "42", "43", "03", "ff"):
        command(rig, payload)
        assert rig.plain(rig.sent.payload) == b""
    assert sum(rig.mac.refused.values()) == 8


def test_a_new_command_overtakes_an_answer_that_was_not_sent():
    rig = under_test()
    rig.send(down=rig.downlink(port=224, payload=b"\x7f"))
    command(rig, "00")
    assert answer(rig) == (224, "000601")
    rig.send(down=rig.downlink(port=224, payload=b"\x7f"))
    command(rig, "0a")
    assert rig.plain(rig.sent.payload) == b""


def test_the_test_port_is_closed_for_good():
    rig = under_test()
    rig.send(down=rig.downlink(port=224, payload=b"\x7e"))
    assert rig.mac.certification is None
    again = Rig(Memory(rig.files.content), certification=FIRMWARE)
    assert again.mac.certification is None
    again.now = HOUR_MS
    again.down = rig.down
    again.send(down=again.downlink(port=224, payload=b"\x00"))
    assert again.mac.refused == {"FPort reserved": 1}


def test_the_closed_port_stays_closed_over_later_joins():
    rig = under_test()
    rig.send(down=rig.downlink(port=224, payload=b"\x7e"))
    rig.now += HOUR_MS
    rig.ready(rig.mac.join(rig.now, 5))
    rig.windows(ACCEPT)
    assert Rig(Memory(rig.files.content), certification=FIRMWARE).mac.certification is None


def test_without_the_switch_a_command_is_counted_and_not_obeyed():
    rig = Rig()
    rig.join()
    rig.now += HOUR_MS
    done = rig.send(down=rig.downlink(port=224, payload=b"\x04\x00"))
    assert (done.heard, done.port) == (True, None)
    assert rig.mac.refused == {"FPort reserved": 1}
    assert rig.mac.adr


def test_commands_are_not_handed_to_the_application():
    rig = under_test()
    done = rig.send(down=rig.downlink(port=224, payload=b"\x00", confirmed=True))
    assert (done.heard, done.port, done.payload, done.ack_due) == (True, None, b"", True)
