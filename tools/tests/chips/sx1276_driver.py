"""The smallest driver of an SX1276, for its tests: registers and time, with the settings that LoRaWAN in EU868 needs."""

from __future__ import annotations

from tools.tests.chips.sx1276_antenna import FakeAntenna
from zaehlwerk_tools.simulator.chips import sx1276_registers as reg
from zaehlwerk_tools.simulator.chips.sx1276 import Sx1276

US, MS = 1_000, 1_000_000
BYTE_NS = 1 * US
"""SPI at 8 MHz."""
LORA = reg.LONG_RANGE_MODE
POWERED_NS = 1_000 * MS


class Driver:
    """A powered chip after its power-on reset, and the clock."""

    def __init__(self, *, pa_boost: bool = True) -> None:
        self.antenna = FakeAntenna()
        self.chip = Sx1276(self.antenna, pa_boost=pa_boost)
        self.now = POWERED_NS
        self.chip.supply(self.now, True)
        self.wait(10 * MS)

    def wait(self, ns: int) -> None:
        """Let time pass, and all that happens in it."""
        until = self.now + ns
        while self.chip.next_change() <= until:
            self.now = max(self.now, self.chip.next_change())
            self.chip.lines(self.now)
        self.now = until

    def spi(self, out: bytes) -> bytes:
        """One transaction."""
        self.chip.select(self.now, 0)
        end = self.now + len(out) * BYTE_NS
        answer = self.chip.transfer(self.now, out, end)
        self.now = end
        self.chip.select(self.now, 1)
        return answer

    def read(self, address: int) -> int:
        return self.spi(bytes([address, 0]))[1]

    def read_many(self, address: int, count: int) -> bytes:
        return self.spi(bytes([address, *bytes(count)]))[1:]

    def write(self, address: int, *values: int) -> None:
        self.spi(bytes([address | 0x80, *values]))

    def update(self, address: int, mask: int, value: int) -> None:
        self.write(address, self.read(address) & ~mask | value)

    def mode(self, mode: int) -> None:
        self.write(reg.OP_MODE, LORA | mode)

    def lines(self) -> dict[str, int]:
        return dict(self.chip.lines(self.now))

    def what(self) -> list[str]:
        return [violation.what for violation in self.chip.violations]

    # -- settings

    def to_lora(self) -> None:
        """Into the LoRa modem's standby."""
        if not self.read(reg.OP_MODE) & LORA:
            self.write(reg.OP_MODE, reg.SLEEP)
            self.write(reg.OP_MODE, LORA | reg.SLEEP)
        self.mode(reg.STDBY)
        self.wait(250 * US)

    def frequency(self, hz: int) -> None:
        word = (hz << 19) // 32_000_000
        self.write(reg.FRF_MSB, word >> 16, word >> 8 & 0xFF, word & 0xFF)

    def modulation(self, sf: int = 7, bw: int = 7) -> None:
        """`bw`: the register's field, 7 is 125 kHz."""
        slow = (1 << sf) * (64, 48, 32, 24, 16, 12, 8, 4, 2, 1)[bw] / 500 > 16
        self.write(reg.MODEM_CONFIG_1, bw << 4 | 0x02)
        self.update(reg.MODEM_CONFIG_2, 0xF0, sf << 4)
        self.write(reg.MODEM_CONFIG_3, 0x0C if slow else 0x04)
        if bw == 9:
            self.write(reg.DETECT_OPTIMIZE, 0xC3)
            self.write(reg.HIGH_BW_OPTIMIZE_1, 0x02)
            self.write(reg.HIGH_BW_OPTIMIZE_2, 0x64)
        else:
            self.write(reg.DETECT_OPTIMIZE, 0x43)
            self.write(reg.HIGH_BW_OPTIMIZE_1, 0x03)
            self.write(reg.IF_FREQ_1, 0x40, 0x00)

    def lorawan(self, sf: int = 7) -> None:
        """Standby, 868.1 MHz, 125 kHz, 14 dBm at PA_BOOST, public sync word, whole FIFO, CRC on."""
        self.to_lora()
        self.frequency(868_100_000)
        self.modulation(sf)
        self.update(reg.MODEM_CONFIG_2, 0x04, 0x04)
        self.write(reg.SYNC_WORD, 0x34)
        self.write(reg.PA_CONFIG, 0x80 | 12)
        self.write(reg.FIFO_TX_BASE_ADDR, 0, 0)

    def load(self, payload: bytes) -> None:
        """A frame into the FIFO."""
        self.write(reg.FIFO_ADDR_PTR, self.read(reg.FIFO_TX_BASE_ADDR))
        self.write(reg.FIFO, *payload)
        self.write(reg.PAYLOAD_LENGTH, len(payload))

    def symbols(self, count: int) -> None:
        """The time-out of RXSINGLE."""
        self.update(reg.MODEM_CONFIG_2, 0x03, count >> 8)
        self.write(reg.SYMB_TIMEOUT_LSB, count & 0xFF)

    def invert(self, *, receive: bool = False, send: bool = False) -> None:
        self.write(reg.INVERT_IQ, 0x26 | (0x40 if receive else 0) | (0 if send else 1))
        self.write(reg.INVERT_IQ_2, 0x19 if receive or send else 0x1D)
