"""The last interval records on flash: append-only segments, each record with its own checksum.

A segment holds 96 records (a day of quarter-hours); the 32 newest segments stay: at least 31 days, or 10 at five
minutes. A record of n channels takes 11 + 9 n bytes. A power cut in the middle of an append leaves a tail that
does not check; reading stops there and the next record begins a new segment.
"""

import binascii
import struct

from micropython import const

from app.intervals import Record

_SEGMENT_RECORDS = const(96)
_SEGMENTS = const(32)
# length of the record, flags (bit 0 unsynced, bits 1-7 generation), channels, index.
_HEAD = "<BBBI"
_HEAD_BYTES = const(7)
_CRC_BYTES = const(4)


def pack(record):
    """A record as bytes."""
    n = len(record.totals)
    data = struct.pack(
        _HEAD,
        _HEAD_BYTES + 9 * n + _CRC_BYTES,
        int(record.unsynced) | record.generation << 1,
        n,
        record.index,
    )
    for values in (record.totals, record.counts):
        data += struct.pack("<%dI" % n, *values)
    data += record.covers
    return data + binascii.crc32(data).to_bytes(_CRC_BYTES, "little")


def unpack(data):
    """The Record in `data`, None when it does not check."""
    if len(data) < _HEAD_BYTES or len(data) != data[0]:
        return None
    body = data[:-_CRC_BYTES]
    if binascii.crc32(body).to_bytes(_CRC_BYTES, "little") != data[-_CRC_BYTES:]:
        return None
    _, flags, n, index = struct.unpack(_HEAD, data[:_HEAD_BYTES])
    at = _HEAD_BYTES
    totals = list(struct.unpack("<%dI" % n, data[at : at + 4 * n]))
    counts = list(struct.unpack("<%dI" % n, data[at + 4 * n : at + 8 * n]))
    return Record(bool(flags & 1), flags >> 1, index, totals, counts, data[at + 8 * n : at + 9 * n])


class Ring:
    """The segments in `files` (a `records.Files` of a directory of its own) and the newest records in RAM.

    recent: the newest records, oldest first, at most `keep`, as bytes: a Record takes three times as much.
    """

    def __init__(self, files, keep):
        self._files = files
        self._keep = keep
        self.recent = []
        self._held = None
        self._names = []
        for name in files.names():
            if len(name) == 8:
                self._names.append(name)
            else:
                files.remove(name)
        self._count = _SEGMENT_RECORDS
        # Enough of the newest segments to fill `recent`; the newest may be damaged at its end.
        for name in self._names[-3:]:
            self._count = 0
            for record in self._read(name):
                self._remember(record)
                self._count += 1
            if self._damaged:
                self._count = _SEGMENT_RECORDS

    def append(self, record):
        """Store a record; it is on flash when this returns, or at `release` after a `hold`."""
        self._remember(record)
        if self._held is None:
            self._write([record])
        else:
            self._held.append(record)

    def hold(self):
        """Collect what is appended: many records are one write."""
        self._held = []

    def release(self):
        """Store what was collected."""
        self.flush()
        self._held = None

    def flush(self):
        """Store what was collected so far."""
        while self._held:
            room = _SEGMENT_RECORDS - self._count % _SEGMENT_RECORDS
            self._write(self._held[:room])
            self._held = self._held[room:]

    def _write(self, records):
        """Append records that fit into one segment."""
        if self._count >= _SEGMENT_RECORDS:
            number = int(self._names[-1], 16) + 1 if self._names else 0
            self._names.append("%08x" % number)
            self._count = 0
            while len(self._names) > _SEGMENTS:
                self._files.remove(self._names.pop(0))
        # Until the append has returned the segment counts as ended: if it raises, the next one is a new segment.
        count, self._count = self._count, _SEGMENT_RECORDS
        self._files.append(self._names[-1], b"".join([pack(record) for record in records]))
        self._count = count + len(records)

    def newest(self, unsynced, generation):
        """The newest record of a space, None without one among the recent."""
        for record in self.latest():
            if record.unsynced == unsynced and record.generation == generation:
                return record
        return None

    def latest(self):
        """The newest records, newest first, as far as they are in RAM."""
        for data in reversed(self.recent):
            yield unpack(data)

    def at(self, unsynced, generation, index):
        """The stored record of one index, None when there is none."""
        for record in self._between(unsynced, generation, index, index + 1, False):
            return record
        return None

    def rows(self, unsynced, generation, first, end):
        """{index: (counts, covers)} of what is stored in [first, end): a row takes some 100 bytes of heap."""
        return {
            record.index: (tuple(record.counts), record.covers)
            for record in self._between(unsynced, generation, first, end, False)
        }

    def next_index(self, unsynced, generation, first, end):
        """The lowest stored index in [first, end), None without one."""
        indices = list(self._between(unsynced, generation, first, end, True))
        return min(indices) if indices else None

    def _between(self, unsynced, generation, first, end, lowest):
        """The records in [first, end), segment by segment, newest segment first; `lowest`: one index per segment."""
        for name in reversed(self._names):
            begins = None
            for record in self._read(name):
                if record.unsynced != unsynced or record.generation != generation:
                    continue
                if begins is None:
                    begins = record.index
                if record.index >= end:
                    break
                if record.index >= first:
                    if lowest:
                        yield record.index
                        break
                    yield record
            if begins is not None and begins < first:
                return

    def _remember(self, record):
        self.recent.append(pack(record))
        if len(self.recent) > self._keep:
            self.recent.pop(0)

    def _read(self, name):
        """Records of a segment in their order; `_damaged` tells afterwards whether its end did not check."""
        self._damaged = False
        with open(self._files.path(name), "rb") as file:
            while True:
                first = file.read(1)
                if not first:
                    return
                record = unpack(first + file.read(first[0] - 1)) if first[0] else None
                if record is None:
                    self._damaged = True
                    return
                yield record
