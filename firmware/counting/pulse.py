"""Pulses counted by hardware.

The ESP32's unit counts to 32,000 and starts again at 0. Counter adds such a round when it is read or interrupted,
and knows of one round only: so it must be read at least once per 32,000 pulses - once a minute allows 533 per
second. Nothing is ever reset: what was counted is the difference of two readings. The glitch filter ends at 12.8 us:
a signal that bounces for longer needs a sensor of another kind.
"""

from counting import RESTARTED
from counting.counter import CYCLE, difference, hardware
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
        count, sound = difference(value, self._last, CYCLE)
        self._last = value
        if not sound:
            self.health = RESTARTED
        return (count,)
