"""Interrupts of the virtual board as an ESP32 has them under MicroPython; loaded where trains of edges are played.

An edge calls the chip's interrupt routine, which puts the handler into the scheduler's queue; the queue holds eight and
drops what does not fit, without a word. The program is interrupted where it waits, reads a clock or a pin; not within a
handler, a driver or a collection. While flash is written the routine does not run either (it is not in IRAM): all edges of a
pin become one interrupt, afterwards, in the order of the pins.

Edges come from the simulator in pieces of 16 into memory that is there beforehand.
"""

import struct
import sys
from array import array

import board_link as _link
import micropython as _native
from micropython import const

_QUEUE = const(8)
_PIECE = const(16)
_DISPATCH_US = const(30)  # from the edge to the handler's first line

_handlers = [None] * _QUEUE
_arguments = [None] * _QUEUE
_first = 0
_count = 0
_running = False
_handling = False  # a handler runs, with the heap locked if the board is strict
_late = False
_sources = []
_detached = {}  # lines without a handler, by pin: a program that takes it off and on again costs no memory
lost = 0  # handlers that found no place in the queue


def locked(yes):
    # A handler may not allocate, asking the simulator may.
    if _handling and _link.strict:
        if yes:
            _native.heap_lock()
        else:
            _native.heap_unlock()


class _Line:
    """A pin with a handler. `level` is as of the last edge that was taken in; (ms, us) is the next edge."""

    def __init__(self, pin, handler, trigger):
        self._head = array("I", (0,))
        self._ms = array("I", bytes(4 * _PIECE))
        self._us = array("H", bytes(2 * _PIECE))
        self.attach(pin, handler, trigger)

    def attach(self, pin, handler, trigger):
        self.pin = pin
        self.handler = handler
        self.trigger = trigger
        self.latched = False
        self._fetch(_link.ms, _link.us)

    def _fetch(self, ms, us):
        locked(False)
        _link.buffer[9] = self.pin._id
        struct.pack_into("<IH", _link.buffer, 10, ms, us)
        _link.tell(68, 7)
        _link.fill(self._head, 4)
        _link.fill(self._ms, 4 * _PIECE)
        _link.fill(self._us, 2 * _PIECE)
        locked(True)
        self.level = self._head[0] & 1
        self._at = -1
        self._step()

    def _step(self):
        self._at += 1
        if self._at == _PIECE:
            self._fetch(self._ms[_PIECE - 1], self._us[_PIECE - 1])
        else:
            self.ms = self._ms[self._at]
            self.us = self._us[self._at]

    def after_stall(self):
        if self.latched:
            self.latched = False
            push(self.handler, self.pin)

    def happen(self, deaf):
        self.level ^= 1
        if self.trigger & (1 if self.level else 2) and not _link.asleep:
            if deaf:
                self.latched = True
            else:
                push(self.handler, self.pin)
        self._step()

    def remove(self):
        remove(self)


def attach(pin, handler, trigger):
    """What Pin.irq does; the line, or None."""
    for source in _sources:
        if isinstance(source, _Line) and source.pin._id == pin._id:
            _sources.remove(source)
            _detached[pin._id] = source
            break
    if handler is None:
        return None
    line = _detached.pop(pin._id, None)
    if line is None:
        line = _Line(pin, handler, trigger)
    else:
        line.attach(pin, handler, trigger)
    add(line, pin._id)
    return line


def add(source, number):
    # In the order of the pins; UARTs come after them.
    at = 0
    while at < len(_sources) and _sources[at].number < number:
        at += 1
    source.number = number
    _sources.insert(at, source)
    set_alarm()


def remove(source):
    if source in _sources:
        _sources.remove(source)


def level(line):
    """Of a pin with a handler, now."""
    if line.ms < _link.ms or (line.ms == _link.ms and line.us <= _link.us):
        _collect(_late)
    return line.level


def push(handler, argument):
    """Into the queue; whether there was room."""
    global _count, lost
    if _count == _QUEUE:
        lost += 1
        return False
    at = (_first + _count) & 7
    _handlers[at] = handler
    _arguments[at] = argument
    _count += 1
    return True


def _collect(deaf):
    # All that has happened up to now.
    while True:
        first = None
        for source in _sources:
            if (source.ms < _link.ms or (source.ms == _link.ms and source.us <= _link.us)) and (
                first is None or source.ms < first.ms or (source.ms == first.ms and source.us < first.us)
            ):
                first = source
        if first is None:
            return
        first.happen(deaf)


def _run():
    global _first, _count, _running, _handling
    if _running or _late:
        return
    if _link.asleep:
        # What is in the queue waits there.
        _collect(False)
        set_alarm()
        return
    firing = _link._firing
    _running = _link._firing = True
    try:
        while True:
            _collect(False)
            if not _count:
                break
            handler = _handlers[_first]
            argument = _arguments[_first]
            _first = (_first + 1) & 7
            _count -= 1
            _link.spend_blocked(_DISPATCH_US)
            _handling = True
            try:
                _link.interrupt(handler, argument)
            finally:
                _handling = False
    finally:
        _running = False
        _link._firing = firing
        set_alarm()


def set_alarm():
    """The next thing that happens."""
    ms, us = (_link.ms, _link.us) if _count and not _link.asleep else (_link.NEVER, 0)
    for source in _sources:
        if source.ms < ms or (source.ms == ms and source.us < us):
            ms = source.ms
            us = source.us
    _alarm.set(ms, us)


def _fire():
    global _late, stall_ms, stall_us
    if _link.irq_late_ms and not _late and not _link.asleep:
        _late = True
        stall_ms = _link.ms
        stall_us = _link.us
        _collect(True)
        _alarm.set(_link.ms + _link.lateness(_link.irq_late_ms), _link.us)
        return
    if _late:
        end_stall()
        _late = False
    _run()


def begin_stall():
    """From now on the chip's interrupts are off."""
    global stall_ms, stall_us
    _collect(_late)
    if not _late:
        stall_ms = _link.ms
        stall_us = _link.us


def end_stall():
    """They are on again."""
    _collect(True)
    for source in _sources:
        source.after_stall()
    if not _late:
        set_alarm()


def collect_garbage():
    """gc.collect() takes its time, and no handler runs meanwhile."""
    result = _gc.collect()
    _collect(False)
    _link.spend_blocked(gc_ms * 1000)
    _run()
    return result


class _Gc:
    def __getattr__(self, name):
        return getattr(_gc, name)

    collect = staticmethod(collect_garbage)


class _Micropython:
    def __getattr__(self, name):
        return getattr(_native, name)

    @staticmethod
    def schedule(handler, argument):
        if not push(handler, argument):
            raise RuntimeError("schedule queue full")
        _run()


def start(gc_takes_ms):
    """From now on interrupts, the scheduler's queue and the time of a collection are the ESP32's."""
    global _gc, gc_ms, _alarm
    _alarm = _link.Alarm(_fire)
    gc_ms = gc_takes_ms
    sys.modules["micropython"] = _Micropython()
    if gc_ms:
        import gc as _gc

        sys.modules["gc"] = _Gc()
    _link.edges = sys.modules[__name__]
