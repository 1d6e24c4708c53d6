"""Light sleep for tests: `machine.lightsleep` ends with its time or with a pin's level, and calls no handler meanwhile."""

import sys

import fake_machine
from world import world

TIMER, GPIO = 4, 7
# [(us begun, us ended)], [(GPIO, held)] of outputs, what wakes: (pins, level).
slept = []
held = []
wakes = [(), 1]
cause = [0]


def _lightsleep(ms):
    pins, level = wakes
    for pin in pins:
        if fake_machine.handlers.get(pin.id, (None,))[0] is not None:
            raise AssertionError("GPIO %d wakes by level and has a handler" % pin.id)
    begun, end = world.now_us, world.now_us + 1000 * ms
    cause[0] = TIMER
    while True:
        if any([pin.value() == level for pin in pins]):
            cause[0] = GPIO
            break
        if world.now_us >= end:
            break
        world.step_to(end)
    slept.append((begun, world.now_us))


def _wake_on_gpio(pins, level):
    wakes[:] = [tuple(pins), 1 if level else 0]


class _Esp32:
    pass


def install():
    """Chip and MicroPython have it from now on; what was recorded is forgotten."""
    fake_machine.lightsleep = _lightsleep
    fake_machine.wake_reason = lambda: cause[0]
    fake_machine.Pin.init = lambda pin, hold=None: held.append((pin.id, hold))
    sys.modules["esp32"] = esp32 = _Esp32()
    esp32.wake_on_gpio = _wake_on_gpio
    slept.clear()
    held.clear()


def remove():
    """An older MicroPython, without wake_on_gpio."""
    sys.modules["esp32"] = _Esp32()


def seconds(after=0):
    """How long it has slept since a second."""
    return sum([end - begun for begun, end in slept if begun >= 1000000 * after]) // 1000000
