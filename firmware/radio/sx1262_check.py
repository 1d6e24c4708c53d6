"""Self-test of the SX1262 for the technician; leaves the heap when it is done. It sends nothing."""

import sys
import time

from machine import Pin

import radio as radio_package
from radio import RadioError, sx1262_start

# A quiet place to listen: the test needs a window, not a packet.
_FREQUENCY = 868100000
_SYMBOLS = 6


def _identity(radio):
    chip = radio.chip
    sx1262_start.identify(chip)
    # The chip's own words at 0x0320, where it has them: not in the datasheet, and "SX1261" on both.
    text = bytearray(16)
    chip.transfer(b"\x1d\x03\x20\x00", None, text)
    words = bytes([c for c in text if 32 <= c < 127]).decode()
    return "sync word of a fresh chip; it says %r" % words


def _registers(radio):
    chip = radio.chip
    for word in (0x5AA5, 0xA55A, 0x0000, 0xFFFF):
        chip.write(0x0D, 0x07, 0x40, word >> 8, word & 255)
        found = sx1262_start.sync_word(chip)
        if found != word:
            raise RadioError("wrote 0x%04x, read 0x%04x: check SPI's wires and speed" % (word, found))
    return "4 patterns"


def _buffer(radio):
    pattern = bytes([i ^ 0xA5 for i in range(255)])
    radio.chip.transfer(b"\x0e\x00", pattern)
    found = bytearray(255)
    radio.chip.transfer(b"\x1e\x00\x00", None, found)
    wrong = sum([found[i] != pattern[i] for i in range(255)])
    if wrong:
        raise RadioError("%d of 255 bytes came back wrong: check SPI's wires and speed" % wrong)
    return "255 bytes"


def _oscillator(radio):
    begun = time.ticks_us()
    sx1262_start.calibrate(radio.chip)
    sx1262_start.configure(radio.chip)
    calibrated = time.ticks_us()
    radio.chip.write(0x80, 1)
    radio.chip.check_errors()
    started = time.ticks_us()
    return "calibrated in %d us, started in %d us" % (
        time.ticks_diff(calibrated, begun),
        time.ticks_diff(started, calibrated),
    )


def _interrupt(radio):
    chip = radio.chip
    radio.prepare_receive(_FREQUENCY, 7, 125000, _SYMBOLS)
    line = chip.dio1
    if line is not None and line():
        raise RadioError("DIO1 %s is high without an interrupt: check its wire" % line)
    begun = radio.begin()
    while not chip.outcome() and time.ticks_diff(time.ticks_us(), begun) < 500000:
        time.sleep_ms(1)
    if not chip.outcome():
        raise RadioError("a window of %d symbols does not end: check oscillator and supply" % _SYMBOLS)
    if line is None:
        return "no DIO1 wired; the driver asks over SPI"
    if not line():
        raise RadioError("DIO1 %s stays low: check its wire" % line)
    time.sleep_ms(1)
    if radio.at is None:
        raise RadioError("DIO1 %s rises, but there is no interrupt of the pin" % line)
    return "after %d us" % time.ticks_diff(radio.at, begun)


_STEPS = (
    ("identity", _identity),
    ("registers", _registers),
    ("buffer", _buffer),
    ("oscillator", _oscillator),
    ("interrupt", _interrupt),
)


def run(radio):
    """[(name, ok, detail)]; ends with the first step that fails."""
    results = []
    try:
        if radio.chip.dio1 is not None:
            radio.chip.dio1.irq(handler=radio.interrupt, trigger=Pin.IRQ_RISING)
        for name, step in _STEPS:
            results.append((name, False, ""))
            results[-1] = (name, True, step(radio))
    except Exception as error:  # noqa: BLE001 - whatever it is, the technician has to read it
        results[-1:] = [(results[-1][0] if results else "set-up", False, str(error) or repr(error))]
    radio.sleep()
    # As transceiver.once does it.
    del sys.modules["radio.sx1262_start"], radio_package.sx1262_start
    return results
