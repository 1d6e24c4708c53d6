"""The frames that a node sends about itself: made from its state, nothing is sent here.

Loaded for one frame, see `modules.made`.
"""

from micropython import const

from app import VERSION
from app.intervals import FULL
from zaehlwerk_protocol import VERSION as PROTOCOL_VERSION
from zaehlwerk_protocol import state as bits

LOW_BATTERY_MV = 3300


def state_byte(node, record=None):
    """The state of a frame; `record` is what it is about, else the node as it is now."""
    generation = node.epoch.generation if record is None else record.generation
    unsynced = not node.intervals.live if record is None else record.unsynced
    state = generation | (bits.UNSYNCED if unsynced else 0)
    if node.faulty:
        state |= bits.FAULT
    battery = node.battery_mv
    if battery is not None and battery < LOW_BATTERY_MV:
        state |= bits.LOW_BATTERY
    if node.alarms.tampered:
        state |= bits.TAMPER
    return state


def cover_pair(covers):
    """(mask of the channels that were not fully observed, the worst share 0..254), (0, 0) when all were."""
    mask, worst = 0, FULL
    for i, share in enumerate(covers):
        if share < FULL:
            mask |= 1 << i
            worst = min(worst, share)
    return (mask, worst) if mask else (0, 0)


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


def status(node, limit):
    """(frames as bytes of at most `limit`, anchored totals or None, mapping or None) of the node as it is now.

    The frames hold the totals of the last closed interval, the oldest mapping and the node's health.
    """
    from zaehlwerk_protocol.health import MAX_CRASH, Health
    from zaehlwerk_protocol.status import Status

    epoch, uptime = node.epoch, node.uptime()
    record = node.ring.newest(not node.intervals.live, epoch.generation)
    anchor = None if record is None else (record.index & 0xFFFF, record.totals)
    mapping = (epoch.mappings[0][0] & 0xFFFF, epoch.mappings[0][1]) if epoch.mappings else None
    health = Health(
        firmware=VERSION[0] << 16 | VERSION[1] << 8 | VERSION[2],
        boots=node.boots,
        reset_cause=node.reset_cause,
        crash=node.crash[-MAX_CRASH:] if node.crash else None,
        uptime_s=uptime // 1000,
        battery_mv=node.battery_mv,
        temperature=node.temperature,
        clock_error_ms=node.clock.error_ms(uptime),
        config_hash=node.settings["config_hash"],
        channels=node.channel_map,
    )
    interval_s = node.settings["interval_s"]
    whole = Status(PROTOCOL_VERSION, state_byte(node), epoch.number, interval_s, anchor, mapping, health)
    frames = [part.encode(limit) for part in whole.split(limit)]
    return frames, record.totals if record is not None and node.intervals.live else None, mapping


def alarm(node, kind, raised, mask, value):
    """An alarm frame as bytes; kind, mask and value as `alarm_news.following` has them."""
    from zaehlwerk_protocol.alarm import Alarm

    it = node.intervals
    index = it.slot if it.live else it.unsynced_index
    at = node.clock.utc_ms(node.uptime()) // 1000 if node.clock.known else None
    return Alarm(index & 0xFFFF, state_byte(node), kind, raised, mask & 0xFF, at, value).encode()


def flow(node, slot, rows, limit):
    """Flow frames as bytes of at most `limit`, of the closed `slot`."""
    from zaehlwerk_protocol.flow import Flow

    return [part.encode(limit) for part in Flow(slot & 0xFFFF, state_byte(node), rows).split(limit)]


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
    state = generation | (bits.UNSYNCED if unsynced else 0)
    frame = Backfill(first & 0xFFFF, state, channels, rows, cover).fit(limit)
    return frame.encode(limit), first + len(frame.rows)
