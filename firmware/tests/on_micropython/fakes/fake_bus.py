"""Pins and SPI for tests of the radio drivers: what is on the wires is recorded, the test answers.

No model of a radio: registers hold what is written, and flags come up when the test says so.
"""

import sys

from world import install, world

install()
if not hasattr(sys.modules["time"], "sleep_us"):
    sys.modules["time"].sleep_us = lambda us: world.move_to(world.now_us + us)


class _Poll:
    """select.poll for asyncio.ThreadSafeFlag in virtual time."""

    def __init__(self):
        self._streams = []

    def register(self, stream, mask):
        self.unregister(stream)
        self._streams.append((stream, mask))

    modify = register

    def unregister(self, stream):
        self._streams = [entry for entry in self._streams if entry[0] is not stream]

    def _ready(self):
        found = []
        for stream, mask in self._streams:
            flags = stream.ioctl(3, mask)
            if flags:
                found.append((stream, flags))
        return found

    def ipoll(self, timeout=-1, flags=0):
        end = world.now_us + timeout * 1000
        while True:
            found = self._ready()
            if found or (timeout >= 0 and world.now_us >= end):
                return found
            if timeout < 0 and not world.events:
                raise RuntimeError("nothing will ever happen any more")
            world.step_to(end if timeout >= 0 else world.events[0][0])


sys.modules["select"].poll = _Poll

import asyncio  # noqa: E402

import fake_machine  # noqa: E402


class Line(fake_machine.Pin):
    """A pin by itself; `watch(level)` hears what the driver drives, `drive` is the outside."""

    OUT = 3

    def __init__(self, number, mode=-1, pull=-1, value=None):
        self.id = number
        self.level = value or 0
        self.handler = None
        self.late_us = 0
        self.deaf = False
        self.watch = lambda level: None

    def __repr__(self):
        return "Pin(%d)" % self.id

    def __call__(self, value=None):
        if value is None:
            world.move_to(world.now_us + 5)
            return self.level
        if value != self.level:
            self.level = value
            self.watch(value)
        return None

    value = __call__

    def init(self, mode=-1, pull=-1, value=None):
        if value is not None:
            self(value)

    def irq(self, handler=None, trigger=3):
        self.handler = handler

    def drive(self, level):
        """The outside drives the pin; its interrupt comes `late_us` after the edge, never if `deaf`."""
        rising = level and not self.level
        self.level = level
        if rising and self.handler and not self.deaf:
            world.at(world.now_us + self.late_us, lambda: self.handler(self))


class Bus:
    """machine.SPI: what is written while `nss` is low is a frame, which `chip` answers and gets."""

    def __init__(self, nss, chip):
        self.chip = chip
        self.written = None
        nss.watch = self._select

    def __repr__(self):
        return "SPI(1)"

    def _select(self, level):
        if level:
            self.chip.end(bytes(self.written))
            self.written = None
        else:
            self.written = bytearray()
            self.chip.select()

    def write(self, data):
        if self.written is None:
            raise AssertionError("SPI without NSS")
        self.written.extend(data)
        world.move_to(world.now_us + 15 + len(data))

    def write_readinto(self, data, buffer):
        buffer[:] = self.chip.echo(bytes(data))
        self.write(data)

    def readinto(self, buffer):
        answer = self.chip.answer(bytes(self.written), len(buffer))
        buffer[:] = answer
        world.move_to(world.now_us + 15 + len(buffer))


def run(coroutine):
    """What the coroutine returns, in an event loop of its own."""
    asyncio.new_event_loop()
    return asyncio.run(coroutine)
