"""A LoRaWAN 1.0.x end device of the tests, written from TS001 for itself: it shares no line with the server it tests."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC


def aes(key: bytes, blocks: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(blocks)


def mic(key: bytes, data: bytes) -> bytes:
    mac = CMAC(algorithms.AES(key))
    mac.update(data)
    return mac.finalize()[:4]


def frame_mic(key: bytes, down: int, addr: bytes, counter: int, frame: bytes) -> bytes:
    return mic(key, struct.pack("<B4xB4sIxB", 0x49, down, addr, counter, len(frame)) + frame)


def keystream(key: bytes, down: int, addr: bytes, counter: int, length: int) -> bytes:
    count = -(-length // 16)
    return aes(
        key, b"".join(struct.pack("<B4xB4sIxB", 1, down, addr, counter, i) for i in range(1, count + 1))
    )[:length]


def xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


@dataclass
class Received:
    """A data downlink, decrypted."""

    confirmed: bool
    adr: bool
    ack: bool
    pending: bool
    f_cnt: int
    f_opts: bytes
    f_port: int | None
    data: bytes


@dataclass
class VirtualDevice:
    dev_eui: str = "70b3d57ed0000001"
    key: bytes = bytes(range(16))
    join_eui: str = "0000000000000000"
    dev_nonce: int = 0
    f_cnt: int = 0
    addr: bytes = b""
    nwk: bytes = b""
    app: bytes = b""
    join_nonce: int | None = None
    accept: bytes = field(default=b"", repr=False)

    def join_request(self) -> bytes:
        body = b"\x00" + bytes.fromhex(self.join_eui)[::-1] + bytes.fromhex(self.dev_eui)[::-1]
        body += struct.pack("<H", self.dev_nonce)
        return body + mic(self.key, body)

    def take_join_accept(self, phy: bytes) -> None:
        """Check and use a join accept: AssertionError if its MIC is wrong."""
        assert phy[0] == 0x20
        clear = aes(self.key, phy[1:])
        assert clear[-4:] == mic(self.key, phy[:1] + clear[:-4]), "join accept: wrong MIC"
        self.accept = clear[:-4]
        self.join_nonce = int.from_bytes(clear[0:3], "little")
        self.addr = clear[6:10]
        seed = clear[0:6] + struct.pack("<H", self.dev_nonce) + bytes(7)
        self.nwk, self.app = aes(self.key, b"\x01" + seed), aes(self.key, b"\x02" + seed)
        self.f_cnt = 0

    def uplink(
        self,
        data: bytes = b"",
        f_port: int | None = 1,
        *,
        confirmed: bool = False,
        f_opts: bytes = b"",
        adr: bool = True,
        adr_ack_req: bool = False,
        ack: bool = False,
        f_cnt: int | None = None,
    ) -> bytes:
        counter = self.f_cnt if f_cnt is None else f_cnt
        if f_cnt is None:
            self.f_cnt += 1
        control = adr << 7 | adr_ack_req << 6 | ack << 5 | len(f_opts)
        head = bytes([0x80 if confirmed else 0x40]) + self.addr + bytes([control])
        frame = head + struct.pack("<H", counter & 0xFFFF) + f_opts
        if f_port is not None:
            key = self.app if f_port else self.nwk
            frame += bytes([f_port]) + xor(data, keystream(key, 0, self.addr, counter, len(data)))
        return frame + frame_mic(self.nwk, 0, self.addr, counter, frame)

    def take_downlink(self, phy: bytes, high: int = 0) -> Received:
        """Check and decrypt a data downlink: AssertionError if its MIC is wrong. `high`: upper half of the counter."""
        frame = phy[:-4]
        counter = high << 16 | int.from_bytes(frame[6:8], "little")
        assert frame[1:5] == self.addr, "downlink for another device"
        assert phy[-4:] == frame_mic(self.nwk, 1, self.addr, counter, frame), "downlink: wrong MIC"
        control = frame[5]
        end = 8 + (control & 15)
        port = frame[end] if len(frame) > end else None
        data = frame[end + 1 :]
        key = self.app if port else self.nwk
        return Received(
            confirmed=frame[0] == 0xA0,
            adr=bool(control & 0x80),
            ack=bool(control & 0x20),
            pending=bool(control & 0x10),
            f_cnt=counter,
            f_opts=frame[8:end],
            f_port=port,
            data=xor(data, keystream(key, 1, self.addr, counter, len(data))),
        )
