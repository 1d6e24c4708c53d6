"""A LoRaWAN 1.0.4 network's side of the frames, written from the specification with PyPI's `cryptography`.

It shares nothing with the firmware: where both agree, two readings of the specification agree. Section
numbers are those of LoRaWAN L2 1.0.4 (TS001-1.0.4). Bytes are as on the air (least significant first),
numbers are integers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

UP, DOWN = 0, 1
# MType, the upper three bits of MHDR (section 4.2.1).
JOIN_REQUEST, JOIN_ACCEPT, UNCONFIRMED_UP, UNCONFIRMED_DOWN, CONFIRMED_UP, CONFIRMED_DOWN = range(6)
# FCtrl (section 4.3.1): bit 6 is ADRACKReq in an uplink, bit 4 is FPending in a downlink.
ADR, ADR_ACK_REQ, ACK, PENDING = 0x80, 0x40, 0x20, 0x10


class Forged(ValueError):
    """The frame's MIC is not that of this key, direction and counter; or the frame cannot be one."""


def cmac(key: bytes, message: bytes) -> bytes:
    """The first four bytes of AES-CMAC (RFC 4493)."""
    mac = CMAC(algorithms.AES(key))
    mac.update(message)
    return mac.finalize()[:4]


def aes_encrypt(key: bytes, blocks: bytes) -> bytes:
    """AES-128, block by block."""
    worker = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return worker.update(blocks) + worker.finalize()


def aes_decrypt(key: bytes, blocks: bytes) -> bytes:
    """The inverse of `aes_encrypt`, which is what a network applies to a join accept (section 6.2.3)."""
    worker = Cipher(algorithms.AES(key), modes.ECB()).decryptor()
    return worker.update(blocks) + worker.finalize()


def crypt(key: bytes, direction: int, address: int, counter: int, payload: bytes) -> bytes:
    """FRMPayload encrypted or decrypted: counter mode over the blocks A_1, A_2, … (section 4.3.3)."""
    first = b"\x01" + bytes(4) + bytes([direction]) + address.to_bytes(4, "little")
    first += counter.to_bytes(4, "little") + b"\x00\x01"
    worker = Cipher(algorithms.AES(key), modes.CTR(first)).encryptor()
    return worker.update(payload) + worker.finalize()


def data_mic(key: bytes, direction: int, address: int, counter: int, message: bytes) -> bytes:
    """The MIC of a data frame: CMAC over B_0 and the message (section 4.4)."""
    block = b"\x49" + bytes(4) + bytes([direction]) + address.to_bytes(4, "little")
    block += counter.to_bytes(4, "little") + bytes([0, len(message)])
    return cmac(key, block + message)


@dataclass(frozen=True)
class JoinRequest:
    """What a join request says; EUIs as printed."""

    join_eui: bytes
    dev_eui: bytes
    dev_nonce: int


def read_join_request(app_key: bytes, phy: bytes) -> JoinRequest:
    """The fields of section 6.2.2; raises Forged."""
    if len(phy) != 23 or phy[0] != JOIN_REQUEST << 5 or cmac(app_key, phy[:-4]) != phy[-4:]:
        raise Forged(f"no join request under this key: {phy.hex()}")
    return JoinRequest(phy[8:0:-1], phy[16:8:-1], int.from_bytes(phy[17:19], "little"))


@dataclass(frozen=True)
class Accept:
    """What a join accept says. cf_list is empty or 16 bytes."""

    join_nonce: bytes
    net_id: bytes
    address: int
    dl_settings: int = 0
    rx_delay: int = 1
    cf_list: bytes = b""

    def plain(self) -> bytes:
        """MHDR and the fields of section 6.2.3, not encrypted, without MIC."""
        body = bytes([JOIN_ACCEPT << 5]) + self.join_nonce + self.net_id + self.address.to_bytes(4, "little")
        return body + bytes([self.dl_settings, self.rx_delay]) + self.cf_list

    def phy(self, app_key: bytes) -> bytes:
        """The frame."""
        plain = self.plain()
        return plain[:1] + aes_decrypt(app_key, plain[1:] + cmac(app_key, plain))


@dataclass(frozen=True)
class Keys:
    """The keys of a session; not shown."""

    nwk_s_key: bytes = field(repr=False)
    app_s_key: bytes = field(repr=False)

    @classmethod
    def derive(cls, app_key: bytes, accept: Accept, dev_nonce: int) -> Keys:
        """Section 6.2.5."""
        tail = accept.join_nonce + accept.net_id + dev_nonce.to_bytes(2, "little") + bytes(7)
        return cls(aes_encrypt(app_key, b"\x01" + tail), aes_encrypt(app_key, b"\x02" + tail))


@dataclass(frozen=True)
class Data:
    """A data frame in clear. control: the flags of FCtrl without the length of FOpts; port None: no FPort, no
    payload."""

    address: int
    counter: int
    confirmed: bool = False
    control: int = 0
    fopts: bytes = b""
    port: int | None = None
    payload: bytes = b""

    def phy(self, keys: Keys, direction: int = DOWN, mtype: int | None = None, major: int = 0) -> bytes:
        """The frame, signed and encrypted for `direction`, which decides MType too unless that is given."""
        if mtype is None:
            mtype = (CONFIRMED_UP if self.confirmed else UNCONFIRMED_UP) + direction
        message = bytes([mtype << 5 | major]) + self.address.to_bytes(4, "little")
        message += bytes([self.control | len(self.fopts)]) + (self.counter & 0xFFFF).to_bytes(2, "little")
        message += self.fopts
        if self.port is not None:
            key = keys.app_s_key if self.port else keys.nwk_s_key
            message += bytes([self.port]) + crypt(key, direction, self.address, self.counter, self.payload)
        return message + data_mic(keys.nwk_s_key, direction, self.address, self.counter, message)


def read_data(keys: Keys, direction: int, address: int, counter: int, phy: bytes) -> Data:
    """The frame in clear, if it is one of this session, direction and 32-bit counter; raises Forged."""
    if len(phy) < 12 or phy[0] not in ((UNCONFIRMED_UP + direction) << 5, (CONFIRMED_UP + direction) << 5):
        raise Forged(f"no data frame of this direction: {phy.hex()}")
    message, mic = phy[:-4], phy[-4:]
    if phy[1:5] != address.to_bytes(4, "little") or phy[6:8] != (counter & 0xFFFF).to_bytes(2, "little"):
        raise Forged(f"another session or counter: {phy.hex()}")
    if data_mic(keys.nwk_s_key, direction, address, counter, message) != mic:
        raise Forged(f"MIC: {phy.hex()}")
    end = 8 + (phy[5] & 0x0F)
    if end > len(message):
        raise Forged(f"FOpts beyond the frame: {phy.hex()}")
    port, payload = None, b""
    if message[end:]:
        port = message[end]
        key = keys.app_s_key if port else keys.nwk_s_key
        payload = crypt(key, direction, address, counter, message[end + 1 :])
        if port == 0 and message[8:end]:
            raise Forged(f"FOpts together with FPort 0: {phy.hex()}")
    confirmed = phy[0] >> 5 == CONFIRMED_UP + direction
    return Data(address, counter, confirmed, phy[5] & 0xF0, message[8:end], port, payload)
