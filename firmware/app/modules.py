"""Loads the node's modules, and unloads what is rarely needed.

Frames are made and read a few times an hour: their code is loaded by the function that needs it and
unloaded when it is done, for together it would take 25 kB.
"""

import gc
import sys


def load():
    """Import all that stays; the list of it leaves the heap."""
    from app import load_order

    load_order.load()
    unload("app.load_order")
    gc.collect()


_PROTOCOL = "zaehlwerk_protocol."
# Constants that the program asks for between frames too.
_STAY = (_PROTOCOL + "ports", _PROTOCOL + "state")


def made(what, *arguments):
    """What `report_counts`, `report_status` and so on make; their code and the frames' is unloaded again."""
    module = "report_" + what
    try:
        return getattr(getattr(__import__("app." + module), module), what)(*arguments)
    finally:
        unload("app." + module, "app.report_state", "app.report_noted")
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
