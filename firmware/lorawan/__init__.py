"""A LoRaWAN 1.0.4 Class A end device in pure MicroPython.

`mac.Mac` decides and does no I/O; `device.Device` carries its decisions out with a radio (see `radio`).
Relies on `cryptolib` for AES and on a `store.Store` for what must survive a power cut.

What every uplink needs stays loaded. What a join, MAC commands or the writing of a record need is loaded by the
function that needs it and unloaded after: never between the start of a transmission and the end of its windows.
"""

import sys


def unload(*names):
    """Take modules of this package out of the heap, as soon as nothing refers to them any more."""
    package = sys.modules[__name__]
    for name in names:
        if sys.modules.pop(__name__ + "." + name, None) is not None:
            delattr(package, name)
