"""Pulses counted by hardware.

Nothing is ever reset: what was counted is the difference of two readings. Where it is more than traffic can be, `Inputs` says
so. The glitch filter ends at 12.8 us: a signal that bounces for longer needs a sensor of another kind.
"""

from counting import RESTARTED
from counting.counter import hardware
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
        if count < 0:
            # Behind our back: only what it shows since then is certain.
            count = max(value, 0)
            self.health = RESTARTED
        return (count,)
