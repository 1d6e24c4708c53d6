"""The frames of speeds and occupancy of a closed interval.

Loaded for one frame, see `modules.made`.
"""

from app.report_state import state_byte


def flow(node, slot, rows, limit):
    """Flow frames as bytes of at most `limit`, of the closed `slot`."""
    from zaehlwerk_protocol.flow import Flow

    return [part.encode(limit) for part in Flow(slot & 0xFFFF, state_byte(node), rows).split(limit)]
