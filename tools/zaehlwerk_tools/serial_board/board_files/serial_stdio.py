"""`sys.stdin`, `sys.stdout` and `input` of a board on a port.

What is printed goes out by the process's own output, where the simulator makes line ends of a terminal of it. Bytes
for `sys.stdout.buffer` go as they are, by a question, so that the order stays.
"""

import io
import struct
import sys

import board_link as link
import real_time
from micropython import const

_STDIN = const(115)  # 's': most u16, MOMENT -> MOMENT, flags, length u8, bytes
_RAW = const(114)  # 'r': bytes -> u8
_PART = const(250)
_POLL, _POLLIN = const(3), const(1)

_native_out = sys.stdout


def _available(most, to_ms, to_us):
    """Up to `most` bytes of input; 0 asks how many there are. Waits for one until then."""
    struct.pack_into("<HIH", link.buffer, 9, most, to_ms, to_us)
    link.ask(_STDIN, 8, 8)
    ms, us, flags, n = struct.unpack_from("<IHBB", link.reply)
    data = real_time.receive(n) if most else n
    real_time.told(ms, us)
    real_time.heard(flags & real_time.INTERRUPT)
    return data


def _wait(most):
    while True:
        real_time.sync()
        real_time.fire_due()
        data = _available(most, *real_time.goal_before(link.NEVER - 1, 0))
        if data:
            return data


class _Raw(io.IOBase):
    def write(self, data):
        data = memoryview(data)
        for at in range(0, len(data), _PART):
            part = data[at : at + _PART]
            link.buffer[9 : 9 + len(part)] = part
            link.ask(_RAW, len(part), 1)
        return len(data)

    def read(self, n=-1):
        data = bytearray()
        while n < 0 or len(data) < n:
            data += _wait(_PART if n < 0 else min(_PART, n - len(data)))
            if n < 0:
                break
        return bytes(data)

    def readinto(self, buf):
        data = self.read(len(buf))
        buf[: len(data)] = data
        return len(data)

    def readline(self):
        data = bytearray()
        while not data.endswith(b"\n"):
            data += self.read(1)
        return bytes(data)

    def ioctl(self, request, arg):
        if request == _POLL:
            return arg & (~_POLLIN if not _available(0, 0, 0) else -1)
        return 0


class _Text(_Raw):
    buffer = _Raw()

    def write(self, data):
        return _native_out.write(data)

    def read(self, n=-1):
        return _Raw.read(self.buffer, n).replace(b"\r", b"\n").decode()

    def readline(self):
        data = ""
        while not data.endswith("\n"):
            data += self.read(1)
        return data


stdin = _Text()
stdout = _Text()


def input(prompt=""):
    """A line, with echo and backspace."""
    stdout.write(prompt)
    line = bytearray()
    while True:
        c = stdin.buffer.read(1)[0]
        if c in (10, 13):
            stdout.write("\n")
            return line.decode()
        if c == 3:
            raise KeyboardInterrupt
        if c == 4 and not line:
            raise EOFError
        if c in (8, 127):
            if line:
                line = line[:-1]
                stdout.write("\x08 \x08")
        elif c >= 32:
            line.append(c)
            stdout.buffer.write(bytes((c,)))
