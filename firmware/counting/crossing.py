"""Which way somebody went past two sensors, A and B. Pure logic; whole ms in ticks.

Passages at A and B that begin within `window_ms` of their predecessor, or STALL_MS later, belong together. A pair of
one at A and one at B has a direction when the sensor that it began at first is also the one that it ended at first,
each by MARGIN_MS or more. Everything else - seen by one sensor only, turned round, two that met, a row too dense - is
"unknown", as often as the sensor with more passages saw somebody: never a guess, and none twice.
"""

from micropython import const

from counting import AMBIGUOUS, TICKS
from counting.debounce import COUNTED, STALL_MS

# Handlers of two pins that wait for their turn run within this time of each other, in whatever order.
MARGIN_MS = const(5)
# Passages that are kept until their group is complete.
_MOST = const(32)


class Crossing:
    """counts: [ab, ba, unknown] since they were last taken; notes: codes. Whoever reads them sets them to 0."""

    def __init__(self, window_ms):
        # An interrupt may have come so late for the second sensor.
        self._window = window_ms + STALL_MS
        self._waiting = []
        self.counts = [0, 0, 0]
        self.notes = 0

    def passage(self, side, begun, ended):
        """A passage at A (0) or B (1) that is over. The order of the calls does not matter within a group."""
        i = len(self._waiting)
        while i and (self._waiting[i - 1][0] - begun) & TICKS < TICKS // 2:
            i -= 1
        self._waiting.insert(i, (begun, ended, side))

    def settle(self, now, horizons):
        """Decide on all groups that are complete; before each of the `horizons` nothing that began is still to come."""
        waiting = self._waiting
        until = now - max([(now - at) & TICKS for at in horizons])
        while waiting:
            n = 1
            while n < len(waiting) and (waiting[n][0] - waiting[n - 1][0]) & TICKS <= self._window:
                n += 1
            open_for = (until - waiting[n - 1][0]) & TICKS
            if len(waiting) < _MOST and not self._window < open_for < TICKS // 2:
                return
            self._decide(waiting[:n])
            del waiting[:n]

    def _decide(self, group):
        if len(group) == 2:
            first, second = group
            if (
                first[2] != second[2]
                and (second[0] - first[0]) & TICKS >= MARGIN_MS
                and MARGIN_MS <= (second[1] - first[1]) & TICKS < TICKS // 2
            ):
                self.counts[first[2]] += 1
                return
        at_b = sum([passage[2] for passage in group])
        self.counts[2] += max(at_b, len(group) - at_b)
        self.notes |= AMBIGUOUS


def horizon(contact, stuck):
    """Before when no passage of this `Debounce` can begin that has not been told; one that is stuck does not count."""
    if not stuck:
        if contact.inside == COUNTED:
            return contact.begun
        if contact.unrest:
            return contact.left
    return contact.at
