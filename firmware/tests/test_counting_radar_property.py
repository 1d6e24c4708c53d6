"""Radar: whatever garbage lies between them, whole lines are read, no others, and passages follow from them alone."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from counting import TICKS
from counting.doppler import FEW, HOLE_MS, LONGEST, MANY, VIEW_MM, Doppler

MIN_HITS, QUIET, SLOWEST = 3, 600, 50
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


class Heard:
    """A `Doppler` and what it told: [(speed, away)]; bytes come at 19,200 baud, 8N1."""

    def __init__(self, unit: str = "kmh", offset: int = 0) -> None:
        self.told: list[tuple[int, int]] = []
        self.hits: list[tuple[int, int]] = []
        self.offset = offset
        self.doppler = Doppler(
            unit, MIN_HITS, QUIET, SLOWEST, lambda speed, away: self.told.append((speed, away))
        )
        hit = self.doppler.hit
        self.doppler.hit = lambda speed, away, now: (self.hits.append((speed, away)), hit(speed, away, now))
        self.feed(b"\n")

    def feed(self, data: bytes, at: int = 0) -> None:
        for i, byte in enumerate(data):
            self.doppler.feed(byte, (self.offset + at + i * 10 // 19) & TICKS)

    def settle(self, at: int) -> None:
        self.doppler.settle((self.offset + at) & TICKS)


def plain(tenths: int, away: bool) -> bytes:
    return b"%s%d.%d" % (b"-" if away else b"", tenths // 10, tenths % 10)


def in_json(tenths: int, away: bool) -> bytes:
    way = b"outbound" if away else b"inbound"
    return b'{"unit":"kmph","time":105, "speed":"%d.%d", "direction":"%s", "tick":135}' % (
        tenths // 10,
        tenths % 10,
        way,
    )


LINES = st.tuples(st.sampled_from([plain, in_json]), st.integers(0, 2500), st.booleans())
# Anything but a line end, and nothing that is a line by itself.
GARBAGE = st.binary(max_size=2 * LONGEST).map(
    lambda data: b"#" + data.replace(b"\n", b"").replace(b"\r", b"")
)


@given(st.lists(st.tuples(LINES, ENDS, st.none() | GARBAGE), max_size=20))
@settings(deadline=None)
def test_every_whole_line_is_read_and_no_garbage_is(rows: list) -> None:
    heard, expected = Heard(), []
    bad = heard.doppler.bad
    for (form, tenths, away), end, garbage in rows:
        if garbage is not None:
            heard.feed(garbage + end)
            bad += 1 + (len(garbage) - 1) // LONGEST
        heard.feed(form(tenths, away) + end)
        expected.append((tenths, int(away)))
    assert heard.hits == expected
    assert heard.doppler.heard == len(expected)
    assert heard.doppler.bad == bad


@given(st.lists(LINES, min_size=1, max_size=10), st.data())
@settings(deadline=None)
def test_lost_bytes_cost_the_lines_that_they_were_of_and_no_other(lines: list, data: st.DataObject) -> None:
    """Told of the loss, the parser takes nothing for a line that is none."""
    whole = [form(tenths, away) + b"\r\n" for form, tenths, away in lines]
    stream = b"".join(whole)
    begin = data.draw(st.integers(0, len(stream)))
    end = data.draw(st.integers(begin, len(stream)))
    heard = Heard()
    heard.feed(stream[:begin])
    heard.doppler.resync()
    heard.feed(stream[end:])
    # After the loss nothing is believed up to the first line end.
    again = next((at for at in range(end, len(stream)) if stream[at] in b"\r\n"), len(stream))
    expected, first = [], 0
    for (_, tenths, away), line in zip(lines, whole, strict=True):
        if first + len(line) - 1 <= begin or first > again:
            expected.append((tenths, int(away)))
        first += len(line)
    assert heard.hits == expected


@pytest.mark.parametrize(
    "line",
    [
        b"12.314.5",
        b"-",
        b".5",
        b"12.",
        b"1-2",
        b"--3.0",
        b"12.3x",
        b"1e3",
        b"120,3.6",
        b'"kmph",3.6',
        b'{"speed":3.6',
        b'"speed":3.6}',
        b'{"speed":"fast"}',
        b'{"speed":}',
        b"999999999999999999999",
        b"{",
        b"\x00\xff",
    ],
)
def test_a_line_that_is_no_speed_is_garbage(line: bytes) -> None:
    heard = Heard()
    before = heard.doppler.bad
    heard.feed(line + b"\r\n12.3\r\n")
    assert heard.hits == [(123, 0)]
    assert heard.doppler.bad == before + 1


def test_noise_without_a_line_end_is_garbage_and_costs_no_line_after_it() -> None:
    """A line at another speed can look like that: it must not look like an empty street."""
    heard = Heard()
    before = heard.doppler.bad
    heard.feed(b"\xf8" * (10 * LONGEST + 1))
    assert heard.doppler.bad == before + 10
    heard.feed(b"\n12.3\n")
    assert heard.hits == [(123, 0)]


def test_an_answer_of_the_sensor_is_neither_speed_nor_garbage() -> None:
    heard = Heard()
    before = heard.doppler.bad
    heard.feed(b'{"Units":"km-per-hr"}\r\n{"Product":"OPS243"}\r\n\r\n')
    assert heard.hits == []
    assert (heard.doppler.heard, heard.doppler.bad) == (2, before)


@pytest.mark.parametrize(
    ("unit", "line", "tenths"),
    [
        ("mps", b"13.89", 500),
        ("mps", b"0.58", 20),
        ("kmh", b"50", 500),
        ("kmh", b"50.09", 500),
        ("mps", b"-1.3889", 49),
    ],
)
def test_units_become_tenths_of_kmh_and_what_is_beyond_them_is_cut_off(
    unit: str, line: bytes, tenths: int
) -> None:
    heard = Heard(unit)
    heard.feed(line + b"\n")
    assert heard.hits == [(tenths, int(line.startswith(b"-")))]


PASSAGES = st.lists(
    st.tuples(
        st.booleans(),
        st.lists(st.integers(SLOWEST, 1300), min_size=1, max_size=30),
        # A line of 76 bytes takes 40 ms.
        st.integers(10, HOLE_MS - 10) | st.integers(HOLE_MS + 10, QUIET - 60),
        st.integers(QUIET + 60, 5000),
    ),
    max_size=8,
)


@given(PASSAGES, st.sampled_from([0, TICKS - 3000]), st.sampled_from([plain, in_json]))
@settings(max_examples=60, deadline=None)
def test_detections_close_together_are_one_passage_with_the_second_highest_speed(
    passages: list, offset: int, form: object
) -> None:
    heard, now, expected = Heard(offset=offset), 1000, []
    for away, speeds, step, rest in passages:
        views = sum(speeds[1:]) * step / 36 / VIEW_MM
        assume(not 0.97 < views < 1.03)
        for speed in speeds:
            heard.feed(form(speed, away) + b"\n", now)
            now += step
        now += rest
        heard.settle(now)
        if len(speeds) >= MIN_HITS:
            expected.append((sorted(speeds)[-2], away + MANY * (views > 1)))
        else:
            expected.append((sorted([0, *speeds])[-2], FEW))
    assert heard.told == expected


@given(st.integers(1, 10_000), st.booleans())
@settings(max_examples=30, deadline=None)
def test_a_stream_of_100_lines_a_second_is_one_passage_as_long_as_it_lasts(ms: int, away: bool) -> None:
    heard = Heard()
    for at in range(0, ms, 10):
        heard.feed(plain(400 + at % 7, away) + b"\r\n", at)
    heard.settle(ms + QUIET - 20)
    assert heard.told == []
    heard.settle(ms + QUIET + 20)
    assert len(heard.told) == 1


@given(
    st.booleans(),
    st.lists(
        st.tuples(st.integers(1, 6), st.integers(1, HOLE_MS), st.integers(HOLE_MS + 1, QUIET)), min_size=1
    ),
    st.sampled_from([0, TICKS - 3000]),
)
@settings(deadline=None)
def test_a_passage_is_perhaps_more_than_one_if_several_parts_between_holes_would_be_one_each(
    away: bool, parts: list[tuple[int, int, int]], offset: int
) -> None:
    """Too slow to drive out of the view."""
    heard, now = Heard(offset=offset), 0
    for hits, step, hole in parts:
        for hit in range(hits):
            now += step if hit else hole
            heard.doppler.hit(SLOWEST, int(away), (offset + now) & TICKS)
    assume(now * SLOWEST < VIEW_MM * 36)
    heard.settle(now + QUIET + 1)
    code = int(away) + MANY * (sum(hits >= MIN_HITS for hits, _, _ in parts) > 1)
    hits = sum(part[0] for part in parts)
    assert heard.told == [(SLOWEST if hits > 1 else 0, code if hits >= MIN_HITS else FEW)]


@pytest.mark.parametrize(("steps", "code"), [(599, 0), (600, MANY)])
def test_a_passage_is_perhaps_more_than_one_from_the_way_on_that_a_radar_sees_one_vehicle(
    steps: int, code: int
) -> None:
    """72 km/h are 0.2 m in 10 ms."""
    heard = Heard()
    for step in range(steps + 1):
        heard.doppler.hit(720, 0, 10 * step)
    heard.settle(10 * steps + QUIET + 1)
    # The next one begins anew.
    for step in range(3):
        heard.doppler.hit(720, 0, 20_000 + 10 * step)
    heard.settle(30_000)
    assert heard.told == [(720, code), (720, 0)]


def test_the_other_direction_neither_fills_a_hole_nor_makes_one() -> None:
    heard = Heard()
    for at in (0, 100, 200, 600, 700, 800):
        heard.doppler.hit(300, 0, at)
    for at in range(1000, 2000, 100):
        heard.doppler.hit(300, 1, at)
    for at in range(3000, 3900, 100):
        if not 3200 < at < 3600:
            heard.doppler.hit(300, 0, at)
        heard.doppler.hit(300, 1, at + 20)
    heard.settle(6000)
    assert heard.told == [(300, MANY), (300, 1), (300, MANY), (300, 1)]


def test_both_directions_at_the_same_time_are_two_passages() -> None:
    heard = Heard()
    for i in range(10):
        heard.feed(plain(300, away=False) + b"\n", 100 * i)
        heard.feed(plain(500, away=True) + b"\n", 100 * i + 50)
    heard.settle(3000)
    assert sorted(heard.told) == [(300, 0), (500, 1)]


def test_what_is_slower_than_set_does_not_prolong_a_passage() -> None:
    heard = Heard()
    for i in range(5):
        heard.feed(b"30.0\n", 100 * i)
    for i in range(50):
        heard.feed(b"0.0\n", 500 + 100 * i)
    assert heard.told == [(300, 0)]


def test_a_single_wrong_speed_does_not_make_that_of_the_passage() -> None:
    heard = Heard()
    for i, line in enumerate((b"30.1\n", b"30.2\n", b"199.0\n", b"30.0\n")):
        heard.feed(line, 100 * i)
    heard.settle(2000)
    assert heard.told == [(302, 0)]


# Vehicles of one direction: 0.1 km/h, reports, ms from one to the next, ms from the last to the next vehicle's first; and
# which reports come damaged.
ROW = st.lists(
    st.tuples(
        st.integers(SLOWEST, 1000),
        st.integers(1, 12),
        st.integers(100, HOLE_MS - 10),
        st.integers(10, 4000),
        st.sets(st.integers(0, 11), max_size=4),
    ),
    min_size=1,
    max_size=6,
)
# A plain line takes some ms, and its time is that of its end.
LINE_MS = 10


@given(ROW, st.booleans(), st.booleans(), st.sampled_from([0, TICKS - 3000]))
@settings(max_examples=300, deadline=None)
def test_a_row_of_vehicles_is_exact_or_noted_unless_it_looks_like_fewer(
    row: list, away: bool, damaged: bool, offset: int
) -> None:
    """It does where one follows as closely as reports do, or had too few of them to be a passage."""
    heard, now, alike = Heard(offset=offset), 1000, False
    sound = heard.doppler.bad
    before, gap = MIN_HITS, QUIET + 1
    for speed, reports, step, rest, spoilt in row:
        alike |= gap <= HOLE_MS + LINE_MS or (gap <= QUIET + LINE_MS and min(before, reports) < MIN_HITS)
        for n in range(reports):
            noise = b"#" if damaged and n in spoilt else b""
            heard.feed(noise + plain(speed, away) + b"\n", now)
            now += step if n < reports - 1 else rest
        before, gap = reports, rest
    heard.settle(now + QUIET + LINE_MS)
    passed = sum(code != FEW for _, code in heard.told)
    noted = heard.doppler.bad != sound or any(code >= FEW for _, code in heard.told)
    assert alike or noted or passed == len(row)
    # Only damage makes more of them: three lines in a row are longer than `QUIET`.
    assert passed <= len(row) or heard.doppler.bad != sound
