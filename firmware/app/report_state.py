"""What frames of several kinds say alike: the state of the node, and what was observed only in part.

Loaded for one frame, see `modules.made`.
"""

from app.intervals import FULL
from zaehlwerk_protocol import state as bits

LOW_BATTERY_MV = 3300


def state_byte(node, record=None):
    """The state of a frame; `record` is what it is about, else the node as it is now."""
    generation = node.epoch.generation if record is None else record.generation
    unsynced = not node.intervals.live if record is None else record.unsynced
    state = generation & bits.GENERATION | (bits.UNSYNCED if unsynced else 0)
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
