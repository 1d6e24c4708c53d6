"""What an interrupt handler tells the program: numbers in a row, in memory that is there beforehand."""

from array import array

from counting import SUMS


class Ring:
    """Room for `size` entries, a power of two. The handler calls `put`, the program `get`; neither waits.

    lost: entries for which there was no room, modulo SUMS.
    """

    def __init__(self, size):
        self._values = array("I", bytes(4 * size))
        self._codes = bytearray(size)
        self._top = size - 1
        # Both only rise, so that the handler alone writes one and the program the other.
        self._head = self._tail = self.lost = 0

    def put(self, value, code):
        """Append a value of at most 30 bits and a code of 8; allocates nothing."""
        head = self._head
        if (head - self._tail) & SUMS > self._top:
            self.lost = (self.lost + 1) & SUMS
            return
        self._values[head & self._top] = value
        self._codes[head & self._top] = code
        self._head = (head + 1) & SUMS

    def get(self):
        """The oldest (value, code), or None."""
        tail = self._tail
        if tail == self._head:
            return None
        item = self._values[tail & self._top], self._codes[tail & self._top]
        self._tail = (tail + 1) & SUMS
        return item
