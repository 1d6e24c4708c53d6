"""Nonces and counters: stored before they are used, whatever the moment at which the power goes."""

from cut_steps import STEP
from expect import raises
from lorawan_rig import ACCEPT, DEV_EUI, HOUR_MS, JOIN_EUI, Memory, PowerCut, Rig, counter_of

from lorawan import eu868
from lorawan.records import RecordError, seal, unseal
from lorawan.store import FCNT_BLOCK, NoncesLost, Store

# Of a life: some are answered, and some are behind what is reserved.
UPLINKS = 96


def life(files, used_nonces, used_counters, uplinks=UPLINKS):
    """One life of a device: join unless there is a session, then uplinks. What goes on the air is noted."""
    rig = Rig(files)
    rig.now = HOUR_MS
    try:
        if rig.mac.session is None:
            sent = rig.ready(rig.mac.join(rig.now, 5))
            used_nonces.append(sent.payload[17] | sent.payload[18] << 8)
            rig.windows(ACCEPT)
        for i in range(uplinks):
            if i % 30 == 29:
                near_the_end(rig)
            # Some are answered, which is what makes the session be stored in between.
            sent = rig.ready(rig.mac.send(rig.now, 1, b"\1"))
            used_counters.append((rig.mac.session.address, counter_of(sent.payload)))
            rig.down = max(rig.down, rig.mac.session.fcnt_down + 1)
            rig.windows(rig.downlink() if i % 4 == 0 else None)
        return True
    except PowerCut:
        return False


def near_the_end(rig, left=3):
    """As if all uplinks had been sent that are reserved, but for so many."""
    session = rig.mac.session
    session.fcnt_up = max(session.fcnt_up, rig.mac.store._reserved - left)


def test_no_nonce_and_no_counter_is_used_twice_when_the_power_goes_at_any_file_operation():
    whole = Memory()
    assert life(whole, [], [])
    assert whole.operations > 20
    for cut_at in range(1, whole.operations + 1, STEP):
        for after in (False, True):
            nonces, counters = [], []
            files = Memory(cut_at=cut_at, after=after)
            assert not life(files, nonces, counters)
            # The power comes back; what the flash holds is all that is left.
            assert life(Memory(files.content), nonces, counters)
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
    rig.mac.adr = False  # whose steps down are stored too
    before = rig.files.operations
    for _ in range(FCNT_BLOCK + 10):
        rig.send()
    assert 1 <= rig.files.operations - before <= 2


class Tired(Memory):
    """A flash that takes nothing while it is `dead`."""

    dead = False

    def replace(self, name, data):
        if self.dead:
            raise OSError(28)
        super().replace(name, data)


def told(rig, counters, port=1):
    """Whether an uplink went out."""
    try:
        sent = rig.ready(rig.mac.send(rig.now, port, b"\1"))
    except OSError:
        rig.mac.failed()
        return False
    counters.append((rig.mac.session.address, counter_of(sent.payload)))
    rig.windows()
    return True


def test_a_device_whose_flash_takes_nothing_sends_what_is_reserved_and_then_nothing_until_it_does_again():
    rig = Rig(Tired({}))
    rig.join()
    rig.now += HOUR_MS
    rig.send()
    rig.files.dead = True
    counters = []
    rig.mac.session.fcnt_up = rig.mac.store._reserved - 5
    assert [told(rig, counters) for _ in range(8)] == [True] * 5 + [False] * 3
    rig.files.dead = False
    assert told(rig, counters)
    assert [counter for _, counter in counters] == [FCNT_BLOCK - 5 + n for n in range(6)]


def test_after_a_start_on_a_flash_that_takes_nothing_no_counter_is_used_and_none_again_when_it_does():
    files = Tired({})
    rig = Rig(files)
    rig.join()
    counters = []
    for _ in range(3):
        rig.now += HOUR_MS
        files.dead = False
        assert told(rig, counters)
        files.dead = True
        near_the_end(rig, 2)
        assert [told(rig, counters) for _ in range(3)] == [True, True, False]
        # The power goes. What the flash holds is what is reserved, and that is spent.
        rig = Rig(files)
        rig.now = HOUR_MS
        assert not told(rig, counters)
    assert len(set(counters)) == len(counters)


def test_a_device_whose_flash_takes_nothing_hears_the_network_and_does_nothing_that_could_be_done_again():
    rig = Rig(Tired({}))
    rig.join()
    rig.now += HOUR_MS
    rig.send()
    rig.files.dead = True
    down = rig.downlink(bytes.fromhex("0332ff0001"), port=5, payload=b"\7", ack=True, confirmed=True)
    done = rig.send(down=down, confirmed=True)
    assert (done.heard, done.acknowledged, done.port, done.ack_due) == (True, True, None, False)
    assert rig.mac.session.data_rate == 3
    assert not rig.send(down=down).heard
    # The counter that was not stored: after a start it may be heard again, and then it is done for the first time.
    rig.files.dead = False
    rig.now += HOUR_MS
    assert rig.send(down=rig.downlink(port=5, payload=b"\7")).payload == b"\7"


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


def test_what_is_loaded_for_a_record_leaves_the_heap_also_where_the_flash_refuses_it():
    import sys

    rig = Rig(Tired({}))
    rig.join()
    rig.files.dead = True
    raises(OSError, rig.mac.store.save_sessions, rig.mac.session)
    raises(OSError, rig.mac.store.save_nonces)
    assert not [name for name in sys.modules if name in ("lorawan.session_record", "lorawan.nonces")]
