"""The board's button: a short press sends a status frame that asks how well the network hears the node, and wakes lamp
and display. A long press does nothing, so that nobody does harm with it.
"""

import asyncio

from machine import Pin
from micropython import const

# A level that lasts so long is no bounce; a button that is held for so long is not pressed but leant on.
_BOUNCE_MS = const(30)
_LONG_MS = const(2000)
_HELD_MS = const(1000)
# One frame in so long at most: a finger must not spend the duty cycle.
_PACE_MS = const(60000)

# The interrupt handler, for who has to take it off and put it on again.
press = None


async def watch(node, ask):
    """For ever: wait for presses of the board's BUTTON; ask() sends the frame. `node` is a `node.Node`."""
    number, pulled_up = node.board.BUTTON
    pin = Pin(number, Pin.IN, Pin.PULL_UP if pulled_up else None)  # type: ignore[arg-type]
    flag = asyncio.ThreadSafeFlag()
    # Allocates nothing when it is called.
    global press
    press = lambda _: flag.set()  # noqa: E731 - allocated once
    pin.irq(press, Pin.IRQ_FALLING)
    not_before = 0
    while True:
        await flag.wait()
        await asyncio.sleep_ms(_BOUNCE_MS)
        held = 0
        while not pin.value():
            # A button that is stuck must not keep the chip busy.
            pause = _BOUNCE_MS if held < _LONG_MS else _HELD_MS
            await asyncio.sleep_ms(pause)
            held += pause
        await asyncio.sleep_ms(_BOUNCE_MS)
        # What came meanwhile were bounces.
        flag.clear()
        if not 0 < held < _LONG_MS:
            continue
        node.pressed_at = now = node.uptime()
        for what, module in (("LED", "led"), ("DISPLAY", "display")):
            if getattr(node.board, what, None) is not None:
                node.show(module)
        if now >= not_before:
            not_before = now + _PACE_MS
            ask()
