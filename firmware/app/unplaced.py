"""What `intervals.Intervals` does rarely: the time becomes known, jumps or stays unknown, an epoch ends. Loaded for it.

Each function is the method of that name, of the Intervals `it`.
"""

import struct

from micropython import const

from app.intervals import BIN_MS, MAX_BINS, NO_SLOT, Record

# Slots without power that are recorded as not observed; the ring holds no more history than that anyway.
MAX_GAP = const(96)
# Coverage of an unsynced interval that was cut off by a restart: observed, nobody knows how long.
_SOMETHING = const(1)
_U32 = const(0xFFFFFFFF)


def jump(it, utc):
    """The clock made a confirmed large step to `utc`: a partial interval is closed."""
    slot = utc // it._length
    if slot > it.slot:
        it._close()
        it.slot = slot
    elif slot < it.slot:
        it._close()
        _restart(it, slot)


def place(it, utc_ms):
    """The time is known for the first time since the start: put the bins into slots.

    utc_ms(uptime) gives UTC in ms. The slot that was open when the node stopped goes on if it is still the same; else
    it is closed with the coverage it had, pulses of an earlier start that never learnt the time (loose ends)
    become an unsynced interval, and slots without power become records of nothing observed.
    """
    at = utc_ms(it._bins_start)
    first = at // it._length
    it.pulses = it._bins_first
    if it.slot == NO_SLOT:
        _close_loose(it)
        it._open(first)
    elif first < it.slot and it.slot * it._length - at > it._length // 2:
        it.known = it._totals()
        it._close(it.known)
        _restart(it, first)
    elif first > it.slot:
        it._close(it.known)
        _close_loose(it)
        for slot in range(max(it.slot, first - MAX_GAP), first):
            it.slot = slot
            it._close(it.start)
        it._open(first)
    for packed in it._bins:
        at = _place_bin(it, at, packed, utc_ms)
    it._bins = []
    it.live = True


def close_for_good(it):
    """The stored interval ends here, with all that was counted: its epoch is over. Its slot, None without one."""
    if it.slot == NO_SLOT:
        _close_loose(it)
        return None
    it._close()
    return it.slot - 1


def close_unsynced(it, force=False):
    """Close intervals under the unsynced index from whole intervals of bins; how many.

    Only when the bins are full, or with `force`, when a network is there that does not tell the time.
    """
    closed = 0
    per_interval = it._length // BIN_MS
    while len(it._bins) >= per_interval and (force or len(it._bins) >= max(MAX_BINS, per_interval)):
        if closed == 0:
            pulses, it.pulses = it.pulses, list(it._bins_first)
            _close_loose(it)
            it.pulses = pulses
        if it.mapping is None:
            it.mapping = (it.unsynced_index, it._bins_start)
        counts, seen = [0] * it._n, [0] * it._n
        for packed in it._bins[:per_interval]:
            fields = struct.unpack(it._format, packed)
            it._bins_start += fields[0]
            for i in range(it._n):
                counts[i] += fields[1 + 2 * i]
                seen[i] += fields[2 + 2 * i]
        it._bins = it._bins[per_interval:]
        for i in range(it._n):
            it._bins_first[i] += counts[i]
        _record_unsynced(it, counts, bytes([it._share(ms) for ms in seen]))
        closed += 1
    return closed


def _restart(it, slot):
    """The index would go back: a new epoch, whose totals start at 0."""
    it.generation = it._new_epoch(it.slot - 1)
    it.reset_totals()
    it.slot = slot


def _close_loose(it):
    """Pulses between the last known slot and this start, of a start that never learnt the time."""
    totals = it._totals()
    counts = [(totals[i] - it.known[i]) & _U32 for i in range(it._n)]
    if any(counts):
        _record_unsynced(it, counts, bytes([_SOMETHING]) * it._n)


def _record_unsynced(it, counts, covers):
    for i in range(it._n):
        it.unsynced_totals[i] = (it.unsynced_totals[i] + counts[i]) & _U32
    totals = list(it.unsynced_totals)
    it._append(Record(True, it.generation, it.unsynced_index, totals, counts, covers))
    it.unsynced_index += 1


def _place_bin(it, at, packed, utc_ms):
    """Put a bin that begins at UTC `at` into its slot or slots; its end in UTC."""
    fields = struct.unpack(it._format, packed)
    it._bins_start += fields[0]
    end = utc_ms(it._bins_start)
    counts = [fields[1 + 2 * i] for i in range(it._n)]
    seen = [fields[2 + 2 * i] for i in range(it._n)]
    while end > it.boundary_ms():
        before = max(it.boundary_ms() - at, 0)
        if any(counts):
            # Nobody knows on which side of the boundary they were: the longer side has them, and both
            # slots say that they were not observed meanwhile.
            seen = [0] * it._n
            if 2 * before >= end - at:
                _add(it, counts, seen)
                counts = [0] * it._n
        else:
            for i in range(it._n):
                part = seen[i] * before // max(end - at, 1)
                it.seen[i] += part
                seen[i] -= part
        it._close()
        at += before
    _add(it, counts, seen)
    if end == it.boundary_ms():
        it._close()
    return end


def _add(it, counts, seen):
    for i in range(it._n):
        it.pulses[i] += counts[i]
        it.seen[i] += seen[i]
