"""A driver for tests: it does what the data sheet says, and one thing differently if the test wants it."""

from __future__ import annotations

from collections.abc import Iterable

from tools.tests.chips.sx1262_antenna import TestAntenna
from zaehlwerk_tools.simulator.chips.chip import FOREVER
from zaehlwerk_tools.simulator.chips.sx1262 import Sx1262

US = 1_000
MS = 1_000_000
BYTE_NS = 1_000
"""SPI at 8 MHz."""
START_NS = 1_700_000_000_000_000_000

F_868_1 = 868_100_000

# Commands in the words of the data sheet.
SET_SLEEP, SET_STANDBY, SET_FS, SET_TX, SET_RX = 0x84, 0x80, 0xC1, 0x83, 0x82
STOP_TIMER_ON_PREAMBLE, SET_RX_DUTY_CYCLE, SET_CAD = 0x9F, 0x94, 0xC5
SET_TX_CONTINUOUS_WAVE, SET_TX_INFINITE_PREAMBLE = 0xD1, 0xD2
SET_REGULATOR_MODE, CALIBRATE, CALIBRATE_IMAGE = 0x96, 0x89, 0x98
SET_PA_CONFIG, SET_FALLBACK = 0x95, 0x93
WRITE_REGISTER, READ_REGISTER, WRITE_BUFFER, READ_BUFFER = 0x0D, 0x1D, 0x0E, 0x1E
SET_DIO_IRQ_PARAMS, GET_IRQ_STATUS, CLEAR_IRQ_STATUS = 0x08, 0x12, 0x02
SET_DIO2, SET_DIO3 = 0x9D, 0x97
SET_RF_FREQUENCY, SET_PACKET_TYPE, GET_PACKET_TYPE = 0x86, 0x8A, 0x11
SET_TX_PARAMS, SET_MODULATION, SET_PACKET, SET_CAD_PARAMS = 0x8E, 0x8B, 0x8C, 0x88
SET_BUFFER_BASE, SET_SYMBOLS = 0x8F, 0xA0
GET_STATUS, GET_RX_BUFFER_STATUS, GET_PACKET_STATUS = 0xC0, 0x13, 0x14
GET_RSSI_INST, GET_STATS, RESET_STATS = 0x15, 0x10, 0x00
GET_DEVICE_ERRORS, CLEAR_DEVICE_ERRORS = 0x17, 0x07

TX_DONE, RX_DONE, PREAMBLE, HEADER_VALID, HEADER_ERR = 1 << 0, 1 << 1, 1 << 2, 1 << 4, 1 << 5
CRC_ERR, CAD_DONE, CAD_DETECTED, TIMEOUT = 1 << 6, 1 << 7, 1 << 8, 1 << 9
ALL_IRQS = (1 << 10) - 1

STANDBY_RC, STANDBY_XOSC, FS, RX, TX = 2, 3, 4, 5, 6

TCXO_1V8 = 2
TCXO_5_MS = 320


class Driver:
    """A chip on a board with its own time. `tcxo_mv` and `dio2_switch` are the board's."""

    def __init__(self, *, tcxo_mv: int | None = 1800, dio2_switch: bool = True, powered: bool = True) -> None:
        self.antenna = TestAntenna()
        self.chip = Sx1262(self.antenna, tcxo_mv=tcxo_mv, dio2_switch=dio2_switch)
        self.now = START_NS
        self.tcxo = tcxo_mv is not None
        if powered:
            self.chip.supply(self.now, True)

    @property
    def complaints(self) -> list[str]:
        return [violation.what for violation in self.chip.violations]

    @property
    def busy(self) -> int:
        return self.chip.lines(self.now)["busy"]

    @property
    def dio1(self) -> int:
        return self.chip.lines(self.now)["dio1"]

    def wait(self, duration_ns: int) -> None:
        """Time passes."""
        self.now += duration_ns
        self.chip.lines(self.now)

    def until_next_change(self) -> None:
        """Time passes until the chip does something by itself."""
        assert self.chip.next_change() < FOREVER
        self.now = max(self.now, self.chip.next_change())
        self.chip.lines(self.now)

    def until_ready(self) -> int:
        """Wait for BUSY; how long that took, ns."""
        before = self.now
        while self.busy:
            self.until_next_change()
        return self.now - before

    def spi(self, sent: Iterable[int]) -> bytes:
        """One transaction, whatever BUSY says."""
        out = bytes(sent)
        self.chip.select(self.now, 0)
        self.now += US
        got = self.chip.transfer(self.now, out, self.now + len(out) * BYTE_NS)
        self.now += len(out) * BYTE_NS
        self.chip.select(self.now, 1)
        return got

    def command(self, *sent: int) -> bytes:
        """A command, when the chip is ready for it."""
        self.until_ready()
        return self.spi(sent)

    def get(self, opcode: int, count: int) -> bytes:
        """The answer to a Get… command, without its status."""
        return self.command(opcode, 0, *bytes(count))[2:]

    def status(self) -> tuple[int, int]:
        """Chip mode and command status."""
        status = self.command(GET_STATUS, 0)[1]
        return status >> 4 & 7, status >> 1 & 7

    @property
    def irqs(self) -> int:
        return int.from_bytes(self.get(GET_IRQ_STATUS, 2), "big")

    @property
    def errors(self) -> int:
        return int.from_bytes(self.get(GET_DEVICE_ERRORS, 2), "big")

    def read(self, address: int, count: int = 1) -> bytes:
        return self.command(READ_REGISTER, *address.to_bytes(2, "big"), 0, *bytes(count))[4:]

    def write(self, address: int, *data: int) -> None:
        self.command(WRITE_REGISTER, *address.to_bytes(2, "big"), *data)

    def read_buffer(self, offset: int, count: int) -> bytes:
        return self.command(READ_BUFFER, offset, 0, *bytes(count))[3:]

    def fill(self, offset: int, payload: bytes) -> None:
        self.command(WRITE_BUFFER, offset, *payload)

    # -- what a driver does

    def start(self, *, interrupts: bool = True) -> None:
        """Clock, calibration, antenna switch, interrupts."""
        self.until_ready()
        if self.tcxo:
            self.command(SET_DIO3, TCXO_1V8, *TCXO_5_MS.to_bytes(3, "big"))
            self.command(CLEAR_DEVICE_ERRORS, 0, 0)
            self.command(CALIBRATE, 0x7F)
        self.command(SET_DIO2, 1)
        self.command(CALIBRATE_IMAGE, 0xD7, 0xDB)
        self.command(SET_PACKET_TYPE, 1)
        if interrupts:
            self.interrupts(ALL_IRQS, ALL_IRQS)
        self.frequency(F_868_1)

    def interrupts(self, mask: int, dio1: int = 0, dio2: int = 0, dio3: int = 0) -> None:
        self.command(SET_DIO_IRQ_PARAMS, *b"".join(m.to_bytes(2, "big") for m in (mask, dio1, dio2, dio3)))

    def frequency(self, hertz: int) -> None:
        self.command(SET_RF_FREQUENCY, *((hertz << 25) // 32_000_000).to_bytes(4, "big"))

    def modulate(self, sf: int = 9, bandwidth: int = 4, coding_rate: int = 1, low_rate: int = 0) -> None:
        self.command(SET_MODULATION, sf, bandwidth, coding_rate, low_rate)

    def packet(
        self,
        length: int = 255,
        *,
        inverted: bool = False,
        implicit: bool = False,
        crc: bool = True,
        workaround: bool = True,
    ) -> None:
        self.command(SET_PACKET, 0, 8, int(implicit), length, int(crc), int(inverted))
        if workaround:
            polarity = self.read(0x0736)[0]
            self.write(0x0736, polarity & ~4 if inverted else polarity | 4)

    def ready_to_send(self, payload: bytes = b"hello") -> None:
        """Everything before SetTx."""
        self.start()
        self.write(0x08D8, self.read(0x08D8)[0] | 0x1E)
        self.command(SET_PA_CONFIG, 4, 7, 0, 1)
        self.command(SET_TX_PARAMS, 14, 0x02)
        self.modulate()
        self.packet(len(payload))
        self.write(0x0889, self.read(0x0889)[0] | 0x04)
        self.fill(0, payload)

    def ready_to_receive(self, sf: int = 9) -> None:
        """Everything before SetRx, as for a LoRaWAN downlink."""
        self.start()
        self.write(0x0740, 0x34, 0x44)
        self.modulate(sf=sf)
        self.packet(inverted=True, crc=False)

    def send(self, timeout: int = 0) -> None:
        self.command(SET_TX, *timeout.to_bytes(3, "big"))

    def receive(self, timeout: int = 0) -> None:
        """SetRx, and wait until the receiver is open."""
        self.command(SET_RX, *timeout.to_bytes(3, "big"))
        self.until_ready()
