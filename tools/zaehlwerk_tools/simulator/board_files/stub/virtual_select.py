"""`select` of the virtual board: waiting moves the clock. Only Python streams (asyncio.ThreadSafeFlag) can be polled."""

import board_link as _link

POLLIN = 1
POLLOUT = 4
POLLERR = 8
POLLHUP = 16
POLLPRI = 2
_MP_STREAM_POLL = 3


class _Poll:
    def __init__(self):
        self._streams = []  # [stream, mask]

    def register(self, stream, mask=POLLIN | POLLOUT):
        for entry in self._streams:
            if entry[0] is stream:
                entry[1] = mask
                return
        self._streams.append([stream, mask])

    modify = register

    def unregister(self, stream):
        for entry in self._streams:
            if entry[0] is stream:
                self._streams.remove(entry)
                return

    def _ready(self):
        found = None
        for entry in self._streams:
            flags = entry[0].ioctl(_MP_STREAM_POLL, entry[1])
            if flags:
                if found is None:
                    found = []
                found.append((entry[0], flags))
        return found

    def ipoll(self, timeout=-1, flags=0):
        to_ms = _link.ms + timeout if timeout >= 0 else _link.NEVER - 1
        to_us = _link.us
        waited = False
        while True:
            if waited and _link.code_late_ms:
                waited = False
                _link.move_to(_link.ms + _link.lateness(_link.code_late_ms), _link.us)
            if self._streams:
                found = self._ready()
                if found:
                    return found
            if _link.ms > to_ms or (_link.ms == to_ms and _link.us >= to_us):
                return ()
            waited = True
            _link.woken = False
            _link.move_to(to_ms, to_us, True)
            if timeout < 0 and _link.ms >= _link.NEVER - 1:
                _link.die(70)  # nothing will ever wake this board again

    poll = ipoll


def poll():
    return _Poll()
