"""`sys` and `os` say what an ESP32's say. The interpreter is another one, and only here does it show."""

import builtins
import io
import sys
from collections import namedtuple

import serial_stdio

_RELEASE = "1.26.0"
_BUILD = "v1.26.0 on 2025-08-09"
_MPY = 6 | 3 << 8 | 10 << 10  # .mpy version 6.3, xtensawin
_STUB = ("board_link", "real_time", "turns", "guarded_flash", "esp32")
_NATIVE = sys


class _Sys:
    """Everything of the built-in module, some of it replaced."""

    def __init__(self, machine):
        for name in dir(_NATIVE):
            if name[0] != "_":
                setattr(self, name, getattr(_NATIVE, name))
        self.__name__ = "sys"
        self.platform = "esp32"
        self.version = "3.4.0; MicroPython " + _BUILD
        kind = namedtuple("", ("name", "version", "_machine", "_mpy", "_build", "_thread"))
        build = "ESP32_GENERIC_S3" if machine.endswith("S3") else "ESP32_GENERIC"
        self.implementation = kind("micropython", (1, 26, 0, ""), machine, _MPY, build, "GIL")
        self.stdin = serial_stdio.stdin
        self.stdout = self.stderr = serial_stdio.stdout
        self.print_exception = print_exception
        del self.executable, self.atexit


def is_stub(line):
    """Whether a line of a traceback names the stand-ins, which are C on an ESP32."""
    if not line.startswith('  File "'):
        return False
    name = line[8 : line.find('"', 8)]
    return name.startswith(("virtual_", "serial_")) or name in _STUB or name == _main


def print_exception(error, file=None):
    text = io.StringIO()
    _NATIVE.print_exception(error, text)
    for line in text.getvalue().split("\n")[:-1]:
        if not is_stub(line):
            print(line, file=serial_stdio.stdout if file is None else file)


def install(machine, main):
    """From now on programs see an ESP32. `main`: path of the process's own main.py."""
    global _main
    import os  # by now the board's

    _main = main
    sys.modules["sys"] = _Sys(machine)
    kind = namedtuple("", ("sysname", "nodename", "release", "version", "machine"))
    name = kind("esp32", "esp32", _RELEASE, _BUILD, machine)
    os.uname = lambda: name
    builtins.input = serial_stdio.input
