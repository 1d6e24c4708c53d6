"""Heltec WiFi LoRa 32 V3, V3.1, V3.2: ESP32-S3FN8, SX1262 with a TCXO at DIO3, antenna switch at DIO2.

Pins after Arduino's variants/heltec_wifi_lora_32_V3/pins_arduino.h and Meshtastic's
variants/esp32s3/heltec_v3/variant.h, which agree (LED 35, bright at 1; button "PRG" 0; display 18 17 21,
Vext 36, on at 0); Heltec's schematic is HTIT-WB32LA(F)_V3.
"""

import esp32
from machine import ADC, SPI, Pin

from radio.sx1262 import Sx1262
from radio.transceiver import Transceiver

PCNT_UNITS = 4
NSS = 8
LED = (35, 1)
BUTTON = (0, True)
DISPLAY = (18, 17, 21, 36)


def radio():
    """The radio of this board, not started yet."""
    return Transceiver(
        Sx1262(
            SPI(1, baudrate=8000000, sck=Pin(9), mosi=Pin(10), miso=Pin(11)),
            nss=Pin(NSS, Pin.OUT, value=1),
            reset=Pin(12, Pin.OUT, value=1),
            busy=Pin(13, Pin.IN),
            dio1=Pin(14, Pin.IN),
            tcxo_mv=1800,
        )
    )


def battery_mv():
    """The cell in mV, behind 390 k over 100 k. On USB without a cell it is what the charger puts there."""
    # ADC_Ctrl switches the divider on: low up to V3.1, high from V3.2 on. A pull resistor holds it off.
    switch = Pin(37, Pin.IN)
    switch.init(Pin.OUT, value=not switch.value())
    adc = ADC(Pin(1), atten=ADC.ATTN_2_5DB)
    try:
        return sum([adc.read_uv() for _ in range(8)]) * 49 // 80000
    finally:
        switch.init(Pin.IN)


def temperature():
    """Of the ESP32-S3, in 0.1 degrees Celsius."""
    return esp32.mcu_temperature() * 10  # type: ignore[attr-defined] # the stubs are the ESP32's
