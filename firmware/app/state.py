"""What the node knows of itself across a power cut, as three checksummed records besides the ring. `restore` reads them.

totals: rewritten every minute and at each boundary, kept small. epoch: identity of the totals and what the network
has not acknowledged yet. boot: how often the node started, how often in a row that did not last, and its last crash.
"""

import struct

from micropython import const

from app import modules
from app.intervals import NO_SLOT
from lorawan.records import RecordError, seal, unseal

TOTALS_VERSION = 1
BOOT_VERSION = 1
NONE = 0xFFFFFFFF
_U32 = const(0xFFFFFFFF)
SEEN_MS = 100
TOTALS_HEAD = "<BBBII"
TOTALS_HEAD_BYTES = 11
CHANNEL = "<IIIIH"
CHANNEL_BYTES = 18

# Command tokens that are remembered: a repeated one is answered and not done twice.
TOKENS = 8
# Mappings of unsynced indices that wait for an acknowledgement.
MAPPINGS = 4


def read(files, name, version):
    """The data of a record, None when it is missing or damaged."""
    record = files.read(name)
    if record is None:
        return None
    try:
        return unseal(version, record)
    except RecordError:
        return None


def save_totals(files, intervals):
    """Store the totals, the open interval and when the network was heard: 20 bytes and 18 per channel."""
    heard = struct.pack("<I", intervals.heard & _U32)
    files.replace("totals", seal(TOTALS_VERSION, _totals(intervals, intervals.pulses) + heard))


def keep_moment(node):
    """The same with what was counted since, in the memory that only a loss of power takes, under the epoch's number."""
    intervals, new = node.intervals, node.inputs.so_far()
    pulses = [intervals.pulses[i] + new[i] for i in range(len(new))]
    # Here, because intervals and records are tested without a board too.
    from machine import RTC

    number = node.epoch.number.to_bytes(4, "little")
    RTC().memory(seal(TOTALS_VERSION, number + _totals(intervals, pulses)))


def _totals(intervals, pulses):
    known = intervals.known
    if intervals.live:
        known = [(pulses[i] - intervals.unsynced_totals[i]) & _U32 for i in range(len(pulses))]
    slot = NONE if intervals.slot == NO_SLOT else intervals.slot
    data = struct.pack(
        TOTALS_HEAD,
        len(known),
        intervals.interval_s // 60,
        intervals.generation,
        slot,
        intervals.unsynced_index,
    )
    for i, total in enumerate(pulses):
        data += struct.pack(
            CHANNEL,
            total & _U32,
            intervals.unsynced_totals[i],
            intervals.start[i] & _U32,
            known[i] & _U32,
            min(intervals.seen[i] // SEEN_MS, 0xFFFF),
        )
    return data


class Epoch:
    """Identity of the totals: number (32 bits, random), generation (its place in the sequence, mod 128,
    for that is what a record in the ring has room for; frames say it mod 4).

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
        self.found = self._record("load")

    def renew(self, number, layout, farewell):
        """A new epoch: the generation goes on by one, nothing is acknowledged. Stored when this returns."""
        self.generation = (self.generation + 1) % 128
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
        self._record("store")

    def _record(self, what):
        from app import epoch_record

        try:
            return getattr(epoch_record, what)(self, self._files)
        finally:
            modules.unload("app.epoch_record")


def boot_record(files):
    """(number of starts, how many in a row did not last, last crash as bytes or None)."""
    data = read(files, "boot", BOOT_VERSION)
    if data is None:
        return 0, 0, None
    return int.from_bytes(data[:3], "little"), data[3], data[4:] or None


def save_crash(files, boots, short, crash):
    """Store the number of starts and of those that did not last, and the last crash (bytes, cut to 60)."""
    head = (boots & 0xFFFFFF).to_bytes(3, "little") + bytes([short])
    files.replace("boot", seal(BOOT_VERSION, head + crash[:60]))
