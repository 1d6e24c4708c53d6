"""Every kind of frame that the firmware sends, read by lora-packet and by `cryptography`: MIC, header and
content."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from firmware.tests.oracle import network
from firmware.tests.oracle.device import APP_KEY, DEV_EUI, JOIN_EUI, Device
from firmware.tests.oracle.lora_packet import LoraPacket
from firmware.tests.oracle.network import Data
from firmware.tests.oracle.server import Server
from lorawan.mac import PayloadTooLong

# RP002-1.0.4 table 9, EU863-870 maximum payload size N by data rate, no repeater.
LONGEST = {0: 51, 1: 51, 2: 51, 3: 115, 4: 242, 5: 242}
# MHDR, FHDR without FOpts, FPort and MIC (LoRaWAN 1.0.4 section 4.1).
AROUND_PAYLOAD = 1 + 7 + 1 + 4


class Link:
    """A device and its server, joined; at the end lora-packet reads all that the device has sent."""

    def __init__(self, seed: int = 0, data_rate: int = 5) -> None:
        self.server = Server(APP_KEY)
        self.device = Device(seed)
        assert self.device.join(data_rate, self.server.join).joined
        self._read = len(self.device.sent)

    def restart(self) -> None:
        """Cut the device's power."""
        assert not self.uplinks()
        self.device, self._read = self.device.restarted(), 0

    def uplinks(self) -> list[Data]:
        """What was sent since the last call, as the server reads it."""
        new = self.device.sent[self._read :]
        self._read = len(self.device.sent)
        return [self.server.read(phy) for phy in new]

    def send(
        self, port: int | None = 1, payload: bytes = b"\x00", down: bytes | None = None, **options: bool
    ) -> Data:
        """One uplink, answered with `down`; as the server reads it, however often it was sent."""
        self.device.send(port, payload, down, **options)
        first, *copies = self.uplinks()
        assert all(copy == first for copy in copies)
        return first

    def stay_in_touch(self) -> None:
        """A downlink, so that the device goes on at the data rate that it has."""
        self.send(down=self.server.down())

    def command(self, commands: bytes) -> bytes:
        """The FOpts of the uplink after the one that was answered with `commands`."""
        self.send(down=self.server.down(fopts=commands))
        return self.send().fopts

    def use(self, data_rate: int, nb_trans: int = 0, mask: int = 7) -> None:
        """LinkADRReq (section 5.2) at maximum power; the device must take all of it."""
        assert self.command(bytes([0x03, data_rate << 4, mask, 0, nb_trans])) == b"\x03\x07"


@pytest.fixture
def link(lora_packet: LoraPacket) -> Iterator[Link]:
    link = Link()
    yield link
    assert not link.uplinks()
    assert link.server.confirm(lora_packet) == len(link.server.uplinks) + 1


def test_join_requests_name_the_device_and_never_the_same_nonce(lora_packet: LoraPacket) -> None:
    server = Server(APP_KEY)
    device = Device()
    for data_rate in (5, 4, 3, 2, 1, 0) * 3:
        device = device.restarted(seed=data_rate)
        device.join(data_rate)
        (phy,) = device.sent
        request = server.ask(phy)
        assert (request.join_eui, request.dev_eui) == (JOIN_EUI, DEV_EUI)
        assert 12 - device.transmits[0].sf == data_rate
    assert [request.dev_nonce for _, request in server.requests] == list(range(18))
    assert server.confirm(lora_packet) == 18


def test_application_data_on_every_port(link: Link) -> None:
    dice = random.Random(1)
    for port in range(1, 224):
        payload, confirmed = dice.randbytes(dice.randrange(60)), bool(port % 2)
        data = link.send(port, payload, confirmed=confirmed)
        assert (data.port, data.payload, data.confirmed) == (port, payload, confirmed)
        if port % 40 == 0:
            link.stay_in_touch()


@pytest.mark.parametrize("data_rate", LONGEST)
def test_every_length_up_to_the_longest_of_the_data_rate(link: Link, data_rate: int) -> None:
    link.use(data_rate)
    dice = random.Random(data_rate)
    for length in range(LONGEST[data_rate] + 1):
        payload = dice.randbytes(length)
        assert link.send(7, payload).payload == payload
        assert len(link.device.sent[-1]) == AROUND_PAYLOAD + length
        assert 12 - link.device.transmits[-1].sf == data_rate
        if length % 40 == 0:
            link.stay_in_touch()
    with pytest.raises(PayloadTooLong):
        link.device.send(7, bytes(LONGEST[data_rate] + 1))


def test_a_frame_without_port_carries_nothing(link: Link) -> None:
    data = link.send(None, b"")
    assert (data.port, data.payload, data.fopts) == (None, b"", b"")
    assert len(link.device.sent[-1]) == AROUND_PAYLOAD - 1
    assert link.send(None, b"", confirmed=True).confirmed


def test_the_counter_rises_by_one_with_every_frame_and_adr_is_always_set(link: Link) -> None:
    uplinks = [link.send(1, bytes([number])) for number in range(50)]
    assert [data.counter for data in uplinks] == list(range(50))
    assert {data.control for data in uplinks} == {network.ADR}


def test_frame_counters_go_on_beyond_16_bits(link: Link) -> None:
    link.device.mac.session.fcnt_up, link.server.last_up = 0xFFF0, 0xFFEF
    for counter in range(0xFFF0, 0x10010):
        data = link.send(counter & 1 or None, b"\x01\x02" if counter & 1 else b"")
        assert data.counter == counter
    link.device.mac.session.fcnt_up, link.server.last_up = 0x12345678, 0x12345677
    assert link.send(5, bytes(40)).counter == 0x12345678


def test_a_restarted_device_uses_no_counter_twice(link: Link) -> None:
    counters = []
    for _ in range(20):
        counters += [link.send(2, bytes(3)).counter for _ in range(7)]
        link.restart()
    assert counters == sorted(set(counters))


def test_only_the_next_uplink_acknowledges_a_confirmed_downlink(link: Link) -> None:
    for confirmed in (True, False, True):
        link.send(down=link.server.down(confirmed=confirmed, port=9, payload=b"\x07"))
        assert bool(link.send().control & network.ACK) is confirmed
        assert not link.send().control & network.ACK


def test_a_silent_network_is_asked_for_a_sign_of_life(link: Link) -> None:
    """ADR_ACK_LIMIT is 64 (RP002-1.0.4 section 2.3): the 64th frame after the last downlink asks."""
    link.stay_in_touch()
    asked = [bool(link.send().control & network.ADR_ACK_REQ) for _ in range(80)]
    assert asked.index(True) in (63, 64)
    assert asked == sorted(asked)
    link.stay_in_touch()
    assert not link.send().control & network.ADR_ACK_REQ


def test_copies_of_a_frame_are_the_same_frame(link: Link) -> None:
    link.use(5, nb_trans=3)
    link.device.send(4, b"copied")
    first, second, third = link.device.sent[-3:]
    assert first == second == third
    assert {data.payload for data in link.uplinks()} == {b"copied"}
    counter = link.server.last_up
    link.device.send(4, b"another", link.server.down())
    assert [data.counter for data in link.uplinks()] == [counter + 1]


# MAC commands and their answers in EU868 (LoRaWAN 1.0.4 sections 5.2 to 5.8). Frequencies are in 100 Hz,
# three bytes.
ANSWERED = {
    "DutyCycleReq": ("0402", "04"),
    "RXParamSetupReq": ("0500" + "d2ad84", "0507"),
    "DevStatusReq, battery not known": ("06", "06ff07"),
    "NewChannelReq, 867.1 MHz, DR0 to 5": ("0703" + "184f84" + "50", "0703"),
    "NewChannelReq for a default channel": ("0700" + "184f84" + "50", "0700"),
    "RXTimingSetupReq": ("0803", "08"),
    "DlChannelReq": ("0a00" + "d2ad84", "0a03"),
    "LinkADRReq, two of one block": ("0350070000" + "03500700" + "01", "0307" + "0307"),
    "several in their order": ("06" + "0402" + "0803", "06ff07" + "04" + "08"),
    "LinkADRReq for a channel that is not defined": ("0350ff0000", "0306"),
}


@pytest.mark.parametrize("name", ANSWERED)
def test_answers_to_mac_commands_travel_in_fopts(link: Link, name: str) -> None:
    request, answer = ANSWERED[name]
    assert link.command(bytes.fromhex(request)).hex() == answer


def test_questions_of_the_device_travel_in_fopts_beside_answers_and_payload(link: Link) -> None:
    link.send(down=link.server.down(fopts=b"\x06"))
    data = link.send(3, b"\x0a\x0b", link_check=True, device_time=True)
    assert sorted(data.fopts) == sorted(b"\x06\xff\x07" + b"\x02" + b"\x0d")
    assert (data.port, data.payload) == (3, b"\x0a\x0b")


def test_answers_beyond_15_bytes_go_alone_on_port_0_under_the_network_key(link: Link) -> None:
    link.send(down=link.server.down(fopts=b"\x06" * 6))
    done = link.device.send(3, b"later")
    (data,) = link.uplinks()
    assert (data.port, data.fopts, data.payload) == (0, b"", b"\x06\xff\x07" * 6)
    assert not done.sent
    data = link.send(3, b"later")
    assert (data.port, data.fopts, data.payload) == (3, b"", b"later")


def test_answers_that_do_not_fit_beside_a_payload_go_before_it(link: Link) -> None:
    link.use(0)
    link.send(down=link.server.down(fopts=b"\x06"))
    done = link.device.send(3, bytes(LONGEST[0]), confirmed=True)
    (data,) = link.uplinks()
    assert (data.port, data.fopts, data.payload, data.confirmed) == (None, b"\x06\xff\x07", b"", False)
    assert not done.sent
    data = link.send(3, bytes(LONGEST[0]), confirmed=True)
    assert (data.port, data.fopts, data.payload, data.confirmed) == (3, b"", bytes(LONGEST[0]), True)
