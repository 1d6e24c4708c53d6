"""The ESP32's hardware counter (PCNT) on an input: machine.Counter (MicroPython 1.26), else esp32.PCNT."""

import machine

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
    """An object with value() and deinit() that counts the edges of `pin` with hardware counter `unit`.

    edge: "rising", "falling" or "both". What value() gives rises and may fall by CYCLE once a round. The driver below
    it (ESP-IDF, pcnt_legacy.c) switches the pin's pull-up on: call `sensor.input_pin` again afterwards.
    """
    rising, falling = edge != "falling", edge != "rising"
    if hasattr(machine, "Counter"):
        kind = machine.Counter
        which = (kind.RISING if rising else 0) | (kind.FALLING if falling else 0)
        return kind(unit, src=pin, edge=which, filter_ns=FILTER_NS)
    import esp32

    up, hold = esp32.PCNT.INCREMENT, esp32.PCNT.IGNORE
    counter = esp32.PCNT(
        unit,
        pin=pin,
        rising=up if rising else hold,
        falling=up if falling else hold,
        min=0,
        max=CYCLE,
        filter=1023,
        value=0,
    )
    counter.start()
    return counter
