"""Start-up of the SX1262; leaves the heap when it is done. Section numbers: SX1261/2 datasheet, rev. 2.1."""

import time

from machine import Pin
from micropython import const

from radio.transceiver import fault

# Table 12-1: LoRa sync word after a reset, which is that of private networks, and LoRaWAN's.
_AFTER_RESET = const(0x1424)
_LORAWAN = const(0x3444)

# Table 13-35: what DIO3 can give a TCXO.
_TCXO_MV = (1600, 1700, 1800, 2200, 2400, 2700, 3000, 3300)


def sync_word(chip):
    """The LoRa sync word as it is."""
    return chip.read(0x0740) << 8 | chip.read(0x0741)


def identify(chip):
    """Reset; raise RadioError if what comes out of it is no SX1262. The chip has no number of its own."""
    chip.reset(0)
    time.sleep_ms(1)  # 8.1: 100 us
    chip.reset(1)
    time.sleep_ms(5)
    chip.asleep = False
    word = sync_word(chip)
    if word in (0, 0xFFFF):
        raise fault(chip, "silent")
    if word != _AFTER_RESET:
        raise fault(chip, "stranger", "sync word 0x%04x, not 0x%04x" % (word, _AFTER_RESET))


def calibrate(chip):
    """Regulator, oscillator, calibrations, image rejection for 863 to 870 MHz; RadioError if one failed."""
    chip.write(0x80, 0)
    chip.write(0x96, chip.dcdc)
    if chip.tcxo_mv:
        # 13.3.6: in steps of 15.625 us.
        steps = chip.tcxo_us * 8 // 125
        chip.write(0x97, _TCXO_MV.index(chip.tcxo_mv), steps >> 16, steps >> 8 & 255, steps & 255)
    # The reset has tried to start a crystal where there is a TCXO without supply.
    chip.write(0x07, 0, 0)
    chip.write(0x89, 0x7F)
    chip.write(0x98, 0xD7, 0xDB)
    chip.check_errors()


def configure(chip):
    """What no transaction changes and a warm start keeps."""
    chip.write(0x9D, 1)  # DIO2 switches the antenna
    chip.write(0x8A, 1)  # LoRa
    chip.write(0x93, 0x20)  # STDBY_RC after each transaction
    chip.write(0x9F, 0)  # the timer of SetRx stops at a header, not at a preamble
    # 15.2: or the clamp against a bad antenna match takes off power.
    chip.change(0x08D8, 0x1E, 0x1E)
    chip.write(0x0D, 0x07, 0x40, _LORAWAN >> 8, _LORAWAN & 255)
    word = sync_word(chip)
    if word != _LORAWAN:
        raise fault(chip, "stranger", "sync word 0x%04x, not 0x%04x" % (word, _LORAWAN))


def run(chip, interrupt):
    """From power-on to standby, ready to work; interrupt(pin) becomes the handler of DIO1."""
    if chip.dio1 is not None:
        chip.dio1.irq(handler=interrupt, trigger=Pin.IRQ_RISING)
    identify(chip)
    calibrate(chip)
    configure(chip)
