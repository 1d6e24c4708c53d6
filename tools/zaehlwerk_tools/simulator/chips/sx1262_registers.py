"""The SX1262's registers: SX1261/2 data sheet rev. 2.1, table 12-1, and what sleep leaves of them."""

from __future__ import annotations

import random
from typing import Final

RETENTION_LIST: Final = 0x029F
"""Section 9.6: the number of registers to keep in a warm sleep, then their addresses, two bytes each."""
RETENTION_MOST: Final = 4
VERSION: Final = 0x0320
"""Not in the data sheet; SX1262s carry the same text as SX1261s."""
PAYLOAD_LENGTH: Final = 0x0702
SYNCH_TIMEOUT: Final = 0x0706
"""Symbols until a receiver gives up: mantissa in bits 7:3, exponent in bits 2:0, as mantissa * 2^(2 * exponent + 1)."""
IQ_POLARITY: Final = 0x0736
IQ_POLARITY_STANDARD: Final = 1 << 2
"""Section 15.4: set for standard, cleared for inverted IQ."""
SYNC_WORD: Final = 0x0740
HEADER_CODING_RATE: Final = 0x0749
HEADER_CRC: Final = 0x076B
RX_ADDRESS: Final = 0x0803
RANDOM: Final = 0x0819
TX_MODULATION: Final = 0x0889
TX_MODULATION_NOT_500_KHZ: Final = 1 << 2
"""Section 15.1: cleared for LoRa with 500 kHz, set for everything else, before every transmission."""
RX_GAIN: Final = 0x08AC
TX_CLAMP: Final = 0x08D8
TX_CLAMP_SX1262: Final = 0x1E
"""Section 15.2: these bits are set after power-on and cold start."""
OCP: Final = 0x08E7
OCP_SX1262: Final = 0x38
"""140 mA; SetPaConfig sets it anew each time (section 13.1.14)."""
RTC_CONTROL: Final = 0x0902
"""Section 15.3 (where its address has a misprint): 0 stops the timer behind the time-outs."""
EVENT_CLEAR: Final = 0x0944

_DEFAULTS: Final = {
    IQ_POLARITY: 0x0D,
    SYNC_WORD: 0x14,
    SYNC_WORD + 1: 0x24,
    TX_MODULATION: 0x01,
    RX_GAIN: 0x94,
    TX_CLAMP: 0xC8,
    OCP: 0x18,
    0x0911: 0x05,
    0x0912: 0x05,
    **{VERSION + i: byte for i, byte in enumerate(b"SX1261 V2D 2D02")},
}

_LOST_IN_SLEEP: Final = (RX_GAIN, TX_MODULATION, IQ_POLARITY)
"""What Semtech's driver puts on the retention list because a warm sleep does not keep it (sx126x_init_retention_list)."""

_LORA_MODEM: Final = (SYNC_WORD, SYNC_WORD + 1, IQ_POLARITY, SYNCH_TIMEOUT)


class Registers:
    """Bytes by address. `seed`: of the random number that a listening chip draws from noise."""

    def __init__(self, seed: int) -> None:
        self._bytes = dict(_DEFAULTS)
        self._noise = random.Random(seed)

    def __getitem__(self, address: int) -> int:
        if RANDOM <= address < RANDOM + 4:
            return self._noise.getrandbits(8)
        return self._bytes.get(address, 0)

    def __setitem__(self, address: int, byte: int) -> None:
        self._bytes[address] = byte

    def read(self, address: int, count: int) -> bytes:
        """`count` bytes from `address` on; after 0xFFFF comes 0."""
        return bytes(self[(address + i) & 0xFFFF] for i in range(count))

    def cold_start(self) -> None:
        """All as after power-on."""
        self._bytes = dict(_DEFAULTS)

    def warm_start(self) -> None:
        """What is neither kept by itself nor on the retention list is as after power-on."""
        many = min(self[RETENTION_LIST], RETENTION_MOST)
        kept = {int.from_bytes(self.read(RETENTION_LIST + 1 + 2 * i, 2), "big") for i in range(many)}
        for address in _LOST_IN_SLEEP:
            if address not in kept:
                self._bytes[address] = _DEFAULTS[address]

    def other_modem(self) -> None:
        """SetPacketType switched from one modem to another."""
        for address in _LORA_MODEM:
            self._bytes[address] = _DEFAULTS.get(address, 0)

    @property
    def sync_word(self) -> int:
        """The sync word as other LoRa chips have it, one byte: 0x34 for 0x3444, 0x12 for 0x1424. With other low nibbles
        than 4 it is nobody else's sync word: then both bytes as one number."""
        high, low = self[SYNC_WORD], self[SYNC_WORD + 1]
        if high & 0x0F == 0x04 and low & 0x0F == 0x04:
            return (high & 0xF0) | low >> 4
        return high << 8 | low

    @property
    def symbols_to_lock(self) -> int:
        """Within how many symbols a receiver must lock; 0: it waits for ever."""
        coded = self[SYNCH_TIMEOUT]
        return (coded >> 3) << (2 * (coded & 7) + 1)

    @symbols_to_lock.setter
    def symbols_to_lock(self, symbols: int) -> None:
        # The chip rounds down to what it can count in, first of all to even numbers.
        mantissa, exponent = symbols >> 1, 0
        while mantissa > 31:
            mantissa, exponent = mantissa >> 2, exponent + 1
        self[SYNCH_TIMEOUT] = mantissa << 3 | exponent
