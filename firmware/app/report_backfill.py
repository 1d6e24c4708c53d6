"""A frame of the stored past.

Loaded for one frame, see `modules.made`.
"""

from micropython import const

from app.report_state import cover_pair
from zaehlwerk_protocol import state as bits

# Rows that are read from flash at a time: 32 take 3 kB of heap.
_ROWS = const(32)


def backfill(node, unsynced, first, end, limit):
    """(a Backfill frame as bytes, the index after its last row) of the stored rows in [first, end).

    (None, end) when nothing is stored there. Rows without a record are said to be so.
    """
    generation, channels = node.epoch.generation, len(node.channel_map)
    stored = node.ring.next_index(unsynced, generation, first, end)
    if stored is None:
        return None, end
    rows, cover = [], []
    far = stored >= first + _ROWS
    if not far:
        found = node.ring.rows(unsynced, generation, first, min(end, first + _ROWS))
        for index in range(first, max(found) + 1):
            counts, covers = found.get(index, (None, b""))
            rows.append(counts)
            cover.append(cover_pair(covers))
        del found
    from zaehlwerk_protocol.backfill import MAX_ROWS, Backfill

    if far:
        rows = (None,) * min(stored - first, MAX_ROWS)
    state = generation & bits.GENERATION | (bits.UNSYNCED if unsynced else 0)
    frame = Backfill(first & 0xFFFF, state, channels, rows, cover).fit(limit)
    return frame.encode(limit), first + len(frame.rows)
