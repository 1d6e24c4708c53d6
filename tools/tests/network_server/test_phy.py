from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.tests.network_server.virtual_device import VirtualDevice
from zaehlwerk_tools.network_server.phy import DataDownlink, DataUplink, JoinRequest, PhyError, read_uplink


def device() -> VirtualDevice:
    return VirtualDevice(addr=bytes.fromhex("c1599001"), nwk=bytes(range(16)), app=bytes(range(16, 32)))


def test_a_join_request_is_read() -> None:
    request = read_uplink(VirtualDevice(join_eui="0123456789abcdef", dev_nonce=513).join_request())
    assert isinstance(request, JoinRequest)
    assert (request.join_eui, request.dev_eui, request.dev_nonce) == (
        "0123456789abcdef",
        "70b3d57ed0000001",
        513,
    )


@given(
    data=st.binary(max_size=51),
    f_port=st.one_of(st.none(), st.integers(1, 255)),
    f_opts=st.binary(max_size=15),
    flags=st.tuples(*[st.booleans()] * 4),
    f_cnt=st.integers(0, 0xFFFF),
)
def test_whatever_a_device_sends_is_read_as_it_was_meant(
    data: bytes, f_port: int | None, f_opts: bytes, flags: tuple[bool, ...], f_cnt: int
) -> None:
    confirmed, adr, adr_ack_req, ack = flags
    phy = device().uplink(
        data,
        f_port,
        confirmed=confirmed,
        f_opts=f_opts,
        adr=adr,
        adr_ack_req=adr_ack_req,
        ack=ack,
        f_cnt=f_cnt,
    )
    frame = read_uplink(phy)
    assert isinstance(frame, DataUplink)
    assert (frame.confirmed, frame.adr, frame.adr_ack_req, frame.ack) == flags
    assert (frame.dev_addr, frame.f_cnt, frame.f_opts, frame.f_port) == (0x019059C1, f_cnt, f_opts, f_port)
    assert len(frame.payload) == (0 if f_port is None else len(data))
    assert frame.signed + frame.mic == phy


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused_by_the_one_named_error(phy: bytes) -> None:
    with contextlib.suppress(PhyError):
        assert read_uplink(phy).signed == phy[:-4]


@pytest.mark.parametrize(
    ("phy", "says"),
    [
        ("", "empty"),
        ("41" + "00" * 11, "major version 1"),
        ("20" + "00" * 16, "frame type 1"),
        ("60" + "00" * 11, "frame type 3"),
        ("e0" + "00" * 11, "frame type 7"),
        ("00" * 22, "22 bytes, expected 23"),
        ("40" + "00" * 10, "at least 12"),
        ("40000000000f0000" + "00" * 4, "15 bytes do not fit"),
        ("4000000000010000" + "0200" + "00" * 4, "FOpts and on FPort 0"),
    ],
)
def test_what_is_no_uplink_is_refused_with_the_reason(phy: str, says: str) -> None:
    with pytest.raises(PhyError, match=says):
        read_uplink(bytes.fromhex(phy))


def test_a_downlink_holds_no_more_fopts_than_its_header_can_tell() -> None:
    frame = DataDownlink(
        confirmed=False, dev_addr=1, adr=True, ack=False, pending=False, f_cnt=0, f_opts=bytes(16)
    )
    with pytest.raises(PhyError, match="at most 15"):
        frame.unsigned()
