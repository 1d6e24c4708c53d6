"""The board's LED shows which node this is. Loaded while it blinks."""

import asyncio

from machine import Pin
from micropython import const

from app import modules

# Two flashes a second: nothing else on these boards blinks like that.
_ON_MS = const(100)
_OFF_MS = const(400)


async def blink(led, seconds):
    """led: (GPIO, level at which it shines), as boards/README.md says. It is dark afterwards, also when cancelled."""
    number, bright = led
    pin = Pin(number, Pin.OUT, value=1 - bright)
    try:
        for _ in range(seconds * 1000 // (_ON_MS + _OFF_MS)):
            pin.value(bright)
            await asyncio.sleep_ms(_ON_MS)
            pin.value(1 - bright)
            await asyncio.sleep_ms(_OFF_MS)
    finally:
        pin.value(1 - bright)
        modules.unload("app.led")
