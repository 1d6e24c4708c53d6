"""Settings by command: told, changed as a whole or not at all, and taken back when they lose the network."""

import hashlib
import json

import fake_machine
from world import install, world

install()

from managed_rig import Managed  # noqa: E402
from node_rig import MIDNIGHT, SETTINGS  # noqa: E402

from app import settings as table  # noqa: E402
from zaehlwerk_protocol import answer, command  # noqa: E402

HOUR = 3600
KEYS = {row[0]: str(row[-1]) for row in table.TABLE}
# What takes part of a change in these tests ends within.
SOON = 1900


def sum_of(site):
    """What was reported of the first channel, over all epochs and both spaces."""
    totals = {}
    for frame in site.counts():
        totals[frame.state & 7] = max(totals.get(frame.state & 7, 0), frame.totals[0])
    return sum(totals.values())


def asked_for(site, first, until_s):
    """What the answers to get_config commands, asked for one after another as a platform does, say together."""
    got, pieces, asked = {}, [], []

    def ask():
        said = {
            token: (result, data)
            for _, token, kind, result, data in site.answers()
            if kind == command.GET_CONFIG
        }
        got.update(said)
        part = len(got)
        if part == 0 or part < got[first][1][0]:
            if part not in asked:
                site.ask(site.now(), first + part, command.GET_CONFIG, part)
            asked.append(part)
            site.at(site.now() + 120, ask)

    site.at(site.now() + 60, ask)
    site.run(until_s)
    for token in sorted(got):
        result, data = got[token]
        assert result == answer.OK
        assert data[0] == len(got)
        pieces.append(data[1])
    return b"".join(pieces), pieces


def test_the_settings_in_force_are_told_in_pieces_without_the_key_and_by_keys_of_the_table():
    site = Managed(unix=MIDNIGHT - 600, interval_s=300, uplink_offset_s=10, antenna_gain_db=2)
    site.run(HOUR)
    # The lowest data rate, whose frames are short.
    text, pieces = asked_for_at_data_rate(site, 0)
    assert len(pieces) > 3
    assert len({len(piece) for piece in pieces[:-1]}) == 1
    told = json.loads(text)
    assert told[KEYS["interval_s"]] == 300
    assert told[KEYS["antenna_gain_db"]] == 2
    names = {str(row[-1]): row[0] for row in table.CHANNEL_TABLE}
    second = {names[key]: value for key, value in told[KEYS["channels"]][1].items()}
    assert second == {"class": "bicycle", "direction": "out", "pin": 5, "ok_pin": 6}
    assert SETTINGS["app_key"].encode() not in text
    assert KEYS["app_key"] not in told
    # What has its default is left out.
    assert KEYS["rx_error_ms"] not in told


def asked_for_at_data_rate(site, rate):
    network = site.network
    down = network.down

    def slow(ack, fopts, item):
        site.node.device.mac.session.data_rate = rate
        return down(ack, fopts, item)

    network.down = slow
    return asked_for(site, 100, 8 * HOUR)


def test_what_is_told_can_be_sent_back_and_changes_nothing():
    site = Managed(unix=MIDNIGHT - 600, interval_s=60, uplink_offset_s=10)
    text, _ = asked_for(site, 100, HOUR)
    before = site.in_force()
    site.configure(HOUR + 10, 200, text.decode())
    site.run(2 * HOUR)
    assert site.results()[-1][1] == answer.OK
    assert site.resets == []
    assert site.in_force() == before


def test_a_piece_beyond_the_last_is_no_record():
    site = Managed(unix=MIDNIGHT - 600, interval_s=60, uplink_offset_s=10)
    site.ask(600, 1, command.GET_CONFIG, 63)
    site.run(HOUR)
    assert site.results() == [(1, answer.NO_RECORD)]


def test_a_repeated_question_is_answered_with_the_piece():
    site = Managed(unix=MIDNIGHT - 600, interval_s=60, uplink_offset_s=10)
    site.ask(600, 1, command.GET_CONFIG, 0)
    site.ask(900, 1, command.GET_CONFIG, 0)
    site.run(HOUR)
    first, second = [data for _, _, _, _, data in site.answers()]
    assert first == second
    assert first[0] >= 1
    assert len([entry for entry in site.node.epoch.tokens if entry[0] == 1]) == 1


def test_a_change_is_collected_validated_answered_and_in_force_after_a_restart():
    site = Managed(unix=MIDNIGHT - 600, uplink_offset_s=60)
    site.pulses(4, 7, 3 * HOUR)
    free = site.configure(HOUR, 1, {KEYS["interval_s"]: 300, "antenna_gain_db": 3})
    site.run(3 * HOUR)
    results = site.results()
    assert [result for _, result in results[:-1]] == [answer.INCOMPLETE] * (free - 2)
    assert results[-1] == (free - 1, answer.OK)
    assert len(site.resets) == 1
    assert site.answers()[-1][0] <= site.resets[0]
    assert site.node.settings["interval_s"] == 300
    assert site.in_force() == dict(site.document, interval_s=300, antenna_gain_db=3)
    # A new interval is a new epoch, and what was stored is in the sum.
    assert len({frame.epoch for frame in site.statuses()}) == 2
    assert 0 <= fake_machine.pulses[4] - sum_of(site) <= 45


def test_totals_go_on_under_a_change_that_leaves_channels_and_interval_alone():
    site = Managed(unix=MIDNIGHT - 600)
    site.pulses(4, 7, 3 * HOUR)
    site.configure(HOUR, 1, {"rx_error_ms": 40, "history_bytes": 20})
    site.run(3 * HOUR + 1000)
    assert len(site.resets) == 1
    assert len({frame.epoch for frame in site.statuses()}) == 1
    assert fake_machine.pulses[4] - site.counts()[-1].totals[0] <= 1


def test_parts_survive_a_power_cut_and_may_come_in_any_order():
    site = Managed(unix=MIDNIGHT - 600, interval_s=60, uplink_offset_s=10)
    text = b'{"6":20,"antenna_gain_db":1}'
    digest = hashlib.sha256(text).digest()[:4]
    site.ask(600, 1, command.SET_CONFIG, 1, 2, digest, text[14:])
    site.run(1200)
    world.move_to(1300 * 1000000)
    site.ask(1400, 2, command.SET_CONFIG, 0, 2, digest, text[:14])
    site.run(3000)
    assert site.results() == [(1, answer.INCOMPLETE), (2, answer.OK)]
    assert site.in_force()["history_bytes"] == 20


def test_what_is_not_valid_is_refused_as_a_whole_with_the_reason():
    refusals = (
        ({"interval_s": 899, "history_bytes": 20}, b"interval_s: 899"),
        ({"interval": 300}, b"interval: unknown setting"),
        ({KEYS["channels"]: []}, b"channels: must be a list"),
        ({"channels": [{"1": "bicycle", "pin": 99}]}, b"channels[0].pin: must be"),
        ({"1": "0000000000000000"}, b"dev_eui: not by command"),
        ({"app_key": SETTINGS["app_key"]}, b"app_key: not by command"),
        ({"4": "t3_s3"}, b"board: not by command"),
        ({"5": 300, "interval_s": 300}, b"interval_s: twice"),
        ("[1]", b"config: must be an object"),
        ('{"6": 20', b"config: is not JSON"),
        ("hello", b"config: is not JSON"),
    )
    for changes, reason in refusals:
        site = Managed(unix=MIDNIGHT - 600, interval_s=60, uplink_offset_s=10)
        site.configure(600, 1, changes, 200)
        site.run(SOON)
        ((_, token, _, result, data),) = site.answers()
        assert (token, result) == (1, answer.BAD_ARGS), changes
        assert data[0][: len(reason)] == reason, data
        assert site.resets == []
        assert site.in_force() == site.document


def test_parts_that_do_not_give_what_was_named_are_refused_and_forgotten():
    site = Managed(unix=MIDNIGHT - 600, interval_s=60, uplink_offset_s=10)
    site.ask(600, 1, command.SET_CONFIG, 0, 1, b"\0\0\0\0", b'{"6":20}')
    site.ask(700, 2, command.SET_CONFIG, 3, 3, b"\0\0\0\0", b'{"6":20}')
    site.run(SOON)
    assert site.results() == [(1, answer.BAD_ARGS), (2, answer.BAD_ARGS)]
    assert site.node.files.read("parts") is None


def test_settings_under_which_the_network_is_not_heard_are_taken_back():
    site = Managed(unix=MIDNIGHT - 600)
    site.pulses(4, 7, 5 * HOUR)
    site.configure(HOUR, 1, {"antenna_gain_db": 14}, 100)

    def deaf(number, port):
        return len(site.resets) == 1

    site.network.lose = site.network.lose_joins = lambda *arguments: deaf(
        *arguments, *(None,) * (2 - len(arguments))
    )
    site.run(6 * HOUR)
    assert len(site.resets) == 2
    assert site.resets[1] - site.resets[0] in range(7200, 7290)
    assert site.in_force() == site.document
    assert site.node.settings["antenna_gain_db"] == 0
    assert site.statuses()[-1].health.crash == b"settings: rolled back, unheard"
    hashes = [frame.health.config_hash for frame in site.statuses() if frame.health]
    assert hashes[0] == hashes[-1]
    # Nothing that was counted meanwhile is lost: it is in the space of a node that was not told the time.
    assert 0 <= fake_machine.pulses[4] - sum_of(site) <= 3


def test_settings_that_no_start_survives_are_taken_back():
    site = Managed(unix=MIDNIGHT - 600)
    site.configure(HOUR, 1, {"history_bytes": 20}, 100)

    def spoil(settings):
        if settings["history_bytes"] == 20:
            raise MemoryError

    site.spoil = spoil
    site.run(2 * HOUR)
    assert len(site.resets) == 2
    assert site.node.settings["history_bytes"] == 28
    assert site.in_force() == site.document


def test_settings_on_trial_end_after_some_starts_that_did_not_last():
    site = Managed(unix=MIDNIGHT - 600)
    site.configure(HOUR, 1, {"history_bytes": 20}, 100)
    site.network.lose = lambda *_: len(site.resets) == 1
    site.run(HOUR + SOON)
    for _ in range(3):
        site.run(site.now() + 60)
    assert site.node.settings["history_bytes"] == 20
    site.run(site.now() + 60)
    assert site.node.settings["history_bytes"] == 28
    assert site.node.crash == b"settings: rolled back, new settings: 4 starts"


def test_a_technician_who_writes_other_settings_has_the_last_word():
    site = Managed(unix=MIDNIGHT - 600)
    site.configure(HOUR, 1, {"history_bytes": 20}, 100)
    site.network.lose = lambda *_: len(site.resets) == 1
    site.run(HOUR + SOON)
    assert len(site.resets) == 1
    site.write(dict(site.document, history_bytes=30))
    site.run(HOUR + SOON + 900)
    assert site.node.settings["history_bytes"] == 30
    assert not site.node.settings["trial"]
    assert site.node.files.read("trial") is None


def test_every_setting_has_a_key_that_no_other_has():
    for rows in (table.TABLE, table.CHANNEL_TABLE):
        keys, names = [row[-1] for row in rows], [row[0] for row in rows]
        assert all([type(key) is int for key in keys])
        assert len(set(keys)) == len(keys)
        assert not {str(key) for key in keys} & set(names)


def test_what_there_is_no_room_for_in_the_heap_is_refused_and_the_node_goes_on():
    site = Managed(unix=MIDNIGHT - 600, interval_s=60, uplink_offset_s=10)
    site.ask(600, 1, command.GET_CONFIG, 0)
    site.ask(900, 2, command.GET_CONFIG, 0)
    from lorawan.records import Files

    read, refused = Files.read, []

    def full(self, name):
        if name == "trial" and 600 <= site.now() < 900:
            refused.append(site.now())
            raise MemoryError
        return read(self, name)

    Files.read = full
    try:
        site.run(SOON)
    finally:
        Files.read = read
    assert len(refused) == 1
    assert site.results() == [(1, answer.REFUSED), (2, answer.OK)]
    assert site.node.crash is None
