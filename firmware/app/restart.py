"""The end of this run of the node, because somebody wanted it. Loaded when it comes."""

import machine

from app import state


def now(node):
    """Count to the last moment, store that, and reset the chip. Not while something is on the air."""
    node.intervals.read(node.uptime(), *node.inputs.read())
    state.save_totals(node.files, node.intervals)
    from app import silences

    silences.store(node)
    if not node.healthy and not node.safe:
        # It did not last because somebody wanted it so.
        node.short_starts -= 1
        node.crash_unsaved = True
    node.save_crash()
    machine.reset()
