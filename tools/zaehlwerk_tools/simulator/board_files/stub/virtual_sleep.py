"""Light sleep of the virtual board, as ESP-IDF and MicroPython have it on ESP32 and ESP32-S3; loaded when it is used.

ESP-IDF Programming Guide, "Sleep Modes": in light sleep CPUs and digital peripherals are without a clock and resume where
they stood. So edges reach neither interrupts nor PCNT, nor do characters a UART; what wakes are the RTC's timer and the level
of a pin ("GPIO wakeup"), also one that is there before the sleep begins. Entering and leaving take time in which nothing is
seen either: DEFAULT_SLEEP_OUT_OVERHEAD_US and DEFAULT_HARDWARE_OUT_OVERHEAD_US of esp_hw_support/sleep_modes.c are 212 and
60 us on the ESP32, 382 and 133 us on the S3, and the slow clock is measured before (here a millisecond in all, each way).

The timer runs, and the ticks are corrected afterwards, by the RTC's slow clock (esp_timer_private_set in sleep_modes.c): by
how much that is off, the ticks are off.

gpio_wakeup_enable (esp_driver_gpio/gpio.c) makes the pin's interrupt one of level, and the handler of an ESP32's Pin does not
take the cause away: a program that leaves its handler on such a pin comes no further while the level lasts. Here that is an
error. The watchdog of the task stands still on the chip; here it goes on, which is stricter.
"""

import struct
import sys

import board_link as _link
from micropython import const

TIMER_WAKE, GPIO_WAKE = 4, 7  # esp_sleep_wakeup_cause_t
_WAY_US = const(1000)  # into the sleep, and out of it

pins = ()
level = 1
cause = 0
ppm = 0  # how much too fast the slow clock is taken to be


def wake_on_gpio(some=None, at=None):
    """esp32.wake_on_gpio(pins, level)."""
    global pins, level
    if some is not None:
        pins = tuple(some)
    if at is not None:
        level = 1 if at else 0


def _wakes_at():
    # (ms, us) from when on a pin has the level that wakes.
    first_ms, first_us = _link.NEVER, 0
    for pin in pins:
        edges = _link.edges
        if pin._alarm is not None or (edges and any(at.number == pin._id for at in edges._sources)):
            raise RuntimeError("GPIO %d wakes by level, and its interrupt handler will not let go" % pin._id)
        struct.pack_into("<BIH", _link.buffer, 9, pin._id, _link.ms, _link.us)
        _link.ask(76, 7, 7)
        now, next_ms, next_us = struct.unpack_from("<BIH", _link.reply)
        if now == level:
            return _link.ms, _link.us
        if next_ms < first_ms or (next_ms == first_ms and next_us < first_us):
            first_ms, first_us = next_ms, next_us
    return first_ms, first_us


def _units():
    found = [unit for unit in sys.modules["machine"].Counter._units.values() if unit._pin is not None]
    if "virtual_pcnt" in sys.modules:
        found += [unit for unit in sys.modules["virtual_pcnt"].PCNT._units.values() if unit._running]
    return found


def sleep(time_ms):
    """machine.lightsleep; time_ms is None without a timer."""
    global cause
    if "virtual_uart" in sys.modules:
        raise RuntimeError("a UART hears nothing in light sleep")
    _link.spend(1)  # what is scheduled runs before
    begun_ms, begun_us = _link.ms, _link.us
    counted = [(unit, unit._total()) for unit in _units()]
    end_ms, end_us = _wakes_at()
    cause = GPIO_WAKE
    if time_ms is not None:
        # So long by the slow clock. Asked for less than the way takes, it is refused.
        us = time_ms * 1000 - time_ms * ppm // 1000 + begun_us
        timer_ms, timer_us = begun_ms + us // 1000, us % 1000
        if timer_ms < end_ms or (timer_ms == end_ms and timer_us < end_us):
            end_ms, end_us = timer_ms, timer_us
            cause = TIMER_WAKE
    elif end_ms >= _link.NEVER:
        _link.die(70)
    _link.asleep = True
    try:
        _link.spend_blocked(_WAY_US)
        _link.move_to(end_ms, end_us)
        if cause == GPIO_WAKE:
            _link.spend_blocked(_WAY_US)
        _link.move_to(_link.ms, _link.us)
    finally:
        _link.asleep = False
        if _link.edges and not _link.edges._late:
            _link.edges.set_alarm()
    for unit, total in counted:
        unit._base += unit._total() - total
    passed = (_link.ms - begun_ms) * 1000 + _link.us - begun_us
    _link.drift(passed // 1000 * ppm // 1000 + passed % 1000 * ppm // 1000000)
    struct.pack_into("<IH", _link.buffer, 9, begun_ms, begun_us)
    _link.tell(106, 6)
