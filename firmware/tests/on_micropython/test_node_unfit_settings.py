"""A valid settings.json that the node cannot run with: it goes back to the last good one, says so, and counts on."""

import json

import fake_machine
from world import install

install()

from managed_rig import Managed  # noqa: E402
from node_rig import MIDNIGHT, Board, Node  # noqa: E402

from zaehlwerk_protocol import answer, ports, state  # noqa: E402

# Longer than a start that counts as one that did not last.
LIFE_S = 660
EVERY_S = 3
ABSENT = 24


class Chip:
    """While in it the chip has no GPIO `ABSENT`."""

    def __enter__(self):
        self._init = init = fake_machine.Pin.__init__

        def fewer(pin, number, *args, **kwargs):
            if number == ABSENT:
                raise ValueError("invalid pin")
            init(pin, number, *args, **kwargs)

        fake_machine.Pin.__init__ = fewer

    def __exit__(self, *_):
        fake_machine.Pin.__init__ = self._init


def site_that_lasted():
    site = Managed(unix=MIDNIGHT - 600, interval_s=60, uplink_offset_s=10)
    site.pulses(4, EVERY_S, 100 * LIFE_S)
    site.run(LIFE_S)
    return site


def channels(count):
    return [{"class": "bicycle", "pin": 4 + n} for n in range(count)]


def unfit(site):
    """[(settings that cannot be used, what the status says)]."""
    return [
        (dict(site.document, tamper_pin=ABSENT), b"settings: pin 24: this chip has"),
        (
            dict(site.document, channels=[{"class": "kfz", "sensor": "contact", "pin": ABSENT}]),
            b"settings: pin 24: this chip has",
        ),
        # Its radio's.
        (
            dict(site.document, board="heltec_v3", channels=[{"class": "bicycle", "pin": 9}]),
            b"settings: pin 9: taken on the ",
        ),
        (dict(site.document, board="heltec_v33"), b"settings: board: boards/heltec_"),
    ]


def test_settings_that_the_chip_cannot_fulfil_give_way_to_the_last_good_ones_at_once():
    site = site_that_lasted()
    in_force = site.statuses()[-1].health.config_hash
    with Chip():
        for document, told in unfit(site):
            site.write(document)
            resets, begun, reported = len(site.resets), site.now(), len(site.counts())
            site.run(begun + LIFE_S)
            assert len(site.resets) == resets + 1
            assert site.resets[-1] - begun < 2
            said = [f for _, f in site.frames(ports.STATUS) if f.health][-1]
            assert said.health.crash.startswith(told), said.health.crash
            assert said.state & state.FAULT
            assert said.health.config_hash == in_force
            assert len(site.counts()) >= reported + LIFE_S // 60 - 2
            with open("state/settings.json") as file:
                assert json.loads(file.read()) == site.document
            # A power cut later nothing is tried again.
            site.run(site.now() + 60)
            assert len(site.resets) == resets + 1


def test_more_channels_than_hardware_counters_give_way_too():
    site = site_that_lasted()
    units, Board.PCNT_UNITS = Board.PCNT_UNITS, 4
    try:
        site.write(dict(site.document, channels=channels(5)))
        begun, reported = site.now(), len(site.counts())
        site.run(begun + LIFE_S)
    finally:
        Board.PCNT_UNITS = units
    assert len(site.resets) == 1
    assert len(site.counts()) >= reported + LIFE_S // 60 - 2
    assert site.node.crash.startswith(b"settings: 5 channels need 5")


def test_settings_that_were_given_up_are_tried_again_when_somebody_writes_others():
    site = site_that_lasted()
    with Chip():
        site.write(dict(site.document, tamper_pin=ABSENT))
        site.run(site.now() + LIFE_S)
        site.write(dict(site.document, history_bytes=20))
        site.run(site.now() + LIFE_S)
    assert site.node.settings["history_bytes"] == 20
    assert site.node.trouble is None
    with open("state/settings.json") as file:
        assert json.loads(file.read())["history_bytes"] == 20


def test_new_settings_are_the_last_good_ones_only_after_a_start_that_lasted():
    site = site_that_lasted()
    site.write(dict(site.document, history_bytes=20))
    site.run(site.now() + 500)
    assert site.node.settings["history_bytes"] == 20
    with open("state/settings.json") as file:
        assert json.loads(file.read()) == site.document
    site.run(site.now() + LIFE_S)
    with open("state/settings.json") as file:
        assert json.loads(file.read())["history_bytes"] == 20


def test_new_settings_that_end_start_after_start_are_given_up_but_not_for_the_technicians_power_cuts():
    site = site_that_lasted()
    for _ in range(8):
        site.write(dict(site.document, history_bytes=20))
        site.run(site.now() + 60)
    assert site.node.settings["history_bytes"] == 20
    run, ends = Node.run, []

    async def short(node):
        if node.settings["history_bytes"] == 20:
            ends.append(site.now())
            raise fake_machine.Reset
        await run(node)

    Node.run = short
    try:
        site.run(site.now() + 60)
    finally:
        Node.run = run
    assert len(ends) == 5
    assert site.node.settings["history_bytes"] == 28
    assert site.node.crash == b"settings: 4 starts"


def test_the_first_settings_of_a_node_are_tried_again_each_minute_for_there_are_no_others():
    with Chip():
        site = Managed(unix=MIDNIGHT - 600, tamper_pin=ABSENT)
        site.run(600)
        assert len(site.resets) == 600 // 61
        site.write(dict(site.document, tamper_pin=None))
        site.run(1800)
    assert site.counts()


def test_a_command_with_pins_that_the_board_has_not_is_answered_with_the_reason():
    site = Managed(unix=MIDNIGHT - 600)
    with Chip():
        site.configure(600, 1, {"tamper_pin": ABSENT}, 100)
        site.run(7200)
    assert site.resets == []
    ((_, _, _, result, data),) = site.answers()
    assert result == answer.BAD_ARGS
    assert data == (b"pin 24: this chip has none",)


def test_a_technician_still_reads_the_settings_in_force_when_others_were_given_up():
    site = site_that_lasted()
    from app import config, trial
    from lorawan.records import Files

    with Chip():
        site.write(dict(site.document, tamper_pin=ABSENT))
        site.run(site.now() + LIFE_S)
        assert json.loads(trial.text_of(Files("state"))) == site.document
        assert b'"12"' not in config.told(Files("state"))
