"""`machine` of the virtual board, as the ESP32's stands in MicroPython 1.26.

Levels and counts come from the simulator, which knows when the next change is: until then nobody asks again.
"""

import struct

import board_link as _link
from micropython import const

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5
TIMER_WAKE = 4
_PIN_READ_US = const(20)
_QUEUE = const(8)  # depth of the scheduler's queue; what does not fit is lost without a word (machine_pin.c)

_cause = PWRON_RESET
_uid = b""


class Pin:
    IN, OUT, OPEN_DRAIN = 1, 3, 7
    PULL_DOWN, PULL_UP = 1, 2
    IRQ_RISING, IRQ_FALLING = 1, 2

    def __init__(self, id, mode=-1, pull=-1, *, value=None, drive=0, hold=None):
        self._id = id
        self._line = _link.line_pins.find(bytes((id,)))
        self._until_ms = -1  # nothing known of the level yet
        self._until_us = 0
        self._out = None
        self._alarm = None
        self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None, drive=0, hold=None):
        if mode == Pin.OUT or mode == Pin.OPEN_DRAIN:
            self._out = -1
            value = 0 if value is None else value
        elif mode == Pin.IN:
            if self._out is not None and self._id in _link.radio_pins:
                self._drive(1)  # it floats, and the pull-up holds it
            self._out = None
        if value is not None:
            self._drive(value)

    def __repr__(self):
        return "Pin(%d)" % self._id

    def _drive(self, value):
        value = 1 if value else 0
        if self._out is not None and value != self._out:
            self._out = value
            if self._id in _link.radio_pins:
                _link.drive_radio(self._id, value)
            else:
                struct.pack_into("<BB", _link.buffer, 9, self._id, value)
                _link.tell(79, 2)

    def _ask(self):
        _link.buffer[9] = self._id
        _link.ask(76, 1, 7)
        self._level, self._until_ms, self._until_us = struct.unpack_from("<BIH", _link.reply)

    def value(self, x=None):
        if x is not None:
            return self._drive(x)
        _link.spend(_PIN_READ_US)
        if self._out is not None:
            return self._out
        if self._line >= 0:
            return _link.line(self._line)
        if self._alarm is not None and _link.edges:
            return _link.edges.level(self._alarm)
        if _link.ms > self._until_ms or (_link.ms == self._until_ms and _link.us >= self._until_us):
            self._ask()
        return self._level

    __call__ = value

    def on(self):
        self._drive(1)

    def off(self):
        self._drive(0)

    def irq(self, handler=None, trigger=3, wake=None, hard=False):
        if hard:
            raise ValueError("hard Pin.irq is not supported")
        if self._line >= 0:
            _link.line_handlers.pop(self._line, None)
            if handler is not None:
                _link.line_handlers[self._line] = (self, trigger, handler)
            return self
        if _link.edges:
            self._alarm = _link.edges.attach(self, handler, trigger)
            return self
        if self._alarm is not None:
            self._alarm.remove()
            self._alarm = None
        self._handler = handler
        self._trigger = trigger
        if handler is not None:
            self._alarm = _link.Alarm(self._edge)
            self._ask()
            self._alarm.set(self._until_ms, self._until_us)
        return self

    def _edge(self):
        # Time can have moved over several edges at once (a flash block being erased): 8 handlers are queued.
        queued = 0
        while self._until_ms < _link.ms or (self._until_ms == _link.ms and self._until_us <= _link.us):
            if queued >= _QUEUE:
                self._ask()
                break
            at_ms = self._until_ms
            at_us = self._until_us
            struct.pack_into("<BIH", _link.buffer, 9, self._id, at_ms, at_us)
            _link.ask(76, 7, 7)
            self._level, self._until_ms, self._until_us = struct.unpack_from("<BIH", _link.reply)
            if self._trigger & (Pin.IRQ_RISING if self._level else Pin.IRQ_FALLING):
                queued += 1
        if self._alarm is not None:
            self._alarm.set(self._until_ms, self._until_us)
        for _ in range(queued):
            _link.interrupt(self._handler, self)


class Counter:
    """Counts edges in hardware; each cycle of 32,000 is added by an interrupt, in time at any rate that passes the filter."""

    RISING, FALLING = 1, 2
    UP, DOWN = 1, 2
    _units = {}

    def __new__(cls, id, *args, **kwargs):
        self = cls._units.get(id)
        if self is None:
            if not 0 <= id < _link.pcnt_units:
                raise ValueError("invalid id")
            self = object.__new__(cls)
            cls._units[id] = self
        return self

    def __init__(self, id, *args, **kwargs):
        self._unit = id
        if args or kwargs:
            self._configure(*args, **kwargs)
        elif not hasattr(self, "_pin"):
            raise ValueError("src")

    def _configure(self, src, edge=1, direction=1, filter_ns=0):
        self._pin = src._id
        self._edge = edge
        self._sign = 1 if direction == Counter.UP else -1
        self._filter = filter_ns
        self._until_ms = -1
        self._until_us = 0
        self._base = self._edges()
        self._offset = 0

    def init(self, *args, **kwargs):
        self._configure(*args, **kwargs)

    def deinit(self):
        Counter._units.pop(self._unit, None)
        self._pin = None

    def _edges(self):
        # Edges of the pin since this boot.
        if _link.ms > self._until_ms or (_link.ms == self._until_ms and _link.us >= self._until_us):
            _link.buffer[9] = self._pin
            _link.buffer[10] = self._edge
            _link.buffer[11] = self._filter & 255
            _link.buffer[12] = self._filter >> 8
            if _link.edges:
                _link.edges.locked(False)
            _link.ask(67, 4, 10)
            self._seen, self._until_ms, self._until_us = struct.unpack_from("<IIH", _link.reply)
            if _link.edges:
                _link.edges.locked(True)
        return self._seen

    _total = _edges

    def value(self, value=None):
        if self._pin is None:
            raise RuntimeError("not initialised")
        _link.spend(_PIN_READ_US)
        result = self._sign * (self._edges() - self._base) + self._offset
        if value is not None:
            self._offset += value - result
        return result


def __getattr__(name):
    if name in ("SPI", "SoftSPI", "I2C", "SoftI2C"):
        import virtual_bus

        return getattr(virtual_bus, name)
    if name == "UART" and _link.edges:
        from virtual_uart import UART

        return UART
    raise AttributeError(name)


class WDT:
    _alarm = None

    def __init__(self, id=0, timeout=5000):
        if timeout <= 0:
            raise ValueError("WDT timeout")
        WDT._timeout = timeout
        if WDT._alarm is None:
            WDT._alarm = _link.Alarm(lambda: _reset(WDT_RESET), True)
        self.feed()

    def feed(self):
        # The clock's own `stop_ms` stays early; that costs one look and saves one here.
        WDT._alarm.set(_link.ms + WDT._timeout, _link.us)


class RTC:
    def memory(self, data=None):
        if data is None:
            return self._read()
        data = bytes(data)
        if len(data) > 2048:
            raise ValueError("buffer too long")
        at = 0
        while True:
            part = data[at : at + 256]
            struct.pack_into("<HH", _link.buffer, 9, at, len(data))
            _link.buffer[13 : 13 + len(part)] = part
            _link.tell(109, 4 + len(part))
            at += len(part)
            if at >= len(data):
                break

    def _read(self):
        data = b""
        while True:
            struct.pack_into("<H", _link.buffer, 9, len(data))
            _link.ask(77, 2, 4)
            total, part = struct.unpack_from("<HH", _link.reply)
            _link.more(part)
            data += memoryview(_link.reply)[:part]
            if len(data) >= total:
                return data

    def datetime(self, t=None):
        import time

        if t is None:
            s, part = time._now()
            y, mo, d, h, mi, sec, wd = time.gmtime(s)[:7]
            return (y, mo, d, wd, h, mi, sec, part)
        time._set(time.mktime((t[0], t[1], t[2], t[4], t[5], t[6], 0, 0)), t[7] if len(t) > 7 else 0)

    init = datetime


def _analog(kind, number):
    _link.buffer[9] = kind
    _link.buffer[10] = number
    _link.ask(65, 2, 4)
    return struct.unpack_from("<i", _link.reply)[0]


class ADC:
    ATTN_0DB, ATTN_2_5DB, ATTN_6DB, ATTN_11DB = 0, 1, 2, 3

    def __init__(self, pin, *, atten=0, width=12):
        self._pin = pin._id if isinstance(pin, Pin) else pin

    def read_uv(self):
        _link.spend(_PIN_READ_US)
        return _analog(0, self._pin)

    def read_u16(self):
        return min(65535, self.read_uv() * 65 // 3300)


def _reset(cause, pause_ms=0):
    struct.pack_into("<BI", _link.buffer, 9, cause, pause_ms)
    _link.die(88, 5)


def reset():
    _reset(HARD_RESET)  # esp_restart counts as a hard reset (machine_reset_cause in modmachine.c)


def soft_reset():
    _reset(SOFT_RESET)


def deepsleep(time_ms=None):
    if time_ms is None:
        _link.die(70)
    _reset(DEEPSLEEP_RESET, time_ms)


def lightsleep(time_ms=None):
    import virtual_sleep

    virtual_sleep.sleep(time_ms)


def wake_reason():
    import virtual_sleep

    return virtual_sleep.cause


def idle():
    _link.spend(1000)


def reset_cause():
    return _cause


def unique_id():
    return _uid


def freq(hz=None):
    return 240000000


def disable_irq():
    return 0


def enable_irq(state):
    pass
