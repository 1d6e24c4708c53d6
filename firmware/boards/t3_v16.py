"""LilyGO (TTGO) T3 V1.6 and V1.6.1, also "LoRa32 V2.1": ESP32-PICO-D4, SX1276 with a crystal.

Not the variants with a TCXO, whose enable pin takes the place of DIO1. Pins after the examples' utilities.h
and docs/en/t3_v161_sx1276/t3_v161_sx1276_hw.md of Xinyuan-LilyGO/LilyGo-LoRa-Series and Meshtastic's
variants/esp32/tlora_v2_1_16/variant.h, which agree; LED after the same utilities.h (25, bright at 1). LilyGO's schematic is T3_V1.6.1.pdf.
"""

from machine import ADC, SPI, Pin

from radio.sx1276 import Sx1276
from radio.transceiver import Transceiver

PCNT_UNITS = 8
NSS = 18
LED = (25, 1)
BUTTON = None
DISPLAY = (22, 21, None, None)


def radio():
    """The radio of this board, not started yet."""
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
    """The cell in mV, behind 100 k over 100 k. On USB without a cell it is what the charger puts there."""
    adc = ADC(Pin(35), atten=ADC.ATTN_11DB)
    return sum([adc.read_uv() for _ in range(8)]) // 4000


def temperature():
    """None: the ESP32 has no usable sensor."""
    return
