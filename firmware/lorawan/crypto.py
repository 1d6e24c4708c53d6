"""AES-CMAC (RFC 4493) and LoRaWAN's keystream, from single AES block encryptions.

`cryptolib` on the ESP32 has ECB and CBC only, so counter mode is made of ECB blocks here.
"""

import cryptolib
from micropython import const

_ECB = const(1)
_BLOCK = const(16)
_ZERO = bytes(_BLOCK)


def encrypt(key, data):
    """AES-128 ECB encryption of `data` (a multiple of 16 bytes)."""
    return cryptolib.aes(key, _ECB).encrypt(data)


def _double(block):
    """Multiplication by x in GF(2^128) (RFC 4493 section 2.3), in place."""
    carry = 0
    for i in range(_BLOCK - 1, -1, -1):
        value = block[i] << 1 | carry
        block[i] = value & 0xFF
        carry = value >> 8
    if carry:
        block[_BLOCK - 1] ^= 0x87


def cmac(key, message):
    """The 16-byte AES-CMAC of `message` under the 16-byte `key`."""
    cipher = cryptolib.aes(key, _ECB)
    subkey = bytearray(cipher.encrypt(_ZERO))
    _double(subkey)
    length = len(message)
    last_start = (length - 1) // _BLOCK * _BLOCK if length else 0
    last = bytearray(message[last_start:])
    if len(last) < _BLOCK:
        _double(subkey)
        last.append(0x80)
        last.extend(_ZERO[len(last) :])
    state = bytearray(_BLOCK)
    for start in range(0, last_start, _BLOCK):
        for i in range(_BLOCK):
            state[i] ^= message[start + i]
        state = bytearray(cipher.encrypt(state))
    for i in range(_BLOCK):
        state[i] ^= last[i] ^ subkey[i]
    return cipher.encrypt(state)


def mic(key, message):
    """The message integrity code: the first four bytes of the CMAC."""
    return bytes(cmac(key, message)[:4])


def _block(first, direction, address, counter, last):
    """The block A_i (payload) or B_0 (MIC) of LoRaWAN 1.0.4 sections 4.3.3.1 and 4.4."""
    block = bytearray(_BLOCK)
    block[0] = first
    block[5] = direction
    block[6:10] = address.to_bytes(4, "little")
    block[10:14] = counter.to_bytes(4, "little")
    block[15] = last
    return block


def crypt_payload(key, direction, address, counter, payload):
    """FRMPayload encrypted or decrypted: the same operation (LoRaWAN 1.0.4 section 4.3.3.1).

    direction: 0 up, 1 down; address and counter are 32 bits.
    """
    cipher = cryptolib.aes(key, _ECB)
    block = _block(0x01, direction, address, counter, 0)
    out = bytearray(payload)
    for start in range(0, len(out), _BLOCK):
        block[15] = start // _BLOCK + 1
        stream = cipher.encrypt(block)
        for i in range(start, min(start + _BLOCK, len(out))):
            out[i] ^= stream[i - start]
    return bytes(out)


def data_mic(key, direction, address, counter, message):
    """The MIC of a data frame; `message` is MHDR to FRMPayload (LoRaWAN 1.0.4 section 4.4)."""
    return mic(key, bytes(_block(0x49, direction, address, counter, len(message))) + message)


def session_keys(app_key, join_nonce, net_id, dev_nonce):
    """(NwkSKey, AppSKey); nonces as on the air, little-endian (LoRaWAN 1.0.4 section 6.2.5)."""
    tail = join_nonce + net_id + dev_nonce + bytes(7)
    return encrypt(app_key, b"\x01" + tail), encrypt(app_key, b"\x02" + tail)
