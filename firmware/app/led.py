"""The board's LED shows which node this is, and how it fares. Loaded while it shines.

A pattern is two seconds in steps of a tenth, the highest bit first, again and again. docs/lamp-and-button.md has them
for those who look at a lamp; a test holds it to this table.
"""

import asyncio

from micropython import const

from app import modules

STEP_MS = const(100)
STEPS = const(20)
# It shines for so long after a press.
_AWAKE_MS = const(60000)

# A kind of alarm, as zaehlwerk_protocol.alarm numbers them.
_BATTERY_ALARM = const(4)
# From then on a start has lasted.
_NEW_MS = const(600000)

# States, the most urgent first.
_IDENTIFY = const(0)
_SENDING = const(1)
_SAFE_MODE = const(2)
_FAULT = const(3)
_LOW_BATTERY = const(4)
_JOINING = const(5)
_UNANSWERED = const(6)
_JOINED = const(7)
PATTERNS = (
    0b10000100001000010000,
    0b11111111111111111111,
    0b11111111101111111110,
    0b10101010000000000000,
    0b11111100000000000000,
    0b11111000001111100000,
    0b11000110000000000000,
    0b10000000000000000000,
)

# The answer of the network to a press: after a pause long flashes, one per 10 dB of margin that were begun, then
# after another pause short ones, one per gateway. At most so many of each; each shines for so many steps of so many.
_MOST = const(5)
_PAUSE = const(10)
_LONG = const(6)
_LONG_OF = const(10)
_SHORT = const(2)
_SHORT_OF = const(5)


def state(safe, fault, low_battery, joined, answered):
    """The state to show while nobody is sought and no frame is sent.

    answered: whether the last frame that wanted an answer of the network had one, None before there was any.
    """
    if safe:
        return _SAFE_MODE
    if fault:
        return _FAULT
    if low_battery:
        return _LOW_BATTERY
    if not joined:
        return _JOINING
    return _UNANSWERED if answered is False else _JOINED


def shines(shown, ms):
    """1 when the lamp shines `ms` after a pattern's begin, else 0."""
    return PATTERNS[shown] >> (STEPS - 1 - ms // STEP_MS % STEPS) & 1


def answer(margin, gateways, ms):
    """The same of an answer that came `ms` ago: margin in dB, number of gateways. None when all of it was shown."""
    step = ms // STEP_MS
    for flashes, shining, takes in ((margin // 10 + 1, _LONG, _LONG_OF), (gateways, _SHORT, _SHORT_OF)):
        step -= _PAUSE
        if step < 0:
            return 0
        length = min(_MOST, flashes) * takes
        if step < length:
            return 1 if step % takes < shining else 0
        step -= length
    return None if step >= _PAUSE else 0


async def blink(led, seconds):
    """Which node this is. led: (GPIO, level at which it shines), as boards/README.md says; dark afterwards, also when cancelled."""
    await _play(led, lambda ms: shines(_IDENTIFY, ms) if ms < seconds * 1000 else None)


async def show(node):
    """How the node fares: after a start, for whoever installs it, and after a press. What `blink` shows goes before it."""

    def level(ms):
        now = node.uptime()
        if now >= _NEW_MS and now - node.pressed_at >= _AWAKE_MS:
            return None
        if node.blinking is not None and not node.blinking.done():
            return -1
        if node.quiet.locked():
            return shines(_SENDING, ms)
        if node.link is not None:
            margin, gateways, at = node.link
            told = answer(margin, gateways, now - at)
            if told is not None:
                return told
        device = node.device
        joined = device is not None and device.joined
        low_battery = node.alarms.now[_BATTERY_ALARM]
        return shines(state(node.safe, node.faulty, low_battery, joined, node.answered), ms)

    await _play(node.board.LED, level)


async def _play(led, level):
    """level(ms since the begin): 1 or 0, -1 when the LED is somebody else's, None at the end."""
    # Here, because the logic above is tested without a board too.
    from machine import Pin

    number, bright = led
    pin = Pin(number, Pin.OUT, value=1 - bright)
    ms = before = 0
    try:
        while True:
            now = level(ms)
            if now is None:
                break
            if now >= 0 and now != before:
                pin.value(bright if now else 1 - bright)
            before = now
            await asyncio.sleep_ms(STEP_MS)
            ms += STEP_MS
    finally:
        pin.value(1 - bright)
        modules.unload("app.led")
