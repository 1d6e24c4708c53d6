"""LilyGO (TTGO) T-Beam with SX1276: V1.0, V1.1 with power chip AXP192, V1.2 with AXP2101; ESP32, crystal.

Pins and supplies after docs/en/t_beam/t_beam_hw.md and the examples' utilities.h and LoRaBoards.cpp of
Xinyuan-LilyGO/LilyGo-LoRa-Series, and Meshtastic's variants/esp32/tbeam/variant.h; LilyGO's schematics are
LilyGo_TBeam_V1.1.pdf and LilyGo_TBeam_V1.2.pdf. Registers of the power chips: X-Powers' datasheets.
"""

import time

from machine import I2C, SPI, Pin
from micropython import const

from radio import RadioError
from radio.sx1276 import Sx1276
from radio.transceiver import Transceiver

PCNT_UNITS = 8
NSS = 18
# Bright at 0: BOARD_LED and LED_ON of utilities.h, V1.1 and V1.2. The V1.0 has none there, where it does nothing.
LED = (4, 0)
# BUTTON_PIN of utilities.h, the one in the middle; the chip has no pull resistor there, the board has one.
BUTTON = (38, False)
# On the header for it, beside the power chip on its bus; whether there is one is seen when it is asked.
DISPLAY = (22, 21, None, None)

_POWER = const(0x34)  # I2C address of either chip
# The rail rises, then the SX1276 resets itself for 10 ms, its reset pin left alone (datasheet rev. 7, section 7.2.1).
_SETTLE_MS = const(20)
_ID = const(0x03)
_AXP192 = const(0x03)
_AXP2101 = const(0x4A)
# Register, bits, value. 3.3 V for the radio, measure the battery.
_SETTINGS = {
    # LDO2: 1.8 V + 0.1 V * 15, on.
    _AXP192: ((0x28, 0xF0, 0xF0), (0x12, 0x04, 0x04), (0x82, 0x80, 0x80)),
    # ALDO2: 0.5 V + 0.1 V * 28, on.
    _AXP2101: ((0x93, 0x1F, 28), (0x90, 0x02, 0x02), (0x30, 0x01, 0x01)),
}


def _bus():
    """(I2C, identity of the power chip)."""
    bus = I2C(0, scl=Pin(22), sda=Pin(21), freq=100000)
    return bus, _read(bus, _ID)


def _read(bus, register):
    return bus.readfrom_mem(_POWER, register, 1)[0]


def radio():
    """The radio of this board with its supply on, not started yet."""
    try:
        bus, chip = _bus()
        for register, mask, value in _SETTINGS[chip]:
            rest = _read(bus, register) & ~mask
            bus.writeto_mem(_POWER, register, bytes((rest | value,)))
        time.sleep_ms(_SETTLE_MS)
    except OSError:
        raise RadioError("no power chip at I2C 0x34, SDA 21, SCL 22: is it a T-Beam V1.0, V1.1 or V1.2?")
    except KeyError as error:
        raise RadioError(
            "power chip 0x%02x is neither AXP192 nor AXP2101: which T-Beam is it?" % error.args[0]
        )
    return Transceiver(
        Sx1276(
            SPI(1, baudrate=8000000, sck=Pin(5), mosi=Pin(27), miso=Pin(19)),
            nss=Pin(NSS, Pin.OUT, value=1),
            reset=Pin(23, Pin.OUT, value=1),
            dio0=Pin(26, Pin.IN),
            dio1=Pin(33, Pin.IN),
        )
    )


def battery_mv():
    """The cell in mV by the power chip; None without a cell, and when the power chip does not answer."""
    try:
        bus, chip = _bus()
        if chip == _AXP192:
            there = _read(bus, 0x01) & 0x20
            level = (_read(bus, 0x78) << 4 | _read(bus, 0x79) & 15) * 11 // 10
        else:
            there = _read(bus, 0x00) & 0x08
            level = (_read(bus, 0x34) & 0x1F) << 8 | _read(bus, 0x35)
    except OSError:
        return None  # counts are sent all the same
    return level if there else None


def temperature():
    """None: the ESP32 has no usable sensor."""
    return
