"""What a Doppler radar says about speeds: bytes in, passages out. Pure logic; whole ms in ticks, speeds in 0.1 km/h.

Understood are the lines of the OmniPreSense OPS243-A (user manual UM-003, API commands): a number, negative for what
moves away, and {"speed":0.58, "direction":"inbound", ...} in any order, the number with or without quotes. Anything
else between two line ends is no detection: objects without a speed are answers to commands, the rest is garbage. So
a line that lost its beginning, its end or its middle costs itself and never the next one.

A passage is `min_hits` detections or more of one direction, each within `quiet_ms` of the one before and at least
`slowest` fast; its speed is the second highest of them, so that a single wrong one does not make it. Two that follow
each other more closely are one; the two directions are told apart and do not disturb each other.

It may be more than one (MANY) if reports were missing in its middle and what came before and after would each have been
a passage, or if it drove farther than a radar sees one vehicle. Two close together in the beam leave no trace.
"""

from micropython import const

from counting import SUMS, TICKS

# Longer lines are garbage.
LONGEST = const(120)
# From thousandths of a unit to 0.1 km/h: times 36, divided by this. m/s and km/h.
UNITS = {"mps": 1000, "kmh": 3600}
# What `put` is told instead of the direction of a passage with too few detections.
FEW = const(2)
# What `put` is told on top of the direction of a passage that may be more than one.
MANY = const(4)
# The radar reports 5 to 6 times a second (OPS-DS-003, "Operating Principle"): 200 ms, and a stall of the interrupts.
HOLE_MS = const(250)
# It sees a car from 100 m (the same, "Detection Range"); a road train has 18.75 m (directive 96/53/EC).
VIEW_MM = const(120000)
# That way in 0.1 km/h times ms.
_VIEW = const(VIEW_MM * 36)
# Thousandths: faster is nothing, and the product with 36 still a small number.
_FASTEST = const(499999)


class Doppler:
    """unit: a key of UNITS; slowest: in 0.1 km/h. put(speed, away) is told each passage, away 1 or 0, or that plus MANY.

    heard, bad: lines that could be read and that could not; modulo SUMS. began: per direction, when the
    passage that lasts began, or -1. Nothing here allocates.
    """

    def __init__(self, unit, min_hits, quiet_ms, slowest, put):
        self._unit = UNITS[unit]
        self._min_hits = min_hits
        self._quiet = quiet_ms
        self._slowest = slowest
        self._put = put
        self._line = bytearray(LONGEST)
        self._length = self._way = self._now = self.heard = self.bad = 0
        # Per direction: detections, time of the last, the two highest speeds; the way so far; detections since the last
        # hole, and how often these were enough for a passage.
        self.began = [-1, -1]
        self._hits, self._last, self._top, self._second = [0, 0], [0, 0], [0, 0], [0, 0]
        self._gone, self._run, self._runs = [0, 0], [0, 0], [0, 0]
        self.resync()

    def resync(self):
        """Bytes were lost: what comes up to the next line end is no line."""
        self._skip = True

    def feed(self, byte, now):
        """Take in a byte that came until `now`."""
        if byte not in b"\r\n":
            if self._length == LONGEST:
                # Noise need not have line ends.
                self.bad = (self.bad + 1) & SUMS
                self._length = 0
                self._skip = True
            self._line[self._length] = byte
            self._length += 1
            return
        # The rest of a line whose beginning is lost, the first one after the start too, says nothing of the sensor.
        if self._length and not self._skip:
            self._now = now
            if self._read():
                self.heard = (self.heard + 1) & SUMS
            else:
                self.bad = (self.bad + 1) & SUMS
        self._skip = False
        self._length = 0

    def _read(self):
        """A whole line; whether it makes sense."""
        self._way = 0
        if self._line[0] != 0x7B:
            return self._number(0)
        if self._line[self._length - 1] != 0x7D:
            return False
        at = self._after(b'"speed"')
        if not at:
            return True
        if self._after(b'"outbound"'):
            self._way = 1
        while self._line[at] in b' :"':
            at += 1
        return self._number(at)

    def _after(self, word):
        """Where in the line `word` ends, or 0."""
        start = 0
        while start < self._length - len(word):
            i = 0
            while i < len(word) and self._line[start + i] == word[i]:
                i += 1
            if i == len(word):
                return start + i
            start += 1
        return 0

    def _number(self, at):
        """Take in the speed that begins at `at`; whether it is one, up to the end of the line or of an object's value."""
        if self._line[at] == 0x2D:
            self._way = 1
            at += 1
        value, weight, digits = 0, 1000, False
        while at < self._length and value <= _FASTEST:
            byte = self._line[at]
            if byte == 0x2E and weight == 1000 and digits:
                weight = 100
                digits = False
            elif 0x30 <= byte <= 0x39:
                digits = True
                if weight == 1000:
                    value = value * 10 + (byte - 0x30) * 1000
                else:
                    value += (byte - 0x30) * weight
                    weight //= 10
            else:
                break
            at += 1
        if not digits or value > _FASTEST:
            return False
        if self._line[at] not in b'", }' if self._line[0] == 0x7B else at < self._length:
            return False
        self.hit(value * 36 // self._unit, self._way, self._now)
        return True

    def hit(self, speed, away, now):
        """A detection."""
        self.settle(now)
        if speed < self._slowest:
            return
        if self.began[away] < 0:
            self.began[away] = self._last[away] = now
            self._hits[away] = self._top[away] = self._second[away] = 0
            self._gone[away] = self._run[away] = self._runs[away] = 0
        passed = (now - self._last[away]) & TICKS
        self._gone[away] = min(self._gone[away] + speed * passed, _VIEW)
        if passed > HOLE_MS:
            self._run[away] = 0
        self._run[away] = (self._run[away] + 1) & SUMS
        if self._run[away] == self._min_hits:
            self._runs[away] += 1
        self._hits[away] = (self._hits[away] + 1) & SUMS
        self._last[away] = now
        if speed > self._top[away]:
            self._top[away], speed = speed, self._top[away]
        self._second[away] = max(self._second[away], speed)

    def settle(self, now):
        """It is `now`: passages that nothing was seen of for `quiet_ms` are over."""
        for away in (0, 1):
            if self.began[away] >= 0 and (now - self._last[away]) & TICKS > self._quiet:
                self.began[away] = -1
                code = away
                if self._hits[away] < self._min_hits:
                    code = FEW
                elif self._runs[away] > 1 or self._gone[away] >= _VIEW:
                    code += MANY
                self._put(self._second[away], code)
