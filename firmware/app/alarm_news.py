"""What alarms need when there is news: what to send, what the network knows now, what a command clears. Loaded by need."""

import struct

from micropython import const

from app import state
from lorawan.records import seal

# As in `alarms`.
_SILENT = const(2)
_LOW_BATTERY = const(4)
_CLOCK_LOST = const(5)
_CONGESTION = const(6)
_KINDS = const(7)

_VERSION = const(1)
_FORMAT = "<7H"


def restored(node):
    """What the network knows, as a list of masks by kind; a jam that it knows of goes on until it is looked for.

    The masks may name channels that the settings no longer have: of those it is told that it is over.
    """
    data = state.read(node.files, "alarms", _VERSION)
    told = [0] * _KINDS if data is None else list(struct.unpack(_FORMAT, data))
    if node.inputs.jams is not None:
        for channel, jam in node.inputs.jams.jams.items():
            jam.jammed = bool(told[_CONGESTION] >> channel & 1)
    return told


def store(node, told):
    """Write what the network knows, and how long its sensors were silent: who is told so stays silent after a restart."""
    from app import silences

    silences.store(node)
    node.files.replace("alarms", seal(_VERSION, struct.pack(_FORMAT, *told)))


def following(node, again_ms):
    """(kind, whether it is raised, mask, value) of what the network is to be told next; what is raised comes first.

    A frame goes out now: nothing more of the sort for `again_ms`, and it counts against what alarms may take. That is so
    before anything can fail, so that an alarm that cannot be told keeps nothing else back.
    """
    alarms = node.alarms
    at = alarms.due(_CONGESTION)
    jam = at is not None and at <= node.uptime()
    alarms.spent(_CONGESTION if jam else 0, again_ms)
    for raised in (True, False):
        for kind in range(_KINDS):
            mask = alarms.now[kind] & (~alarms.told[kind] | alarms.sent[kind])
            if not raised:
                mask = ~alarms.now[kind] & (alarms.told[kind] | alarms.sent[kind])
            if mask and (kind == _CONGESTION) == jam:
                alarms.sent[kind] |= mask
                return kind, raised, mask, _value(node, kind, mask)
    return None


def _value(node, kind, mask):
    """What was measured: see zaehlwerk_protocol.alarm; None if there is nothing to say, or nobody to ask any more."""
    if kind == _LOW_BATTERY:
        return node.battery_mv
    if kind == _CLOCK_LOST:
        return node.clock.error_ms(node.uptime())
    channel, inputs = 0, node.inputs
    while not mask >> channel & 1:
        channel += 1
    if kind == _SILENT and channel < len(inputs.health):
        return inputs.silence(channel).ms // 1000
    if kind == _CONGESTION and inputs.jams is not None and channel in inputs.jams.jams:
        return inputs.jams.jams[channel].report
    return None


def clear(node, kind):
    """Forget what is wrong, of one kind or (None) of all: at the next reading it is raised anew, if it is still so."""
    for k in range(_KINDS):
        if kind is None or k == kind:
            node.alarms.change(k, 0)
    if kind is None or kind == _SILENT:
        for silence in node.inputs.silences:
            silence.ms = 0
    if kind in (None, _CONGESTION) and node.inputs.jams is not None:
        for jam in node.inputs.jams.jams.values():
            jam.jammed = False
