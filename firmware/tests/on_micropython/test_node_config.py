"""Settings by command: told, changed as a whole or not at all, and taken back when they lose the network."""

import json

import fake_machine
from world import install, world

install()

from managed_rig import Managed  # noqa: E402
from node_rig import MIDNIGHT, SETTINGS  # noqa: E402

from app import settings as table  # noqa: E402
from zaehlwerk_protocol import answer, command  # noqa: E402

HOUR = 3600
# What takes part of a change in these tests ends within.
SOON = 1900


def asked_for(site, first, until_s):
    """What the answers to get_config commands, asked for one after another as a platform does, say together."""
    got, pieces = {}, []

    def ask():
        said = {
            token: (result, data)
            for _, token, kind, result, data in site.answers()
            if kind == command.GET_CONFIG
        }
        got.update(said)
        part = len(got)
        if part == 0 or part < got[first][1][0]:
            site.ask(site.now(), first + part, command.GET_CONFIG, part)
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
    site = Managed(unix=MIDNIGHT - 600, interval_s=60, uplink_offset_s=10, antenna_gain_db=2)
    site.run(HOUR)
    # The lowest data rate, whose frames are short.
    site.node.device.mac.adr = False
    text, pieces = asked_for_at_data_rate(site, 0)
    assert len(pieces) > 3
    assert len({len(piece) for piece in pieces[:-1]}) == 1
    told = json.loads(text)
    assert told["i"] == 60
    assert told["a"] == 2
    assert told["c"][1] == {"c": "bicycle", "d": "out", "p": 5, "k": 6}
    assert SETTINGS["app_key"].encode() not in text
    assert "ak" not in told
    # What has its default is left out.
    assert "x" not in told


def asked_for_at_data_rate(site, rate):
    network = site.network
    down = network.down

    def slow(ack, fopts, item):
        site.node.device.mac.session.data_rate = rate
        return down(ack, fopts, item)

    network.down = slow
    return asked_for(site, 100, 4 * HOUR)


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
    free = site.configure(HOUR, 1, {"i": 300, "antenna_gain_db": 3})
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
    totals = {}
    for frame in site.counts():
        totals[frame.state & 3] = max(totals.get(frame.state & 3, 0), frame.totals[0])
    assert 0 <= fake_machine.pulses[4] - sum(totals.values()) <= 45


def test_totals_go_on_under_a_change_that_leaves_channels_and_interval_alone():
    site = Managed(unix=MIDNIGHT - 600)
    site.pulses(4, 7, 3 * HOUR)
    site.configure(HOUR, 1, {"rx_error_ms": 40, "h": 20})
    site.run(3 * HOUR + 1000)
    assert len(site.resets) == 1
    assert len({frame.epoch for frame in site.statuses()}) == 1
    assert fake_machine.pulses[4] - site.counts()[-1].totals[0] <= 1


def test_parts_survive_a_power_cut_and_may_come_in_any_order():
    site = Managed(unix=MIDNIGHT - 600, interval_s=60, uplink_offset_s=10)
    text = '{"h":20,"antenna_gain_db":1}'.encode()
    import hashlib

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
        ({"i": 899, "h": 20}, b"interval_s: 899"),
        ({"interval": 300}, b"interval: unknown setting"),
        ({"c": []}, b"channels: must be a list"),
        ({"c": [{"c": "bicycle", "p": 99}]}, b"channels[0].pin: must be"),
        ({"de": "0000000000000000"}, b"dev_eui: not by command"),
        ({"app_key": SETTINGS["app_key"]}, b"app_key: not by command"),
        ({"b": "t3_s3"}, b"board: not by command"),
        ({"i": 300, "interval_s": 300}, b"interval_s: twice"),
        ("[1]", b"config: must be an object"),
        ('{"h": 20', b"config: is not JSON"),
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
    site.ask(600, 1, command.SET_CONFIG, 0, 1, b"\0\0\0\0", b'{"h":20}')
    site.ask(700, 2, command.SET_CONFIG, 3, 3, b"\0\0\0\0", b'{"h":20}')
    site.run(SOON)
    assert site.results() == [(1, answer.BAD_ARGS), (2, answer.BAD_ARGS)]
    assert site.node.files.read("parts") is None


def test_settings_under_which_the_network_is_not_heard_are_taken_back():
    site = Managed(unix=MIDNIGHT - 600)
    site.pulses(4, 7, 6 * HOUR)
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
    # Nothing that was counted meanwhile is lost.
    assert fake_machine.pulses[4] - site.counts()[-1].totals[0] <= 2


def test_settings_that_no_start_survives_are_taken_back():
    site = Managed(unix=MIDNIGHT - 600)
    site.configure(HOUR, 1, {"h": 20}, 100)

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
    site.configure(HOUR, 1, {"h": 20}, 100)
    site.run(HOUR + SOON)
    site.network.lose = site.network.lose_joins = lambda *_: True
    site = started_deaf(site, 4)
    assert site.node.settings["history_bytes"] == 20
    site = started_deaf(site, 1)
    assert site.node.settings["history_bytes"] == 28
    assert site.node.crash == b"settings: rolled back, new settings: 4 starts"


def started_deaf(site, times):
    for _ in range(times):
        site.run(site.now() + 60)
    return site


def test_a_technician_who_writes_other_settings_has_the_last_word():
    site = Managed(unix=MIDNIGHT - 600)
    site.configure(HOUR, 1, {"h": 20}, 100)
    site.network.lose = lambda *_: len(site.resets) == 1
    site.run(HOUR + SOON)
    assert len(site.resets) == 1
    site.write(dict(site.document, history_bytes=30))
    site.run(HOUR + SOON + 900)
    assert site.node.settings["history_bytes"] == 30
    assert not site.node.settings["trial"]


def test_power_that_goes_at_every_flash_operation_of_a_change_leaves_one_document_or_the_other():
    cut_at, cut = 1, True
    while cut:
        site = Managed(unix=MIDNIGHT - 130, interval_s=60, uplink_offset_s=10)
        site.pulses(4, 1, 1500)
        site.run(200)
        site.configure(200, 1, {"h": 20}, 5)
        cut = not site.run(700, cut_at)
        world.move_to(world.now_us + 3000000)
        # The platform repeats what it has no answer to, here all of it.
        site.configure(site.now() + 70, 1, {"h": 20}, 5)
        site.run(1600)
        assert site.node.settings["history_bytes"] == 20, cut_at
        assert site.in_force() == dict(site.document, history_bytes=20), cut_at
        assert answer.OK in [result for _, result in site.results()], cut_at
        assert len(site.resets) <= 2, cut_at
        assert 0 <= fake_machine.pulses[4] - site.counts()[-1].totals[0] <= 160, cut_at
        cut_at += 1
    assert cut_at > 40


def test_power_that_goes_at_every_flash_operation_of_a_rollback_leaves_the_old_document():
    cut_at, cut = 1, True
    while cut:
        site = Managed(unix=MIDNIGHT - 130, interval_s=60, uplink_offset_s=10)
        site.configure(200, 1, {"h": 20}, 100)
        site.network.lose = lambda *_, site=site: len(site.resets) == 1
        site.run(500)
        assert len(site.resets) == 1
        from app import probation

        # Two hours are over, at once.
        probation.trial.TRIAL_MS = 0
        cut = not site.run(700, cut_at)
        world.move_to(world.now_us + 3000000)
        site.run(1000)
        assert site.node.settings["history_bytes"] == 28, cut_at
        assert site.in_force() == site.document, cut_at
        cut_at += 1
    assert cut_at > 10


def test_every_setting_has_a_key_that_no_other_has():
    for rows in (table.TABLE, table.CHANNEL_TABLE):
        keys, names = [row[-1] for row in rows], [row[0] for row in rows]
        assert all([isinstance(key, str) and 0 < len(key) <= 2 for key in keys])
        assert len(set(keys)) == len(keys)
        assert not set(keys) & set(names)
