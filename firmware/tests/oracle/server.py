"""A network server for one device at a time: it knows the root key, joins, reads uplinks and makes downlinks.

It reads by `network` (PyPI's `cryptography`) and keeps what it read; `confirm` has lora-packet read all of it
again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from firmware.tests.oracle import network
from firmware.tests.oracle.lora_packet import Job, LoraPacket
from firmware.tests.oracle.network import Accept, Data, Forged, JoinRequest, Keys

NET_ID = bytes.fromhex("130000")
TYPES = {
    (network.UP, False): "Unconfirmed Data Up",
    (network.UP, True): "Confirmed Data Up",
    (network.DOWN, False): "Unconfirmed Data Down",
    (network.DOWN, True): "Confirmed Data Down",
}


@dataclass(frozen=True)
class Read:
    """A frame and what it says."""

    phy: bytes
    keys: Keys
    data: Data
    direction: int = network.UP


class Server:
    """address counts up with every join, as do the nonces; `uplinks` and `requests` are all that was read."""

    def __init__(self, app_key: bytes) -> None:
        self.app_key = app_key
        self.accept: Accept | None = None
        self.keys = Keys(bytes(16), bytes(16))
        self.last_up = -1
        self.next_down = 0
        self.joins = 0
        self.requests: list[tuple[bytes, JoinRequest]] = []
        self.uplinks: list[Read] = []

    @property
    def address(self) -> int:
        assert self.accept is not None, "no device has joined"
        return self.accept.address

    def join(self, phy: bytes, **settings: Any) -> bytes:
        """The join accept for a join request; settings are `Accept`'s. Raises Forged."""
        request = self.ask(phy)
        self.joins += 1
        nonce = (0x00A1B000 + self.joins).to_bytes(4, "little")[:3]
        accept = Accept(
            **({"join_nonce": nonce, "net_id": NET_ID, "address": 0x26000000 + self.joins} | settings)
        )
        self.accepted(accept, request.dev_nonce)
        return accept.phy(self.app_key)

    def ask(self, phy: bytes) -> JoinRequest:
        """A join request, read and kept. Raises Forged."""
        request = network.read_join_request(self.app_key, phy)
        self.requests.append((phy, request))
        return request

    def accepted(self, accept: Accept, dev_nonce: int) -> None:
        """From here on the session is that of `accept`."""
        self.accept = accept
        self.keys = Keys.derive(self.app_key, accept, dev_nonce)
        self.last_up, self.next_down = -1, 0

    def read(self, phy: bytes) -> Data:
        """An uplink: its counter is the first at or beyond the last one with these 16 bits. Raises Forged."""
        if len(phy) < 12:
            raise Forged(f"no data frame: {phy.hex()}")
        lower = int.from_bytes(phy[6:8], "little")
        first = max(self.last_up, 0)
        counter = first + (lower - first) % 0x10000
        data = network.read_data(self.keys, network.UP, self.address, counter, phy)
        if counter == self.last_up and self.uplinks[-1].phy != phy:
            raise Forged(f"counter {counter} used for two frames: {self.uplinks[-1].phy.hex()}, {phy.hex()}")
        self.last_up = counter
        self.uplinks.append(Read(phy, self.keys, data))
        return data

    def down(self, **fields: Any) -> bytes:
        """The next downlink; fields are `Data`'s."""
        return self.next(**fields).phy(self.keys)

    def next(self, **fields: Any) -> Data:
        """The next downlink in clear."""
        data = Data(**({"address": self.address, "counter": self.next_down} | fields))
        self.next_down = data.counter + 1
        return data

    def confirm(self, lora_packet: LoraPacket) -> int:
        """Have lora-packet read all frames: the same in every field, or AssertionError; how many there
        were."""
        jobs: list[Job] = [
            {"do": "joinRequest", "phy": phy.hex(), "appKey": self.app_key.hex()} for phy, _ in self.requests
        ]
        expected: list[Job] = [
            {
                "type": "Join Request",
                "joinEui": request.join_eui.hex(),
                "devEui": request.dev_eui.hex(),
                "devNonce": request.dev_nonce,
                "mic": True,
            }
            for _, request in self.requests
        ]
        jobs += [job_of(read) for read in self.uplinks]
        expected += [answer_of(read) for read in self.uplinks]
        for job, answer, wanted in zip(jobs, lora_packet.ask(jobs), expected, strict=True):
            assert answer == wanted, job["phy"]
        return len(jobs)


def job_of(read: Read) -> Job:
    """What lora-packet needs to read a data frame."""
    return {
        "do": "data",
        "phy": read.phy.hex(),
        "nwkSKey": read.keys.nwk_s_key.hex(),
        "appSKey": read.keys.app_s_key.hex(),
        "counter": read.data.counter,
    }


def answer_of(read: Read) -> Job:
    """What it has to say about it. FCtrl's bits 4 and 6 have two names each, one per direction."""
    data = read.data
    return {
        "type": TYPES[read.direction, data.confirmed],
        "direction": "down" if read.direction else "up",
        "confirmed": data.confirmed,
        "address": data.address,
        "counter": data.counter & 0xFFFF,
        "adr": bool(data.control & network.ADR),
        "adrAckReq": bool(data.control & network.ADR_ACK_REQ),
        "ack": bool(data.control & network.ACK),
        "pending": bool(data.control & network.PENDING),
        "fopts": data.fopts.hex(),
        "port": data.port,
        "payload": data.payload.hex(),
        "mic": True,
    }


def recipe_of(data: Data, keys: Keys) -> Job:
    """What lora-packet needs to make a downlink."""
    return {
        "do": "makeDownlink",
        "nwkSKey": keys.nwk_s_key.hex(),
        "appSKey": keys.app_s_key.hex(),
        "confirmed": data.confirmed,
        "address": data.address,
        "counter": data.counter,
        "adr": bool(data.control & network.ADR),
        "ack": bool(data.control & network.ACK),
        "pending": bool(data.control & network.PENDING),
        "fopts": data.fopts.hex(),
        "port": data.port,
        "payload": data.payload.hex(),
    }


def accept_recipe_of(accept: Accept, app_key: bytes) -> Job:
    """What lora-packet needs to make a join accept."""
    return {
        "do": "makeJoinAccept",
        "appKey": app_key.hex(),
        "joinNonce": accept.join_nonce.hex(),
        "netId": accept.net_id.hex(),
        "address": accept.address,
        "dlSettings": accept.dl_settings,
        "rxDelay": accept.rx_delay,
        "cfList": accept.cf_list.hex(),
    }
