"""SX1276 and its relatives with the same core (RFM95, SX1277 to 1279) over SPI, amplifier on PA_BOOST.

A driver for `transceiver.Transceiver`. Section numbers are those of the SX1276 datasheet, revision 7;
"errata" is Semtech's errata note for the SX1276/77/78. Start-up, self-test and the texts of errors are in
modules of their own, which leave the heap after use.
"""

import time

from micropython import const

from radio import Packet
from radio.transceiver import fault

# What `outcome` answers, see transceiver.
_OPEN = const(0)
_BEGUN = const(1)
_DONE = const(2)
_NOTHING = const(3)

# Table 41: registers in LoRa mode.
_OP_MODE = const(0x01)
_FRF = const(0x06)
_FIFO_ADDRESS = const(0x0D)
_RX_CURRENT = const(0x10)
_IRQ_FLAGS = const(0x12)
_RX_BYTES = const(0x13)
_SNR = const(0x19)
_RSSI = const(0x1A)
_MODEM = const(0x1D)
_MODEM_3 = const(0x26)
_IF_FREQUENCY = const(0x2F)
_DETECT = const(0x31)
_INVERT_IQ = const(0x33)
_HIGH_BW_1 = const(0x36)
_SYNC_WORD = const(0x39)
_HIGH_BW_2 = const(0x3A)
_INVERT_IQ_2 = const(0x3B)
_DIO_MAPPING = const(0x40)
_WRITE = const(0x80)

# RegOpMode in LoRa mode.
_SLEEP = const(0x80)
_STANDBY = const(0x81)
_RX_SINGLE = const(0x86)

# RegIrqFlags.
_RX_TIMEOUT = const(0x80)
_RX_DONE = const(0x40)
_CRC_ERROR = const(0x20)
_HEADER_VALID = const(0x10)
_TX_DONE = const(0x08)

# Section 5.4.4: 100 mA; 17 dBm take 87.
_CURRENT_LIMIT = const(0x2B)
# RegLna: highest gain (the AGC takes it over), 150 % current in the high band.
_LNA = const(0x23)


class Sx1276:
    """spi: machine.SPI of at most 10 MHz, mode 0; nss, reset: machine.Pin, outputs at 1; dio0, dio1: inputs.

    Either of the latter may be None: the chip is asked instead.
    """

    NAME = "sx1276"
    # Section 2.5: TS_FS 60 us, TS_TR 120 us.
    LATENCY_US = 180

    def __init__(self, spi, nss, reset, dio0=None, dio1=None):
        self.spi = spi
        self.nss = nss
        self.reset = reset
        self.dio0 = dio0
        self.dio1 = dio1
        self._go = b""
        self._one = bytearray(1)

    def transfer(self, data, more=None, answer=None):
        """One frame on the bus: `data` and `more`, then as many bytes as the buffer `answer` holds."""
        self.nss(0)
        self.spi.write(data)
        if more:
            self.spi.write(more)
        if answer:
            self.spi.readinto(answer)
        self.nss(1)

    def read(self, register):
        """A register's value."""
        self.transfer(bytes((register,)), None, self._one)
        return self._one[0]

    def write(self, register, *values):
        """Write registers in a row, the first of which is `register`."""
        self.transfer(bytes((register | _WRITE,) + values))  # noqa: RUF005 - MicroPython cannot do that

    def standby(self):
        """Off the air, oscillator on. RadioError when the chip does not go there or lost its settings."""
        self.write(_OP_MODE, _STANDBY)
        time.sleep_us(500)  # section 2.5: TS_OSC 250
        found = self.read(_OP_MODE), self.read(_SYNC_WORD)
        if found != (_STANDBY, 0x34):
            raise fault(self, "lost", found)

    def _tune(self, frequency, sf, width, slow, size, symbols, power):
        """Everything but the payload; a transmission has no symbols, a window no power."""
        self.standby()
        # 4.1.4: steps of 32 MHz / 2^19.
        steps = (frequency << 8) // 15625
        self.write(
            _FRF,
            steps >> 16,
            steps >> 8 & 255,
            steps & 255,
            0xF0 | max(2, min(17, power)) - 2,  # 5.4.2: PA_BOOST, 17 - (15 - n) dBm
            0x09,  # ramp of 40 us
            _CURRENT_LIMIT,
            _LNA,
        )
        self.write(_FIFO_ADDRESS, 0, 0, 0)
        self.write(
            _MODEM,
            (7 + width) << 4 | 2,  # CR 4/5, explicit header
            sf << 4 | symbols >> 8 | (0 if symbols else 4),  # CRC on what is sent
            symbols & 255,
            0,
            8,  # preamble
            size,
            255,  # longest payload
        )
        self.write(_MODEM_3, slow << 3 | 4)  # AGC on
        if width < 2:
            # Errata 2.3: no automatic intermediate frequency, or it hears what is not there. 2.1 undone.
            self.write(_DETECT, 0x43)
            self.write(_IF_FREQUENCY, 0x40, 0x00)
            self.write(_HIGH_BW_1, 0x03)
        else:
            # Errata 2.1: sensitivity at 500 kHz, from 862 MHz on.
            self.write(_DETECT, 0xC3)
            self.write(_HIGH_BW_1, 0x02)
            self.write(_HIGH_BW_2, 0x64)
        # Bit 0 is 1 for sending without inversion, unlike the datasheet (LoRaMac-node sx1276Regs-LoRa.h).
        self.write(_INVERT_IQ, 0x67 if symbols else 0x27)
        self.write(_INVERT_IQ_2, 0x19 if symbols else 0x1D)
        # Table 18: DIO0 is RxDone or TxDone, DIO1 is RxTimeout.
        self.write(_DIO_MAPPING, 0x00 if symbols else 0x40)
        self.write(_IRQ_FLAGS, 255)

    def load(self, frequency, sf, width, slow, power, payload, _):
        """See transceiver. 2 to 17 dBm, the next that there is. The chip has no timer for it."""
        self._tune(frequency, sf, width, slow, len(payload), 0, power)
        self.transfer(b"\x80", payload)
        self._go = b"\x81\x83"

    def listen(self, frequency, sf, width, slow, symbols, _):
        """See transceiver. 4 to 1023 symbols, the next that there are."""
        self._tune(frequency, sf, width, slow, 255, max(4, min(1023, symbols)), 2)
        self._go = b"\x81\x86"

    def begin(self):
        """See transceiver."""
        self.transfer(self._go)

    def outcome(self):
        """See transceiver."""
        flags = self.read(_IRQ_FLAGS)
        if flags & (_CRC_ERROR | _RX_TIMEOUT):
            return _NOTHING
        if flags & (_TX_DONE | _RX_DONE):
            return _DONE
        return _BEGUN if flags & _HEADER_VALID else _OPEN

    def deaf(self):
        """See transceiver. Not while it listens: it took noise for a preamble and has no time-out then."""
        return self.read(_OP_MODE) != _RX_SINGLE

    def packet(self, end):
        """See transceiver."""
        payload = bytearray(self.read(_RX_BYTES))
        self.write(_FIFO_ADDRESS, self.read(_RX_CURRENT))
        self.transfer(b"\x00", None, payload)
        # 5.5.5: below the noise the SNR counts, above it the slope is 16/15.
        snr = (self.read(_SNR) ^ 128) - 128
        rssi = self.read(_RSSI)
        rssi += snr // 4 if snr < 0 else rssi // 15
        return Packet(bytes(payload), rssi - 157, (snr + 2) >> 2, end)

    def rest(self):
        """See transceiver. Sleep keeps the registers of LoRa mode."""
        self.write(_OP_MODE, _SLEEP)
