"""The wires of an SX1276: registers that hold what is written, bursts, a FIFO. It knows no radio waves."""

from fake_bus import Bus, Line
from world import world

AFTER_RESET = {
    0x01: 0x09,
    0x06: 0x6C,
    0x07: 0x80,
    0x09: 0x4F,
    0x0A: 0x09,
    0x0B: 0x2B,
    0x0C: 0x20,
    0x2F: 0x20,
    0x31: 0xC3,
    0x33: 0x27,
    0x36: 0x03,
    0x39: 0x12,
    0x3A: 0x65,
    0x3B: 0x1D,
    0x42: 0x12,
    0x4D: 0x84,
}


class FakeSx1276:
    """`frames` are what was written, as bytes; after_start(mode) is called when a mode on the air begins."""

    def __init__(self):
        self.dio0, self.dio1 = Line(26), Line(33)
        self.nss, self.reset = Line(18, value=1), Line(23, value=1)
        self.spi = Bus(self.nss, self)
        self.reset.watch = self._reset
        self.after_start = lambda mode: None
        self.broken = False
        self.calibrating = 0
        self._reset(1)

    def _reset(self, level):
        self.registers = dict(AFTER_RESET)
        self.fsk = {0x3B: 0x82}
        self.fifo = bytearray(256)
        self.frames = []
        self.history = []
        self.dio0.level = self.dio1.level = 0
        self.started_us = None

    def select(self):
        """NSS fell."""

    @property
    def mode(self):
        return self.registers[0x01]

    def _page(self, register):
        return self.fsk if register == 0x3B and not self.mode & 0x80 else self.registers

    def answer(self, written, count):
        """What MISO says after the address."""
        if self.broken:
            return bytes(count)
        if written[0] == 0:
            at = self.registers.get(0x0D, 0)
            return bytes([self.fifo[(at + i) & 255] for i in range(count)])
        if written[0] == 0x3B and not self.mode & 0x80 and self.calibrating:
            self.calibrating -= 1
            return bytes((self.fsk[0x3B] | 0x20,))
        return bytes([self._page(written[0] + i).get(written[0] + i, 0) for i in range(count)])

    def end(self, written):
        """A frame is over."""
        if self.broken or len(written) < 2:
            return
        self.frames.append(written)
        first = written[0] & 0x7F
        if first == 0:
            if self.mode in (0x80, 0x00):
                raise AssertionError("the FIFO is out of reach in sleep")
            at = self.registers.get(0x0D, 0)
            self.fifo[at : at + len(written) - 1] = written[1:]
            return
        for i, value in enumerate(written[1:]):
            self._write(first + i, value)

    def _write(self, register, value):
        self.history.append((register, value))
        if register == 0x12:
            self.registers[0x12] = self.registers.get(0x12, 0) & ~value
            self.dio0.drive(0)
            self.dio1.drive(0)
            return
        if register == 0x01 and (value ^ self.mode) & 0x80 and self.mode & 7:
            raise AssertionError("LoRa mode begins and ends in sleep only")
        self._page(register)[register] = value
        if register == 0x01 and value in (0x83, 0x86, 0x87):
            self.started_us = world.now_us
            self.after_start(value)

    def finish(self, after_us, flags, line=None, standby=True):
        """Flags come up `after_us` from now and `line` with them; `standby` when that ends it."""

        def action():
            self.registers[0x12] = self.registers.get(0x12, 0) | flags
            if standby:
                self.registers[0x01] = 0x81
            if line is not None:
                line.drive(1)

        world.at(world.now_us + after_us, action)

    def last(self, register):
        """What was written to a register last."""
        return [value for written, value in self.history if written == register][-1]
