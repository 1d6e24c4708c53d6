"""Pulses counted by hardware: machine.Counter (MicroPython 1.26), else esp32.PCNT.

The ESP32's unit counts to 32,000 and starts again at 0. Counter adds such a round when it is read or interrupted,
and knows of one round only: so it must be read at least once per 32,000 pulses - once a minute allows 533 per
second. Nothing is ever reset: what was counted is the difference of two readings.
"""

import machine
from machine import Pin

from counting import SensorError
from counting.watch import Watch

# The range of a PCNT unit as MicroPython's Counter uses it (ports/esp32/modules/machine.py).
CYCLE = 32000
# The longest glitch filter there is: 1023 cycles of 80 MHz. Contacts that bounce need a sensor of another kind.
FILTER_NS = 12787


def difference(new, old, cycle):
    """(pulses from reading `old` to reading `new`, whether the readings make sense).

    A counter that is extended in software only rises; a bare one falls by `cycle` once a round. A fall by
    anything else is a counter that was restarted behind our back: then only what it shows since is certain.
    """
    if new >= old:
        return new - old, True
    if new + cycle >= old:
        return new + cycle - old, True
    return max(new, 0), False


def hardware(unit, pin, edge):
    """(an object with value(), its cycle) that counts the edges of `pin` with hardware counter `unit`.

    edge: "rising" or "falling".
    """
    if hasattr(machine, "Counter"):
        kind = machine.Counter
        which = kind.RISING if edge == "rising" else kind.FALLING
        return kind(unit, src=pin, edge=which, filter_ns=FILTER_NS), CYCLE
    import esp32

    up, hold = esp32.PCNT.INCREMENT, esp32.PCNT.IGNORE
    rising, falling = (up, hold) if edge == "rising" else (hold, up)
    counter = esp32.PCNT(
        unit, pin=pin, rising=rising, falling=falling, min=0, max=CYCLE, filter=1023, value=0
    )
    counter.start()
    return counter, CYCLE


def _input(pin, pull):
    if pull == "up":
        return Pin(pin, Pin.IN, Pin.PULL_UP)
    if pull == "down":
        return Pin(pin, Pin.IN, Pin.PULL_DOWN)
    return Pin(pin, Pin.IN)


class PulseSensor:
    """One input with one output: the sensor interface of `counting`."""

    outputs = 1

    def __init__(self, settings, unit):
        self._settings = settings
        self._unit = unit
        self.faulty = False
        self._started = False

    def start(self):
        """Begin to count; SensorError when the pin or the unit is not to be had."""
        settings = self._settings
        try:
            pin = _input(settings["pin"], settings["pull"])
            self._counter, self._cycle = hardware(self._unit, pin, settings["edge"])
            ok_pin = settings["ok_pin"]
            self._watch = Watch(None if ok_pin is None else _input(ok_pin, settings["pull"]))
        except (ValueError, OSError) as error:
            raise SensorError(
                "pulse sensor on pin %d, counter %d: %s; check the board's pins"
                % (settings["pin"], self._unit, error)
            )
        self._last = self._counter.value()
        self._started = True

    def stop(self):
        """Release counter and interrupt."""
        if self._started:
            self._started = False
            self._watch.stop()
            self._counter.deinit()

    def take(self):
        """[pulses since the last call]."""
        value = self._counter.value()
        count, sound = difference(value, self._last, self._cycle)
        self._last = value
        if not sound:
            self.faulty = True
        return (count,)

    def observed(self):
        """ms since the last call in which the sensor watched."""
        return self._watch.observed()
