"""A whole node in virtual time: its own flash, pulses, a network; power that can go at any moment."""

import asyncio
import gc
import random

import fake_machine
from fake_flash import Flash, PowerCut, die
from fake_network import Network
from world import world

from app import modules
from app import settings as table
from zaehlwerk_protocol import ports
from zaehlwerk_protocol.frames import decode

# As main.py does, before the node's own module.
modules.load()
from app.node import Node  # noqa: E402

APP_KEY = bytes(range(16))
# 2026-05-28 22:30:00 UTC, a boundary of quarter-hours.
MIDNIGHT = 1780007400
SETTINGS = {
    "dev_eui": "70b3d57ed0000001",
    "join_eui": "0000000000000000",
    "app_key": APP_KEY.hex(),
    "board": "virtual",
    "uplink_offset_s": 60,
    "channels": [
        {"class": "bicycle", "direction": "in", "pin": 4},
        {"class": "bicycle", "direction": "out", "pin": 5, "ok_pin": 6},
    ],
}


class Board:
    """What a module of boards/ offers."""

    PCNT_UNITS = 8

    def __init__(self, network, battery):
        self._network = network
        self.battery_mv = battery

    def radio(self):
        return self._network

    def temperature(self):
        return 215


class Site:
    """A place with traffic and a node. Everything starts at `unix` with the node off; times are seconds since."""

    def __init__(self, unix=MIDNIGHT, seed=1, **settings):
        world.now_us = 0
        world.events.clear()
        fake_machine.pulses.clear()
        fake_machine.levels.clear()
        fake_machine.handlers.clear()
        fake_machine.WDT.fed, fake_machine.WDT.starved = None, False
        random.seed(seed)
        self.network = Network(APP_KEY, unix)
        document = dict(SETTINGS)
        document.update(settings)
        self.document = document
        self.unix = unix
        self.flash = Flash()
        self.flash.format()
        self.node = None
        self.battery = lambda: None

    def now(self):
        return world.now_us // 1000000

    def pulses(self, pin, every_s, until_s):
        """A pulse on `pin` half a second after every `every_s`-th second; those without power are nobody's."""

        def pulse():
            fake_machine.pulses[pin] = fake_machine.pulses.get(pin, 0) + 1
            if self.now() + every_s < until_s:
                world.at(world.now_us + every_s * 1000000, pulse)

        world.at(world.now_us + every_s * 1000000 + 500000, pulse)

    def at(self, second, action):
        world.at(second * 1000000, action)

    def run(self, until_s, cut_at=0, power_stayed=False):
        """Power on until second `until_s`, or until the flash operation `cut_at`; True when it got that far.

        power_stayed: it is a reset that the node begins with.
        """
        if not power_stayed:
            fake_machine.RTC.kept = b""
        self.flash = self.flash.replaced()
        self.flash.mount()
        self.flash.cut_at = cut_at
        asyncio.new_event_loop()
        gc.collect()

        def off():
            raise PowerCut

        world.at(until_s * 1000000, off)
        try:
            settings = table.derive(table.validate(self.document))
            try:
                import os

                os.mkdir("state")
            except OSError:
                pass
            self.node = Node(
                settings, None, Board(self.network, self.battery), random.randrange, self._entropy
            )
            asyncio.run(self.node.run())
        except PowerCut:
            world.events[:] = [event for event in world.events if event[1] not in (off, die)]
            return not self.flash.dead
        raise AssertionError("the node ended by itself")

    def _entropy(self, count):
        return bytes([random.getrandbits(8) for _ in range(count)])

    def frames(self, port=None):
        """[(second received, frame)] of what arrived."""
        return [
            (at // 1000000 - self.unix, decode(number, data))
            for at, _, number, data in self.network.uplinks
            if number is not None and (port is None or number == port)
        ]

    def counts(self):
        """The count frames that arrived."""
        return [frame for _, frame in self.frames(ports.COUNTS)]

    def statuses(self):
        """The status frames that arrived."""
        return [frame for _, frame in self.frames(ports.STATUS)]


def slot(second, unix=MIDNIGHT, interval_s=900):
    """The slot index (16 bits) that holds `second`."""
    return (unix + second) // interval_s & 0xFFFF


__all__ = ["PowerCut", "Site", "slot"]
