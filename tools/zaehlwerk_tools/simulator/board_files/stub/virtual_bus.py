"""`machine.SPI` and `machine.I2C` of the virtual board: each transfer goes to the chips in the simulator."""

import struct

import board_link as _link
from micropython import const

_CALL_US = const(15)  # what calling a transfer costs on the ESP32 besides its bits
_PART = const(256)


def _pin(pin):
    return 255 if pin is None else pin if isinstance(pin, int) else pin._id


class SPI:
    MSB, LSB = 0, 1

    def __init__(self, id=-1, *args, **kwargs):
        self.init(*args, **kwargs)

    def init(
        self, baudrate=500000, *, polarity=0, phase=0, bits=8, firstbit=0, sck=None, mosi=None, miso=None
    ):
        if bits != 8 or firstbit != SPI.MSB:
            raise ValueError("bits, firstbit")
        self._baudrate = baudrate
        struct.pack_into("<BBBB", _link.buffer, 9, _pin(sck), _pin(mosi), _pin(miso), polarity << 1 | phase)
        _link.tell(72, 4)

    def deinit(self):
        pass

    def _transfer(self, out, into):
        # `out` bytes or one byte to repeat; `into` a buffer or None.
        if not _link.stale:
            _link.meet_radio()
        for at in range(0, len(into) if isinstance(out, int) else len(out), _PART):
            if isinstance(out, int):
                n = min(_PART, len(into) - at)
                for i in range(15, 15 + n):
                    _link.buffer[i] = out
            else:
                n = min(_PART, len(out) - at)
                _link.buffer[15 : 15 + n] = memoryview(out)[at : at + n]
            us = _link.us + _CALL_US + n * 8000000 // self._baudrate
            struct.pack_into("<IH", _link.buffer, 9, _link.ms + us // 1000, us % 1000)
            if into is None:
                _link.tell_later(73, 6 + n)
            else:
                _link.ask(105, 6 + n, n)
                into[at : at + n] = memoryview(_link.reply)[:n]
            _link.spend_blocked(us - _link.us)

    def write(self, buf):
        self._transfer(buf, None)

    def readinto(self, buf, write=0):
        self._transfer(write, buf)

    def read(self, nbytes, write=0):
        buf = bytearray(nbytes)
        self._transfer(write, buf)
        return bytes(buf)

    def write_readinto(self, write_buf, read_buf):
        if len(write_buf) != len(read_buf):
            raise ValueError("buffers must be the same length")
        self._transfer(write_buf, read_buf)


class SoftSPI(SPI):
    def __init__(self, *args, **kwargs):
        self.init(*args, **kwargs)


class I2C:
    def __init__(self, id=-1, *, scl=None, sda=None, freq=400000, timeout=50000):
        self._freq = freq
        self._pins = (_pin(sda), _pin(scl))

    def _call(self, address, out, count):
        n = len(out)
        struct.pack_into("<BBBB", _link.buffer, 9, self._pins[0], self._pins[1], address, count)
        _link.buffer[13 : 13 + n] = out
        _link.ask(89, 4 + n, 1 + count)
        _link.spend_blocked(_CALL_US + (n + count + 2) * 9000000 // self._freq)
        if not _link.reply[0]:
            raise OSError(19)  # ENODEV: nobody acknowledges
        return bytes(memoryview(_link.reply)[1 : 1 + count])

    def scan(self):
        found = []
        for address in range(8, 0x78):
            try:
                self._call(address, b"", 0)
                found.append(address)
            except OSError:
                pass
        return found

    def readfrom(self, addr, nbytes, stop=True):
        return self._call(addr, b"", nbytes)

    def readfrom_into(self, addr, buf, stop=True):
        buf[:] = self._call(addr, b"", len(buf))

    def writeto(self, addr, buf, stop=True):
        self._call(addr, buf, 0)
        return len(buf)

    def readfrom_mem(self, addr, memaddr, nbytes, *, addrsize=8):
        return self._call(addr, bytes([memaddr]), nbytes)

    def readfrom_mem_into(self, addr, memaddr, buf, *, addrsize=8):
        buf[:] = self._call(addr, bytes([memaddr]), len(buf))

    def writeto_mem(self, addr, memaddr, buf, *, addrsize=8):
        self._call(addr, bytes([memaddr]) + bytes(buf), 0)


class SoftI2C(I2C):
    def __init__(self, scl, sda, *, freq=400000, timeout=50000):
        I2C.__init__(self, scl=scl, sda=sda, freq=freq)
