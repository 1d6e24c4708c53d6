"""UTC from the monotonic ticks and the network's DeviceTimeAns. No I/O; uptime is handed in. Integers only.

UTC is milliseconds since 1970. Small errors are taken over at once (the next interval's end absorbs them); a
large one is believed only when a second answer says the same. The crystal's rate is learnt from one answer to
the next, so that +-20 ppm (0.43 s in 6 h) shrink to the temperature's share.
"""

from micropython import const

# DeviceTimeAns counts seconds from 1980-01-06, without the leap seconds since (LoRaWAN 1.0.4 section 5.9).
_GPS_EPOCH_MS = const(315964800000)
_LEAP_SECONDS_MS = const(18000)
# What the answer itself may be off by: 1/256 s of resolution, the gateway's and the transmission's end.
_ANSWER_ERROR_MS = const(30)
_CRYSTAL_PPB = const(20000)
_LEARNT_PPB = const(3000)
_MAX_RATE_PPB = const(100000)
_BILLION = const(1000000000)
# Shorter spans say too little about the rate: 30 ms in one hour are 8 ppm.
_LEARN_AFTER_MS = const(3000000)
_ASK_FIRST_MS = const(3600000)
_ASK_MS = const(21600000)

SET = "set"
ABSORBED = "absorbed"
DOUBTFUL = "doubtful"
JUMPED = "jumped"


def from_gps(seconds, fraction):
    """UTC in ms of GPS seconds and 1/256 s, in the middle of the 1/256 s that was rounded down to."""
    return seconds * 1000 + (2 * fraction + 1) * 1000 // 512 + _GPS_EPOCH_MS - _LEAP_SECONDS_MS


class Clock:
    """known is False until the first answer. half_ms is half an interval: the largest step taken at once."""

    def __init__(self, half_ms):
        self._half_ms = half_ms
        self._utc = 0
        self._uptime = 0
        self._rate = 0
        self._answers = 0
        self._doubt = None
        self._asked = False
        self._hint = None
        self.known = False

    def ask(self, hint=None):
        """The next uplinks ask for the time, until it is answered.

        hint: UTC in ms that is over by now. An answer from before it must be confirmed by a second one.
        """
        self._asked = True
        self._hint = hint

    def utc_ms(self, uptime):
        """UTC in ms at `uptime` ms; only meaningful while `known`."""
        passed = uptime - self._uptime
        return self._utc + passed + passed * self._rate // _BILLION

    def uptime_ms(self, utc):
        """Uptime in ms, rounded up, at which the UTC `utc` in ms is reached."""
        passed = utc - self._utc
        uptime = self._uptime + passed * _BILLION // (_BILLION + self._rate)
        while self.utc_ms(uptime) < utc:
            uptime += 1
        return uptime

    def error_ms(self, uptime):
        """Bound of the error at `uptime`, None while the time is not known."""
        if not self.known:
            return None
        rate = _LEARNT_PPB if self._answers > 1 else _CRYSTAL_PPB
        return _ANSWER_ERROR_MS + (uptime - self._uptime) * rate // _BILLION

    def wants(self, uptime):
        """Whether the next uplink should ask for the time."""
        if self._asked or not self.known or self._doubt is not None:
            return True
        return uptime - self._uptime >= (_ASK_FIRST_MS if self._answers < 2 else _ASK_MS)

    @property
    def doubtful(self):
        """Whether an answer far off waits to be confirmed."""
        return self._doubt is not None

    def take(self, utc, uptime):
        """The network says that it was `utc` ms at `uptime`; SET, ABSORBED, DOUBTFUL or JUMPED."""
        hint, self._hint, self._asked = self._hint, None, False
        if hint is not None and utc + self._half_ms < hint:
            self._doubt = (utc, uptime)
            return DOUBTFUL
        if not self.known:
            self._set(utc, uptime)
            self.known = True
            return SET
        step = utc - self.utc_ms(uptime)
        if abs(step) < self._half_ms:
            self._learn(step, uptime - self._uptime)
            self._set(utc, uptime)
            return ABSORBED
        if self._doubt is None or abs(utc - self._doubt[0] - (uptime - self._doubt[1])) >= self._half_ms:
            self._doubt = (utc, uptime)
            return DOUBTFUL
        self._answers = 0
        self._set(utc, uptime)
        return JUMPED

    def _set(self, utc, uptime):
        self._utc, self._uptime, self._doubt = utc, uptime, None
        self._answers += 1

    def _learn(self, step, passed):
        if passed < _LEARN_AFTER_MS:
            self._answers -= 1
            return
        rate = self._rate + step * _BILLION // passed
        # A step beyond any crystal is a correction of the time, not of the rate.
        if abs(rate) <= _MAX_RATE_PPB:
            self._rate = rate
