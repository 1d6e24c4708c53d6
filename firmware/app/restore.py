"""The start of a node: what the flash says of the life before becomes the intervals of this one. Not needed afterwards."""

import struct

from micropython import const

from app.intervals import NO_SLOT
from app.state import (
    CHANNEL,
    CHANNEL_BYTES,
    NONE,
    SEEN_MS,
    TOTALS_HEAD,
    TOTALS_HEAD_BYTES,
    TOTALS_VERSION,
    boot_record,
    read,
    save_crash,
)
from counting.inputs import Inputs
from lorawan.records import Files, RecordError, unseal

_U32 = const(0xFFFFFFFF)
# After so many starts in a row that did not last until the node was healthy the next one is in safe mode.
SAFE_AFTER = const(5)
_SAFE = b"safe mode: "
# Kinds that only count edges, the one that does it without any interrupt first.
PLAIN = ("pulse", "contact", "presence")
# The most of a crash that a status has room for beside it.
_TOLD = const(21)


def profile(node):
    """What only some nodes have, so that no other pays for it: a calibrated board, light sleep."""
    settings = node.settings
    permille, offset = settings["battery_permille"], settings["temperature_offset"]
    if permille != 1000 or offset:
        from app.calibrated import Calibrated

        node.board = Calibrated(node.board, permille, offset)
    if settings["sleep"] == "light" and not node.safe:
        from app import sleep

        sleep.begin(node)
    for name in ("battery_permille", "temperature_offset", "sleep"):
        del settings[name]


def intervals(node):
    """The Intervals of `node`: the stored totals and open interval, or those of a new epoch.

    A new one begins when totals are lost, or channels or interval changed; the old one's open interval is closed.
    """
    epoch, settings = node.epoch, node.settings
    it = node.make_intervals(len(settings["channels"]), settings["interval_s"])
    totals = load_totals(node.files)
    ours = totals is not None and epoch.found and totals.generation == epoch.generation
    # What is on a flash that cannot be written may be older than what was sent.
    ours = ours and Files.refused is None
    if ours and epoch.layout == settings["layout"]:
        totals.fill(it)
        moment = _moment(totals, epoch.number)
        if moment is not None:
            moment.fill(it)
        catch_up(it, node.ring)
        return it
    if totals is not None and epoch.found and epoch.layout == settings["layout"]:
        renewed = totals.generation == (epoch.generation - 1) % 128 and totals.channels == len(it.pulses)
        if renewed and epoch.farewell is not None:
            return _carried_over(node, totals, it)
    farewell, unsynced_index = None, 0
    if ours:
        old = node.make_intervals(totals.channels, totals.interval_s)
        totals.fill(old)
        catch_up(old, node.ring)
        farewell, unsynced_index = old.close_for_good(), old.unsynced_index
    elif totals is not None:
        unsynced_index = totals.unsynced_index
    newest = None
    for record in node.ring.latest():
        newest = newest or record
        if record.unsynced:
            unsynced_index = max(unsynced_index, record.index + 1)
    if newest is not None and not epoch.found:
        epoch.generation = newest.generation
    epoch.layout = settings["layout"]
    epoch.unsynced_done = unsynced_index
    node.new_epoch(farewell)
    it = node.make_intervals(len(settings["channels"]), settings["interval_s"])
    it.unsynced_index = unsynced_index
    return it


def _carried_over(node, totals, it):
    """The power went between a new epoch and the storing of its totals: what the old one did not report goes on."""
    old = node.make_intervals(totals.channels, totals.interval_s)
    totals.fill(old)
    it.unsynced_index = old.unsynced_index
    for record in node.ring.latest():
        if record.unsynced:
            it.unsynced_index = max(it.unsynced_index, record.index + 1)
    last = node.ring.at(False, totals.generation, node.epoch.farewell)
    for i in range(totals.channels):
        rest = old.pulses[i] - old.unsynced_totals[i] - last.totals[i]
        it.pulses[i] = max(rest, 0)
    return it


def silences(node):
    """See `silences.restored`."""
    from app import silences

    silences.restored(node)


class Totals:
    """The stored totals, as read from flash: channels, interval_s, generation, slot or NO_SLOT, unsynced_index."""

    def __init__(self, data):
        n, minutes, self.generation, slot, self.unsynced_index = struct.unpack(
            TOTALS_HEAD, data[:TOTALS_HEAD_BYTES]
        )
        self.channels = n
        self.interval_s = 60 * minutes
        self.slot = NO_SLOT if slot == NONE else slot
        self._data = data

    def fill(self, intervals):
        """Give `intervals`, of as many channels, what was stored."""
        intervals.slot = self.slot
        intervals.unsynced_index = self.unsynced_index
        for i in range(self.channels):
            self._fill_channel(intervals, i)
        heard = self._data[TOTALS_HEAD_BYTES + CHANNEL_BYTES * self.channels :]
        # Not what was kept in memory, nor by a firmware before this.
        if heard and heard != b"\xff\xff\xff\xff":
            intervals.heard = int.from_bytes(heard, "little")

    @property
    def place(self):
        """What is open: the head of the record."""
        return self._data[:TOTALS_HEAD_BYTES]

    def fields(self, i):
        """What is stored of channel `i`, its total first."""
        at = TOTALS_HEAD_BYTES + CHANNEL_BYTES * i
        return struct.unpack(CHANNEL, self._data[at : at + CHANNEL_BYTES])

    def _fill_channel(self, intervals, i):
        fields = self.fields(i)
        intervals.pulses[i], intervals.unsynced_totals[i] = fields[0], fields[1]
        intervals.start[i], intervals.known[i] = fields[2], fields[3]
        intervals.seen[i] = fields[4] * SEEN_MS


def _moment(totals, epoch):
    """The Totals that were kept in memory, if they are of this epoch (its number) and open interval and say more.

    None else: the power was away, or they are older than what was stored.
    """
    # Here, because intervals and records are tested without a board too.
    from machine import RTC

    try:
        data = unseal(TOTALS_VERSION, RTC().memory())
    except RecordError:
        return None
    if len(data) != 4 + TOTALS_HEAD_BYTES + CHANNEL_BYTES * totals.channels:
        return None
    kept = Totals(data[4:])
    if data[:4] != epoch.to_bytes(4, "little") or kept.place != totals.place:
        return None
    more = [kept.fields(i)[0] - totals.fields(i)[0] for i in range(kept.channels)]
    return kept if max(more) > 0 and min(more) >= 0 else None


def why_safe(crash):
    """What a status says in safe mode: the end of the last crash, if there was one."""
    if crash is None:
        return "safe mode: %d short starts" % SAFE_AFTER
    if crash.startswith(_SAFE):
        return crash.decode()
    return (_SAFE + crash[-_TOLD:]).decode()


def inputs(channels, units, safe):
    """The Inputs, started. In safe mode only the sensors that do little, without those that cannot be started."""
    if not safe:
        it = Inputs(channels, units)
        it.start()
        return it
    leave_out(channels, PLAIN)
    try:
        it = Inputs(channels, units)
    except Exception:  # noqa: BLE001 - no room for a sensor's code, perhaps
        leave_out(channels, PLAIN[:1])
        it = Inputs(channels, units)
    for i, sensor in enumerate(it._sensors):
        try:
            sensor.start()
        except Exception as error:  # noqa: BLE001 - the others count
            print("zaehlwerk:", error)
            from counting.absent import AbsentSensor

            it._sensors[i] = AbsentSensor({})
    return it


def leave_out(channels, kept):
    """All sensors but those of the kinds `kept` are not started: their channels observe nothing."""
    for entry in channels:
        if entry["sensor"] not in kept:
            entry["sensor"] = "absent"
            for name in ("jam_occupancy", "jam_kmh"):
                entry.pop(name, None)


def load_totals(files):
    """The stored Totals, None when there are none or they are damaged."""
    data = read(files, "totals", TOTALS_VERSION)
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


def count_boot(files, power):
    """(boot count including this one, starts in a row that did not last, last crash as bytes or None, safe).

    Stored, as if this start did not last. power: it was the supply that ended the one before, which is no crash. safe:
    this start is in safe mode. The one after it is none, but if that ends in a crash too, there soon is one again.
    """
    count, short, crash = boot_record(files)
    if power:
        short = max(0, short - 1)
    safe = short >= SAFE_AFTER
    count, short = count + 1, SAFE_AFTER - 1 if safe else short + 1
    save_crash(files, count, short, crash or b"")
    return count, short, crash, safe
