"""One contact that bounces: sampled levels in, passages out. Pure logic; whole ms in ticks.

A level *settles* when no edge was seen for `debounce_ms`; what happens faster is a bounce and decides nothing. A
passage begins with the first edge of a change to a settled active level. It lasts until the contact has been inactive
for `gap_ms`; a shorter opening belongs to it (MERGED). One that begins within `dead_ms` of the last counted one is not
counted (MERGED).

`sample` is called by the interrupt handler at every edge and by a scheduled tick once a reading, always with what
pin and hardware counter show at that moment, never with what the edge should have made of them: so an interrupt that
came late cannot invent anything, it can only make a signal look shorter or hide it. How that is noticed:

- the counter moved but the level is as before, long after it settled: there was a pulse that no interrupt saw. If
  nothing visible comes of it, it may have been a passage: MISSED, and the time back to the last sample is blind.
- a signal that lost its beginning and is now too short: SHORT. A gap that lost its beginning: MERGED. So it is with one that
  was too short anyway, unless it lies so close to a change that it looks like that one's bounces.

What stays unseen is a gap of which a stall of the interrupts leaves less than `debounce_ms`. So `gap_ms` has to be longer
than any stall and `debounce_ms` together; the settings see to it for STALL_MS.
"""

from micropython import const

from counting import CHATTER, MERGED, MISSED, SHORT, SUMS, TICKS

# What `sample` tells: a counted passage has ended, from `begun` to `ended`.
ENDED = const(1)
# `inside`: a passage lasts that was counted; 1 is one that was not.
COUNTED = const(2)
# Stalls of the interrupts that must not confuse anything: a flash block is erased in about 45 ms, and meanwhile no
# interrupt is served (the ESP32's cache is off).
STALL_MS = const(50)
# Bounces that go on for longer than this are a fault of the contact.
CHATTER_MS = const(1000)


class Debounce:
    """level: 1 while the contact is active; edges: the hardware's count, or how often the handler was called.

    count: passages counted; busy: ms in which the contact was active; blind: ms of which nothing is known; all modulo
    SUMS. inside: 0 outside of a passage; longest: ms of the longest that has ended, notes: codes; whoever
    calls `sample` may reset these two.
    """

    def __init__(self, debounce_ms, gap_ms, dead_ms, t, level, edges):
        self.debounce = debounce_ms
        self.gap = gap_ms
        self.dead = dead_ms
        # The last sample, and when its level began.
        self.edges = edges
        self.level = level
        self.at = self.since = t
        # A contact that is active at the start is in a passage already, which is nobody's.
        self.settled = self.inside = level
        self.begun = (t - SUMS) & TICKS
        self.ended = self.mark = t
        # The level has not settled since `left`. A pulse may hide in the `hidden` ms before.
        self.unrest = False
        self.left = t
        self.count = self.busy = self.blind = self.hidden = self.longest = self.notes = 0

    def sample(self, t, level, edges):
        """Take in what pin and counter show at `t`; ENDED or 0."""
        news = 0
        stretch = (t - self.since) & TICKS
        if stretch >= self.debounce:
            if self.unrest:
                self._settle()
            if self.settled:
                self.busy = (self.busy + ((t - self.mark) & TICKS)) & SUMS
                self.mark = t
            elif self.inside and (t - self.ended) & TICKS >= self.gap:
                if self.inside == COUNTED:
                    self.longest = max(self.longest, (self.ended - self.begun) & TICKS)
                    news = ENDED
                self.inside = 0
        elif self.unrest and (t - self.left) & TICKS >= CHATTER_MS:
            self.notes |= CHATTER
            self.blind = (self.blind + ((t - self.left) & TICKS)) & SUMS
            self.left = t
        hidden = level == self.level and edges != self.edges and stretch >= self.debounce + STALL_MS
        if hidden or level != self.level:
            if not self.unrest:
                self.unrest = True
                self.left = t
                self.hidden = (t - self.at) & TICKS if hidden else 0
            self.level = level
            self.since = t
        else:
            # So that no difference ever reaches the period.
            if stretch > SUMS:
                self.since = (t - SUMS) & TICKS
            if (t - self.begun) & TICKS > SUMS:
                self.begun = (t - SUMS) & TICKS
        self.at = t
        self.edges = edges
        return news

    def _settle(self):
        """The level has settled: what was the unrest before?"""
        self.unrest = False
        if self.level == self.settled:
            if self.hidden:
                self.notes |= MISSED
                self.blind = (self.blind + self.hidden) & SUMS
            else:
                self.notes |= MERGED if self.level else SHORT
        elif self.level:
            self.settled = 1
            self.mark = self.left
            if self.inside or (self.left - self.begun) & TICKS < self.dead:
                self.notes |= MERGED
                self.inside = self.inside or 1
            else:
                self.begun = self.left
                self.count = (self.count + 1) & SUMS
                self.inside = COUNTED
        else:
            self.settled = 0
            self.ended = self.left
