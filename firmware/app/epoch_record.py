"""The record of the epoch on flash: loaded when it is read or written."""

import struct

from micropython import const

from app.state import NONE, read
from lorawan.records import seal

_VERSION = const(1)
# number, generation, layout, flags (bit 0 acknowledged, bit 1 anchored), farewell, unsynced_done, mappings, tokens.
_HEAD = "<IB4sBIIBB"
_HEAD_BYTES = const(20)
_MAPPING = "<II"
_DONE_COMMAND = "<HBB"


def load(epoch, files):
    """Fill `epoch`, a `state.Epoch`, from the record; False if there is none or it is damaged."""
    data = read(files, "epoch", _VERSION)
    if data is None:
        return False
    fields = struct.unpack(_HEAD, data[:_HEAD_BYTES])
    epoch.number, epoch.generation, epoch.layout, flags = fields[:4]
    epoch.acknowledged, epoch.anchored = bool(flags & 1), bool(flags & 2)
    epoch.farewell = None if fields[4] == NONE else fields[4]
    epoch.unsynced_done, maps, tokens = fields[5:]
    at = _HEAD_BYTES
    for i in range(maps):
        epoch.mappings.append(struct.unpack(_MAPPING, data[at + 8 * i : at + 8 * i + 8]))
    at += 8 * maps
    for i in range(tokens):
        epoch.tokens.append(struct.unpack(_DONE_COMMAND, data[at + 4 * i : at + 4 * i + 4]))
    return True


def store(epoch, files):
    """Write what `epoch` is now."""
    data = struct.pack(
        _HEAD,
        epoch.number,
        epoch.generation,
        epoch.layout,
        int(epoch.acknowledged) | int(epoch.anchored) << 1,
        NONE if epoch.farewell is None else epoch.farewell,
        epoch.unsynced_done,
        len(epoch.mappings),
        len(epoch.tokens),
    )
    for mapping in epoch.mappings:
        data += struct.pack(_MAPPING, *mapping)
    for token in epoch.tokens:
        data += struct.pack(_DONE_COMMAND, *token)
    files.replace("epoch", seal(_VERSION, data))
