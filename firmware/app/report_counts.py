"""The count frame of a closed interval.

Loaded for one frame, see `modules.made`.
"""

from app.report_state import cover_pair, state_byte


def counts(node, record, limit):
    """The count frame of `record` as bytes, with as much history as the settings and `limit` allow."""
    from zaehlwerk_protocol.counts import Counts

    rows, cover = [], [cover_pair(record.covers)]
    index = record.index
    for other in node.ring.latest():
        if (
            other.unsynced != record.unsynced
            or other.generation != record.generation
            or other.index >= record.index
        ):
            continue
        index -= 1
        if other.index != index or len(other.counts) != len(record.counts):
            break
        rows.append(tuple(other.counts))
        cover.append(cover_pair(other.covers))
    totals = [total & 0xFFFF for total in record.totals]
    frame = Counts(record.index & 0xFFFF, state_byte(node, record), totals, rows, cover)
    # What lies in the last symbols costs nothing.
    mac = node.device.mac
    return frame.encode(
        min(limit, node.settings["history_bytes"]), lambda size: min(limit, mac.stretch(size, 2))
    )
