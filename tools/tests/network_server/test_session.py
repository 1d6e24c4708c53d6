from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.tests.network_server.virtual_device import VirtualDevice
from zaehlwerk_tools.network_server.phy import DataUplink, read_uplink
from zaehlwerk_tools.network_server.session import Counter, Session, check, full_counter

NWK, APP = bytes(range(16)), bytes(range(16, 32))


def session(expected: int) -> Session:
    return Session(0x019059C1, NWK, APP, f_cnt_up=expected)


def frame(f_cnt: int) -> DataUplink:
    device = VirtualDevice(addr=bytes.fromhex("c1599001"), nwk=NWK, app=APP)
    read = read_uplink(device.uplink(b"x", f_cnt=f_cnt))
    assert isinstance(read, DataUplink)
    return read


@pytest.mark.parametrize(
    ("expected", "received", "full"),
    [
        (0, 0, 0),
        (0, 65535, 65535),
        (1, 0, 0),
        (7, 7, 7),
        (7, 9, 9),
        (65536, 65535, 65535),
        (65535, 0, 65536),
        (65536, 1, 65537),
        (0x2FFFF, 0xFFFE, 0x2FFFE),
        (7, 1, 65537),
    ],
)
def test_the_upper_half_of_the_counter_is_inferred(expected: int, received: int, full: int) -> None:
    assert full_counter(expected, received) == full


@given(st.integers(0, 2**31), st.integers(-1, 65534))
def test_any_loss_below_65535_frames_is_bridged(expected: int, ahead: int) -> None:
    meant = max(expected + ahead, 0)
    assert full_counter(expected, meant & 0xFFFF) == meant


@pytest.mark.parametrize(
    ("expected", "sent", "verdict"),
    [
        (0, 0, Counter.NEW),
        (5, 5, Counter.NEW),
        (5, 900, Counter.NEW),
        (65535, 65536, Counter.NEW),
        (5, 4, Counter.RETRANSMISSION),
        (65537, 65536, Counter.RETRANSMISSION),
        (5, 1, Counter.RESET),
        (70000, 0, Counter.RESET),
    ],
)
def test_a_counter_is_new_a_retransmission_or_a_reset(expected: int, sent: int, verdict: Counter) -> None:
    assert check(session(expected), frame(sent)) == (verdict, sent)


def test_a_frame_of_another_key_is_none_of_this_session() -> None:
    other = Session(0x019059C1, APP, NWK)
    assert check(other, frame(0)) is None


def test_a_session_does_not_show_its_keys() -> None:
    assert NWK.hex() not in repr(session(0)).lower()
    assert repr(NWK) not in repr(session(0))
    assert repr(APP) not in repr(session(0))


def test_a_changed_data_rate_starts_the_link_history_anew() -> None:
    it = session(0)
    it.heard_at(3)
    it.remember(0, 5.0)
    it.tx_power_index = 4
    it.heard_at(3)
    assert (len(it.history), it.tx_power_index) == (1, 4)
    it.heard_at(2)
    assert (len(it.history), it.tx_power_index) == (0, 0)
