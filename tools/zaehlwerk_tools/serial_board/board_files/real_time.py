"""Puts the stub's clock on the host's: it is the same in the simulator's process, whose pace is 1.

What the simulator's own boards do by moving their time is done by waiting here, and waiting ends early when the
keyboard's interrupt or a byte for the program comes in. Interrupts come with an answer wherever that is possible; a
signal only stops a program that asks nothing. It strikes anywhere, even within a collection: what cannot go on after it is
given up, and the simulator starts the process anew.
"""

import struct
import time

import board_link as link
from micropython import const

_WAIT = const(119)  # 'w': MOMENT -> MOMENT, flags
INTERRUPT = const(1)
_NOT_WORTH_US = const(300)  # about what a question costs
_MASK = const(0x3FFFFFFF)

_base = 0  # the host's ticks when the board's clock showed 0
_interrupted = False  # an interrupt that came where it must not strike
delivered = False  # the last interrupt came with an answer: nothing was torn apart
_slow_flash = True


def start(slow_flash):
    """Replace the clock of `link`; to be called before another module takes a function of it."""
    global _base, _slow_flash
    _slow_flash = slow_flash
    _base = time.ticks_us()
    link.move_to = move_to
    link.spend_blocked = spend_blocked
    link.ticks_ms = ticks_ms
    link.more = more
    link._tell_now = link.tell
    link.tell = tell


def sync():
    """The clock shows what the host's shows, and what the program has been charged with if that is more."""
    passed = time.ticks_diff(time.ticks_us(), _base)
    take_moment(passed // 1000, passed % 1000)


def take_moment(ms, us):
    """It is so late: never earlier than it was."""
    if ms > link.ms or (ms == link.ms and us > link.us):
        link.ms = ms
        link.us = us


def told(ms, us):
    """The simulator says it is so late."""
    global _base
    take_moment(ms, us)
    behind = ms * 1000 + us - time.ticks_diff(time.ticks_us(), _base)
    if behind > 0:
        _base = time.ticks_add(_base, -behind)


def later():
    """An interrupt struck where something must be finished first."""
    global _interrupted
    _interrupted = True


def forget_interrupt():
    global _interrupted, delivered
    _interrupted = delivered = False


def check_interrupt():
    """KeyboardInterrupt, if one is due."""
    global _interrupted
    if _interrupted:
        _interrupted = False
        raise KeyboardInterrupt


def tell(op, length=0):
    check_interrupt()
    sync()
    link._tell_now(op, length)


def more(size):
    while True:
        try:
            n = link._in.readinto(link.reply, size)
            break
        except KeyboardInterrupt:
            later()
    if n != size:
        import sys

        sys.exit(0)


def receive(size):
    """So many bytes of answer, however many they are."""
    data = bytearray(size)
    at = 0
    while at < size:
        try:
            n = link._in.readinto(memoryview(data)[at:])
        except KeyboardInterrupt:
            later()
            continue
        if not n:
            import sys

            sys.exit(0)
        at += n
    return bytes(data)


def heard(flags):
    """What came with an answer besides the time."""
    global delivered
    if flags & INTERRUPT:
        delivered = True
        raise KeyboardInterrupt
    if flags:
        link.woken = True


def goal_before(to_ms, to_us):
    """The earliest of this moment and the next alarm."""
    alarm = link._earliest()
    if alarm is not None and (alarm.ms < to_ms or (alarm.ms == to_ms and alarm.us < to_us)):
        return alarm.ms, alarm.us
    return to_ms, to_us


def fire_due():
    """Fire the alarms whose time has come."""
    if link._firing:
        return
    while True:
        alarm = link._earliest()
        if alarm is None or alarm.ms >= link.NEVER:
            return
        if alarm.ms > link.ms or (alarm.ms == link.ms and alarm.us > link.us):
            return
        link._firing = True
        try:
            alarm.fire()
        finally:
            link._firing = False


def move_to(to_ms, to_us, stop_if_woken=False):
    while True:
        link._goal_ms = to_ms
        link._goal_us = to_us
        sync()
        fire_due()
        check_interrupt()
        if stop_if_woken and link.woken:
            return
        if (to_ms - link.ms) * 1000 + to_us - link.us < _NOT_WORTH_US:
            take_moment(to_ms, to_us)
            return
        ms, us = (to_ms, to_us) if link._firing else goal_before(to_ms, to_us)
        struct.pack_into("<IH", link.buffer, 9, ms, us)
        link.ask(_WAIT, 6, 7)
        ms, us, flags = struct.unpack_from("<IHB", link.reply)
        told(ms, us)
        heard(flags)


def spend_blocked(some_us, deaf=False):
    if _slow_flash:
        time.sleep_us(some_us)


def ticks_ms():
    sync()
    if link.ms >= link.stop_ms:
        move_to(link.ms, link.us)
    return (link.ms - _MASK - 1 + link.ms_offset) & _MASK
