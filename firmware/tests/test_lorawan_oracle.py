"""The firmware's cryptography against `cryptography`, and its frames against a recorded ChirpStack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st

from lorawan import crypto, eu868, frames, join
from lorawan.session import Session

KEYS = st.binary(min_size=16, max_size=16)
U32 = st.integers(0, 0xFFFFFFFF)
STEPS = {
    step["step"]: step
    for step in map(
        json.loads, (Path(__file__).parent / "vectors/chirpstack_session.jsonl").read_text().splitlines()
    )
}
APP_KEY = bytes(range(16))
WRONG_ON_PURPOSE = ("wrong MIC", "frame counter gone back")
UPLINKS = [
    name
    for name, step in STEPS.items()
    if step.get("up", "")[:2] in ("40", "80") and name not in WRONG_ON_PURPOSE
]


def oracle_cmac(key: bytes, message: bytes) -> bytes:
    mac = CMAC(algorithms.AES(key))
    mac.update(message)
    return mac.finalize()


def recorded_session() -> Session:
    accept = join.read_accept(APP_KEY, bytes.fromhex(STEPS["join request"]["down"]["phy"]))
    keys = crypto.session_keys(APP_KEY, accept.join_nonce, accept.net_id, b"\0\0")
    return Session(eu868, accept.address, *keys)


@given(KEYS, st.binary(max_size=300))
def test_cmac_is_that_of_cryptography(key: bytes, message: bytes) -> None:
    assert bytes(crypto.cmac(key, message)) == oracle_cmac(key, message)


@given(KEYS, st.integers(0, 1), U32, U32, st.binary(max_size=242))
def test_payload_encryption_is_counter_mode_with_lorawans_blocks(
    key: bytes, direction: int, address: int, counter: int, payload: bytes
) -> None:
    """LoRaWAN's A_i differ in their last byte only: counter mode from A_1 on."""
    start = bytes([1, 0, 0, 0, 0, direction]) + address.to_bytes(4, "little") + counter.to_bytes(4, "little")
    worker = Cipher(algorithms.AES(key), modes.CTR(start + b"\0\1")).encryptor()
    assert crypto.crypt_payload(key, direction, address, counter, payload) == worker.update(payload)


@given(KEYS, U32, U32, st.binary(max_size=222), st.booleans(), st.binary(max_size=15))
def test_an_uplink_carries_the_mic_of_its_block(
    key: bytes, address: int, counter: int, payload: bytes, confirmed: bool, fopts: bytes
) -> None:
    session = Session(eu868, address, key, bytes(reversed(key)))
    phy = frames.data_up(session, counter, confirmed, frames.ADR, fopts, 1, payload)
    block = bytes([0x49, 0, 0, 0, 0, 0]) + address.to_bytes(4, "little") + counter.to_bytes(4, "little")
    block += bytes([0, len(phy) - 4])
    assert phy[-4:] == oracle_cmac(key, block + phy[:-4])[:4]
    assert phy[6:8] == (counter & 0xFFFF).to_bytes(2, "little")


def test_recorded_join_accept_is_read() -> None:
    joined = STEPS["join request"]["joined"]
    accept = join.read_accept(APP_KEY, bytes.fromhex(STEPS["join request"]["down"]["phy"]))
    assert f"{accept.address:08x}" == joined["dev_addr"]
    assert accept.dl_settings == joined["dl_settings"]
    assert accept.rx_delay == joined["rx_delay"]
    assert accept.cf_list.hex() == joined["cflist"]


@pytest.mark.parametrize("step", UPLINKS)
def test_recorded_uplinks_are_made_byte_for_byte(step: str) -> None:
    """What the device sent is taken apart here, and put together by the firmware."""
    phy = bytes.fromhex(STEPS[step]["up"])
    session = recorded_session()
    confirmed = phy[0] == 0x80
    control, counter, length = phy[5] & 0xF0, phy[6] | phy[7] << 8, phy[5] & 0x0F
    fopts, rest = phy[8 : 8 + length], phy[8 + length : -4]
    port, payload = (rest[0], rest[1:]) if rest else (None, b"")
    if port is not None:
        start = bytes([1, 0, 0, 0, 0, 0]) + phy[1:5] + counter.to_bytes(4, "little") + b"\0\1"
        key = session.app_s_key if port else session.nwk_s_key
        payload = Cipher(algorithms.AES(key), modes.CTR(start)).decryptor().update(payload)
    assert frames.data_up(session, counter, confirmed, control, fopts, port, payload) == phy


@pytest.mark.parametrize("step", sorted(name for name, step in STEPS.items() if "downlink" in step))
def test_recorded_downlinks_are_read(step: str) -> None:
    expected = STEPS[step]["downlink"]
    session = recorded_session()
    session.fcnt_down = expected["fcnt"] - 1
    downlink = frames.read_downlink(session, bytes.fromhex(STEPS[step]["down"]["phy"]))
    assert downlink.confirmed == expected["confirmed"]
    assert downlink.counter == expected["fcnt"]
    assert downlink.ack == expected["ack"]
    assert downlink.pending == expected["pending"]
    assert downlink.fopts.hex() == expected["fopts"]
    assert downlink.port == expected["f_port"]
    assert downlink.payload.hex() == expected["data"]


@given(st.data())
def test_a_mutated_downlink_is_refused(data: st.DataObject) -> None:
    steps = sorted(name for name, step in STEPS.items() if "downlink" in step)
    step = data.draw(st.sampled_from(steps))
    phy = bytearray.fromhex(STEPS[step]["down"]["phy"])
    at = data.draw(st.integers(0, len(phy) - 1))
    phy[at] ^= data.draw(st.integers(1, 255))
    session = recorded_session()
    session.fcnt_down = STEPS[step]["downlink"]["fcnt"] - 1
    with pytest.raises(frames.FrameRefused):
        frames.read_downlink(session, bytes(phy))
