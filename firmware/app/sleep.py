"""Light sleep between events, for nodes whose settings ask for it; nobody else loads this. See docs/sensors/README.md, "Sleep".

asyncio waits for what is due next in the poll of its queue of streams: `Sleeper` takes that poll's place, and where nothing
speaks against it the chip sleeps instead of waiting. Edges reach no interrupt meanwhile. A pin at its active level wakes the
chip, and its level is given to the sensor as the edge that it was.
"""

import time
from asyncio import core  # type: ignore[attr-defined] # the stubs know only what is documented

import machine
from micropython import const

from app.clock import Clock
from counting import TICKS
from counting.watch import later
from lorawan import eu868

# Shorter waits are not worth the way into the sleep and out of it.
_LEAST_MS = const(10)
# A third of the watchdog's time-out.
_MOST_MS = const(60000)
# While a pin is active it is looked at again after so long, and an eighth of how long it has been, up to a second.
_FIRST_MS = const(20)
_LATER_MS = const(1000)
_GPIO = const(7)  # ESP_SLEEP_WAKEUP_GPIO of ESP-IDF's esp_sleep.h: machine.wake_reason() has no name for it

# In light sleep the RTC's slow clock counts, an RC oscillator that is compared with the crystal before each sleep. ESP-IDF
# states no figure for it. Published measurements: ticks 3300 ppm too fast on an ESP32-WROOM-32E (espressif/esp-idf issue 6030),
# 1000 to 5200 ppm on several (esp32.com t=35490), 7000 ppm (there, on issue 6687). That is nearly the same from hour to hour
# and so is learnt; what is left comes from temperature and from how much of the time the node is asleep.
_UNKNOWN_PPB = const(7000000)
_LEARNT_PPB = const(2000000)
_MAX_RATE_PPB = const(12000000)
_ANSWER_ERROR_MS = const(30)
_BILLION = const(1000000000)
_LEARN_AFTER_MS = const(600000)
# Of the first spans one may have been spent awake, by the lamp and for the technician.
_LEARNT_AFTER = const(3)
_ASK_MS = const(1700000)


class RoughClock(Clock):
    """A `Clock` on ticks that are off by more than a crystal's: it asks more often, and promises less."""

    def error_ms(self, uptime):
        """Bound of the error at `uptime`, None while the time is not known."""
        if not self.known:
            return None
        rate = _LEARNT_PPB if self._answers > _LEARNT_AFTER else _UNKNOWN_PPB
        return _ANSWER_ERROR_MS + (uptime - self._uptime) * rate // _BILLION

    def wants(self, uptime):
        """Whether the next uplink should ask for the time."""
        if self._asked or not self.known or self._doubt is not None:
            return True
        return uptime - self._uptime >= (_LEARN_AFTER_MS if self._answers <= _LEARNT_AFTER else _ASK_MS)

    def _learn(self, step, passed):
        if passed < _LEARN_AFTER_MS:
            self._answers -= 1
            return
        rate = self._rate + step * _BILLION // passed
        if abs(rate) <= _MAX_RATE_PPB:
            self._rate = rate


def begin(node):
    """From now on `node` sleeps; or it says why it cannot."""
    try:
        from esp32 import wake_on_gpio
    except ImportError:
        node.note("sleep: this MicroPython has no wake_on_gpio")
        return
    node.clock = RoughClock(node.settings["interval_s"] * 500)
    # A clock that is fast by up to a hundredth must not shorten the rests that the duty cycle demands.
    eu868.SUB_BANDS = tuple([(low, high, n + 1 + n // 50) for low, high, n in eu868.SUB_BANDS])  # type: ignore[assignment]
    core._io_queue.poller = Sleeper(node, core._io_queue.poller, wake_on_gpio)


class Sleeper:
    """Stands for `poll`, a select.poll."""

    def __init__(self, node, poll, wake_on_gpio):
        self._node = node
        self.register, self.modify, self.unregister = poll.register, poll.modify, poll.unregister
        self._wait = poll.ipoll
        sensors = self._sensors = node.inputs._sensors
        self._handlers = [sensor._edge for sensor in sensors]
        self._idle = sensors[0]._idle
        self._button = None
        # One level wakes for all pins. The button connects to ground.
        number = getattr(node.board, "BUTTON", None)
        if self._idle and number is not None:
            from app import button

            # Its interrupt handler is made when its task begins.
            self._button, self._of_button = machine.Pin(number[0]), button
        pins = [sensor._pin for sensor in sensors]
        wake_on_gpio(pins if self._button is None else pins + [self._button], not self._idle)  # noqa: RUF005 - MicroPython has no * here
        # Asleep the S3 lets go of its outputs: this one would wake the radio.
        nss = getattr(node.board, "NSS", None)
        self._nss = None if nss is None else machine.Pin(nss)
        self._brief = self._was_active

    def ipoll(self, timeout):
        """Wait for `timeout` ms or a stream, as select.poll.ipoll; or sleep, and come back before."""
        if timeout >= _LEAST_MS and self._may():
            awake = self._awake()
            if awake:
                timeout = min(timeout, awake)
            else:
                self._sleep(min(timeout, _MOST_MS))
                timeout = 0
        return self._wait(timeout)

    def _may(self):
        """Not from a transmission to the end of its windows, while flash is written, or for people who look."""
        node = self._node
        return not (
            node.quiet.locked()
            or node._showing
            or (node.blinking is not None and not node.blinking.done())
            or node.uptime() < node.settings["grace_s"] * 1000
        )

    def _awake(self):
        """ms for which a pin is not to be left alone; 0 when all have come to rest."""
        for i in range(len(self._sensors)):
            contact, pin = self._sensors[i].contact, self._sensors[i]._pin
            passed = (time.ticks_ms() - contact.since) & TICKS
            level = pin.value() ^ self._idle
            if level != contact.level:
                # The interrupt is late, or lost.
                later(self._handlers[i], pin)
                return contact.debounce
            if level:
                return min(_LATER_MS, _FIRST_MS + passed // 8)
            if passed < contact.debounce:
                return contact.debounce - passed
        return 0 if self._button is None or self._button.value() else _FIRST_MS

    def _sleep(self, ms):
        # The driver turns the interrupt of a pin that wakes into one of level, which would never come to an end.
        for sensor in self._sensors:
            sensor._pin.irq(None)
        if self._button is not None:
            self._button.irq(None)
        if self._nss is not None:
            self._nss.init(hold=True)  # type: ignore[call-arg] # the same
        try:
            machine.lightsleep(ms)
        finally:
            if self._nss is not None:
                self._nss.init(hold=False)  # type: ignore[call-arg]
            if self._button is not None:
                self._button.irq(self._of_button.press, machine.Pin.IRQ_FALLING)
            both = machine.Pin.IRQ_RISING | machine.Pin.IRQ_FALLING
            for i in range(len(self._sensors)):
                self._sensors[i]._pin.irq(self._handlers[i], both)
        self._look(machine.wake_reason() == _GPIO)

    def _look(self, by_pin):
        """After the interrupts are on again: what changed before. by_pin: a pin has woken the chip."""
        for i in range(len(self._sensors)):
            pin = self._sensors[i]._pin
            if pin.value() ^ self._idle != self._sensors[i].contact.level:
                by_pin = False
                later(self._handlers[i], pin)
        if self._button is not None and not self._button.value():
            by_pin = False
            self._of_button.press(self._button)
        if by_pin:
            later(self._brief, None)

    def _was_active(self, _):
        # Whoever has woken the chip is inactive again: it bounces, or it was too short.
        for i in range(len(self._sensors)):
            sensor = self._sensors[i]
            sensor.contact.sample(time.ticks_ms(), 1, sensor._edges)
            self._handlers[i](sensor._pin)
