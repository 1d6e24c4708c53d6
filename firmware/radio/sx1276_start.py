"""Start-up of the SX1276; leaves the heap when it is done. Section numbers: SX1276 datasheet, revision 7."""

import time

from machine import Pin
from micropython import const

from radio.transceiver import fault

_OP_MODE = const(0x01)
_FRF = const(0x06)
_PA_CONFIG = const(0x09)
_IRQ_MASK = const(0x11)
_DETECTION_THRESHOLD = const(0x37)
_SYNC_WORD = const(0x39)
_IMAGE_CAL = const(0x3B)  # in FSK mode
_VERSION = const(0x42)
_PA_DAC = const(0x4D)

# RegVersion of the SX1276 to 79.
_SX1276 = const(0x12)
_CALIBRATE = const(0x40)
_CALIBRATING = const(0x20)
# 868 MHz in steps of 32 MHz / 2^19.
_BAND = b"\xd9\x00\x00"
# The calibration takes 10 ms (section 4.2.3.8).
_PATIENCE_MS = const(50)


def identify(chip):
    """Reset; raise RadioError if what comes out of it is no SX1276."""
    chip.reset(0)
    time.sleep_ms(1)  # 7.2.2: 100 us
    chip.reset(1)
    time.sleep_ms(6)  # 5 ms
    version = chip.read(_VERSION)
    if version in (0, 255):
        raise fault(chip, "silent")
    if version != _SX1276:
        raise fault(chip, "stranger", "version 0x%02x, not 0x%02x" % (version, _SX1276))


def calibrate(chip):
    """Image rejection and RSSI at 868 MHz, amplifier off. It needs FSK mode, in which the chip begins."""
    chip.write(_OP_MODE, 0x01)
    chip.write(_PA_CONFIG, 0)
    chip.write(_FRF, *_BAND)
    chip.write(_IMAGE_CAL, chip.read(_IMAGE_CAL) | _CALIBRATE)
    for _ in range(_PATIENCE_MS):
        time.sleep_ms(1)
        if not chip.read(_IMAGE_CAL) & _CALIBRATING:
            return
    raise fault(chip, "calibration")


def configure(chip):
    """What no transaction changes and sleep keeps. LoRa mode begins in sleep only."""
    chip.write(_OP_MODE, 0x00)
    chip.write(_OP_MODE, 0x80)
    chip.write(_PA_DAC, 0x84)  # 5.4.3: no +20 dBm
    chip.write(_IRQ_MASK, 0)
    chip.write(_DETECTION_THRESHOLD, 0x0A)  # SF7 to SF12
    chip.write(_SYNC_WORD, 0x34)
    chip.standby()


def run(chip, interrupt):
    """From power-on to standby, ready to work; interrupt(pin) becomes the handler of the lines."""
    for dio in (chip.dio0, chip.dio1):
        if dio is not None:
            dio.irq(handler=interrupt, trigger=Pin.IRQ_RISING)
    identify(chip)
    calibrate(chip)
    configure(chip)
