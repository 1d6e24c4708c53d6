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

# Bins of a minute that are kept while the time is not known: two hours, at most 7 kB of heap.
BIN_MS = const(60000)
MAX_BINS = const(120)
# Slots without power that are recorded as not observed; the ring holds no more history than that anyway.
MAX_GAP = const(96)
# Coverage of an unsynced interval that was cut off by a restart: observed, nobody knows how long.
_SOMETHING = const(1)
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

    def __repr__(self):
        space = "unsynced" if self.unsynced else "slot"
        return "Record(%s %d, %s, cover %s)" % (space, self.index, self.counts, list(self.covers))


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
        """The clock made a confirmed large step to `utc`: a partial interval is closed."""
        slot = utc // self._length
        if slot > self.slot:
            self._close()
            self.slot = slot
        elif slot < self.slot:
            self._close()
            self._restart(slot)

    def place(self, utc_ms):
        """The time is known for the first time since the start: put the bins into slots.

        utc_ms(uptime) gives UTC in ms. The slot that was open when the node stopped goes on if it is still the same; else
        it is closed with the coverage it had, pulses of an earlier start that never learnt the time (loose ends)
        become an unsynced interval, and slots without power become records of nothing observed.
        """
        at = utc_ms(self._bins_start)
        first = at // self._length
        self.pulses = self._bins_first
        if self.slot == NO_SLOT:
            self._close_loose()
            self._open(first)
        elif first < self.slot and self.slot * self._length - at > self._length // 2:
            self.known = self._totals()
            self._close(self.known)
            self._restart(first)
        elif first > self.slot:
            self._close(self.known)
            self._close_loose()
            for slot in range(max(self.slot, first - MAX_GAP), first):
                self.slot = slot
                self._close(self.start)
            self._open(first)
        for packed in self._bins:
            at = self._place_bin(at, packed, utc_ms)
        self._bins = []
        self.live = True

    def close_for_good(self):
        """The stored interval ends here, with all that was counted: its epoch is over. Its slot, None without one."""
        if self.slot == NO_SLOT:
            self._close_loose()
            return None
        self._close()
        return self.slot - 1

    # --- no clock

    def close_unsynced(self, force=False):
        """Close intervals under the unsynced index from whole intervals of bins; how many.

        Only when the bins are full, or with `force`, when a network is there that does not tell the time.
        """
        closed = 0
        per_interval = self._length // BIN_MS
        while len(self._bins) >= per_interval and (force or len(self._bins) >= max(MAX_BINS, per_interval)):
            if closed == 0:
                pulses, self.pulses = self.pulses, list(self._bins_first)
                self._close_loose()
                self.pulses = pulses
            if self.mapping is None:
                self.mapping = (self.unsynced_index, self._bins_start)
            counts, seen = [0] * self._n, [0] * self._n
            for packed in self._bins[:per_interval]:
                fields = struct.unpack(self._format, packed)
                self._bins_start += fields[0]
                for i in range(self._n):
                    counts[i] += fields[1 + 2 * i]
                    seen[i] += fields[2 + 2 * i]
            self._bins = self._bins[per_interval:]
            for i in range(self._n):
                self._bins_first[i] += counts[i]
            self._record_unsynced(counts, bytes([self._share(ms) for ms in seen]))
            closed += 1
        return closed

    # --- inside

    def _totals(self):
        """Totals of the slots' space now: all pulses without those of unsynced intervals."""
        return [(self.pulses[i] - self.unsynced_totals[i]) & _U32 for i in range(self._n)]

    def _share(self, ms):
        """Coverage 0..255 of `ms` observed: 255 from the last half step on, so that a crystal's ppm do not show."""
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

    def _restart(self, slot):
        """The index would go back: a new epoch, whose totals start at 0."""
        self.generation = self._new_epoch(self.slot - 1)
        self.reset_totals()
        self.slot = slot

    def _close_loose(self):
        """Pulses between the last known slot and this start, of a start that never learnt the time."""
        totals = self._totals()
        counts = [(totals[i] - self.known[i]) & _U32 for i in range(self._n)]
        if any(counts):
            self._record_unsynced(counts, bytes([_SOMETHING]) * self._n)

    def _record_unsynced(self, counts, covers):
        for i in range(self._n):
            self.unsynced_totals[i] = (self.unsynced_totals[i] + counts[i]) & _U32
        totals = list(self.unsynced_totals)
        self._append(Record(True, self.generation, self.unsynced_index, totals, counts, covers))
        self.unsynced_index += 1

    def _place_bin(self, at, packed, utc_ms):
        """Put a bin that begins at UTC `at` into its slot or slots; its end in UTC."""
        fields = struct.unpack(self._format, packed)
        self._bins_start += fields[0]
        end = utc_ms(self._bins_start)
        counts = [fields[1 + 2 * i] for i in range(self._n)]
        seen = [fields[2 + 2 * i] for i in range(self._n)]
        while end > self.boundary_ms():
            before = max(self.boundary_ms() - at, 0)
            if any(counts):
                # Nobody knows on which side of the boundary they were: the longer side has them, and both
                # slots say that they were not observed meanwhile.
                seen = [0] * self._n
                if 2 * before >= end - at:
                    self._add(counts, seen)
                    counts = [0] * self._n
            else:
                for i in range(self._n):
                    part = seen[i] * before // max(end - at, 1)
                    self.seen[i] += part
                    seen[i] -= part
            self._close()
            at += before
        self._add(counts, seen)
        if end == self.boundary_ms():
            self._close()
        return end

    def _add(self, counts, seen):
        for i in range(self._n):
            self.pulses[i] += counts[i]
            self.seen[i] += seen[i]
