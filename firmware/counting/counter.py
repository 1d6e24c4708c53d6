"""The ESP32's hardware counter (PCNT) on an input: machine.Counter (MicroPython 1.26)."""

import machine

# A PCNT unit as MicroPython's Counter uses it begins again after 32,000. Counter adds each round in an interrupt of its own,
# or when it is read; a second one before that is lost (ports/esp32/modules/machine.py, `_overflow`). Bare esp32.PCNT, which
# came with the same MicroPython, would lose them all.
# The longest glitch filter there is: 1023 cycles of 80 MHz are 12787.5 ns; rounded up, for Counter rounds down to cycles.
# Contacts that bounce need a sensor of another kind.
FILTER_NS = 12788


def hardware(unit, pin, edge):
    """An object with value() and deinit() that counts the edges of `pin` with hardware counter `unit`.

    edge: "rising", "falling" or "both". What value() gives only rises. The driver below it (ESP-IDF, pcnt_legacy.c)
    switches the pin's pull-up on: call `sensor.input_pin` again afterwards.
    """
    kind = machine.Counter
    which = (kind.RISING if edge != "falling" else 0) | (kind.FALLING if edge != "rising" else 0)
    return kind(unit, src=pin, edge=which, filter_ns=FILTER_NS)
