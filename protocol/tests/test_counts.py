"""Count frames: never longer than 36 bytes, history as far as there is room, and small on a real city's week."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.bench import sizes
from protocol.tests import strategies
from zaehlwerk_protocol.airtime import OVERHEAD, airtime_us, longest_payload
from zaehlwerk_protocol.counts import MAX_COUNT, MAX_SIZE, Counts, airtime_rows, history_rows
from zaehlwerk_protocol.errors import FrameError

DR0_PAYLOAD = 51
"""RP002-1.0.4 section 2.4.6."""
MAC_COMMANDS = 15
"""FOpts at their longest, LoRaWAN L2 1.0.4 section 4.3.1.6."""

spreading_factors = st.integers(7, 12)
no_extra = strategies.counts_frames(extra=st.just(()))


@given(no_extra)
def test_every_frame_of_one_to_eight_channels_fits_36_bytes(frame: Counts) -> None:
    """Whatever was counted and however little was observed: it leaves room for all MAC commands at DR0."""
    assert len(frame.encode()) <= MAX_SIZE == DR0_PAYLOAD - MAC_COMMANDS


def test_the_longest_frame_without_history_fits() -> None:
    frame = Counts(0xFFFF, 0xFF, (0xFFFF,) * 8, (), ((0xFF, 254),))
    assert len(frame.encode()) == 27


def test_history_ends_where_the_frame_is_full() -> None:
    """The oldest rows are left out, and their cover with them."""
    frame = Counts(1000, 0, (1, 2), ((300, 300),) * 9, ((0, 0),) * 9 + ((3, 0),))
    read = Counts.decode(frame.encode())
    assert read == frame.fit()
    assert read.history == frame.history[:6]
    assert read.cover == ()


def test_history_ends_before_a_count_that_it_cannot_carry() -> None:
    frame = Counts(1000, 0, (1,), ((7,), (MAX_COUNT + 1,), (8,)))
    assert Counts.decode(frame.encode()).history == ((7,),)


def test_a_smaller_limit_leaves_out_more() -> None:
    frame = Counts(1000, 0, (1, 2), ((3, 4),) * 9)
    assert [len(Counts.decode(frame.encode(limit)).history) for limit in (11, 12, 13, 14, 15)] == [
        0,
        0,
        1,
        1,
        2,
    ]
    with pytest.raises(FrameError, match="counts: 11 bytes, the limit is 10"):
        frame.encode(10)


def size(frame: Counts, rows: int) -> int:
    """Bytes with so many rows, also where no limit allows them."""
    return len(frame._bytes(rows))


@given(no_extra, st.integers(27, MAX_SIZE))
def test_no_row_is_left_out_that_would_fit(frame: Counts, limit: int) -> None:
    data = frame.encode(limit)
    rows = len(Counts.decode(data).history)
    assert len(data) == size(frame, rows) <= limit
    assert rows == len(frame.history) or size(frame, rows + 1) > limit


@given(
    no_extra, st.integers(0, 12), st.integers(0, MAX_SIZE), spreading_factors, st.integers(0, MAC_COMMANDS)
)
def test_rows_that_cost_no_airtime_go_along(
    frame: Counts, least: int, limit: int, sf: int, options: int
) -> None:
    """First those that are wanted, then those within the limit, then the free ones, never beyond 36 bytes."""
    taken = airtime_rows(frame, least, limit, sf, options)
    fitting = [rows for rows in range(len(frame.history) + 1) if size(frame, rows) <= MAX_SIZE]
    airtime = {rows: airtime_us(OVERHEAD + options + size(frame, rows), sf) for rows in fitting}
    paid = max(rows for rows in fitting if rows <= least or size(frame, rows) <= limit)
    assert taken == max(rows for rows in fitting if airtime[rows] == airtime[paid])


def test_free_rows_of_a_real_frame() -> None:
    """Two channels at SF12: 15 bytes are paid for 16 as well, at SF7 for 15 only."""
    frame = Counts(48473, 1, (68, 5123), ((12, 7), (9, 14), (1, 2), (0, 1), (3, 3)))
    by_limit = [history_rows(frame, limit) for limit in (11, 13, 15, MAX_SIZE)]
    assert by_limit == [0, 1, 2, 5]
    at_sf7 = airtime_rows(frame, 2, 0, 7)
    at_sf12 = airtime_rows(frame, 2, 0, 12)
    assert (at_sf7, at_sf12) == (2, 3)
    assert len(frame.encode(0, lambda size: longest_payload(size, 12))) == 11


@pytest.fixture(scope="module")
def muenster() -> dict[int, sizes.Measure]:
    return {found.channels: found for found in sizes.measure(sizes.MUENSTER)}


def test_two_channels_of_muenster_take_16_bytes_on_average_with_the_two_previous_intervals(
    muenster: dict[int, sizes.Measure],
) -> None:
    """A week of 21 stations, starting totals thrown by a die."""
    assert len(muenster[2].sizes) == 21 * 7 * 96
    assert muenster[2].mean <= 16


def test_all_of_muenster_fits_36_bytes_with_the_two_previous_intervals(
    muenster: dict[int, sizes.Measure],
) -> None:
    assert set(muenster) == {2, 4, 6}
    assert max(size for found in muenster.values() for size in found.sizes) <= MAX_SIZE


def test_the_measured_frames_do_carry_two_intervals_that_are_the_table_s() -> None:
    import random

    station = next(sizes.stations(sizes.MUENSTER))
    frames = list(sizes.count_frames(station, random.Random(1)))
    for number in range(2, len(frames)):
        read = Counts.decode(frames[number].encode())
        assert len(read.history) >= sizes.ROWS
        for back in (1, 2):
            assert read.history[back - 1] == tuple(count or 0 for count in station[number - back].counts)
        before = Counts.decode(frames[number - 1].encode())
        moved = tuple((new - old) & 0xFFFF for new, old in zip(read.totals, before.totals, strict=True))
        assert moved == tuple(count or 0 for count in station[number].counts)
