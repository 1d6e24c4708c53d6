"""The radio of any chip: time on air, waiting for the interrupt, windows, recovery. Drivers know registers.

A driver (`sx1262.Sx1262`, `sx1276.Sx1276`) offers, all without waiting for anybody:

| name | what |
|---|---|
| `NAME`, `LATENCY_US` | the chip; from the start command to the first symbol on the air |
| `nss`, `reset`, `spi` | machine.Pin, machine.Pin, machine.SPI |
| `load(frequency, sf, width, slow, power, payload, limit_us)` | all of a transmission but its start |
| `listen(frequency, sf, width, slow, symbols, limit_us)` | all of a window but its start |
| `begin()` | the start: one short command |
| `outcome()` | `OPEN`, `BEGUN`, `DONE` or `NOTHING`, from the chip's flags |
| `deaf()` | whether the chip is to blame for a window that ended without any flag |
| `packet(end)` | what was received |
| `rest()` | off the air and asleep; nothing when it sleeps already |

width: 0 to 2 for 125, 250, 500 kHz; slow: low data rate optimisation; limit_us: when a chip with a timer
gives up, in a window only if no header came. Everything may raise RadioError.
"""

import asyncio
import sys
import time

from micropython import const

from radio import Radio, RadioError

# What became of a transmission or a window. A packet has begun when its header was valid.
_OPEN = const(0)
_BEGUN = const(1)
_DONE = const(2)

# Symbols from the first of a packet to its valid header: preamble 8, sync word 4.25, header 8; some to spare.
_HEADER = const(25)
# Symbols of the longest packet: 255 bytes with CRC at SF7 are 20.25 + 74 blocks of 5.
_LONGEST = const(395)
# So late the handler of an interrupt may be before the chip is asked; and so often it is asked from then on.
_LATE_US = const(10000)
_ASK_US = const(20000)
# Low data rate optimisation from this length of a symbol on (SX1276 4.1.1.6, SX1261/2 6.1.1.4).
_SLOW_US = const(16000)
_NEVER = const(0x1FFFFFFF)


def once(name, *arguments):
    """Call `run` of a module of this package, which leaves the heap after its use."""
    __import__("radio." + name)
    delattr(sys.modules["radio"], name)
    return sys.modules.pop("radio." + name).run(*arguments)


def fault(chip, kind, detail=None):
    """The RadioError of what went wrong; its text is loaded only now."""
    return once("faults", chip, kind, detail)


class Transceiver(Radio):
    """See `Radio`; `chip` is a driver."""

    def __init__(self, chip):
        self.chip = chip
        self._flag = asyncio.ThreadSafeFlag()
        self.at = None  # ticks_us of the interrupt
        self._limits = None

    def interrupt(self, _):
        """Handler of the chip's lines; allocates nothing."""
        self.at = time.ticks_us()
        self._flag.set()

    def start(self):
        """See `Radio`: reset, identity, configuration, calibration."""
        once(self.chip.NAME + "_start", self.chip, self.interrupt)
        self.sleep()

    def self_test(self):
        """See `Radio`."""
        return once(self.chip.NAME + "_check", self)

    def sleep(self):
        """See `Radio`. Raises nothing: a chip that does not obey is held in reset, off the air as well."""
        self._limits = None
        try:
            self.chip.rest()
        except RadioError:
            self.chip.reset(0)

    def _prepare(self, sf, bandwidth):
        """(length of a symbol in us, width, slow)."""
        if not 6 < sf < 13 or bandwidth not in (125000, 250000, 500000):
            raise fault(self.chip, "setting", (sf, bandwidth))
        symbol = (1000 << sf) // (bandwidth // 1000)
        return symbol, bandwidth // 200000, symbol >= _SLOW_US

    async def transmit(self, frequency, sf, bandwidth, power, payload):
        """See `Radio`. The end is the interrupt's time, or the computed one when the interrupt comes late."""
        chip = self.chip
        size = len(payload)
        symbol, width, slow = self._prepare(sf, bandwidth)
        if not 0 < size < 256:
            raise fault(chip, "size", size)
        # As lorawan.region.airtime_us, with CRC.
        block = 4 * (sf - 2 * slow)
        blocks = max(0, (8 * size - 4 * sf + 43 + block) // block)
        airtime = (4 * (16 + 5 * blocks) + 17) * symbol // 4 + chip.LATENCY_US
        try:
            chip.load(frequency, sf, width, slow, power, payload, airtime + airtime // 4 + 50000)
            end = time.ticks_add(self.begin(), airtime)
            outcome = await self._wait(airtime + _LATE_US)
            if outcome < _DONE:
                outcome = await self._wait(airtime // 4 + 100000, _ASK_US)
            if outcome != _DONE:
                raise fault(chip, "sending", outcome)
        except BaseException:
            self.sleep()
            raise
        at = self.at
        return end if at is None or time.ticks_diff(at, end) > 0 else at

    def prepare_receive(self, frequency, sf, bandwidth, symbols):
        """See `Radio`; symbols are rounded up to what the chip can count."""
        symbol, width, slow = self._prepare(sf, bandwidth)
        # Till the header is in of a packet that began at the window's end; 1/16 for the chip's RC oscillator.
        limit = symbols * symbol * 17 // 16 + _HEADER * symbol
        self.chip.listen(frequency, sf, width, slow, symbols, limit)
        self._limits = limit, _LONGEST * symbol

    async def receive(self):
        """See `Radio`. None also for a packet whose header or CRC is damaged."""
        chip = self.chip
        if self._limits is None:
            raise fault(chip, "unprepared")
        limit, longest = self._limits
        packet = None
        try:
            self.begin()
            outcome = await self._wait(limit + _LATE_US)
            if outcome < _DONE:
                # A packet is coming in, or the chip's timer is slow.
                outcome = await self._wait(longest if outcome else limit // 8 + 50000, _ASK_US)
            if outcome == _DONE:
                packet = chip.packet(time.ticks_us() if self.at is None else self.at)
            elif outcome == _BEGUN or (outcome == _OPEN and chip.deaf()):
                raise fault(chip, "listening")
        finally:
            self.sleep()
        return packet

    def begin(self):
        """Start what was prepared; ticks_us of it."""
        self.at = None
        self._flag.clear()
        self.chip.begin()
        return time.ticks_us()

    async def _wait(self, us, step=_NEVER):
        """What became of it, as soon as that is clear, at the latest after `us`.

        The chip is asked when the interrupt comes and every `step` us besides: interrupts get lost, and not
        every board has the line.
        """
        until = time.ticks_add(time.ticks_us(), us)
        while True:
            left = time.ticks_diff(until, time.ticks_us())
            if left > 0:
                try:
                    await asyncio.wait_for_ms(self._flag.wait(), min(left, step) // 1000 + 1)
                except asyncio.TimeoutError:  # noqa: UP041 - MicroPython has no other
                    pass
            outcome = self.chip.outcome()
            if outcome >= _DONE or left <= 0:
                return outcome
            self.at = None
