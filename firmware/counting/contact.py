"""A contact that bounces: reed, relay, PIR. One input, one output; see docs/sensors/contact.md."""

import time

from counting import STUCK, SUMS, TICKS, UNVERIFIED
from counting.counter import hardware
from counting.debounce import Debounce
from counting.sensor import Sensor, input_pin
from counting.watch import later


class ContactSensor(Sensor):
    """The first of `units`, if there is one, counts all edges and so shows what the interrupts missed.

    pin: the settings' name of its GPIO; ring: where the interrupt handler puts beginning and end of each passage, both
    with code `side`.
    """

    def __init__(self, settings, *units, pin="pin", ring=None, side=0):
        super().__init__(settings, *units)
        self._name = pin
        self._ring = ring
        self._side = side
        self._count = self._blind = self.longest_ms = self._notes = self._edges = 0
        # Bound methods are made here, because making one allocates.
        self._tick = self._look

    def _open(self):
        settings = self.settings
        number, pull = settings[self._name], settings["pull"]
        self._pin = pin = input_pin(number, pull)
        self._idle = 0 if settings["edge"] == "rising" else 1
        self._counter = None
        if self.units:
            self._counter = hardware(self.units[0], pin, "both")
            input_pin(number, pull)
            self._edges = self._counter.value()
        self.contact = Debounce(
            settings["debounce_ms"],
            settings["gap_ms"],
            settings.get("dead_ms", 0),
            time.ticks_ms(),
            pin.value() ^ self._idle,
            self._edges,
        )
        pin.irq(self._edge, pin.IRQ_RISING | pin.IRQ_FALLING)

    def _close(self):
        self._pin.irq(None)
        if self._counter is not None:
            self._counter.deinit()

    def _edge(self, pin):
        """The interrupt handler."""
        if self._counter is None:
            self._edges = (self._edges + 1) & SUMS
        else:
            self._edges = self._counter.value()
        contact = self.contact
        if contact.sample(time.ticks_ms(), pin.value() ^ self._idle, self._edges) and self._ring:
            self._ring.put(contact.begun, self._side)
            self._ring.put(contact.ended, self._side)

    def _look(self, pin):
        """Once a reading, between two interrupts: what no edge has told yet, and what was noted since the last time."""
        if self._counter is None:
            self._edges = (self._edges - 1) & SUMS
        self._edge(pin)
        contact = self.contact
        self._notes = contact.notes
        self.longest_ms = contact.longest
        contact.notes = contact.longest = 0

    def take(self):
        """[passages since the last call]."""
        later(self._tick, self._pin)
        contact = self.contact
        self.health = self._notes if self._counter is not None else self._notes | UNVERIFIED
        if contact.level and (contact.at - contact.since) & TICKS >= self.settings["stuck_s"] * 1000:
            self.health |= STUCK
        self.blind_ms = (contact.blind - self._blind) & SUMS
        self._blind = contact.blind
        count = contact.count
        passed = (count - self._count) & SUMS
        self._count = count
        return (passed,)
