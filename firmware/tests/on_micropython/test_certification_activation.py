"""Joining, the session before, and what survives a restart: see docs/CERTIFICATION.md."""

import sys

from cut_steps import STEP
from expect import raises
from lorawan_rig import (
    ACCEPT,
    APP_KEY,
    DEV_EUI,
    HOUR_MS,
    JOIN_EUI,
    Memory,
    PowerCut,
    Rig,
    counter_of,
    rest_ms,
)

from lorawan import crypto, eu868, unload
from lorawan.records import seal
from lorawan.store import NoncesLost, Store


def accept_for(nonce, address=0x01020304, dl_settings=0, rx_delay=1, cf_list=b""):
    """A join accept as the network sends it: decrypted with AES."""
    import cryptolib

    plain = b"\x20" + nonce.to_bytes(3, "little") + b"\0\0\0" + address.to_bytes(4, "little")
    plain += bytes([dl_settings, rx_delay]) + cf_list
    plain += crypto.mic(APP_KEY, plain)
    return plain[:1] + cryptolib.aes(APP_KEY, 1).decrypt(plain[1:])


def rejoined():
    """A device that was heard under one session and joined anew: the rig, the session before and the new one."""
    rig = Rig()
    rig.join(accept=accept_for(1, 0x0A0A0A0A))
    rig.now += HOUR_MS
    rig.send(down=rig.downlink())
    before = rig.mac.session
    rig.now += HOUR_MS
    rig.down = 0
    return rig, before, rig.join(accept=accept_for(2, 0x0B0B0B0B))


def restarted(rig):
    again = Rig(Memory(rig.files.content))
    again.now = HOUR_MS
    return again


# --- 6.2.5 join request


def test_join_requests_go_out_on_all_default_channels_and_no_others():
    rig = Rig()
    rig.join()
    used = []
    for _ in range(9):
        rig.now += HOUR_MS
        used.append(rig.ready(rig.mac.join(rig.now, 5)).frequency)
        rig.windows()
    assert set(used[:3]) == set(used[3:6]) == set(used[6:]) == {868100000, 868300000, 868500000}


def test_join_requests_go_out_at_every_rate_and_full_power():
    rig = Rig(gain=2)
    for data_rate in range(6):
        sent = rig.ready(rig.mac.join(rig.now, data_rate))
        assert (sent.sf, sent.power, len(sent.payload)) == (12 - data_rate, 14, 23)
        assert sent.airtime_us == rig.mac.join_airtime_us(data_rate)
        rig.windows()
        rig.now += HOUR_MS


def test_join_requests_keep_to_the_duty_cycle_of_their_sub_band():
    rig = Rig()
    sent = rig.ready(rig.mac.join(0, 0))
    ended = rig.now
    rig.windows()
    assert rig.mac.join(rig.now, 5).until == ended + rest_ms(sent.airtime_us)


def test_the_dev_nonce_is_stored_before_it_is_sent():
    rig = Rig()
    for nonce in range(3):
        sent = rig.ready(rig.mac.join(rig.now, 5))
        assert sent.payload[17:19] == nonce.to_bytes(2, "little")
        assert Store(Memory(rig.files.content), eu868, JOIN_EUI + DEV_EUI).dev_nonce == nonce + 1
        rig.windows()
        rig.now += HOUR_MS


# --- 6.2.6 join accept


def test_a_join_accept_in_either_window_is_taken_and_the_initial_rate_is_the_requests():
    for window in (1, 2):
        rig = Rig()
        rig.ready(rig.mac.join(0, 3))
        assert rig.windows(ACCEPT if window == 1 else None, ACCEPT).joined
        session = rig.mac.session
        assert (session.data_rate, session.tx_power, session.nb_trans) == (3, 0, 1)
        assert (session.fcnt_up, session.fcnt_down) == (0, -1)


def test_a_join_accept_of_another_length_or_kind_is_refused():
    rig = Rig()
    for phy in (b"", ACCEPT[:17], ACCEPT + b"\0", ACCEPT[:-1], b"\xe0" + ACCEPT[1:], b"\x21" + ACCEPT[1:]):
        rig.ready(rig.mac.join(rig.now, 5))
        assert not rig.windows(phy).joined
        rig.now += HOUR_MS
    assert rig.mac.session is None


def test_a_list_of_frequencies_defines_channels_and_leaves_unused_and_unlawful_ones_out():
    frequencies = (867100000, 0, 868650000, 867700000, 870100000)
    cf_list = b"".join([(f // 100).to_bytes(3, "little") for f in frequencies]) + b"\0"
    session = Rig().join(accept=accept_for(1, cf_list=cf_list))
    assert session.channels.frequencies[3:8] == [867100000, 0, 0, 867700000, 0]
    assert session.channels.mask == 0b1001111


def test_a_list_of_channel_masks_or_of_an_unknown_type_changes_nothing():
    frequencies = (8671000).to_bytes(3, "little") * 5
    assert Rig().join(accept=accept_for(1, cf_list=frequencies + b"\0")).channels.mask == 0xFF
    for kind in (1, 2, 255):
        session = Rig().join(accept=accept_for(1, cf_list=frequencies + bytes([kind])))
        assert session.channels.mask == 0b111


def test_reserved_download_settings_become_what_the_device_can_do():
    session = Rig().join(accept=accept_for(1, dl_settings=0x7F, rx_delay=0xF0))
    assert (session.rx1_offset, session.rx2_data_rate, session.rx_delay) == (5, 0, 1)
    session = Rig().join(accept=accept_for(1, dl_settings=0x86, rx_delay=0x0F))
    assert (session.rx1_offset, session.rx2_data_rate, session.rx_delay) == (0, 0, 15)


def test_a_join_nonce_is_refused_after_the_session_record_is_lost_too():
    rig = Rig()
    rig.join(accept=accept_for(7))
    del rig.files.content["session"]
    again = restarted(rig)
    assert again.mac.session is None
    again.ready(again.mac.join(again.now, 5))
    assert not again.windows(accept_for(7)).joined
    again.now += HOUR_MS
    again.join(accept=accept_for(8))


def test_a_join_nonce_is_refused_when_the_power_went_before_the_nonces_had_it():
    rig = Rig()
    rig.ready(rig.mac.join(0, 5))
    before = rig.files.content["nonces"]
    assert rig.windows(accept_for(7)).joined
    rig.files.content["nonces"] = before
    again = restarted(rig)
    again.ready(again.mac.join(again.now, 5))
    assert not again.windows(accept_for(7)).joined


# --- the session before the new one


def test_the_first_downlink_of_the_new_session_ends_the_one_before():
    rig, before, new = rejoined()
    assert (rig.mac.session, rig.mac.other) == (new, before)
    assert rig.send(down=rig.downlink()).heard
    assert (rig.mac.session, rig.mac.other) == (new, None)
    assert not rig.send(down=rig.downlink(session=before, counter=9)).heard


def test_a_downlink_of_the_session_before_puts_it_back_and_keeps_the_new_one():
    rig, before, new = rejoined()
    done = rig.send(
        confirmed=True, down=rig.downlink(session=before, counter=1, port=5, payload=b"\1", ack=True)
    )
    assert (done.heard, done.port, done.payload) == (True, 5, b"\1")
    assert not done.acknowledged
    assert (rig.mac.session, rig.mac.other) == (before, new)
    rig.send()
    assert rig.sent.payload[1:5] == before.address.to_bytes(4, "little")


def test_after_that_the_next_downlink_decides():
    for chosen in (0, 1):
        rig, before, new = rejoined()
        rig.send(down=rig.downlink(session=before, counter=1))
        if chosen:
            rig.send(down=rig.downlink(session=new, counter=0))
            rig.send(down=rig.downlink(session=new, counter=1))
        else:
            rig.send(down=rig.downlink(session=before, counter=2))
        assert (rig.mac.session, rig.mac.other) == ((before, new)[chosen], None)


def test_a_replayed_downlink_of_the_session_before_changes_nothing():
    rig, before, new = rejoined()
    assert not rig.send(down=rig.downlink(session=before, counter=0)).heard
    assert (rig.mac.session, rig.mac.other) == (new, before)


def test_both_sessions_survive_power_cuts_until_one_is_heard():
    rig, before, new = rejoined()
    again = restarted(rig)
    assert (again.mac.session.address, again.mac.other.address) == (new.address, before.address)
    assert again.mac.other.fcnt_down == 0
    again.send(down=again.downlink(session=again.mac.other, counter=1))
    third = restarted(again)
    assert (third.mac.session.address, third.mac.other.address) == (before.address, new.address)
    third.send(down=third.downlink(counter=2))
    last = restarted(third)
    assert (last.mac.session.address, last.mac.other) == (before.address, None)


def test_falling_back_is_stored_and_done_once():
    rig, before, new = rejoined()
    assert rig.mac.fall_back()
    assert (rig.mac.session, rig.mac.other) == (before, new)
    assert not rig.mac.fall_back()
    again = restarted(rig)
    assert (again.mac.session.address, again.mac.other.address) == (before.address, new.address)
    assert not again.mac.fall_back()


def test_there_is_nothing_to_fall_back_to_after_a_first_join_or_a_downlink():
    rig = Rig()
    rig.join()
    assert not rig.mac.fall_back()
    rig, _, _ = rejoined()
    rig.send(down=rig.downlink())
    assert not rig.mac.fall_back()


def test_of_several_sessions_the_last_that_was_heard_is_kept():
    rig, before, _ = rejoined()
    rig.now += HOUR_MS
    third = rig.join(accept=accept_for(3, 0x0C0C0C0C))
    assert (rig.mac.session, rig.mac.other) == (third, before)


def test_no_counter_is_used_twice_in_either_session_when_the_power_goes_at_any_file_operation():
    def life(files, used):
        rig = Rig(files)
        rig.now = HOUR_MS
        try:
            if rig.mac.session is None:
                rig.join(accept=accept_for(1, 0x0A0A0A0A))
                rig.send(down=rig.downlink())
            if rig.mac.other is None and rig.mac.session.address == 0x0A0A0A0A:
                rig.now += HOUR_MS
                rig.join(accept=accept_for(2, 0x0B0B0B0B))
            for i in range(36):
                if i == 20:
                    session = rig.mac.session
                    session.fcnt_up = max(session.fcnt_up, rig.mac.store._reserved - 4)
                sent = rig.ready(rig.mac.send(rig.now, 1, b"\1"))
                used.append((sent.payload[1:5], counter_of(sent.payload)))
                other = rig.mac.other
                swap = i % 7 == 6 and other is not None
                down = rig.downlink(session=other, counter=other.fcnt_down + 1) if swap else None
                rig.windows(down)
            return True
        except PowerCut:
            return False

    whole = Memory()
    assert life(whole, [])
    for cut_at in range(1, whole.operations + 1, STEP):
        for after in (False, True):
            used = []
            files = Memory(cut_at=cut_at, after=after)
            assert not life(files, used)
            life(Memory(files.content), used)
            assert len(set(used)) == len(used), (cut_at, after)
            assert len({address for address, _ in used}) <= 2


# --- records


def test_nonces_of_the_first_version_are_still_read():
    old = (300).to_bytes(4, "little") + JOIN_EUI + DEV_EUI + b"\5\0\0" + b"\2"
    store = Store(Memory({"nonces": seal(1, old)}), eu868, JOIN_EUI + DEV_EUI)
    assert (store.dev_nonce, store.join_nonce, store.last_data_rate) == (300, b"\5\0\0", 2)
    assert (store.attempts, store.round_s, store.test_port_closed) == (0, 0, False)


def test_nonces_of_a_version_to_come_are_an_error_and_not_a_new_beginning():
    record = seal(3, bytes(40))
    raises(NoncesLost, Store, Memory({"nonces": record}), eu868, JOIN_EUI + DEV_EUI)


def test_a_session_of_another_version_is_joined_anew():
    rig = Rig()
    rig.join()
    rig.files.content["session"] = seal(1, bytes(150))
    assert restarted(rig).mac.session is None


def test_every_parameter_of_a_session_survives_a_restart():
    rig = Rig()
    session = rig.join()
    rig.now += HOUR_MS
    commands = "0334ff0003" + "0403" + "0523d2ad84" + "0708287684" + "40" + "0806" + "0a01f87d84"
    rig.send(down=rig.downlink(port=0, payload=bytes.fromhex(commands)))
    found = restarted(rig).mac.session
    assert (found.data_rate, found.tx_power, found.nb_trans, found.max_duty) == (3, 4, 3, 3)
    assert (found.rx1_offset, found.rx2_data_rate, found.rx2_frequency, found.rx_delay) == (
        2,
        3,
        869525000,
        6,
    )
    for name in ("frequencies", "downlinks", "lowest", "highest", "mask"):
        assert getattr(found.channels, name) == getattr(session.channels, name), name
    for name in ("address", "nwk_s_key", "app_s_key", "fcnt_down", "adr_ack_count", "answers", "ack_due"):
        assert getattr(found, name) == getattr(session, name), name


def test_a_step_of_the_back_off_is_stored_with_the_frame_that_takes_it():
    rig = Rig()
    session = rig.join()
    rig.now += HOUR_MS
    session.adr_ack_count = 64 + 2 * 32 - 1
    rig.send()
    assert session.data_rate == 4
    assert restarted(rig).mac.session.data_rate == 4


def test_after_a_restart_a_slower_frame_than_the_session_has_now_counts_as_just_sent():
    rig = Rig()
    session = rig.join()
    rig.now += HOUR_MS
    rig.send(down=rig.downlink(bytes.fromhex("0300ff0001")))
    rig.send(down=rig.downlink(bytes.fromhex("0350ff0001")))
    assert session.data_rate == 5
    again = Rig(Memory(rig.files.content))
    assert again.mac.send(0, 1, b"").until > 2700 * 99


# --- the round of joining


def test_a_round_of_joining_goes_on_after_a_restart_until_the_network_is_heard():
    rig = Rig()
    for attempt in range(1, 4):
        rig.ready(rig.mac.join(rig.now, 0, attempt, 600 * attempt))
        rig.windows()
        rig.now += HOUR_MS
    again = restarted(rig)
    assert again.mac.join_round == (3, 1800)
    again.join()
    assert again.mac.join_round == restarted(again).mac.join_round == (0, 0)


def test_a_downlink_of_the_session_in_use_ends_the_round_too():
    rig = Rig()
    rig.join()
    rig.now += HOUR_MS
    rig.ready(rig.mac.join(rig.now, 5, 4, 9000))
    rig.windows()
    rig.now += HOUR_MS
    assert rig.mac.join_round == (4, 9000)
    rig.send(down=rig.downlink())
    assert rig.mac.join_round == restarted(rig).mac.join_round == (0, 0)


def test_code_for_joins_commands_and_records_is_not_loaded_while_nobody_needs_it():
    rarely = (
        "transaction",
        "join",
        "frames",
        "crypto",
        "mac_commands",
        "session_record",
        "nonces",
        "certification",
    )
    unload(*rarely)
    rig = Rig()
    rig.join()
    rig.now += HOUR_MS
    rig.send(down=rig.downlink(b"\x06\x08\x01"))
    rig.send()
    for name in rarely:
        assert "lorawan." + name not in sys.modules, name


def test_nothing_is_loaded_between_a_transmission_and_the_end_of_its_windows():
    rig, before, _ = rejoined()
    path = sys.path[:]
    for start in (lambda: rig.mac.join(rig.now, 5), lambda: rig.mac.send(rig.now, 1, b"\1")):
        rig.ready(start())
        loaded = set(sys.modules)
        sys.path[:] = []
        try:
            rig.mac.transmitted(rig.now)
            rig.mac.heard(rig.now, bytes(33), 7)
            assert set(sys.modules) == loaded
            rig.mac.heard(rig.now, rig.downlink(session=before, counter=0), 7)
        finally:
            sys.path[:] = path
        rig.now += HOUR_MS
