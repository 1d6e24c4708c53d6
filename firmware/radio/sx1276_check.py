"""Self-test of the SX1276 for the technician; leaves the heap when it is done. It sends nothing."""

import sys
import time

from machine import Pin

import radio as radio_package
from radio import RadioError, sx1276_start

# A quiet place to listen: the test needs a window, not a packet.
_FREQUENCY = 868100000
_SYMBOLS = 6

_OP_MODE = 0x01
_FIFO_ADDRESS = 0x0D
_IRQ_FLAGS = 0x12
_SYNC_WORD = 0x39
_DIO_MAPPING = 0x40
# Table 16 and RegIrqFlags: channel activity detection, and that it is done; table 18: on DIO0.
_CAD = 0x87
_CAD_DONE = 0x04
_CAD_ON_DIO0 = 0x80
_RX_TIMEOUT = 0x80


def _identity(radio):
    sx1276_start.identify(radio.chip)
    return "version 0x12"


def _oscillator(radio):
    begun = time.ticks_us()
    sx1276_start.calibrate(radio.chip)
    calibrated = time.ticks_us()
    sx1276_start.configure(radio.chip)
    return "calibrated in %d us" % time.ticks_diff(calibrated, begun)


def _registers(radio):
    chip = radio.chip
    for value in (0x5A, 0xA5, 0x00, 0xFF, 0x34):
        chip.write(_SYNC_WORD, value)
        found = chip.read(_SYNC_WORD)
        if found != value:
            raise RadioError("wrote 0x%02x, read 0x%02x: check SPI's wires and speed" % (value, found))
    return "5 patterns"


def _buffer(radio):
    chip = radio.chip
    pattern = bytes([i ^ 0xA5 for i in range(255)])
    found = bytearray(255)
    chip.write(_FIFO_ADDRESS, 0)
    chip.transfer(b"\x80", pattern)
    chip.write(_FIFO_ADDRESS, 0)
    chip.transfer(b"\x00", None, found)
    wrong = sum([found[i] != pattern[i] for i in range(255)])
    if wrong:
        raise RadioError("%d of 255 bytes came back wrong: check SPI's wires and speed" % wrong)
    return "255 bytes"


def _raised(radio, name, line, flag, begun):
    """Wait for a flag and say what its line did."""
    chip = radio.chip
    while not chip.read(_IRQ_FLAGS) & flag:
        if time.ticks_diff(time.ticks_us(), begun) > 500000:
            raise RadioError("no flag for %s within 0.5 s: check oscillator and supply" % name)
        time.sleep_ms(1)
    if line is None:
        return "%s is not wired" % name
    if not line():
        raise RadioError("%s %s stays low: check its wire" % (name, line))
    time.sleep_ms(1)
    if radio.at is None:
        raise RadioError("%s %s rises, but there is no interrupt of the pin" % (name, line))
    return "%s after %d us" % (name, time.ticks_diff(radio.at, begun))


def _quiet(name, line):
    if line is not None and line():
        raise RadioError("%s %s is high without an interrupt: check its wire" % (name, line))


def _interrupts(radio):
    chip = radio.chip
    radio.prepare_receive(_FREQUENCY, 7, 125000, _SYMBOLS)
    _quiet("DIO0", chip.dio0)
    _quiet("DIO1", chip.dio1)
    timeout = _raised(radio, "DIO1", chip.dio1, _RX_TIMEOUT, radio.begin())
    radio.prepare_receive(_FREQUENCY, 7, 125000, _SYMBOLS)
    chip.write(_DIO_MAPPING, _CAD_ON_DIO0)
    radio.at = None
    begun = time.ticks_us()
    chip.write(_OP_MODE, _CAD)
    return "%s, %s" % (timeout, _raised(radio, "DIO0", chip.dio0, _CAD_DONE, begun))


_STEPS = (
    ("identity", _identity),
    ("oscillator", _oscillator),
    ("registers", _registers),
    ("buffer", _buffer),
    ("interrupts", _interrupts),
)


def run(radio):
    """[(name, ok, detail)]; ends with the first step that fails."""
    results = []
    try:
        for dio in (radio.chip.dio0, radio.chip.dio1):
            if dio is not None:
                dio.irq(handler=radio.interrupt, trigger=Pin.IRQ_RISING)
        for name, step in _STEPS:
            results.append((name, False, ""))
            results[-1] = (name, True, step(radio))
    except Exception as error:  # noqa: BLE001 - whatever it is, the technician has to read it
        results[-1:] = [(results[-1][0] if results else "set-up", False, str(error) or repr(error))]
    radio.sleep()
    # As transceiver.once does it.
    del sys.modules["radio.sx1276_start"], radio_package.sx1276_start
    return results
