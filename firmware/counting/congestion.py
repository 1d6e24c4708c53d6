"""Congestion: too much of the time occupied, or too slow, with hysteresis. Pure logic, whole numbers."""

from micropython import const

# What was seen counts for less the older it is: half after this time of looking.
_HALF_MS = const(20000)
_FINE = const(256)
# It is over when the occupancy is below, or the speed above, its threshold by so much.
_OVER_PERCENT = const(30)
# Fewer looks that saw something are no jam: it may have been a single slow vehicle, or a lorry that stood on the loop.
_LOOKS = const(3)
# When nothing was seen for so long, nothing is known any more: not that there is a jam either.
_OLD_MS = const(600000)


class Congestion:
    """threshold: occupancy in per mille from which on, or with `speed` the speed in 0.1 km/h below which it is jammed.

    jammed: whether it is now; value: what was measured, None before anything was.
    """

    def __init__(self, threshold, speed=False):
        self._threshold = threshold
        self._speed = speed
        self._fine = None
        self._looks = self._blind_ms = 0
        self.jammed = False

    @property
    def value(self):
        """Occupancy in per mille or speed in 0.1 km/h, of the last minute or so; None before anything was measured."""
        return None if self._fine is None else self._fine // _FINE

    @property
    def report(self):
        """`value` as an alarm frame says it: a speed is negative."""
        value = self.value
        return -value if self._speed and value is not None else value

    def look(self, value, ms):
        """What the sensor measured within the last `ms`, None where it saw nothing; whether `jammed` changed.

        A radar sees nothing of cars that stand: then what was known before holds, for a while.
        """
        if value is None:
            self._blind_ms += ms
            if self._blind_ms < _OLD_MS:
                return False
            self._fine, self._looks = None, 0
            changed, self.jammed = self.jammed, False
            return changed
        self._blind_ms = 0
        self._looks += 1
        if self._fine is None:
            self._fine = value * _FINE
        else:
            self._fine += (value * _FINE - self._fine) * ms // (ms + _HALF_MS)
        limit = self._threshold
        if self.jammed:
            limit += limit * _OVER_PERCENT // (100 if self._speed else -100)
        now = self._fine < limit * _FINE if self._speed else self._fine >= limit * _FINE
        if self._looks < _LOOKS:
            return False
        changed, self.jammed = now != self.jammed, now
        return changed


class Jams:
    """The congestion of a node's channels. limits: (threshold, speed) by channel, see Congestion. jams: by channel."""

    def __init__(self, inputs, limits):
        self._inputs = inputs
        self.jams = {channel: Congestion(*limit) for channel, limit in limits.items()}

    def look(self, ms):
        """Look at all, `ms` after the last look; whether anything changed."""
        taken: dict = {}
        changed = False
        for channel, jam in self.jams.items():
            speed, occupancy = self._inputs.lately(channel, taken)
            changed |= jam.look(occupancy if speed is None else speed, ms)
        return changed

    def mask(self):
        """The channels with congestion, bit 0 the first."""
        return sum([1 << channel for channel, jam in self.jams.items() if jam.jammed])
