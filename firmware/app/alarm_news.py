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
# Per sensor: ms of the present week, the longest silence of each week in minutes.
_SILENCE = "<I4H"
_SILENCE_BYTES = const(12)


def restored(node):
    """What the network knows, as a list of masks by kind; and the sensors go on with what their silences taught."""
    data, silences = state.read(node.files, "silences", _VERSION), node.inputs.silences
    if data is not None and len(data) == _SILENCE_BYTES * len(silences):
        for i, silence in enumerate(silences):
            fields = struct.unpack(_SILENCE, data[_SILENCE_BYTES * i : _SILENCE_BYTES * i + _SILENCE_BYTES])
            silence.week_ms, silence.longest = fields[0], list(fields[1:])
    data = state.read(node.files, "alarms", _VERSION)
    return [0] * _KINDS if data is None else list(struct.unpack(_FORMAT, data))


def store(node, told):
    """Write what the network knows."""
    node.files.replace("alarms", seal(_VERSION, struct.pack(_FORMAT, *told)))


def store_silences(node):
    """Write what the sensors' silences have taught."""
    data = b"".join([struct.pack(_SILENCE, s.week_ms, *s.longest) for s in node.inputs.silences])
    node.files.replace("silences", seal(_VERSION, data))


def following(node):
    """(kind, whether it is raised, mask, value) of what the network is to be told next; what is raised comes first."""
    alarms = node.alarms
    for raised in (True, False):
        for kind in range(_KINDS):
            now, told = alarms.now[kind], alarms.told[kind]
            mask = now & ~told if raised else told & ~now
            if mask:
                return kind, raised, mask, _value(node, kind, mask)
    return None


def _value(node, kind, mask):
    """What was measured: see zaehlwerk_protocol.alarm; None if there is nothing to say."""
    if kind == _LOW_BATTERY:
        return node.battery_mv
    if kind == _CLOCK_LOST:
        return node.clock.error_ms(node.uptime())
    channel = 0
    while not mask >> channel & 1:
        channel += 1
    if kind == _SILENT:
        return node.inputs.silence_ms(channel) // 1000
    if kind == _CONGESTION:
        return node.inputs.jams.report(channel)
    return None


def clear(node, kind):
    """Forget what is wrong, of one kind or (None) of all: at the next reading it is raised anew, if it is still so."""
    for k in range(_KINDS):
        if kind is None or k == kind:
            node.alarms.change(k, 0)
    if kind is None or kind == _SILENT:
        for silence in node.inputs.silences:
            silence.ms = 0
