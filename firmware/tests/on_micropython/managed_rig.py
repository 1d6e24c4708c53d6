"""A node that the platform gives commands to: `node_rig.Site` whose node starts as main.py has it, with the settings on
its flash, and may reset its chip."""

import asyncio
import gc
import hashlib
import json
import os
import random

import fake_machine
from fake_flash import PowerCut, die
from node_rig import Board, Node, Site
from world import world

from app import modules
from zaehlwerk_protocol import cbor, command, ports

LED = 25


class Managed(Site):
    """`resets` are the seconds at which the chip was reset; `causes` 2 by the node, 3 by the watchdog. `spoil`, if set, is called before a node is made."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        fake_machine.driven.clear()
        self.resets, self.causes = [], []
        self.led = (LED, 1)
        self.button = self.display = None
        self.spoil = None
        self.write(self.document)

    def write(self, document):
        """The technician copies settings.json."""
        with open("settings.json", "w") as file:
            file.write(json.dumps(document))

    def run(self, until_s, cut_at=0, cause=fake_machine.PWRON_RESET):
        """As Site.run, over as many lives as the node makes of it; cause: of the first one."""

        def off():
            raise PowerCut

        world.at(until_s * 1000000, off)
        fake_machine.cause, fake_machine.WDT.fed = cause, None
        if cause == fake_machine.PWRON_RESET:
            fake_machine.RTC.kept = b""
        try:
            while True:
                self.flash = self.flash.replaced()
                self.flash.mount()
                self.flash.cut_at = max(cut_at, 0)
                try:
                    self._life()
                except fake_machine.Reset:
                    self.resets.append(self.now())
                    self.causes.append(fake_machine.cause)
                    fake_machine.cause = fake_machine.HARD_RESET
                    fake_machine.WDT.fed = None
                    cut_at -= self.flash.operations
                    world.move_to(world.now_us + 1000000)
        except PowerCut:
            world.events[:] = [event for event in world.events if event[1] not in (off, die)]
            return not self.flash.dead

    def _life(self):
        """What main.py does."""
        asyncio.new_event_loop()
        gc.collect()
        try:
            os.mkdir("state")
        except OSError:
            pass
        from app import fit, start

        try:
            settings, trouble = start.settings()
            if settings["board"] == "virtual":  # which is a file only where nodes are simulated
                fit.check(settings)
            else:
                start.board(settings)
            board = Board(self.network, self.battery)
            board.LED = self.led
            board.BUTTON, board.DISPLAY = self.button, self.display
            if self.spoil is not None:
                self.spoil(settings)
            self.node = Node(settings, trouble, board, random.randrange, self._entropy)
        except Exception as error:  # noqa: BLE001 - as there
            if self.flash.dead:
                raise PowerCut
            start.failed(error)
        modules.unload("app.start", "app.fit", "app.taken")
        asyncio.run(self.node.run())
        raise AssertionError("the node ended by itself")

    def send(self, second, frame):
        """A downlink that the network sends after an uplink from `second` on."""
        self.at(second, lambda: self.network.queue.append((ports.COMMAND, frame)))

    def ask(self, second, token, kind, *args):
        """A command, sent like that."""
        self.send(second, cbor.encode((token, kind, args)))

    def configure(self, second, token, changes, size=20):
        """The commands that bring `changes`, a document or text, in pieces of `size`; the next token that is free."""
        text = (changes if isinstance(changes, str) else json.dumps(changes)).encode()
        digest, parts = hashlib.sha256(text).digest()[:4], -(-len(text) // size)
        for part in range(parts):
            piece = text[part * size : (part + 1) * size]
            self.ask(second, token + part, command.SET_CONFIG, part, parts, digest, piece)
        return token + parts

    def answers(self):
        """[(second, token, kind, result, data)] of what arrived."""
        return [(at, a.token, a.kind, a.result, a.data) for at, a in self.frames(ports.ANSWER)]

    def results(self):
        """[(token, result)] of what arrived."""
        return [(token, result) for _, token, _, result, _ in self.answers()]

    def in_force(self):
        """The document of settings.json."""
        with open("settings.json") as file:
            return json.loads(file.read())


__all__ = ["LED", "Managed"]
