"""`os` of the virtual board: the built-in one on the board's own flash, with randomness from the simulator's seed."""

import random

import board_link as _link

_native = _link.native_os
for _name in (
    "chdir",
    "getcwd",
    "ilistdir",
    "listdir",
    "mkdir",
    "remove",
    "rename",
    "rmdir",
    "stat",
    "statvfs",
    "unlink",
):
    globals()[_name] = getattr(_native, _name)
del _name


def urandom(n):
    return bytes(random.getrandbits(8) for _ in range(n))


def sync():
    pass


def uname():
    return ("esp32", "esp32", "1.26.0", "virtual", "Virtual board with ESP32")
