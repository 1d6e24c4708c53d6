"""`time` of the virtual board: the ESP32's (epoch 2000, ticks wrap at 2^30), moved by `board_link`.

Time of day starts at 2000-01-01 after power-on and goes on over every other reset, as the ESP32's RTC does.
"""

import struct

import board_link as _link
from board_link import ticks_ms, ticks_us
from micropython import const

_MASK = const(0x3FFFFFFF)
_HALF = const(0x20000000)
_EPOCH_2000 = const(946684800)

_native = _link.native_time
_rtc_s = 0  # time of day at this boot: seconds since 2000, microseconds
_rtc_us = 0

ticks_cpu = ticks_us


def ticks_add(ticks, delta):
    return (ticks - _MASK - 1 + delta) & _MASK


def ticks_diff(end, start):
    passed = (end - start) & _MASK
    return passed if passed < _HALF else passed - _MASK - 1


def sleep_ms(t):
    if t > 0:
        _link.move_to(_link.ms + t, _link.us)


def sleep_us(t):
    if t > 0:
        t += _link.us
        _link.move_to(_link.ms + t // 1000, t % 1000)


def sleep(t):
    if isinstance(t, int):
        sleep_ms(t * 1000)
    else:
        sleep_us(int(t * 1000000))


def _now():
    ticks_ms()
    part = _rtc_us + _link.ms % 1000 * 1000 + _link.us
    return _rtc_s + _link.ms // 1000 + part // 1000000, part % 1000000


def time():
    return _now()[0]


def time_ns():
    s, part = _now()
    return (s * 1000000 + part) * 1000


def gmtime(t=None):
    return _native.gmtime((time() if t is None else t) + _EPOCH_2000)[:8]


localtime = gmtime


def mktime(t):
    return int(_native.mktime(tuple(t[:8]) + (0,))) - _EPOCH_2000


def _set(s, part):
    # From machine.RTC: seconds since 2000 and microseconds are now.
    global _rtc_s, _rtc_us
    struct.pack_into("<II", _link.buffer, 9, s, part)
    _link.tell(75, 8)
    part -= _link.us + _link.ms % 1000 * 1000
    _rtc_s = s - _link.ms // 1000 + part // 1000000
    _rtc_us = part % 1000000
