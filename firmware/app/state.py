"""What the node knows of itself across a power cut, as three checksummed records besides the ring.

totals: rewritten every minute and at each boundary, kept small. epoch: identity of the totals and what the network
has not acknowledged yet. boot: how often the node started, and its last crash.
"""

import struct

from app.intervals import NO_SLOT
from lorawan.records import RecordError, seal, unseal

_TOTALS_VERSION = 1
_EPOCH_VERSION = 1
_BOOT_VERSION = 1
_NONE = 0xFFFFFFFF
_U32 = 0xFFFFFFFF
_SEEN_MS = 100
_TOTALS_HEAD = "<BBBII"
_TOTALS_HEAD_BYTES = 11
_CHANNEL = "<IIIIH"
_CHANNEL_BYTES = 18

_EPOCH = "<IB4sBIIBB"
_EPOCH_BYTES = 20

# Command tokens that are remembered: a repeated one is answered and not done twice.
TOKENS = 8
# Mappings of unsynced indices that wait for an acknowledgement.
MAPPINGS = 4


def _read(files, name, version):
    """The data of a record, None when it is missing or damaged."""
    record = files.read(name)
    if record is None:
        return None
    try:
        return unseal(version, record)
    except RecordError:
        return None


def save_totals(files, intervals):
    """Store the totals and the open interval: 16 bytes and 18 per channel."""
    known = intervals.known
    if intervals.live:
        known = [
            (intervals.pulses[i] - intervals.unsynced_totals[i]) & _U32 for i in range(len(intervals.pulses))
        ]
    slot = _NONE if intervals.slot == NO_SLOT else intervals.slot
    data = struct.pack(
        _TOTALS_HEAD,
        len(known),
        intervals.interval_s // 60,
        intervals.generation,
        slot,
        intervals.unsynced_index,
    )
    for i, total in enumerate(intervals.pulses):
        data += struct.pack(
            _CHANNEL,
            total & _U32,
            intervals.unsynced_totals[i],
            intervals.start[i] & _U32,
            known[i] & _U32,
            min(intervals.seen[i] // _SEEN_MS, 0xFFFF),
        )
    files.replace("totals", seal(_TOTALS_VERSION, data))


class Totals:
    """The stored totals, as read from flash: channels, interval_s, generation, slot or NO_SLOT, unsynced_index."""

    def __init__(self, data):
        n, minutes, self.generation, slot, self.unsynced_index = struct.unpack(
            _TOTALS_HEAD, data[:_TOTALS_HEAD_BYTES]
        )
        self.channels = n
        self.interval_s = 60 * minutes
        self.slot = NO_SLOT if slot == _NONE else slot
        self._data = data

    def fill(self, intervals):
        """Give `intervals`, of as many channels, what was stored."""
        intervals.slot = self.slot
        intervals.unsynced_index = self.unsynced_index
        for i in range(self.channels):
            self._fill_channel(intervals, i)

    def _fill_channel(self, intervals, i):
        at = _TOTALS_HEAD_BYTES + _CHANNEL_BYTES * i
        fields = struct.unpack(_CHANNEL, self._data[at : at + _CHANNEL_BYTES])
        intervals.pulses[i], intervals.unsynced_totals[i] = fields[0], fields[1]
        intervals.start[i], intervals.known[i] = fields[2], fields[3]
        intervals.seen[i] = fields[4] * _SEEN_MS


def load_totals(files):
    """The stored Totals, None when there are none or they are damaged."""
    data = _read(files, "totals", _TOTALS_VERSION)
    return None if data is None else Totals(data)


def catch_up(intervals, ring):
    """Bring loaded totals up to the ring: a record is stored before the totals that follow from it.

    Afterwards nothing is behind anything that could have been sent.
    """
    n = len(intervals.pulses)
    record = ring.newest(True, intervals.generation)
    if record is not None and record.index >= intervals.unsynced_index and len(record.totals) == n:
        intervals.unsynced_index = record.index + 1
        intervals.unsynced_totals = list(record.totals)
    record = ring.newest(False, intervals.generation)
    if record is not None and len(record.totals) == n:
        if record.index >= intervals.slot:
            intervals.slot = record.index + 1
            intervals.start = list(record.totals)
            intervals.seen = [0] * n
        for i in range(n):
            intervals.known[i] = max(intervals.known[i], record.totals[i])
    for i in range(n):
        intervals.pulses[i] = max(intervals.pulses[i], intervals.known[i] + intervals.unsynced_totals[i])


class Epoch:
    """Identity of the totals: number (32 bits, random), generation (its place in the sequence, mod 4).

    layout: hash of channels and interval that the totals belong to. acknowledged: the network confirmed a status
    of this epoch; anchored: one with totals at a closed index. farewell: last slot of the epoch before, until
    its record is acknowledged, else None. unsynced_done: unsynced indices below need no acknowledgement any more.
    mappings: [(first unsynced index, unix seconds)] not acknowledged yet. tokens: [(token, kind, result)] of the
    last commands, newest last.
    """

    def __init__(self, files):
        self._files = files
        self.number = 0
        self.generation = 0
        self.layout = b"\0\0\0\0"
        self.acknowledged = False
        self.anchored = False
        self.farewell = None
        self.unsynced_done = 0
        self.mappings = []
        self.tokens = []
        data = _read(files, "epoch", _EPOCH_VERSION)
        self.found = data is not None
        if data is not None:
            fields = struct.unpack(_EPOCH, data[:_EPOCH_BYTES])
            self.number, self.generation, self.layout, flags = fields[:4]
            self.acknowledged, self.anchored = bool(flags & 1), bool(flags & 2)
            self.farewell = None if fields[4] == _NONE else fields[4]
            self.unsynced_done, maps, tokens = fields[5:]
            at = _EPOCH_BYTES
            for i in range(maps):
                self.mappings.append(struct.unpack("<II", data[at + 8 * i : at + 8 * i + 8]))
            at += 8 * maps
            for i in range(tokens):
                self.tokens.append(struct.unpack("<HBB", data[at + 4 * i : at + 4 * i + 4]))

    def renew(self, number, layout, farewell):
        """A new epoch: the generation goes on by one, nothing is acknowledged. Stored when this returns."""
        self.generation = (self.generation + 1) % 4
        self.farewell = farewell
        self.number, self.layout = number, layout
        self.acknowledged = self.anchored = False
        self.save()

    def acknowledge(self, anchored, mapping):
        """The network has a status of this epoch; with totals of a slot, and this mapping (index, seconds) or None."""
        known = mapping is not None and self.mappings and self.mappings[0][1] == mapping[1]
        if self.acknowledged and self.anchored >= anchored and not known:
            return
        self.acknowledged = True
        self.anchored = self.anchored or anchored
        if known:
            self.mappings.pop(0)
        self.save()

    def add_mapping(self, first, seconds):
        """Unsynced indices from `first` on began at unix `seconds`. Stored when this returns."""
        self.mappings = (self.mappings + [(first, seconds)])[-MAPPINGS:]  # noqa: RUF005 - MicroPython has no * here
        self.save()

    def add_token(self, token, kind, result):
        """A command is about to be acted on. Stored when this returns."""
        self.tokens = (self.tokens + [(token, kind, result)])[-TOKENS:]  # noqa: RUF005 - MicroPython has no * here
        self.save()

    def save(self):
        """Store it."""
        flags = int(self.acknowledged) | int(self.anchored) << 1
        data = struct.pack(
            _EPOCH,
            self.number,
            self.generation,
            self.layout,
            flags,
            _NONE if self.farewell is None else self.farewell,
            self.unsynced_done,
            len(self.mappings),
            len(self.tokens),
        )
        for mapping in self.mappings:
            data += struct.pack("<II", *mapping)
        for token in self.tokens:
            data += struct.pack("<HBB", *token)
        self._files.replace("epoch", seal(_EPOCH_VERSION, data))


def count_boot(files):
    """(boot count including this one, last crash as bytes or None); the new count is stored."""
    data = _read(files, "boot", _BOOT_VERSION)
    count, crash = 1, None
    if data is not None:
        count = int.from_bytes(data[:4], "little") + 1
        crash = data[4:] or None
    files.replace("boot", seal(_BOOT_VERSION, count.to_bytes(4, "little") + (crash or b"")))
    return count, crash


def save_crash(files, boots, crash):
    """Remember the last crash (bytes, cut to 60) for the next status."""
    files.replace("boot", seal(_BOOT_VERSION, boots.to_bytes(4, "little") + crash[:60]))
