"""When and how to ask for a join: random channel, every data rate in turn, and the airtime back-off.

LoRaWAN 1.0.4 chapter 7: 36 s of airtime in the first hour, 36 s in the next ten, 8.7 s per day after that - 1 %,
0.1 % and 0.01 %. Each request rests for its own share, so that the budget is spread and never spent at once.
"""

_HOUR_MS = 3600 * 1000
# (end of the period in ms after the first request, share of time as 1/n)
_PERIODS = ((_HOUR_MS, 100), (11 * _HOUR_MS, 1000))
_LATER = 10000

# Pause between two requests: at least the receive windows, and a random part, so that nodes drift apart.
_PAUSE_MS = 8000
_PAUSE_SPREAD_MS = 8000


class JoinSchedule:
    """Back-off from the first request on; times are milliseconds of uptime, `random(n)` is 0..n-1."""

    def __init__(self, region, random):
        self._top = len(region.DATA_RATES) - 1
        self._random = random
        self._first = -1  # uptime of the first request
        self.attempts = 0
        self._not_before = 0

    def data_rate(self):
        """The highest first; each attempt one lower, then from the top again."""
        return self._top - self.attempts % (self._top + 1)

    def earliest(self, now):
        """Uptime at which the next request may be sent."""
        return max(now, self._not_before)

    def sent(self, now, airtime_us):
        """Count a request of `airtime_us` that begins now."""
        if self._first < 0:
            self._first = now
        self.attempts += 1
        rest = airtime_us * _share(now - self._first) // 1000
        self._not_before = now + max(rest, _PAUSE_MS) + self._random(_PAUSE_SPREAD_MS)

    def delay(self, now, spread_ms):
        """Hold the first request back by a random time, so that a quarter with its power back does not shout."""
        if spread_ms:
            self._not_before = now + self._random(spread_ms)


def _share(since):
    """The share 1/n of time, `since` ms after the first request."""
    for end, n in _PERIODS:
        if since < end:
            return n
    return _LATER
