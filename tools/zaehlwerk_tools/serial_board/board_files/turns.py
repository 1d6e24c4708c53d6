"""Runs what the REPL hands over: a file of the board, or source that came over the line."""

import gc
import struct
import sys

import board_link as link
import esp32
import guarded_flash
import real_time
import serial_identity
import vfs
import virtual_bus
import virtual_pcnt
from micropython import const

_TURN = const(
    84
)  # 'T': result u8, MOMENT, dog ms u32, left ms u32 -> MOMENT, flags, kind u8, length u32, source
_END_OF_OUTPUT = const(101)  # 'e': -> u8
_BROKEN = const(97)  # 'a'
_WAITING, _FILE, _EXEC, _SINGLE = const(0), const(1), const(2), const(3)
MISSING, DONE, RAISED, EXITED, INTERRUPTED = const(0), const(1), const(2), const(3), const(4)

_BOOT = b"# This file is executed on every boot (including wake-boot from deepsleep)\n"
_names = {"__name__": "__main__"}


def _next(result):
    while True:
        real_time.sync()
        real_time.fire_due()
        dog = _machine.WDT._alarm
        struct.pack_into("<B", link.buffer, 9, result)
        struct.pack_into("<IH", link.buffer, 10, *real_time.goal_before(link.NEVER - 1, 0))
        dog_ms, left_ms = (0, 0) if dog is None else (_machine.WDT._timeout, max(0, dog.ms - link.ms))
        struct.pack_into("<II", link.buffer, 16, dog_ms, left_ms)
        link.ask(_TURN, 15, 12)
        ms, us, flags, kind, size = struct.unpack_from("<IHBBI", link.reply)
        source = real_time.receive(size)
        real_time.told(ms, us)
        real_time.forget_interrupt()
        if kind != _WAITING:
            return kind, source


def _end_of_output():
    real_time.forget_interrupt()
    link.ask(_END_OF_OUTPUT, 0, 1)


def _torn(operations):
    """Whether a signal can have left the file system's or the heap's own books open."""
    if real_time.delivered:
        return False
    if guarded_flash.operations != operations:
        return True
    try:
        bytearray(64)
    except MemoryError:
        return True
    return False


def _execute(kind, source):
    ended = False
    operations = guarded_flash.operations
    try:
        if kind == _FILE:
            name = source.decode()
            try:
                with open(name) as file:
                    source = file.read()
            except OSError:
                return MISSING
        else:
            name = "<stdin>"
        code = compile(source, name, "single" if kind == _SINGLE else "exec")
        del source
        exec(code, _names)
        real_time.check_interrupt()
        _end_of_output()
        return DONE
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and _torn(operations):
            link.die(_BROKEN)
        while not ended:
            try:
                _end_of_output()
                ended = True
            except KeyboardInterrupt:
                pass
        if isinstance(error, SystemExit):
            return EXITED
        try:
            serial_identity.print_exception(error)
        except KeyboardInterrupt:
            pass
        return INTERRUPTED if isinstance(error, KeyboardInterrupt) else RAISED


def _forget_how():
    # As the firmware finds them on an ESP32: there, and no files.
    for name in ("board_boot", "turns", "real_time", "guarded_flash", "serial_stdio", "serial_identity"):
        sys.modules.pop(name, None)
    vfs.umount("/lib")
    sys.modules["esp32"] = esp32
    sys.modules["virtual_bus"] = virtual_bus
    sys.modules["virtual_pcnt"] = virtual_pcnt


def run(program, machine_name, dog_ms, dog_left_ms):
    """Never returns: the process is killed."""
    global _machine
    import machine
    import os

    _machine = machine
    if dog_ms:
        machine.WDT(timeout=dog_ms)
        machine.WDT._alarm.set(link.ms + dog_left_ms, link.us)
    _forget_how()
    serial_identity.install(machine_name, program)
    try:
        os.stat("boot.py")
    except OSError:
        # A new flash is formatted and gets one (inisetup.py of the ESP32's port).
        with open("boot.py", "wb") as file:
            file.write(_BOOT)
    gc.collect()
    result = DONE
    while True:
        try:
            kind, source = _next(result)
            result = _execute(kind, source)
        except KeyboardInterrupt:
            result = RAISED
