"""The speeds of an interval, in little memory: their mean exactly, their 85th percentile to one class of 2 km/h."""

from array import array

from micropython import const

# Width of a class in 0.1 km/h, and how many there are; the last holds all that is faster.
WIDTH = const(20)
CLASSES = const(100)


class Speeds:
    """Speeds in 0.1 km/h since the last `taken`."""

    def __init__(self):
        self._classes = array("H", bytes(2 * CLASSES))
        self._sum = self._n = 0
        # Since the last `lately`.
        self._late_sum = self._late_n = 0

    def add(self, speed):
        """Count one."""
        i = min(speed // WIDTH, CLASSES - 1)
        # Beyond what 16 bits hold nobody drives.
        self._classes[i] = min(self._classes[i] + 1, 0xFFFF)
        self._sum += speed
        self._n += 1
        self._late_sum += speed
        self._late_n += 1

    def lately(self):
        """The mean since the last call of this, None without any."""
        n, total = self._late_n, self._late_sum
        self._late_sum = self._late_n = 0
        return (total + n // 2) // n if n else None

    def taken(self):
        """(mean, v85), both None when there was none; and begin anew."""
        n, total = self._n, self._sum
        self._sum = self._n = 0
        if not n:
            return None, None
        # The speed that 85 % do not exceed: rank, then linear within its class.
        rank = (n * 85 + 99) // 100
        v85 = below = 0
        for i in range(CLASSES):
            here = self._classes[i]
            self._classes[i] = 0
            if below < rank <= below + here:
                v85 = WIDTH * i + WIDTH * (rank - below) // here
            below += here
        return (total + n // 2) // n, v85
