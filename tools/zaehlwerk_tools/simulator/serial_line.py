"""What comes in at a UART, and what the ESP32's UART and its driver make of it: FIFO, ring buffer, interrupts, loss.

After ESP-IDF's `uart.c`: the interrupt takes the FIFO's content into the ring buffer when 120 bytes are there or nothing
has come for some characters. What does not fit is kept aside and interrupts are off until somebody reads; the FIFO then
overflows, and each time all of it is thrown away. Nobody is told of that: MicroPython calls handlers for data only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise

NS = 1_000_000_000
FIFO = 128
FULL_THRESHOLD = 120
_BITS = 10  # of a character: start, 8, stop


class SerialLine:
    """`pieces`: (UTC Unix ns at which the first bit begins, bytes sent in a row), one after the other, at `baud`.

    Raises ValueError for pieces that overlap, or are empty.
    """

    def __init__(self, pieces: Sequence[tuple[int, bytes]], baud: int) -> None:
        self.baud = baud
        self._starts = [at for at, _ in pieces]
        self._firsts = [0, *accumulate(len(data) for _, data in pieces)]
        self.data = b"".join(data for _, data in pieces)
        if not all(data for _, data in pieces):
            raise ValueError("a piece of a serial line is empty")
        for number, (at, following) in enumerate(pairwise(self._starts)):
            if at + self.length(len(pieces[number][1])) > following:
                raise ValueError(
                    f"the piece of a serial line at {following} ns begins before the one before has ended"
                )

    def length(self, characters: int) -> int:
        """Ns that so many characters take."""
        return -(-characters * _BITS * NS // self.baud)

    def arrival(self, index: int) -> int | None:
        """When byte `index` has come; None: there is none."""
        if index >= len(self.data):
            return None
        piece = bisect_right(self._firsts, index) - 1
        return self._starts[piece] + self.length(index + 1 - self._firsts[piece])

    def arrived(self, t_ns: int) -> int:
        """How many bytes have come up to `t_ns`."""
        piece = bisect_right(self._starts, t_ns) - 1
        if piece < 0:
            return 0
        part = (t_ns - self._starts[piece]) * self.baud // (_BITS * NS)
        return min(self._firsts[piece] + part, self._firsts[piece + 1])

    def pause(self, index: int, idle_ns: int) -> int | None:
        """From byte `index` on, when first nothing has come for `idle_ns` after a byte; None: there is no such byte."""
        if index >= len(self.data):
            return None
        piece = bisect_right(self._firsts, index) - 1
        while True:
            last = self._firsts[piece + 1] - 1
            at, following = self.arrival(last), self.arrival(last + 1)
            assert at is not None
            if following is None or following - at > idle_ns:
                return at + idle_ns
            piece += 1


class SerialReceiver:
    """A UART of a board from `t_ns` on: `room` bytes of ring buffer; a pause of `idle` characters interrupts.

    A board with another speed than the line's receives bytes of noise. Times never go back.
    """

    def __init__(self, line: SerialLine, t_ns: int, baud: int, room: int, idle: int) -> None:
        self._line = line
        self._fits = abs(baud - line.baud) * 50 <= line.baud
        self._room = room
        self._idle_ns = line.length(idle)
        self._first = line.arrived(t_ns)  # the oldest byte in the FIFO, or the next to come
        self._earliest = t_ns  # no interrupt is served before
        self._ring = bytearray()
        self._aside: bytes | None = None
        self.lost = 0

    def waiting(self, t_ns: int) -> int:
        """Bytes that can be read at `t_ns`."""
        self._advance(t_ns)
        return len(self._ring)

    def read(self, t_ns: int, most: int) -> bytes:
        """Up to `most` bytes."""
        self._advance(t_ns)
        data = bytes(self._ring[:most])
        del self._ring[:most]
        if self._aside is not None and len(self._ring) + len(self._aside) <= self._room:
            self._ring += self._aside
            self._aside = None
            # Interrupts are on again; what has overflowed meanwhile is gone.
            come = self._line.arrived(t_ns) - self._first
            gone = come // (FIFO + 1) * (FIFO + 1)
            self.lost += gone
            self._first += gone
            self._earliest = t_ns
        return data

    def next_interrupt(self) -> int | None:
        """When the handler is called next, if nobody reads before; None: never."""
        if self._aside is not None:
            return None
        full, pause = (
            self._line.arrival(self._first + FULL_THRESHOLD - 1),
            self._line.pause(self._first, self._idle_ns),
        )
        if pause is None:
            return None
        return max(self._earliest, pause if full is None else min(full, pause))

    def deaf(self, from_ns: int, to_ns: int) -> None:
        """No interrupt was served from `from_ns` to `to_ns`."""
        self._advance(from_ns)
        self._earliest = max(self._earliest, to_ns)

    def _advance(self, t_ns: int) -> None:
        while True:
            at = self.next_interrupt()
            if at is None or at > t_ns:
                return
            come = self._line.arrived(at)
            # The FIFO takes no more than it holds.
            kept = self._line.data[self._first : min(come, self._first + FIFO)]
            self.lost += come - self._first - len(kept)
            self._first = come
            if not self._fits:
                kept = bytes(byte | 0xA0 for byte in kept)
            if len(self._ring) + len(kept) <= self._room:
                self._ring += kept
            else:
                self._aside = kept
