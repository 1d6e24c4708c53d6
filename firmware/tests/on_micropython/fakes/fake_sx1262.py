"""The wires of an SX1262: remembers commands and registers, answers Get commands. It knows no radio waves."""

from fake_bus import Bus, Line
from world import world

# Table 8-2 and 13.1.12: how long BUSY is high, with a TCXO of 5 ms.
WAKE_US = 340
BUSY_US = {b"\x80\x01": 5030, b"\x89\x7f": 8500, b"\x98\xd7": 7000}

GET = {0x12: "irq", 0x13: "buffer_status", 0x14: "packet_status", 0x17: "errors"}


class FakeSx1262:
    """`commands` are the frames that were written, as bytes; the test sets what Get commands answer.

    after_start(opcode) is called when SetTx or SetRx came; it may call `finish` for later.
    """

    def __init__(self):
        self.busy, self.dio1 = Line(13), Line(14)
        self.nss, self.reset = Line(8, value=1), Line(12, value=1)
        self.spi = Bus(self.nss, self)
        self.reset.watch = self._reset
        self.after_start = lambda opcode: None
        self.broken = False
        self._reset(1)

    def _reset(self, level):
        self.registers = {0x0740: 0x14, 0x0741: 0x24, 0x0736: 0x0D, 0x0889: 0x01, 0x08D8: 0xC8}
        self.commands = []
        self.buffer = bytearray(256)
        self.status = 0x22
        self.irq = self.buffer_status = self.packet_status = self.errors = 0
        self.asleep = False
        self.dio1.level = 0
        self.started_us = None
        self._ready_us = 0
        if not self.broken:
            self.busy.level = 0

    def select(self):
        """NSS fell: it wakes, or takes a command if it is not BUSY."""
        if self.asleep:
            self.asleep = False
            self._work(WAKE_US)
        elif self.busy.level and not self.broken:
            raise AssertionError("a command while BUSY is high")

    def _work(self, us):
        """BUSY is high for so long."""
        if not self.broken:
            self.busy.level = 1
            self._ready_us = world.now_us + us
            world.at(self._ready_us, self._done)

    def _done(self):
        if world.now_us >= self._ready_us and not self.asleep and not self.broken:
            self.busy.level = 0

    def echo(self, written):
        """What MISO says while `written` goes in."""
        if self.broken:
            return bytes(len(written))
        opcode, out = written[0], bytearray(bytes((self.status,)) * len(written))
        if opcode in GET:
            value = getattr(self, GET[opcode])
            out[2], out[3] = value >> 8, value & 255
        elif opcode == 0x1D:
            address = written[1] << 8 | written[2]
            for i in range(4, len(out)):
                out[i] = self.registers.get(address + i - 4, 0)
        return out

    def answer(self, written, count):
        """What MISO says after `written`."""
        if self.broken:
            return bytes(count)
        if written[0] == 0x1D:
            return bytes(self.echo(written + bytes(count))[len(written) :])
        if written[0] == 0x1E:
            return bytes(self.buffer[written[1] : written[1] + count])
        raise AssertionError("nothing to read after %s" % written.hex())

    def end(self, written):
        """A frame is over."""
        if self.broken or written[0] in GET or written[0] in (0x1D, 0x1E, 0xC0):
            return
        self.commands.append(written)
        opcode = written[0]
        self._work(BUSY_US.get(bytes(written[:2]), 30))
        if opcode == 0x0D:
            for i, value in enumerate(written[3:]):
                self.registers[(written[1] << 8 | written[2]) + i] = value
        elif opcode == 0x0E:
            self.buffer[written[1] : written[1] + len(written) - 2] = written[2:]
        elif opcode == 0x8C:
            # What erratum 15.4 is about: the command sets the bit as for normal IQ.
            self.registers[0x0736] |= 4
        elif opcode == 0x02:
            self.irq = 0
            self.dio1.drive(0)
        elif opcode == 0x07:
            self.errors = 0
        elif opcode == 0x84:
            self.asleep = True
            self.busy.level = 1
        elif opcode in (0x82, 0x83):
            self.started_us = world.now_us
            self.after_start(opcode)

    def finish(self, after_us, flags, line=True):
        """Flags come up `after_us` from now, and DIO1 with them unless it is no line of theirs."""

        def action():
            self.irq |= flags
            if line:
                self.dio1.drive(1)

        world.at(world.now_us + after_us, action)

    def sent(self, opcode):
        """The arguments of all commands with this opcode."""
        return [command[1:] for command in self.commands if command[0] == opcode]
