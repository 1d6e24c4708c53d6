"""How long a sensor really watched: from an input that is 1 while the sensor works, or always.

The interrupt handler is the only writer of its three fields and allocates nothing; readers compute modulo the
ticks' period, so neither long silence nor a wrap disturbs them.
"""

import time

import micropython
from machine import Pin


def later(handler, argument):
    """Let an interrupt handler run in its turn, between two interrupts; when its queue (8) is full, next time."""
    try:
        micropython.schedule(handler, argument)
    except RuntimeError:
        pass


class Watch:
    """observed() in ms since the last call; pin is a machine.Pin or None (a sensor without such an output)."""

    def __init__(self, pin=None):
        self._pin = pin
        # Observed ms modulo the ticks' period: it is computed with like one.
        self._closed = self._taken = self._since = time.ticks_ms()
        self._up = 1 if pin is None else pin.value()
        self._edges = 0
        # Bound methods are made here, because making one allocates.
        self._handler = self._edge
        if pin is not None:
            pin.irq(self._handler, Pin.IRQ_RISING | Pin.IRQ_FALLING)

    def stop(self):
        """No interrupts any more."""
        if self._pin is not None:
            self._pin.irq(None)

    @property
    def watching(self):
        """Whether the sensor works at this moment."""
        return bool(self._up)

    def _edge(self, pin):
        now = time.ticks_ms()
        if self._up:
            self._closed = time.ticks_add(self._closed, time.ticks_diff(now, self._since))
        self._since = now
        self._up = pin.value()
        self._edges = (self._edges + 1) & 0xFFFF

    def observed(self):
        """ms since the last call in which the input was 1."""
        if self._pin is not None and self._pin.value() != self._up:
            # An edge that no interrupt told of (the scheduler's queue holds 8): handled like one, in its turn.
            later(self._handler, self._pin)
        while True:
            edges = self._edges
            total = self._closed
            if self._up:
                total = time.ticks_add(total, time.ticks_diff(time.ticks_ms(), self._since))
            if edges == self._edges:
                break
        passed = time.ticks_diff(total, self._taken)
        self._taken = total
        return passed
