"""The cryptography of LoRaWAN 1.0.x, from the LoRaWAN Link Layer Specification 1.0.4 (TS001) and `cryptography`'s AES and CMAC.

Keys are 16 raw bytes. Nothing here logs or names them.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

BLOCK = 16
MIC_LENGTH = 4

UPLINK = 0
DOWNLINK = 1
"""The Dir byte of the blocks A and B0 (TS001 4.3.3.1, 4.4)."""


def encrypt_blocks(key: bytes, data: bytes) -> bytes:
    """AES-128 in ECB mode of whole 16-byte blocks."""
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(data)


def decrypt_blocks(key: bytes, data: bytes) -> bytes:
    """The inverse of `encrypt_blocks`."""
    return Cipher(algorithms.AES(key), modes.ECB()).decryptor().update(data)


def cmac(key: bytes, data: bytes) -> bytes:
    """AES-CMAC (RFC 4493), truncated to the four bytes of a MIC."""
    mac = CMAC(algorithms.AES(key))
    mac.update(data)
    return mac.finalize()[:MIC_LENGTH]


def data_mic(key: bytes, direction: int, dev_addr: int, f_cnt: int, message: bytes) -> bytes:
    """MIC of a data frame (TS001 4.4): CMAC(NwkSKey, B0 | MHDR ... FRMPayload). `f_cnt` is the full 32-bit counter."""
    b0 = (
        b"\x49\x00\x00\x00\x00"
        + bytes([direction])
        + dev_addr.to_bytes(4, "little")
        + f_cnt.to_bytes(4, "little")
        + bytes([0, len(message)])
    )
    return cmac(key, b0 + message)


def crypt_payload(key: bytes, direction: int, dev_addr: int, f_cnt: int, data: bytes) -> bytes:
    """Encrypt or decrypt FRMPayload (TS001 4.3.3.1): XOR with the encrypted blocks A_1, A_2, ...; its own inverse."""
    blocks = b"".join(
        b"\x01\x00\x00\x00\x00"
        + bytes([direction])
        + dev_addr.to_bytes(4, "little")
        + f_cnt.to_bytes(4, "little")
        + bytes([0, i + 1])
        for i in range((len(data) + BLOCK - 1) // BLOCK)
    )
    stream = encrypt_blocks(key, blocks)
    return bytes(a ^ b for a, b in zip(data, stream, strict=False))


def session_keys(nwk_key: bytes, join_nonce: int, net_id: int, dev_nonce: int) -> tuple[bytes, bytes]:
    """(NwkSKey, AppSKey) of an OTAA activation (TS001 6.2.5): AES(AppKey, 01 or 02 | JoinNonce | NetID | DevNonce | 0...)."""
    tail = join_nonce.to_bytes(3, "little") + net_id.to_bytes(3, "little") + dev_nonce.to_bytes(2, "little")
    network, application = (
        encrypt_blocks(nwk_key, (bytes([kind]) + tail).ljust(BLOCK, b"\x00")) for kind in (1, 2)
    )
    return network, application


def seal_join_accept(nwk_key: bytes, mhdr: int, body: bytes) -> bytes:
    """The join accept's PHY payload (TS001 6.2.3); `body` is 12 bytes, or 28 with a CFList.

    Body and MIC are *decrypted*, so that a device that can only encrypt can read them.
    """
    mic = cmac(nwk_key, bytes([mhdr]) + body)
    return bytes([mhdr]) + decrypt_blocks(nwk_key, body + mic)
