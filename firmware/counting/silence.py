"""When the silence of a sensor cannot be an empty street any more: what its own weeks make plausible.

Pure logic: observed time and counts are handed in. Whole minutes, for that is how often sensors are read.
"""

from micropython import const

# The longest silence of each of so many weeks is remembered, the present week's first.
WEEKS = const(4)
_WEEK_MS = const(604800000)
_MINUTE_MS = const(60000)
# Twice the longest silence of those weeks is too long, but never less than an hour; two days always are, also before a
# week is over: else an outage just below the limit would be the lesson that doubles it, again and again.
_FACTOR = const(2)
_LEAST_MS = const(3600000)
_MOST_MS = const(172800000)
_U16 = const(0xFFFF)


class Silence:
    """How long a sensor has told of no passage, and whether that is too long.

    setting: ms after which it is, 0: never, None: learnt. ms: the present silence, of time that the sensor watched.
    week_ms, longest: what was learnt: how much of the present week has passed, and the longest silence of each in minutes.
    proven: whether it ever told of a passage.
    """

    def __init__(self, setting):
        self._setting = setting
        self.ms = 0
        self.proven = False
        self.week_ms = 0
        self.longest = [0] * WEEKS

    def passed(self, ms, count):
        """`ms` more were observed, with `count` passages; whether the sensor has been silent for too long."""
        self.week_ms += ms
        self.ms += ms
        silent = self.too_long
        if count:
            self.proven = True
            if not silent:
                # A silence that was taken for a fault is no example of what is usual.
                self.longest[0] = max(self.longest[0], min(self.ms // _MINUTE_MS, _U16), 1)
            self.ms = 0
            silent = False
        if self.week_ms >= _WEEK_MS:
            self.week_ms -= _WEEK_MS
            self.longest = [0] + self.longest[: WEEKS - 1]  # noqa: RUF005 - MicroPython has no * here
        return silent

    @property
    def too_long(self):
        """Whether the present silence is a fault."""
        limit = self.limit_ms
        return limit is not None and self.ms >= limit

    @property
    def limit_ms(self):
        """Silence from here on is a fault; None: never."""
        if self._setting is not None:
            return self._setting or None
        if not any(self.longest[1:]):
            return _MOST_MS
        return min(_MOST_MS, max(_LEAST_MS, _FACTOR * max(self.longest) * _MINUTE_MS))
