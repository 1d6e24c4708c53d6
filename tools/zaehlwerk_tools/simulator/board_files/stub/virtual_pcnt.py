"""`esp32.PCNT` of the virtual board: one pin per unit, both edges, limits, and one sticky flag per limit."""

import struct

import board_link as _link


class PCNT:
    IGNORE, INCREMENT, DECREMENT = 0, 1, 2
    NORMAL, REVERSE, HOLD = 0, 1, 2
    IRQ_ZERO, IRQ_THRESHOLD0, IRQ_THRESHOLD1, IRQ_MIN, IRQ_MAX = 1, 2, 4, 8, 16

    _units = {}

    def __new__(cls, id, **kwargs):
        self = cls._units.get(id)
        if self is None:
            if not 0 <= id < _link.pcnt_units:
                raise ValueError("invalid id")
            self = object.__new__(cls)
            self._pin = None
            self._rising = self._falling = PCNT.IGNORE
            self._min = self._max = 0
            self._running = False
            self._filter = 0
            self._held = 0
            self._base = 0
            self._cycles = 0
            self._handler = None
            self._trigger = self._flags = 0
            cls._units[id] = self
        return self

    def __init__(self, id, **kwargs):
        self._unit = id
        if kwargs:
            self.init(**kwargs)

    def init(
        self, *, channel=0, pin=None, rising=None, falling=None, min=None, max=None, filter=0, value=None, **_
    ):
        if channel and pin is not None:
            raise ValueError("the virtual board has channel 0 only")
        held = self._raw()
        if pin is not None:
            self._pin = pin._id
        if filter:
            self._filter = filter * 25 // 2  # cycles of 80 MHz
        if rising is not None:
            self._rising = rising
        if falling is not None:
            self._falling = falling
        if min is not None:
            self._min = min
        if max is not None:
            self._max = max
        self._rebase(0 if value is not None or min is not None or max is not None else held)

    def deinit(self):
        PCNT._units.pop(self._unit, None)

    def _edges(self, edge):
        if self._pin is None:
            return 0
        _link.buffer[9] = self._pin
        _link.buffer[10] = edge
        _link.buffer[11] = self._filter & 255
        _link.buffer[12] = self._filter >> 8
        _link.ask(67, 4, 10)
        return struct.unpack_from("<I", _link.reply)[0]

    def _hardware(self):
        total = 0
        for edge, action in ((1, self._rising), (2, self._falling)):
            if action != PCNT.IGNORE:
                total += self._edges(edge) * (1 if action == PCNT.INCREMENT else -1)
        return total

    _total = _hardware

    def _raw(self):
        return self._held + self._hardware() - self._base if self._running else self._held

    def _rebase(self, held):
        self._held = held
        self._base = self._hardware()
        self._cycles = 0

    def start(self):
        if not self._running:
            self._base = self._hardware()
            self._running = True

    def stop(self):
        self._held = self._raw()
        self._running = False

    def value(self, value=None):
        _link.spend(20)
        raw = self._raw()
        limit = self._max if raw >= 0 else self._min
        cycles = raw // limit if limit else 0
        result = raw - cycles * limit
        if cycles != self._cycles:
            self._cycles = cycles
            flag = PCNT.IRQ_MAX if raw >= 0 else PCNT.IRQ_MIN
            if self._handler is not None and self._trigger & flag:
                self._flags |= flag
                _link.woken = True
                self._handler(self)
        if value is not None:
            if value != 0:
                raise ValueError("value")
            self._rebase(0)
        return result

    def irq(self, handler=None, trigger=0):
        if handler is not None:
            self._handler = handler
            self._trigger = trigger or 31
        return self

    def flags(self):
        flags = self._flags
        self._flags = 0
        return flags
