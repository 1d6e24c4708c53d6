"""The ring of interval records: what was appended is found again, whole, and only so much of it is kept."""

from lorawan_rig import PowerCut

from app.intervals import Record
from app.ring import Ring, pack, unpack

SEGMENT = 96


class Segments:
    """Files in memory. `cut` loses the power in the middle of the next append."""

    def __init__(self):
        self.content = {}
        self.appends = 0
        self.cut = False

    def names(self):
        return sorted(self.content)

    def path(self, name):
        self.opened = name
        with open("segment", "wb") as file:
            file.write(self.content[name])
        return "segment"

    def append(self, name, data):
        self.appends += 1
        if self.cut:
            self.content[name] = self.content.get(name, b"") + data[: len(data) - 3]
            raise PowerCut
        self.content[name] = self.content.get(name, b"") + data

    def remove(self, name):
        del self.content[name]


def record(index, unsynced=False, generation=1, channels=2):
    return Record(
        unsynced, generation, index, [index] * channels, [index % 7] * channels, bytes([255] * channels)
    )


def same(one, other):
    return pack(one) == pack(other)


def test_a_record_of_eight_channels_comes_back_from_its_bytes():
    one = Record(True, 3, 0xFFFFFFFE, list(range(8)), [0xFFFFFFFF] * 8, bytes(range(8)))
    data = pack(one)
    assert len(data) == 11 + 9 * 8
    other = unpack(data)
    assert (other.unsynced, other.generation, other.index) == (True, 3, 0xFFFFFFFE)
    assert (other.totals, other.counts, bytes(other.covers)) == (one.totals, one.counts, one.covers)


def test_any_flipped_bit_or_missing_byte_makes_a_record_unusable():
    data = pack(record(7))
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 4
        assert unpack(bytes(broken)) is None
        assert unpack(data[:at]) is None


def test_newest_records_are_at_hand_after_a_restart():
    files = Segments()
    ring = Ring(files, 5)
    for index in range(200):
        ring.append(record(index))
    again = Ring(files, 5)
    assert [r.index for r in again.latest()] == [199, 198, 197, 196, 195]
    assert again.newest(False, 1).index == 199
    assert again.newest(True, 1) is None
    assert again.newest(False, 2) is None


def test_rows_are_found_by_space_generation_and_index():
    ring = Ring(Segments(), 5)
    for index in range(300):
        ring.append(record(index))
        if index % 100 == 50:
            ring.append(record(index // 100, unsynced=True))
    rows = ring.rows(False, 1, 90, 110)
    assert sorted(rows) == list(range(90, 110))
    assert all([rows[index] == (tuple(record(index).counts), record(index).covers) for index in rows])
    assert sorted(ring.rows(True, 1, 0, 10)) == [0, 1, 2]
    assert ring.rows(False, 2, 0, 300) == {}
    assert ring.at(False, 1, 299).index == 299
    assert ring.at(False, 1, 300) is None


def test_next_stored_index_skips_what_was_never_recorded():
    ring = Ring(Segments(), 5)
    for index in list(range(10)) + list(range(500, 700)):
        ring.append(record(index))
    assert ring.next_index(False, 1, 10, 700) == 500
    assert ring.next_index(False, 1, 3, 700) == 3
    assert ring.next_index(False, 1, 10, 500) is None


def test_only_the_newest_segments_are_kept_and_they_are_at_least_thirty_days_of_quarter_hours():
    files = Segments()
    ring = Ring(files, 2)
    for index in range(40 * SEGMENT):
        ring.append(record(index, channels=1))
    assert len(files.content) == 32
    assert ring.at(False, 1, 40 * SEGMENT - 1 - 30 * 96) is not None
    assert ring.at(False, 1, 0) is None


def test_a_cut_in_the_middle_of_an_append_loses_that_record_only():
    files = Segments()
    ring = Ring(files, 5)
    for index in range(10):
        ring.append(record(index))
    files.cut = True
    try:
        ring.append(record(10))
    except PowerCut:
        pass
    files.cut = False
    again = Ring(files, 5)
    assert next(again.latest()).index == 9
    again.append(record(10))
    third = Ring(files, 5)
    assert [r.index for r in third.latest()] == [10, 9, 8, 7, 6]
    assert sorted(third.rows(False, 1, 0, 20)) == list(range(11))


def test_held_records_are_one_write_per_segment():
    files = Segments()
    ring = Ring(files, 5)
    ring.hold()
    for index in range(150):
        ring.append(record(index))
    assert files.appends == 0
    ring.release()
    assert files.appends == 2
    assert sorted(ring.rows(False, 1, 0, 200)) == list(range(150))
