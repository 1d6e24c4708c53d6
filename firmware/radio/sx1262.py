"""SX1262 over SPI, a driver for `transceiver.Transceiver`.

Section numbers are those of the SX1261/2 datasheet, revision 2.1. Start-up, self-test and the texts of
errors are in modules of their own, which leave the heap after use. docs/radio.md lists what the chip lacks.
"""

import struct
import time

from micropython import const

from radio import Packet
from radio.transceiver import fault

# What `outcome` answers, see transceiver.
_OPEN = const(0)
_BEGUN = const(1)
_DONE = const(2)
_NOTHING = const(3)

# 13.3.1: interrupt flags.
_TX_DONE = const(0x0001)
_RX_DONE = const(0x0002)
_HEADER_VALID = const(0x0010)
_HEADER_ERROR = const(0x0020)
_CRC_ERROR = const(0x0040)
_TIMEOUT = const(0x0200)
# Those that raise DIO1.
_SENDING = const(0x0201)
_LISTENING = const(0x0262)

# 9.6: 0x96 boosted, about 2 mA more while receiving; 0x94 power saving. Sleep forgets it.
_RX_GAIN = const(0x96)
# 13.4.4: ramp of 200 us.
_RAMP = const(0x04)
# Table 12-1: over-current limit of 140 mA, in steps of 2.5.
_CURRENT_LIMIT = const(0x38)
# The most that SetLoRaSymbNumTimeout can count: 31 * 2^3.
_MOST_SYMBOLS = const(248)
# BUSY is high for the start of a TCXO and all calibrations at most.
_BUSY_US = const(100000)


class Sx1262:
    """spi: machine.SPI of at most 10 MHz, mode 0; nss, reset: machine.Pin, outputs at 1; busy, dio1: inputs.

    dio1 may be None: the chip is asked instead. DIO2 switches the antenna. tcxo_mv: what DIO3 gives the TCXO
    (1600 to 3300), None with a crystal; tcxo_us: its time to start; dcdc: the converter has its inductor.
    """

    NAME = "sx1262"
    # Table 8-2: 105 us from STDBY_XOSC, and the ramp.
    LATENCY_US = 305

    def __init__(self, spi, nss, reset, busy, dio1=None, tcxo_mv=None, tcxo_us=5000, dcdc=True):
        self.spi = spi
        self.nss = nss
        self.reset = reset
        self.busy = busy
        self.dio1 = dio1
        self.tcxo_mv = tcxo_mv
        self.tcxo_us = tcxo_us
        self.dcdc = dcdc
        self.asleep = False
        self._go = b""
        self._last = 0

    def transfer(self, data, more=None, answer=None):
        """One frame when BUSY is low: `data` and `more`, then as many bytes as the buffer `answer` holds."""
        self._select()
        self.spi.write(data)
        if more:
            self.spi.write(more)
        if answer:
            self.spi.readinto(answer)
        self.nss(1)
        self._last = 0

    def _select(self):
        if self.busy():
            begun = time.ticks_us()
            while self.busy():
                if time.ticks_diff(time.ticks_us(), begun) > _BUSY_US:
                    raise fault(self, "busy")
        self.nss(0)

    def _exchange(self, data):
        """What comes out while `data` goes in; its second byte says what became of the command before (13.5.1).

        RadioError if that was not taken: 3 not in time, 4 not understood, 5 not carried out.
        """
        echo = bytearray(len(data))
        self._select()
        self.spi.write_readinto(data, echo)
        self.nss(1)
        status, last = echo[1], self._last
        self._last = 0
        if last and (status in (0, 255) or 2 < (status >> 1 & 7) < 6):
            raise fault(self, "status", (status, last))
        return echo

    def ask(self, opcode):
        """16 bits that a Get command answers: interrupt flags 0x12, errors 0x17, ...

        GetStatus itself is said to upset a chip that receives.
        """
        echo = self._exchange(bytes((opcode, 0, 0, 0)))
        return echo[2] << 8 | echo[3]

    def write(self, *data):
        """A command of two bytes or more."""
        self._exchange(bytes(data))
        self._last = data[0]

    def check_errors(self):
        """Raise RadioError if an oscillator, the PLL, the amplifier or a calibration failed (13.6.1)."""
        errors = self.ask(0x17)
        if errors:
            raise fault(self, "errors", errors)

    def read(self, address):
        """A register's value."""
        return self._exchange(bytes((0x1D, address >> 8, address & 255, 0, 0)))[4]

    def change(self, address, mask, value):
        """Write the bits of `mask` of a register."""
        value |= self.read(address) & ~mask
        self.write(0x0D, address >> 8, address & 255, value & 255)

    def _tune(self, frequency, sf, width, slow, size, receive):
        """What sending and receiving have in common; the oscillator does not run yet."""
        if self.asleep:
            # 9.3: the falling edge of NSS wakes it.
            self.asleep = False
            self.nss(0)
            self.spi.write(b"\xc0\x00")
            self.nss(1)
            # Waking up, it may say that the TCXO did not start, for which nobody had asked.
            self.write(0x07, 0, 0)
        self.transfer(b"\x80\x00")
        word = self.read(0x0740), self.read(0x0741)
        if word != (0x34, 0x44):
            raise fault(self, "lost", word)
        # 13.4.1: steps of 32 MHz / 2^25.
        self.write(0x86, *struct.pack(">I", (frequency << 14) // 15625))
        self.write(0x8B, sf, 4 + width, 1, slow)
        self.write(0x8C, 0, 8, 0, size, not receive, receive)
        # 15.4: after SetPacketParams, which undoes it.
        self.change(0x0736, 4, 0 if receive else 4)
        self.write(0x8F, 0, 0)
        flags = _LISTENING if receive else _SENDING
        self.write(0x08, *struct.pack(">4H", flags | _HEADER_VALID, flags, 0, 0))
        self.write(0x02, 0x03, 0xFF)

    def _warm_up(self, opcode, limit_us):
        """Start the oscillator and prepare the command that starts; the timer counts 15.625 us."""
        self.write(0x80, 1)
        self.check_errors()
        self._go = struct.pack(">I", opcode << 24 | limit_us // 125 * 8)

    def load(self, frequency, sf, width, slow, power, payload, limit_us):
        """See transceiver. -17 to 22 dBm; the next that there is."""
        self._tune(frequency, sf, width, slow, len(payload), 0)
        # Table 13-21: paDutyCycle and hpMax for so many dBm, 22 in SetTxParams; 1 less there is 1 dB less.
        most, amplifier = 14, b"\x02\x02"
        if power > 20:
            most, amplifier = 22, b"\x04\x07"
        elif power > 17:
            most, amplifier = 20, b"\x03\x05"
        elif power > 14:
            most, amplifier = 17, b"\x02\x03"
        self.write(0x95, *amplifier, 0, 1)
        self.change(0x08E7, 255, _CURRENT_LIMIT)
        self.write(0x8E, max(-9, min(22, 22 - most + power)) & 255, _RAMP)
        # 15.1: before each transmission.
        self.change(0x0889, 4, 4 if width < 2 else 0)
        self.transfer(b"\x0e\x00", payload)
        self._warm_up(0x83, limit_us)

    def listen(self, frequency, sf, width, slow, symbols, limit_us):
        """See transceiver."""
        self._tune(frequency, sf, width, slow, 255, 1)
        self.change(0x08AC, 255, _RX_GAIN)
        # 13.4.9, and the register behind it (Semtech's sx126x_driver): mantissa * 2^(2 * exponent + 1).
        # Beyond what it can count the chip's timer closes the window, later by a preamble and a header.
        mantissa, exponent = 0 if symbols > _MOST_SYMBOLS else (symbols + 1) // 2, 0
        while mantissa > 31:
            mantissa = (mantissa + 3) // 4
            exponent += 1
        self.write(0xA0, mantissa << 2 * exponent + 1)
        if mantissa:
            self.change(0x0706, 255, mantissa << 3 | exponent)
        self._warm_up(0x82, limit_us)

    def begin(self):
        """See transceiver."""
        self.transfer(self._go)

    def outcome(self):
        """See transceiver."""
        flags = self.ask(0x12)
        if flags & (_HEADER_ERROR | _CRC_ERROR):
            return _NOTHING
        if flags & (_TX_DONE | _RX_DONE):
            return _DONE
        if flags & _TIMEOUT:
            return _NOTHING
        return _BEGUN if flags & _HEADER_VALID else _OPEN

    def deaf(self):
        """See transceiver: its timer has ended every window."""
        return True

    def packet(self, end):
        """See transceiver."""
        size, start = divmod(self.ask(0x13), 256)
        payload = bytearray(size)
        self.transfer(bytes((0x1E, start, 0)), None, payload)
        # 13.5.3: -RSSI * 2, SNR * 4 with a sign.
        levels = self.ask(0x14)
        # 15.3: stop the timer and forget its event, or it may end what comes next.
        self.change(0x0902, 255, 0)
        self.change(0x0944, 2, 2)
        return Packet(bytes(payload), -(levels >> 9), ((levels & 255 ^ 128) - 126) >> 2, end)

    def rest(self):
        """See transceiver. Warm start: settings stay."""
        if not self.asleep:
            self.asleep = True
            self.transfer(b"\x80\x00")
            self.transfer(b"\x84\x04")
            # 13.1.1: deaf for so long.
            time.sleep_us(500)
