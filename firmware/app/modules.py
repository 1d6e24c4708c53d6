"""Loads the node's modules in an order in which what others import is there already, and unloads what is rarely needed.

Each level of nested imports costs stack, of which the ESP32's main task has 16 kB; and a heap that is filled in order
fragments less. The frames that are sent or read a few times a day are loaded by the function that needs them and
unloaded when it is done: they would take 15 kB.
"""

import sys

_IN_ORDER = (
    "zaehlwerk_protocol.errors",
    "zaehlwerk_protocol.cover",
    "zaehlwerk_protocol.counts",
    "lorawan.session",
    "lorawan.mac",
    "lorawan.device",
    "lorawan.store",
    "app.intervals",
    "app.state",
    "app.restore",
    "app.reports",
    "app.uplinks",
    "app.recorder",
)


def load():
    """Import them all."""
    for name in _IN_ORDER:
        __import__(name)


def unload(*names):
    """Take modules out of the heap, as soon as nothing refers to them any more."""
    for name in names:
        if sys.modules.pop(name, None) is not None:
            package, _, own = name.rpartition(".")
            delattr(sys.modules[package], own)
