"""Pulses counted by hardware.

Nothing is ever reset: what was counted is the difference of two readings. CYCLE pulses or more between two of them (once
a minute: 533 a second) are no traffic: a fault, and that time is not observed. The glitch filter ends at 12.8 us: a
signal that bounces for longer needs a sensor of another kind.
"""

from counting import CHATTER, RESTARTED, TICKS
from counting.counter import CYCLE, hardware
from counting.sensor import Sensor, input_pin


class PulseSensor(Sensor):
    """One input with one output."""

    def _open(self):
        settings = self.settings
        number, pull = settings["pin"], settings["pull"]
        self._counter = hardware(self.units[0], input_pin(number, pull), settings["edge"])
        input_pin(number, pull)
        self._last = self._counter.value()

    def _close(self):
        self._counter.deinit()

    def take(self):
        """[pulses since the last call]."""
        value = self._counter.value()
        count = value - self._last
        self._last = value
        self.health &= RESTARTED
        if count < 0:
            # Behind our back: only what it shows since then is certain.
            count = max(value, 0)
            self.health = RESTARTED
        if count >= CYCLE:
            self.health |= CHATTER
        self.blind_ms = TICKS if self.health & CHATTER else 0
        return (count,)
