"""What all sensors have in common: the interface that counting/__init__.py describes."""

from machine import Pin

from counting import FAULTS, SensorError
from counting.watch import Watch


class Sensor:
    """A sensor; a kind adds `_open`, `_close` and `take`, and `blind_ms`: how long it saw nothing since the last take.

    settings: of the channel that describes it; units: the hardware counters that it may use.
    """

    outputs = 1
    health = 0
    blind_ms = 0

    def __init__(self, settings, *units):
        self.settings = settings
        self.units = units
        self._watch = None

    def start(self):
        """Begin to count; SensorError when a pin, a counter or a UART is not to be had."""
        settings = self.settings
        try:
            self._open()  # type: ignore[attr-defined]
            ok_pin = settings["ok_pin"]
            self._watch = Watch(None if ok_pin is None else input_pin(ok_pin, settings["pull"]))
        except (ValueError, OSError) as error:
            raise SensorError(
                "%s sensor on pin %d, hardware counters %s: %s; check the board's pins"
                % (settings["sensor"], settings["pin"], self.units or "none", error)
            )

    def stop(self):
        """Release the hardware."""
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
            self._close()  # type: ignore[attr-defined]

    def observed(self):
        """ms since the last call in which the sensor watched and nothing can have been missed."""
        return max(0, self._watch.observed() - self.blind_ms)  # type: ignore[union-attr]

    def flow(self):
        """(mean speed, v85, occupancy) per output since the last call: nothing, unless a kind knows more."""
        return ((None, None, None),) * self.outputs

    def lately(self):
        """(mean speed, occupancy) per output since the last call of this."""
        return ((None, None),) * self.outputs

    @property
    def faulty(self):
        """Whether somebody has to look at it."""
        return bool(self.health & FAULTS)


def input_pin(number, pull):
    """The GPIO as an input with the resistor that `pull` ("none", "up", "down") names, and without the other."""
    resistor = None
    if pull == "up":
        resistor = Pin.PULL_UP
    elif pull == "down":
        resistor = Pin.PULL_DOWN
    return Pin(number, Pin.IN, resistor)  # type: ignore[arg-type]
