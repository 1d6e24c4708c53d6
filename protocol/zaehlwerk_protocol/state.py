"""The state of a node: the bits that every uplink carries, most changing lowest, so that it mostly takes one byte.

Bits 6 and 7 are not assigned: a reader keeps and ignores them.
"""

GENERATION = 0x03
"""Mask of the generation: how often the node has begun a new epoch of its totals, modulo 4."""
UNSYNCED = 0x04
"""The index of this frame counts in the node's own space: its clock was not set when the interval was closed."""
FAULT = 0x08
"""A sensor or the node itself is not well; alarms and status say what."""
LOW_BATTERY = 0x10
"""The supply is below the board's threshold."""
TAMPER = 0x20
"""The case is open or was opened."""

MAX_STATE = 0xFF
"""More bits than these go into an array element of their own."""


def generation(state: int) -> int:
    """Return 0..3: the generation that `state` names."""
    return state & GENERATION


def next_generation(current: int) -> int:
    """Return the generation of the epoch after one of generation `current`."""
    return current + 1 & GENERATION
