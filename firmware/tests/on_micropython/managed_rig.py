"""A node that the platform gives commands to: `node_rig.Site` whose node may reset its chip, and then starts again."""

import asyncio
import gc
import os
import random

import fake_machine
from fake_flash import PowerCut, die
from node_rig import Board, Node, Site, table
from world import world

from zaehlwerk_protocol import cbor, ports

LED = 25


class Managed(Site):
    """`resets` are the seconds at which the node reset its chip."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        fake_machine.driven.clear()
        self.resets = []
        self.led = (LED, 1)

    def run(self, until_s, cut_at=0):
        """As Site.run, over as many lives as the node makes of it."""

        def off():
            raise PowerCut

        world.at(until_s * 1000000, off)
        fake_machine.cause = fake_machine.PWRON_RESET
        try:
            while True:
                self.flash = self.flash.replaced()
                self.flash.mount()
                self.flash.cut_at = max(cut_at, 0)
                try:
                    self._life()
                except fake_machine.Reset:
                    self.resets.append(self.now())
                    fake_machine.cause = fake_machine.HARD_RESET
                    cut_at -= self.flash.operations
                    world.move_to(world.now_us + 1000000)
        except PowerCut:
            world.events[:] = [event for event in world.events if event[1] not in (off, die)]
            return not self.flash.dead

    def _life(self):
        asyncio.new_event_loop()
        gc.collect()
        try:
            os.mkdir("state")
        except OSError:
            pass
        board = Board(self.network, self.battery)
        board.LED = self.led
        settings, trouble = self._settings()
        self.node = Node(settings, trouble, board, random.randrange, self._entropy)
        asyncio.run(self.node.run())
        raise AssertionError("the node ended by itself")

    def _settings(self):
        return table.derive(table.validate(self.document)), None

    def ask(self, second, token, kind, *args):
        """A command that the network sends after an uplink from `second` on."""
        frame = cbor.encode((token, kind, args))
        self.at(second, lambda: self.network.queue.append((ports.COMMAND, frame)))

    def answers(self):
        """[(second, token, kind, result, data)] of what arrived."""
        return [(at, a.token, a.kind, a.result, a.data) for at, a in self.frames(ports.ANSWER)]

    def results(self):
        """[(token, result)] of what arrived."""
        return [(token, result) for _, token, _, result, _ in self.answers()]


__all__ = ["LED", "Managed"]
