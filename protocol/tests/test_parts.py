"""What does not fit a data rate is said in several frames, and nothing is lost between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.tests import strategies
from zaehlwerk_protocol import cover, note_codes
from zaehlwerk_protocol.backfill import MAX_ROWS, Backfill
from zaehlwerk_protocol.errors import FrameError
from zaehlwerk_protocol.flow import Flow
from zaehlwerk_protocol.frame_reader import open_array
from zaehlwerk_protocol.health import Health
from zaehlwerk_protocol.status import Status

DR0_PAYLOAD = 51
FULL_HEALTH = Health(
    0x010203, 4, 3, b"OSError: 28", 86400, 3650, -55, 250, b"\xa1\xb2\xc3\xd4", ((2, 1),) * 8
)


def put_together(parts: list[Status]) -> Status:
    """What a reader knows after all parts: what a frame does not say stays as it was."""
    whole = parts[0].part()
    for part in parts:
        for name in ("anchor", "mapping", "notes", "extra"):
            if getattr(part, name):
                setattr(whole, name, getattr(part, name))
        if part.health is not None:
            whole.health = whole.health or Health()
            for name in Health.FIELDS:
                if getattr(part.health, name) is not None:
                    setattr(whole.health, name, getattr(part.health, name))
    return whole


@given(strategies.status_of(8), st.integers(DR0_PAYLOAD, 120))
def test_the_parts_of_a_status_say_together_what_it_says(status: Status, limit: int) -> None:
    status.extra = ()
    if status.anchor is not None:
        # Five bytes a total do not fit 51 bytes eight times; a channel that has counted 2^28 is some centuries old.
        status.anchor = (status.anchor[0], tuple(total & (1 << 28) - 1 for total in status.anchor[1]))
    if status.health == Health():
        status.health = None
    parts = status.split(limit)
    assert all(len(part.encode()) <= limit for part in parts)
    assert put_together(parts) == status


def test_a_status_that_fits_is_one_frame() -> None:
    status = Status(1, 1, 0x9F3C21AA, 900, (48473, (68, 5123)))
    assert status.split(DR0_PAYLOAD) == [status]


def test_notes_of_eight_channels_fit_the_lowest_data_rate_beside_two_requests_of_the_mac() -> None:
    """All codes that there are, all the time, for 45 days."""
    every = sum(value for name, value in vars(note_codes).items() if name.isupper())
    status = Status(1, 1, 0xFFFFFFFF, 86400, notes=(0xFFFF, ((every, 100),) * 8))
    assert status.split(DR0_PAYLOAD - 2) == [status]


def test_a_reader_of_before_keeps_notes_without_looking_at_them() -> None:
    status = Status(1, 1, 0x9F3C21AA, 900, (48473, (68, 5123)), notes=(1440, ((4, 1),)))
    known, extra = open_array(status.encode(), "status", 6, 1)
    assert known[:4] == [1, 1, 0x9F3C21AA, 900]
    assert extra == (b"\xa0\x0b\x04\x01",)


def test_the_first_part_of_a_status_has_the_anchor() -> None:
    status = Status(1, 1, 0x9F3C21AA, 900, (48473, (1 << 27,) * 8), (7, 1781740800), FULL_HEALTH)
    parts = status.split(DR0_PAYLOAD)
    assert len(parts) > 1
    assert parts[0].anchor == status.anchor


def test_of_a_crash_as_much_as_fits_is_said() -> None:
    status = Status(1, 1, 0xFFFFFFFF, 86400, None, None, Health(crash=b"0123456789" * 3))
    (part,) = status.split(30)
    assert part.health is not None
    assert part.health.crash is not None
    assert len(part.encode()) == 30
    assert (b"0123456789" * 3).endswith(part.health.crash)


def test_a_field_that_fits_no_frame_is_an_error_that_names_it() -> None:
    with pytest.raises(FrameError, match=r"status\.anchor: fits no frame of 20 bytes"):
        Status(1, 1, 0x9F3C21AA, 900, (48473, (1 << 30,) * 8)).split(20)


@given(strategies.flow_frames(), st.integers(40, DR0_PAYLOAD))
def test_the_parts_of_a_flow_carry_all_rows_in_their_order(frame: Flow, limit: int) -> None:
    frame = Flow(frame.index, frame.state, frame.rows, frame.first)
    parts = frame.split(limit)
    assert all(len(part.encode()) <= limit for part in parts)
    assert tuple(row for part in parts for row in part.rows) == frame.rows
    at = frame.first
    for part in parts:
        assert part.first == at
        at += len(part.rows)


@given(strategies.backfill_frames(), st.integers(20, 242))
def test_a_backfill_takes_as_many_rows_as_fit(frame: Backfill, limit: int) -> None:
    try:
        fitting = frame.fit(limit)
    except FrameError:
        with pytest.raises(FrameError):
            Backfill(
                frame.index, frame.state, frame.channels, frame.rows[:1], frame.cover[:1], frame.extra
            ).encode(limit)
        return
    rows = len(fitting.rows)
    assert len(frame.encode(limit)) <= limit
    assert fitting.rows == frame.rows[:rows]
    if rows < len(frame.rows):
        longer = Backfill(
            frame.index,
            frame.state,
            frame.channels,
            frame.rows[: rows + 1],
            frame.cover[: rows + 1],
            frame.extra,
        )
        assert len(longer.encode()) > limit


@pytest.mark.parametrize("extras", [18, 19, 20, 21])
def test_a_backfill_with_many_elements_of_a_later_version_keeps_to_its_limit(extras: int) -> None:
    """From 24 elements on the array's head takes two bytes, as the run's does from 24 bytes on."""
    frame = Backfill(0, 0, 1, ((1,),) * 40, (), (1,) * extras)
    for limit in range(40, 60):
        assert len(frame.encode(limit)) in {limit - 1, limit}


def test_a_backfill_has_at_most_512_rows() -> None:
    frame = Backfill(0, 0, 1, (None,) * 600)
    assert len(Backfill.decode(frame.encode()).rows) == MAX_ROWS == 512


def test_a_share_is_rounded_down_but_what_was_observed_is_never_called_nothing() -> None:
    assert [cover.share(observed, 900) for observed in (0, 1, 450, 899, 900, 901)] == [
        0,
        1,
        127,
        254,
        255,
        255,
    ]


def test_a_pair_names_the_channels_and_the_worst_of_them() -> None:
    assert cover.pair((255, 255)) == cover.FULL == (0, 0)
    assert cover.pair((255, 10, 200)) == (0b110, 10)
    assert cover.pair((0, 255)) == (0b01, 0)


def test_a_channel_that_is_not_in_the_mask_was_observed_throughout() -> None:
    pairs = ((0b110, 10), (0, 0), (1, 0))
    assert [cover.channel_share(pairs, 0, channel) for channel in range(3)] == [255, 10, 10]
    assert [cover.channel_share(pairs, row, 0) for row in range(4)] == [255, 255, 0, 255]
