"""What the sensors' silences are and have taught, across a power cut. Loaded to read it at the start, and to write it."""

import struct

from micropython import const

from app import modules, state
from lorawan.records import seal

_VERSION = const(2)
_LAYOUT_BYTES = const(4)
# Per sensor: ms of the present week, ms of the present silence, the longest silence of each week in minutes.
_SILENCE = "<II4H"
_SILENCE_BYTES = const(16)
_U32 = const(0xFFFFFFFF)


def restored(node):
    """The sensors go on with the silences that they were in, and with what those before taught: under the same layout.

    A sensor that has counted in this epoch has proved itself. Without that a restart would take a dead sensor for an
    empty street again.
    """
    silences = node.inputs.silences
    data = state.read(node.files, "silences", _VERSION)
    if data is not None and data[:_LAYOUT_BYTES] == node.epoch.layout:
        for i, silence in enumerate(silences):
            fields = struct.unpack_from(_SILENCE, data, _LAYOUT_BYTES + _SILENCE_BYTES * i)
            silence.week_ms, silence.ms, silence.longest = fields[0], fields[1], list(fields[2:])
    for channel, total in enumerate(node.intervals.pulses):
        if total:
            node.inputs.silence(channel).proven = True
    modules.unload("app.silences")


def store(node):
    """Write it."""
    data = node.epoch.layout
    for silence in node.inputs.silences:
        data += struct.pack(_SILENCE, silence.week_ms, min(silence.ms, _U32), *silence.longest)
    node.files.replace("silences", seal(_VERSION, data))
    modules.unload("app.silences")
