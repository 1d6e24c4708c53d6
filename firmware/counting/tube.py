"""Two pneumatic tubes with pressure switches: vehicles by class and direction, and speeds; see docs/sensors/tube.md."""

import time

from micropython import const

from counting import NO_SIGNAL, OVERFLOW, TICKS
from counting.axles import DEAD_AFTER, Axles
from counting.ring import Ring
from counting.sensor import Sensor, input_pin
from counting.speeds import Speeds
from counting.watch import later

# Hits between two readings, room and not a rate: 128 cars a minute, or 25 lorries of five axles and 78 cars.
_ROOM = const(512)


class TubeSensor(Sensor):
    """Outputs motor_ab, motor_ba, bicycle_ab, bicycle_ba, unknown.

    It needs no hardware counter: a hit that came late or was lost shows in the hits of the other tube (`Axles`).
    """

    outputs = 5

    def __init__(self, settings, *units):
        super().__init__(settings, *units)
        self._ring = Ring(_ROOM)
        self._lost = 0
        self._axles = Axles(settings["distance_mm"], self._vehicle)
        self._counts = [0] * self.outputs
        self._speeds = [Speeds() for _ in range(self.outputs - 1)]
        self._bounce_us = settings["bounce_ms"] * 1000
        # Bound methods are made here, because making one allocates.
        self._tick = self._look

    def _open(self):
        settings = self.settings
        rising = settings["edge"] == "rising"
        self._a, self._b = [input_pin(settings[name], settings["pull"]) for name in ("pin", "pin_b")]
        # When each tube was last hit.
        self._at = [(time.ticks_us() - self._bounce_us) & TICKS] * 2
        for pin, handler in ((self._a, self._hit_a), (self._b, self._hit_b)):
            pin.irq(handler, pin.IRQ_RISING if rising else pin.IRQ_FALLING)

    def _close(self):
        self._a.irq(None)
        self._b.irq(None)

    def _hit_a(self, pin):
        self._hit(time.ticks_us(), 0)

    def _hit_b(self, pin):
        self._hit(time.ticks_us(), 1)

    def _hit(self, now, tube):
        """In the interrupt handler: edges within `bounce_ms` of a hit are its bounces."""
        if (now - self._at[tube]) & TICKS >= self._bounce_us:
            self._at[tube] = now
            self._ring.put(now, tube)

    def _look(self, pin):
        """Once a reading, between two interrupts: so that no difference ever reaches the ticks' period."""
        now = time.ticks_us()
        for tube in (0, 1):
            if (now - self._at[tube]) & TICKS > TICKS // 2:
                self._at[tube] = (now - TICKS // 2) & TICKS  # type: ignore[operator]

    def _vehicle(self, output, speed):
        self._counts[output] += 1
        if speed is not None:
            self._speeds[output if self.settings["output"] is not None else 0].add(speed)

    def take(self):
        """[motor A to B, motor B to A, bicycle A to B, bicycle B to A, unknown] since the last call."""
        later(self._tick, None)
        ring, axles = self._ring, self._axles
        while True:
            hit = ring.get()
            if hit is None:
                break
            axles.hit(*hit)
        axles.settle(time.ticks_us())
        self.health, axles.notes = axles.notes, 0
        if max(axles.alone) >= DEAD_AFTER:
            self.health |= NO_SIGNAL
        if ring.lost != self._lost:
            self._lost = ring.lost
            self.health |= OVERFLOW
        self.blind_ms = TICKS if self.health & (NO_SIGNAL | OVERFLOW) else 0
        counts, self._counts = self._counts, [0] * self.outputs
        return counts

    def flow(self):
        """(mean speed, v85, None) per output since the last call."""
        return [speeds.taken() + (None,) for speeds in self._speeds] + [(None, None, None)]  # noqa: RUF005 - MicroPython cannot do that

    def lately(self):
        """(mean speed, None) per output since the last call of this."""
        return [(speeds.lately(), None) for speeds in self._speeds] + [(None, None)]
