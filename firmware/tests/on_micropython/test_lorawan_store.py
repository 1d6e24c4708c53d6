"""Nonces and counters: stored before they are used, whatever the moment at which the power goes."""

from expect import raises
from lorawan_rig import ACCEPT, DEV_EUI, HOUR_MS, JOIN_EUI, Memory, PowerCut, Rig, counter_of

from lorawan import eu868
from lorawan.records import RecordError, seal, unseal
from lorawan.store import FCNT_BLOCK, NoncesLost, Store


def life(files, used_nonces, used_counters, uplinks):
    """One life of a device: join unless there is a session, then uplinks. What goes on the air is noted."""
    rig = Rig(files)
    rig.now = HOUR_MS
    try:
        if rig.mac.session is None:
            sent = rig.ready(rig.mac.join(rig.now, 5))
            used_nonces.append(sent.payload[17] | sent.payload[18] << 8)
            rig.windows(ACCEPT)
        for i in range(uplinks):
            # Some are answered, which is what makes the session be stored in between.
            sent = rig.ready(rig.mac.send(rig.now, 1, b"\1"))
            used_counters.append((rig.mac.session.address, counter_of(sent.payload)))
            rig.down = max(rig.down, rig.mac.session.fcnt_down + 1)
            rig.windows(rig.downlink() if i % 4 == 0 else None)
        return True
    except PowerCut:
        return False


def test_no_nonce_and_no_counter_is_used_twice_when_the_power_goes_at_any_file_operation():
    whole = Memory()
    assert life(whole, [], [], 3 * FCNT_BLOCK)
    assert whole.operations > 20
    for cut_at in range(1, whole.operations + 1):
        for after in (False, True):
            nonces, counters = [], []
            files = Memory(cut_at=cut_at, after=after)
            assert not life(files, nonces, counters, 3 * FCNT_BLOCK)
            # The power comes back; what the flash holds is all that is left.
            assert life(Memory(files.content), nonces, counters, FCNT_BLOCK)
            assert len(set(nonces)) == len(nonces), (cut_at, after)
            assert len(set(counters)) == len(counters), (cut_at, after)
            assert [c for _, c in counters] == sorted(c for _, c in counters)


def test_session_goes_on_after_a_restart_without_a_join():
    rig = Rig()
    rig.join()
    rig.now += HOUR_MS
    rig.send(down=rig.downlink(bytes.fromhex("0332ff0001")))
    again = Rig(Memory(rig.files.content))
    session = again.mac.session
    assert session.address == rig.mac.session.address
    assert session.nwk_s_key == rig.mac.session.nwk_s_key
    assert session.app_s_key == rig.mac.session.app_s_key
    assert (session.data_rate, session.tx_power, session.fcnt_down) == (3, 2, 0)
    assert session.channels.frequencies == rig.mac.session.channels.frequencies
    assert session.channels.mask == 0xFF
    assert rig.mac.session.fcnt_up <= session.fcnt_up <= rig.mac.session.fcnt_up + FCNT_BLOCK


def test_counter_is_stored_once_per_block_and_not_for_every_uplink():
    rig = Rig()
    rig.join()
    rig.now += HOUR_MS
    before = rig.files.operations
    for _ in range(10 * FCNT_BLOCK):
        rig.send()
    assert rig.files.operations - before <= 10


def test_a_replayed_downlink_is_refused_after_a_restart():
    rig = Rig()
    rig.join()
    rig.now += HOUR_MS
    down = rig.downlink()
    rig.send(down=down)
    again = Rig(Memory(rig.files.content))
    again.now = HOUR_MS
    assert not again.send(down=down).heard


def test_a_damaged_session_is_joined_anew():
    rig = Rig()
    rig.join()
    rig.files.content["session"] = rig.files.content["session"][:-1] + b"?"
    assert Rig(rig.files).mac.session is None


def test_damaged_nonces_are_an_error_and_not_a_new_beginning():
    rig = Rig()
    rig.join()
    rig.files.content["nonces"] = b"\1\2\3"
    error = raises(NoncesLost, Store, rig.files, eu868, JOIN_EUI + DEV_EUI)
    assert "nonces" in str(error)


def test_a_new_join_eui_starts_its_own_nonces_and_drops_the_session():
    rig = Rig()
    rig.join()
    store = Store(rig.files, eu868, b"\1" * 8 + DEV_EUI)
    assert store.dev_nonce == 0
    assert store.load_sessions() == (None, None)


def test_a_record_of_another_version_or_length_is_refused():
    record = seal(3, b"data")
    assert unseal(3, record) == b"data"
    assert "version 3" in str(raises(RecordError, unseal, 4, record))
    assert "checksum" in str(raises(RecordError, unseal, 3, record[:-1] + b"?"))
    assert "too short" in str(raises(RecordError, unseal, 3, b"\3"))


def test_keys_do_not_show():
    rig = Rig()
    rig.join()
    shown = repr(rig.mac.session) + repr(rig.mac.identity)
    assert rig.mac.session.nwk_s_key.hex() not in shown
    assert bytes(range(16)).hex() not in shown
