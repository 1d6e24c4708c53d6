"""The arithmetic of reading: what travels modulo 2^16 is made whole by what is known besides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zaehlwerk_protocol import receiver, state
from zaehlwerk_protocol.channel import (
    CLASSES,
    DIRECTIONS,
    class_code,
    class_name,
    direction_code,
    direction_name,
)
from zaehlwerk_protocol.counts import Counts

numbers = st.integers(-(2**40), 2**40)
HALF = receiver.MODULUS // 2


@given(numbers, st.integers(-HALF, HALF - 1))
def test_an_index_is_unwrapped_to_the_one_that_was_sent(reference: int, away: int) -> None:
    """As long as the reference is less than 2^15 intervals away: 341 days of quarter-hours."""
    sent = reference + away
    assert receiver.unwrap(sent % receiver.MODULUS, reference) == sent


@given(st.integers(0, 0xFFFF), numbers)
def test_an_unwrapped_index_is_congruent_and_nearest(index16: int, reference: int) -> None:
    unwrapped = receiver.unwrap(index16, reference)
    assert unwrapped % receiver.MODULUS == index16
    assert abs(unwrapped - reference) <= HALF


def test_of_two_equally_near_the_lower_one_is_taken() -> None:
    assert receiver.unwrap(0x8000, 0) == -0x8000


@given(st.integers(0, 2**40), st.integers(0, 0xFFFF))
def test_less_than_2_16_between_two_totals_is_told_exactly(older: int, counted: int) -> None:
    newer = older + counted
    assert receiver.delta(newer % receiver.MODULUS, older % receiver.MODULUS) == counted
    assert receiver.widened(newer % receiver.MODULUS, older % receiver.MODULUS, older) == newer


def test_a_wrap_is_possible_from_2_16_pulses_on() -> None:
    ten_per_second = 10.0
    assert not receiver.wraps_possible(6553, ten_per_second)
    assert receiver.wraps_possible(6554, ten_per_second)


def test_the_newest_slot_is_the_one_that_is_closed() -> None:
    begin = 1_781_740_800
    slot = begin // 900
    assert receiver.newest_slot(begin, 900) == slot - 1
    assert receiver.newest_slot(begin - 1, 900) == slot - 2
    assert receiver.slot_start(slot, 900) == begin


def test_a_mapping_places_unsynced_intervals_before_and_behind_it() -> None:
    mapping = (7, 1_781_740_800)
    assert receiver.place(7, mapping, 900) == 1_781_740_800
    assert receiver.place(5, mapping, 900) == 1_781_740_800 - 1800
    assert receiver.place(9, mapping, 900) == 1_781_740_800 + 1800


def test_a_mapping_holds_across_the_indexs_wrap() -> None:
    assert receiver.place(0x1_0001, (0xFFFF, 1_781_740_800), 900) == 1_781_740_800 + 1800
    assert receiver.place(0xFFFE, (1, 1_781_740_800), 900) == 1_781_740_800 - 2700


def test_history_lies_before_the_closed_interval() -> None:
    frame = Counts(2, 0, (10,), ((1,), (2,), (3,)))
    assert receiver.history_indices(frame, 0x1_0000) == (0x1_0002, [0x1_0001, 0x1_0000, 0xFFFF])


@given(st.tuples(*[st.integers(0, 0xFFFF)] * 2), st.tuples(*[st.integers(0, 2**21 - 1)] * 2))
def test_a_step_back_and_on_again_is_where_it_was(totals: tuple[int, ...], counts: tuple[int, ...]) -> None:
    assert receiver.stepped_on(receiver.stepped_back(totals, counts), counts) == totals
    assert all(0 <= total <= 0xFFFF for total in receiver.stepped_back(totals, counts))


def test_the_generation_goes_round_and_leaves_the_other_bits_alone() -> None:
    assert [state.next_generation(current) for current in range(4)] == [1, 2, 3, 0]
    assert state.generation(state.TAMPER | state.UNSYNCED | 2) == 2


def test_known_classes_and_directions_have_their_names() -> None:
    assert [class_name(class_code(name)) for name in CLASSES] == list(CLASSES)
    assert [direction_name(direction_code(name)) for name in DIRECTIONS] == list(DIRECTIONS)


def test_codes_of_a_later_version_read_as_unknown() -> None:
    assert class_name(15) == "unknown"
    assert direction_name(4) == "unknown"


def test_a_name_that_is_none_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="class 'car': not one of unknown, kfz, bicycle"):
        class_code("car")
    with pytest.raises(ValueError, match="direction 'north': not one of unknown, in, out, both"):
        direction_code("north")
