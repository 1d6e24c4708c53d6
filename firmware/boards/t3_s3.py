"""LilyGO T3-S3 V1.0 to V1.3 with SX1262: ESP32-S3FH4R2, TCXO at DIO3, antenna switch at DIO2.

Pins after docs/en/t3_s3_sx1262/t3_s3_sx1262_hw.md and the examples' utilities.h of
Xinyuan-LilyGO/LilyGo-LoRa-Series and Meshtastic's variants/esp32s3/tlora_t3s3_v1/variant.h (TCXO 1.8 V),
which agree; LED, button and display after the same utilities.h (37, bright at 1; 0; 17 18). LilyGO's schematics are T3_S3_V1.*.pdf.
"""

import esp32
from machine import ADC, SPI, Pin

from radio.sx1262 import Sx1262
from radio.transceiver import Transceiver

PCNT_UNITS = 4
NSS = 7
LED = (37, 1)
BUTTON = (0, True)
DISPLAY = (17, 18, None, None)


def radio():
    """The radio of this board, not started yet."""
    return Transceiver(
        Sx1262(
            SPI(1, baudrate=8000000, sck=Pin(5), mosi=Pin(6), miso=Pin(3)),
            nss=Pin(NSS, Pin.OUT, value=1),
            reset=Pin(8, Pin.OUT, value=1),
            busy=Pin(34, Pin.IN),
            dio1=Pin(33, Pin.IN),
            tcxo_mv=1800,
        )
    )


def battery_mv():
    """The cell in mV, behind 100 k over 100 k. On USB without a cell it is what the charger puts there."""
    adc = ADC(Pin(1), atten=ADC.ATTN_11DB)
    return sum([adc.read_uv() for _ in range(8)]) // 4000


def temperature():
    """Of the ESP32-S3, in 0.1 degrees Celsius."""
    return esp32.mcu_temperature() * 10  # type: ignore[attr-defined] # the stubs are the ESP32's
