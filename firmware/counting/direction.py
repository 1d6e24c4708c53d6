"""Two contacts one behind the other: how many went which way; see docs/sensors/direction.md."""

import time

from micropython import const

from counting import OVERFLOW, STUCK, TICKS
from counting.contact import ContactSensor
from counting.crossing import Crossing, horizon
from counting.ring import Ring
from counting.sensor import Sensor

# Passages at either sensor between two readings: two entries each.
_ROOM = const(256)


class DirectionSensor(Sensor):
    """Outputs ab, ba, unknown. One hardware counter for each contact shows what the interrupts missed."""

    outputs = 3

    def __init__(self, settings, *units):
        super().__init__(settings, *units)
        ring = self._ring = Ring(_ROOM)
        self._lost = 0
        self._crossing = Crossing(settings["window_ms"])
        self._sides = (
            ContactSensor(settings, *units[:1], ring=ring),
            ContactSensor(settings, *units[1:], pin="pin_b", ring=ring, side=1),
        )

    def _open(self):
        for side in self._sides:
            side._open()

    def _close(self):
        for side in self._sides:
            side._close()

    def take(self):
        """[A to B, B to A, unknown] since the last call."""
        crossing = self._crossing
        health = self.blind_ms = 0
        horizons = []
        for side in self._sides:
            side.take()
            health |= side.health
            self.blind_ms = max(self.blind_ms, side.blind_ms)
            horizons.append(horizon(side.contact, side.health & STUCK))
        now = time.ticks_ms()
        ring = self._ring
        while True:
            begun = ring.get()
            if begun is None:
                break
            crossing.passage(begun[1], begun[0], ring.get()[0])
        if ring.lost != self._lost:
            self._lost = ring.lost
            health |= OVERFLOW
            self.blind_ms = TICKS
        crossing.settle(now, horizons)
        self.health = health | crossing.notes
        counts, crossing.counts, crossing.notes = crossing.counts, [0, 0, 0], 0
        return counts
