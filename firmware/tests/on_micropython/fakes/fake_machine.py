"""`machine` for tests: pins whose levels a test sets, counters that cycle like the ESP32's, a watchdog that tells."""

from world import world

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5
cause = PWRON_RESET


def reset_cause():
    return cause


class Reset(BaseException):
    """The chip starts anew."""


def reset():
    raise Reset


levels = {}
# [(GPIO, level)] of what the node itself drove.
driven = []
handlers = {}


class Pin:
    IN, OUT = 1, 3
    PULL_DOWN, PULL_UP = 1, 2
    IRQ_RISING, IRQ_FALLING = 1, 2

    def __init__(self, number, mode=-1, pull=-1, value=None):
        if number < 0 or number > 48:
            raise ValueError("invalid pin")
        self.id = number
        if value is not None:
            self.value(value)

    def value(self, level=None):
        if level is not None:
            levels[self.id] = level
            driven.append((self.id, level))
        return levels.get(self.id, 1)

    def irq(self, handler=None, trigger=3):
        handlers[self.id] = (handler, self)


def set_level(pin, level, interrupt=True):
    """The outside drives a pin; without `interrupt` the edge is one that the scheduler's queue lost."""
    levels[pin] = level
    handler, owner = handlers.get(pin, (None, None))
    if handler and interrupt:
        handler(owner)


pulses = {}


class Counter:
    """machine.Counter of the ESP32: each round of its unit is added by an interrupt, so it only rises."""

    RISING, FALLING = 1, 2

    def __init__(self, unit, src=None, edge=1, filter_ns=0):
        self.pin = src.id
        self.base = pulses.get(self.pin, 0)

    def value(self):
        return pulses.get(self.pin, 0) - self.base

    def deinit(self):
        pass


class RTC:
    """Its memory stays as long as the power does."""

    kept = b""

    def memory(self, data=None):
        if data is not None:
            if len(data) > 2048:
                raise ValueError("buffer too long")
            RTC.kept = bytes(data)
        return RTC.kept


class WDT:
    """Records when it was fed; `starved` when that came too late. Where it `bites` it resets the chip then."""

    fed = None
    starved = False
    bites = False

    def __init__(self, timeout):
        self.timeout = timeout
        self.feed()

    def feed(self):
        if WDT.fed is not None and world.now_us - WDT.fed > self.timeout * 1000:
            WDT.starved = True
        WDT.fed = fed = world.now_us
        if not WDT.bites:
            return

        def bite():
            global cause
            if WDT.fed == fed:
                cause = WDT_RESET
                raise Reset

        world.at(fed + self.timeout * 1000, bite)
