"""Every frame comes back from its bytes as it was, and has only these bytes."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from protocol.tests import strategies
from zaehlwerk_protocol import counts, frames
from zaehlwerk_protocol.alarm import Alarm
from zaehlwerk_protocol.answer import Answer
from zaehlwerk_protocol.backfill import Backfill
from zaehlwerk_protocol.command import Command
from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.errors import FrameError
from zaehlwerk_protocol.flow import Flow
from zaehlwerk_protocol.frame import MAX_PAYLOAD, Frame
from zaehlwerk_protocol.health import Health
from zaehlwerk_protocol.status import Status


def same_after_a_trip(frame: Frame) -> None:
    data = frame.encode()  # type: ignore[attr-defined]
    assert len(data) <= MAX_PAYLOAD
    again = frames.decode(frame.PORT, data)
    assert again == frame
    assert repr(again) == repr(frame)
    assert again.encode() == data  # type: ignore[attr-defined]


@given(strategies.counts_frames())
def test_counts(frame: Counts) -> None:
    """What is read is the frame without the oldest history that did not fit."""
    try:
        data = frame.encode()
    except FrameError:
        assume(False)
    again = Counts.decode(data)
    rows = len(again.history)
    cover = strategies.without_whole_end(frame.cover[: rows + 1])
    assert again == Counts(frame.index, frame.state, frame.totals, frame.history[:rows], cover, frame.extra)
    same_after_a_trip(again)


@given(strategies.status_frames)
def test_status(frame: Status) -> None:
    same_after_a_trip(frame)


@given(strategies.backfill_frames())
def test_backfill(frame: Backfill) -> None:
    """What is read is as many of the first rows as fit."""
    fitting = frame.fit()
    assert Backfill.decode(frame.encode()) == fitting
    assert fitting.rows == frame.rows[: len(fitting.rows)]
    same_after_a_trip(fitting)


@given(strategies.flow_frames())
def test_flow(frame: Flow) -> None:
    same_after_a_trip(frame)


@given(strategies.alarm_frames)
def test_alarm(frame: Alarm) -> None:
    same_after_a_trip(frame)


@given(strategies.answer_frames)
def test_answer(frame: Answer) -> None:
    same_after_a_trip(frame)


@given(strategies.command_frames)
def test_command(frame: Command) -> None:
    same_after_a_trip(frame)


@given(strategies.any_frames, st.integers(0, 60))
def test_no_frame_is_longer_than_it_may_be(frame: Frame, limit: int) -> None:
    """Either it fits or the one named error says so."""
    try:
        data = frame.encode(limit)  # type: ignore[attr-defined]
    except FrameError:
        return
    assert len(data) <= limit


@pytest.mark.parametrize(
    "frame",
    [
        Counts(0x10000, 0, (1,)),
        Counts(-1, 0, (1,)),
        Counts(0, 0x100, (1,)),
        Counts(0, 0, ()),
        Counts(0, 0, (1,) * 9),
        Counts(0, 0, (0x10000,)),
        Counts(0, 0, (1, 2), ((1,),)),
        Counts(0, 0, (1,), ((-1,),)),
        Counts(0, 0, (1,), ((1.5,),)),  # type: ignore[arg-type]
        Counts(0, 0, (1,), ((None,),)),  # type: ignore[arg-type]
        Counts(0, 0, (1,), (), ((2, 0),)),
        Counts(0, 0, (1,), (), ((1, 255),)),
        Counts(0, 0, (1,), (), ((0, 1),)),
        Counts(0, 0, (1,), (), ((1, 0), (1, 0))),
        Counts(0, 0, (1,), (), (), (None,)),
        Counts(0, 0, (1,), (), (), ("text",)),
        Counts(0, 0, (1,), (), (), (bytes(36),)),
        Counts(True, 0, (1,)),
        Status(0, 0, 0, 900),
        Status(2, 0, 0, 900),
        Status(1, 0, 1 << 32, 900),
        Status(1, 0, 0, 0),
        Status(1, 0, 0, 900, (0, ())),
        Status(1, 0, 0, 900, (0, (-1,))),
        Status(1, 0, 0, 900, (0, (1 << 35,))),
        Status(1, 0, 0, 900, None, (0, 1 << 32)),
        Status(1, 0, 0, 900, None, None, Health(crash=b"")),
        Status(1, 0, 0, 900, None, None, Health(crash=bytes(33))),
        Status(1, 0, 0, 900, None, None, Health(config_hash=bytes(3))),
        Status(1, 0, 0, 900, None, None, Health(channels=())),
        Status(1, 0, 0, 900, None, None, Health(channels=((16, 0),))),
        Status(1, 0, 0, 900, (0, (1,)), None, Health(channels=((2, 1), (2, 2)))),
        Flow(0, 0, ()),
        Flow(0, 0, ((1, 2),)),
        Flow(0, 0, ((5001, 0, 0),)),
        Flow(0, 0, ((0, 0, 1001),)),
        Flow(0, 0, ((0, 0, 0),) * 2, first=7),
        Backfill(0, 0, 1, ()),
        Backfill(0, 0, 0, ((),)),
        Backfill(0, 0, 1, ((1, 2),)),
        Backfill(0, 0, 1, ((1 << 21,),)),
        Backfill(0, 0, 1, (None,), ((1, 0),)),
        Alarm(0, 0, 0, True),
        Alarm(0, 0, 1, 1),  # type: ignore[arg-type]
        Alarm(0, 0, 1, True, 256),
        Answer(0x10000, 1, 0),
        Answer(0, 0, 0),
        Answer(0, 1, 0, (0.5,)),
        Answer(0, 1, 0, (0,) * 65),
        Answer(0, 1, 0, ((((),),),)),
        Answer(0, 1, 0, (1 << 64,)),
        Command(0, 0),
        Command(0, 1, (bytes(300),)),
    ],
)
def test_what_no_reader_would_accept_is_not_written(frame: Frame) -> None:
    with pytest.raises(FrameError):
        frame.encode()  # type: ignore[attr-defined]


def test_an_error_names_the_frame_and_the_field() -> None:
    with pytest.raises(FrameError, match=r"counts\.index: 70000 is no integer of 0 to 65535"):
        Counts(70000, 0, (1,)).encode()
    with pytest.raises(FrameError, match="counts: cbor byte 4: data ends inside a head"):
        Counts.decode(b"\x84\x00\x00\x00\x19")
    with pytest.raises(FrameError, match="port 7: no frame"):
        frames.decode(7, b"\x80")


def test_frames_of_different_kinds_or_values_are_not_equal() -> None:
    assert Counts(1, 0, (1,)) == Counts(1, 0, (1,))
    assert hash(Counts(1, 0, (1,))) == hash(Counts(1, 0, (1,)))
    assert Counts(1, 0, (1,)) != Counts(1, 0, (2,))
    assert Answer(1, 1, 1) != Command(1, 1)
    assert Counts(1, 0, (1,)) != (1, 0, (1,))


def test_a_later_versions_elements_are_kept() -> None:
    """An old reader reads what it knows and hands the rest on."""
    data = bytes.fromhex("861903e8004200074101" + "f6" + "1863")
    frame = Counts.decode(data)
    assert (frame.totals, frame.history, frame.cover, frame.extra) == ((7,), ((1,),), (), (99,))
    assert frame.encode() == data


def test_the_limit_of_a_count_frame_cannot_be_raised() -> None:
    frame = Counts(1000, 0, (1,), ((1,),) * 100)
    assert len(frame.encode(limit=51)) == len(frame.encode()) == counts.MAX_SIZE
