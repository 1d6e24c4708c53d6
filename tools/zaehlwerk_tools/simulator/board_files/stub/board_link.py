"""The virtual board's clock and its one connection to the simulator: a pipe out and a pipe in.

Time is this board's own: milliseconds and microseconds since it booted, small integers on 32 bit too. It moves when
the program sleeps, and a little whenever a clock or a pin is read, so that polling ends. Moments at which something
happens on its own (a pin's edge, the watchdog, a power cut) are `Alarm`s: the clock never passes one without firing it.

Messages out: op u8, payload length u16, ms u32, us u16, payload; all little-endian. Answers have a size that follows
from the question (a read waits until it is complete); what varies comes after it.
"""

import struct

from micropython import const

NEVER = const(0x3FFFFFFF)  # ms: as far away as a small integer of 32 bit reaches
_MASK = const(0x3FFFFFFF)  # ticks wrap at 2^30, as on the ESP32
_READ_US = const(10)  # what reading the clock costs: about a turn of a Python loop on the ESP32
_HEADER = const(9)
_FIRST_NOTICE_MS = const(1000)
_LAST_NOTICE_MS = const(60000)

ms = 0
us = 0
ms_offset = 0
us_offset = 0
stop_ms = NEVER  # the earliest alarm
woken = False  # an interrupt handler ran
_firing = False
_alarms = []

buffer = bytearray(_HEADER + 264)
reply = bytearray(272)
_out = None
_in = None


def connect(fd_in, fd_out, size):
    """Open the two inherited pipes and read the boot record of `size` bytes into `reply`."""
    global _in, _out
    _in = open(fd_in, "rb", 0)
    _out = open(fd_out, "wb", 0)
    more(size)


def tell(op, length=0):
    """Send `length` bytes of `buffer` from offset 9 on; nobody answers."""
    struct.pack_into("<BHIH", buffer, 0, op, length, ms, us)
    _out.write(buffer, _HEADER + length)


def more(size):
    """Wait for `size` bytes of answer in `reply`. The simulator gone means the end of this board too."""
    if _in.readinto(reply, size) != size:
        import sys

        sys.exit(0)


def ask(op, length, size):
    """Send as `tell` does and wait for `size` bytes of answer in `reply`."""
    tell(op, length)
    more(size)


def die(op, length=0):
    """Say the last word and wait to be killed: no `finally`, no flush, nothing more happens on this board."""
    tell(op, length)
    while True:
        ask(66, 0, 1)  # 'B': begging to be killed, answered only by the end of the pipe


class Alarm:
    """A moment (ms, us) at which `fire()` is called; it must move or switch itself off (ms = NEVER)."""

    def __init__(self, fire, fatal=False):
        self.fatal = fatal  # the board does not outlive it, so not even a flash operation ends first
        self.ms = NEVER
        self.us = 0
        self.fire = fire
        _alarms.append(self)

    def set(self, at_ms, at_us):
        global stop_ms
        self.ms = at_ms
        self.us = at_us
        if at_ms < stop_ms:
            stop_ms = at_ms

    def remove(self):
        self.ms = NEVER
        if self in _alarms:
            _alarms.remove(self)


def _earliest():
    global stop_ms
    first = None
    for alarm in _alarms:
        if first is None or alarm.ms < first.ms or (alarm.ms == first.ms and alarm.us < first.us):
            first = alarm
    stop_ms = NEVER if first is None else first.ms
    return first


def move_to(to_ms, to_us, stop_if_woken=False):
    """Let time pass until then, firing what is due on the way; back early if woken and asked to."""
    global ms, us, _firing, woken
    if stop_ms <= to_ms and not _firing:
        while True:
            alarm = _earliest()
            if (
                alarm is None
                or alarm.ms > to_ms
                or (alarm.ms == to_ms and alarm.us > to_us)
                or alarm.ms >= NEVER
            ):
                break
            if alarm.ms > ms or (alarm.ms == ms and alarm.us > us):
                ms = alarm.ms
                us = alarm.us
            _firing = True
            try:
                alarm.fire()
            finally:
                _firing = False
            if woken and stop_if_woken:
                _earliest()
                return
        _earliest()
    if to_ms > ms or (to_ms == ms and to_us > us):
        ms = to_ms
        us = to_us


def spend(some_us):
    """Let `some_us` (< 1 s) pass."""
    t = us + some_us
    move_to(ms + t // 1000, t % 1000)


def spend_blocked(some_us):
    """Let `some_us` pass inside a driver: interrupt handlers wait, only a fatal alarm does not."""
    global ms, us
    us += some_us
    ms += us // 1000
    us %= 1000
    if ms >= stop_ms:
        for alarm in _alarms:
            if alarm.fatal and (alarm.ms < ms or (alarm.ms == ms and alarm.us <= us)):
                alarm.fire()


def ticks_ms():
    global ms, us
    us += _READ_US
    if us > 999:
        us -= 1000
        ms += 1
    if ms >= stop_ms:
        move_to(ms, us)
    return (ms + ms_offset) & _MASK


def ticks_us():
    ticks_ms()
    return (ms * 1000 + us + us_offset) & _MASK


def ticks_us_at(at_ms, at_us):
    """What ticks_us() is at that moment."""
    return (at_ms * 1000 + at_us + us_offset) & _MASK


def _notice():
    # One way: tells the simulator that nothing of this board can happen before now any more.
    global _notice_step
    tell(78)
    if _notice_step < _LAST_NOTICE_MS:
        _notice_step *= 2
    _notice_alarm.set(ms + _notice_step, us)


def start_notices():
    """Soon, then ever more rarely: whoever waits for this board waits for what it does next."""
    global _notice_step
    _notice_step = _FIRST_NOTICE_MS
    _notice_alarm.set(ms + _notice_step, us)


def _lease():
    # With a bounded head start the board waits here until the others have come as far.
    ask(83, 0, 12)
    at_ms, at_us, cut_ms, cut_us = struct.unpack_from("<IHIH", reply)
    _lease_alarm.set(at_ms, at_us)
    _cut_alarm.set(cut_ms, cut_us)


def _power_off():
    die(80)


_notice_step = _FIRST_NOTICE_MS
_notice_alarm = Alarm(_notice)
_lease_alarm = Alarm(_lease)
_cut_alarm = Alarm(_power_off, True)


def start_alarms(cut_ms, cut_us, lease_ms):
    _cut_alarm.set(cut_ms, cut_us)
    _lease_alarm.set(lease_ms, 0)
    start_notices()
