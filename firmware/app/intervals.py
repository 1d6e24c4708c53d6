"""From pulses to interval records: which pulse belongs to which slot, and how much of it was observed.

Pure logic: readings, uptime and UTC are handed in, records are handed out through `append`, which stores them
before anything else may use them.

Two index spaces, and every pulse is in exactly one of them. With a known clock the index is the UTC slot. Before
that pulses wait in minute bins; when the time comes the bins are placed into slots. If it does not come within an
interval although there is a network, or the bins are full, intervals are closed under the persistent unsynced
index, with totals of their own. So each space alone satisfies "difference of totals = sum of counts".
"""

import struct

from micropython import const

from app import modules

# Bins of a minute that are kept while the time is not known: two hours, at most 7 kB of heap.
BIN_MS = const(60000)
MAX_BINS = const(120)
FULL = const(255)
# No slot was ever open.
NO_SLOT = -1
_U32 = const(0xFFFFFFFF)


class Record:
    """A closed interval: totals at its end in its space, counts and coverage (0..255) per channel."""

    def __init__(self, unsynced, generation, index, totals, counts, covers):
        self.unsynced = unsynced
        self.generation = generation
        self.index = index
        self.totals = totals
        self.counts = counts
        self.covers = covers

    @property
    def key(self):
        """What names it: (unsynced, generation, index)."""
        return self.unsynced, self.generation, self.index


class Intervals:
    """The open interval of `channels` channels and what was counted before it.

    pulses: all that was ever counted; loose_ends: see `place`. All lists are per channel. live: the open interval
    is a UTC slot and time is known. new_epoch(last slot) is called when the index would have to go back; it
    returns the new generation, and the totals start again at 0.
    """

    def __init__(self, channels, interval_s, generation, append, new_epoch):
        self._n = channels
        self.interval_s = interval_s
        self._length = interval_s * 1000
        self._append = append
        self._new_epoch = new_epoch
        self.generation = generation
        self.live = False
        self.slot = NO_SLOT
        # The slot in which the network was heard last.
        self.heard = NO_SLOT
        self.unsynced_index = 0
        self.mapping = None
        self.reset_totals()
        self._bins = []
        self._bins_start = 0
        self._bins_first = [0] * channels
        self._format = "<I" + "IH" * channels

    def reset_totals(self):
        """A new epoch: everything counted before is closed, totals start at 0."""
        self.pulses = [0] * self._n
        self.unsynced_totals = [0] * self._n
        self.start = [0] * self._n
        self.known = [0] * self._n
        self.seen = [0] * self._n

    # --- readings

    def begin(self, uptime):
        """Counting starts now; what follows until `place` goes into bins."""
        self._bins_start = self._last = uptime
        self._bins_first = list(self.pulses)

    def read(self, uptime, increments, observed):
        """Pulses and observed ms since the last reading, taken at `uptime`."""
        if not self.live:
            fields = []
            for i in range(self._n):
                fields.append(increments[i])
                fields.append(min(observed[i], 0xFFFF))
            self._bins.append(struct.pack(self._format, uptime - self._last, *fields))
        for i in range(self._n):
            self.pulses[i] += increments[i]
            if self.live:
                self.seen[i] += observed[i]
        self._last = uptime

    # --- a known clock

    def boundary_ms(self):
        """UTC in ms of the end of the open slot."""
        return (self.slot + 1) * self._length

    def close_due(self, utc):
        """Close the open slot when the UTC `utc` in ms (of the last reading) is at its end or beyond; whether."""
        slot = utc // self._length
        if slot <= self.slot:
            return False
        self._close()
        # After a standstill of the program the slots in between have no record: nothing is known of them.
        self.slot = slot
        return True

    def jump(self, utc):
        """See `unplaced.jump`."""
        self._rarely("jump", utc)

    def place(self, utc_ms):
        """See `unplaced.place`."""
        self._rarely("place", utc_ms)

    def close_for_good(self):
        """See `unplaced.close_for_good`."""
        return self._rarely("close_for_good")

    # --- no clock

    def close_unsynced(self, force=False):
        """See `unplaced.close_unsynced`."""
        per_interval = self._length // BIN_MS
        if len(self._bins) < (per_interval if force else max(MAX_BINS, per_interval)):
            return 0
        return self._rarely("close_unsynced", force)

    def _rarely(self, what, *arguments):
        """Do what a module does that leaves the heap afterwards."""
        from app import unplaced

        try:
            return getattr(unplaced, what)(self, *arguments)
        finally:
            modules.unload("app.unplaced")

    # --- inside

    def _totals(self):
        """Totals of the slots' space now: all pulses without those of unsynced intervals."""
        return [(self.pulses[i] - self.unsynced_totals[i]) & _U32 for i in range(self._n)]

    def _share(self, ms):
        """Coverage 0..255 of `ms` observed: 255 from the last half step on, so that a crystal's ppm do not show.

        More than an interval (the program stood still over a boundary, the clock was set back) is as wrong as less, but
        never nothing: what was counted was observed.
        """
        ms = min(ms, max(2 * self._length - ms, self._length // (FULL - 1)))
        if ms >= self._length - self._length // (2 * FULL):
            return FULL
        return min(FULL - 1, ms * FULL // self._length)

    def _open(self, slot):
        self.slot = slot
        self.start = self._totals()
        self.seen = [0] * self._n

    def _close(self, totals=None):
        """Hand the open slot's record out and open the next slot."""
        totals = self._totals() if totals is None else list(totals)
        counts = [(totals[i] - self.start[i]) & _U32 for i in range(self._n)]
        covers = bytes([self._share(ms) for ms in self.seen])
        self._append(Record(False, self.generation, self.slot, totals, counts, covers))
        self.slot += 1
        self.start = totals
        self.seen = [0] * self._n
