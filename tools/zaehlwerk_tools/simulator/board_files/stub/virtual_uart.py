"""`machine.UART` of the virtual board: what comes in is in the simulator, with the driver's buffer; what goes out is told."""

import struct

import board_link as _link
from micropython import const

_CALL_US = const(30)  # what asking the driver costs
_PART = const(256)


class UART:
    IRQ_RX, IRQ_RXIDLE, IRQ_BREAK = 1, 4096, 128
    RTS, CTS = 1, 2
    INV_TX, INV_RX = 1, 2

    def __init__(self, id, baudrate=115200, **kwargs):
        if not 0 <= id <= 2:
            raise ValueError("UART(%d) does not exist" % id)
        self._id = id
        self._left = 0
        self.number = 255 - id
        self.ms, self.us = _link.NEVER, 0
        self.handler = None
        self._stalled = False
        self.init(baudrate, **kwargs)

    def init(
        self,
        baudrate=115200,
        bits=8,
        parity=None,
        stop=1,
        *,
        tx=-1,
        rx=-1,
        txbuf=256,
        rxbuf=256,
        timeout=0,
        timeout_char=0,
        **_,
    ):
        if bits != 8 or parity is not None or stop != 1:
            raise ValueError("the virtual board has 8N1 only")
        # In units of a character, and at least one (machine_uart.c).
        idle = max(1, timeout_char // (12000 // baudrate + 1))
        pin = rx if isinstance(rx, int) else rx._id
        struct.pack_into("<BBIHB", _link.buffer, 9, self._id, pin & 255, baudrate, rxbuf, idle)
        _link.ask(85, 9, 10)
        self._answered()

    def _answered(self):
        # How many bytes were read, which follow.
        self._left, n, self.ms, self.us = struct.unpack_from("<HHIH", _link.reply)
        _link.edges.set_alarm()
        return n

    def _ask(self, most):
        struct.pack_into("<BH", _link.buffer, 9, self._id, most)
        _link.ask(117, 3, 10)
        return self._answered()

    def _is_new(self):
        return self.ms < _link.ms or (self.ms == _link.ms and self.us <= _link.us)

    def deinit(self):
        _link.edges.remove(self)

    def any(self):
        _link.spend(_CALL_US)
        if self._is_new():
            self.happen(False)
        return self._left

    def readinto(self, buf, nbytes=None):
        _link.spend(_CALL_US)
        if self._is_new():
            self.happen(False)
        if not self._left:
            return None
        edges = _link.edges
        edges.locked(False)
        n = self._ask(min(_PART, len(buf) if nbytes is None else min(nbytes, len(buf))))
        _link.more(n)
        buf[:n] = memoryview(_link.reply)[:n]
        edges.locked(True)
        return n

    def read(self, nbytes=None):
        buf = bytearray(self.any() if nbytes is None else nbytes)
        n = self.readinto(buf)
        return None if n is None else bytes(buf[:n])

    def write(self, buf):
        _link.buffer[9] = self._id
        for at in range(0, len(buf), 128):
            part = buf[at : at + 128]
            _link.buffer[10 : 10 + len(part)] = part
            _link.tell(90, 1 + len(part))
        return len(buf)

    def irq(self, handler=None, trigger=0, hard=False):
        if hard:
            raise ValueError("hard")
        self.handler = handler if trigger & UART.IRQ_RX else None
        _link.edges.remove(self)
        if self.handler is not None:
            _link.edges.add(self, self.number)
        return self

    def happen(self, deaf):
        """The driver has new bytes."""
        edges = _link.edges
        if deaf:
            self.ms = _link.NEVER
            self._stalled = True
            return
        edges.locked(False)
        self._ask(0)
        edges.locked(True)
        if self.handler is not None:
            edges.push(self.handler, self)

    def after_stall(self):
        if self._stalled:
            self._stalled = False
            edges = _link.edges
            struct.pack_into("<BIH", _link.buffer, 9, self._id, edges.stall_ms, edges.stall_us)
            _link.ask(122, 7, 10)
            self._answered()
            if self.handler is not None:
                edges.push(self.handler, self)
