"""Loads the node's modules in an order in which what others import is there already, and unloads what is rarely needed.

Each level of nested imports costs stack, of which the ESP32's main task has 16 kB; and a heap that is filled in order
fragments less. Frames are made and read a few times an hour: their code is loaded by the function that needs it and
unloaded when it is done, for together it would take 25 kB.
"""

import gc
import sys

_IN_ORDER = (
    "lorawan.session",
    "lorawan.mac",
    "lorawan.device",
    "lorawan.store",
    "app.intervals",
    "app.state",
    "app.restore",
    "app.uplinks",
    "app.recorder",
)


# Names stay in the heap for ever, once they were seen. What is loaded now and then is loaded and unloaded before all
# else, so that its names lie at the bottom of the heap and not between what is to be one free block later.
_RARE = (
    "zaehlwerk_protocol.counts",
    "zaehlwerk_protocol.status",
    "zaehlwerk_protocol.backfill",
    "zaehlwerk_protocol.command",
    "zaehlwerk_protocol.answer",
    "app.reports",
    "app.commands",
    "app.unplaced",
    "app.epoch_record",
    "lorawan.transaction",
    "lorawan.join",
    "lorawan.join_round",
    "lorawan.frames",
    "lorawan.crypto",
    "lorawan.nonces",
    "lorawan.session_record",
    "lorawan.mac_commands",
)


def load():
    """Import all that stays."""
    for name in _RARE:
        __import__(name)
        unload(name)
        gc.collect()
    unload_frames()
    gc.collect()
    for name in _IN_ORDER:
        __import__(name)


_PROTOCOL = "zaehlwerk_protocol."
# Constants that the program asks for between frames too.
_STAY = (_PROTOCOL + "ports", _PROTOCOL + "state")


def made(what, *arguments):
    """What a function of `reports` returns; its code and the frames' are unloaded again."""
    from app import reports

    try:
        return getattr(reports, what)(*arguments)
    finally:
        unload("app.reports")
        unload_frames()


def unload_frames():
    """Take all code that makes or reads frames out of the heap, at once: what comes next finds one large gap."""
    unload(*[name for name in sys.modules if name.startswith(_PROTOCOL) and name not in _STAY])
    gc.collect()


def unload(*names):
    """Take modules out of the heap, as soon as nothing refers to them any more."""
    for name in names:
        if sys.modules.pop(name, None) is not None:
            package, _, own = name.rpartition(".")
            delattr(sys.modules[package], own)
