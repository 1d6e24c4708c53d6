"""Frames that lora-packet made are taken by the firmware for what they are; both sides derive the same
session keys."""

from __future__ import annotations

import random

import pytest

from firmware.tests.oracle import network
from firmware.tests.oracle.device import APP_KEY, Device
from firmware.tests.oracle.lora_packet import LoraPacket
from firmware.tests.oracle.network import Accept, Data, Keys
from firmware.tests.oracle.server import NET_ID, Read, Server, accept_recipe_of, answer_of, job_of, recipe_of

# CFList of type 0: five frequencies in 100 Hz and the type (LoRaWAN 1.0.4 section 6.2.3, RP002-1.0.4 section
# 2.4.4).
CHANNELS = (867100000, 867300000, 867500000, 867700000, 867900000)
CF_LIST = b"".join((frequency // 100).to_bytes(3, "little") for frequency in CHANNELS) + b"\x00"
DEFAULT_CHANNELS = (868100000, 868300000, 868500000)
RX2_FREQUENCY = 869525000


def joined(lora_packet: LoraPacket, accept: Accept, device: Device | None = None) -> tuple[Device, Keys]:
    """A device that took `accept` as lora-packet makes it, and the keys that lora-packet says it has now."""
    device = Device() if device is None else device
    (phy,) = lora_packet.make([accept_recipe_of(accept, APP_KEY)])
    assert phy == accept.phy(APP_KEY)
    requests: list[bytes] = []

    def answer(request: bytes) -> bytes:
        requests.append(request)
        return phy

    assert device.join(5, answer).joined
    nonce = network.read_join_request(APP_KEY, requests[0]).dev_nonce
    return device, Keys(*lora_packet.session_keys(APP_KEY, accept.net_id, accept.join_nonce, nonce))


@pytest.mark.parametrize("cf_list", [b"", CF_LIST], ids=["without CFList", "with CFList"])
def test_a_join_accept_of_lora_packet_is_taken(lora_packet: LoraPacket, cf_list: bytes) -> None:
    accept = Accept(b"\x11\x22\x33", NET_ID, 0x26AB01CD, cf_list=cf_list)
    device, _ = joined(lora_packet, accept)
    session = device.mac.session
    assert session.address == 0x26AB01CD
    assert (session.fcnt_up, session.fcnt_down) == (0, -1)
    heard_on = set()
    for _ in range(60):
        device.send()
        heard_on.add(device.transmits[-1].frequency)
    assert heard_on == {*DEFAULT_CHANNELS, *(CHANNELS if cf_list else ())}


@pytest.mark.parametrize("seed", range(20))
def test_device_lora_packet_and_cryptography_derive_the_same_session_keys(
    lora_packet: LoraPacket, seed: int
) -> None:
    dice = random.Random(seed)
    device = Device(seed)
    for _ in range(seed):
        device.join(dice.randrange(6))  # nobody answers: the next DevNonce is another
    accept = Accept(dice.randbytes(3), dice.randbytes(3), dice.getrandbits(32))
    device, keys = joined(lora_packet, accept, device)
    assert keys == Keys.derive(APP_KEY, accept, seed)
    assert bytes(device.mac.session.nwk_s_key) == keys.nwk_s_key
    assert bytes(device.mac.session.app_s_key) == keys.app_s_key


@pytest.mark.parametrize("rx_delay", range(16))
def test_the_first_window_opens_when_the_join_accept_says(lora_packet: LoraPacket, rx_delay: int) -> None:
    """RxDelay in seconds, 0 means 1 (LoRaWAN 1.0.4 section 5.8). A window opens around the start of a
    preamble, which lasts 12 ms at SF7 and 400 ms at SF12."""
    device, _ = joined(lora_packet, Accept(b"\1\2\3", NET_ID, 1, rx_delay=rx_delay))
    first = device.on_air(device.mac.send(device.now, 1, b""))
    second = device.hear(None)
    assert abs(first.after_us - max(rx_delay, 1) * 1000000) < 100000
    assert abs(second.after_us - (max(rx_delay, 1) + 1) * 1000000) < 100000


@pytest.mark.parametrize("offset", range(6))
@pytest.mark.parametrize("rx2_data_rate", range(6))
def test_the_windows_have_the_data_rates_of_dl_settings(
    lora_packet: LoraPacket, offset: int, rx2_data_rate: int
) -> None:
    """RX1DROffset in bits 4 to 6, RX2DataRate in bits 0 to 3; the device sends at DR5 (RP002-1.0.4 section
    2.4.7)."""
    device, _ = joined(lora_packet, Accept(b"\1\2\3", NET_ID, 1, dl_settings=offset << 4 | rx2_data_rate))
    first = device.on_air(device.mac.send(device.now, 1, b""))
    second = device.hear(None)
    assert (first.frequency, 12 - first.sf) == (device.transmits[-1].frequency, 5 - offset)
    assert (second.frequency, 12 - second.sf) == (RX2_FREQUENCY, rx2_data_rate)


def random_downlinks(number: int, address: int, first: int) -> list[Data]:
    """Downlinks of all shapes that fit into the second window's SF12, their counters rising."""
    dice = random.Random(number)
    counter, made = first, []
    for _ in range(number):
        shape = dice.choice(["empty", "data", "fopts", "fopts and data", "commands on port 0"])
        fopts = b"\x06" * dice.randrange(1, 6) if "fopts" in shape else b""
        port = dice.randrange(1, 224) if "data" in shape else 0 if "port 0" in shape else None
        payload = dice.randbytes(dice.randrange(46)) if port else b"\x06" if port == 0 else b""
        control = (
            dice.choice([0, network.ACK]) | dice.choice([0, network.PENDING]) | dice.choice([0, network.ADR])
        )
        made.append(Data(address, counter, bool(dice.randrange(2)), control, fopts, port, payload))
        counter += dice.choice([1, 1, 1, 2, 50])
    return made


@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize("first", [0, 0xFF00, 0x7FFFFF00, 0xFFFFD000], ids=hex)
def test_a_downlink_of_lora_packet_is_taken_for_what_it_is(
    lora_packet: LoraPacket, window: int, first: int
) -> None:
    accept = Accept(b"\x01\x02\x03", NET_ID, 0x2601F00D)
    device, keys = joined(lora_packet, accept)
    device.mac.session.fcnt_down = first - 1
    downlinks = random_downlinks(200, accept.address, first)
    frames = lora_packet.make([recipe_of(data, keys) for data in downlinks])
    server = Server(APP_KEY)
    server.accept, server.keys = accept, keys
    for data, phy in zip(downlinks, frames, strict=True):
        assert data.phy(keys) == phy
        done = device.send(1, b"\x00", *([None] * (window - 1)), phy, confirmed=True)
        assert done.heard
        assert (done.port, done.payload) == ((data.port, data.payload) if data.port else (None, b""))
        assert done.acknowledged is bool(data.control & network.ACK)
        assert done.pending is bool(data.control & network.PENDING)
        assert device.mac.session.fcnt_down == data.counter
        device.send(None, b"")
        answer = server.read(device.sent[-1])
        commands = data.payload if data.port == 0 else data.fopts
        assert answer.fopts == b"\x06\xff\x07" * len(commands)
        assert bool(answer.control & network.ACK) is data.confirmed
    assert not device.mac.refused


def test_lora_packet_reads_what_cryptography_makes(lora_packet: LoraPacket) -> None:
    keys = Keys(bytes(range(16)), bytes(range(100, 116)))
    reads = [
        Read(data.phy(keys), keys, data, network.DOWN) for data in random_downlinks(300, 0xFFFFFFFF, 0xFFFE)
    ]
    assert lora_packet.ask(map(job_of, reads)) == [answer_of(read) for read in reads]


def test_a_link_check_and_the_time_come_through(lora_packet: LoraPacket) -> None:
    """LinkCheckAns: margin in dB, gateways; DeviceTimeAns: GPS seconds, 1/256 s (LoRaWAN 1.0.4 sections 5.1,
    5.9)."""
    device, keys = joined(lora_packet, Accept(b"\1\2\3", NET_ID, 7))
    answers = bytes.fromhex("021403" + "0d" + "78563412" + "80")
    (phy,) = lora_packet.make([recipe_of(Data(7, 0, fopts=answers), keys)])
    done = device.send(1, b"", phy, link_check=True, device_time=True)
    assert done.link_check == (20, 3)
    assert done.time == (0x12345678, 0x80)
