"""What the lamp shows, as pure logic."""

from lamp_states import FAULT, JOINED, JOINING, LOW_BATTERY, SAFE_MODE, UNANSWERED

from app import led


def shown(pattern):
    """The pattern as levels, a tenth of a second each."""
    return [led.shines(pattern, 100 * step) for step in range(led.STEPS)]


def answered(margin, gateways):
    """The levels of an answer until it is over."""
    levels = []
    while led.answer(margin, gateways, 100 * len(levels)) is not None:
        levels.append(led.answer(margin, gateways, 100 * len(levels)))
    return levels


def flashes(levels):
    """Lengths of the flashes in tenths of a second."""
    text = "".join([str(level) for level in levels])
    return [len(part) for part in text.split("0") if part]


def test_no_two_states_look_alike_whenever_one_begins_to_look():
    seen = []
    for pattern in range(len(led.PATTERNS)):
        levels = shown(pattern)
        for turn in range(led.STEPS):
            assert levels[turn:] + levels[:turn] not in seen
        seen.append(levels)


def test_a_pattern_repeats_every_two_seconds_and_holds_for_a_tenth():
    for pattern in range(len(led.PATTERNS)):
        for step in range(led.STEPS):
            level = led.shines(pattern, 100 * step)
            assert level == led.shines(pattern, 100 * step + 99)
            assert (
                level == led.shines(pattern, 100 * step + 2000) == led.shines(pattern, 100 * step + 86400000)
            )


def test_every_state_shines_at_some_time():
    assert all([any(shown(pattern)) for pattern in range(len(led.PATTERNS))])


def test_a_joined_node_whose_frames_are_answered_flashes_once():
    assert led.state(False, False, False, True, None) == JOINED
    assert led.state(False, False, False, True, True) == JOINED
    assert flashes(shown(JOINED)) == [1]


def test_a_frame_that_the_network_did_not_answer_is_told_from_one_that_it_did():
    assert led.state(False, False, False, True, False) == UNANSWERED


def test_without_a_session_it_is_joining_whatever_was_answered_before():
    for answered_before in (None, False, True):
        assert led.state(False, False, False, False, answered_before) == JOINING


def test_safe_mode_goes_before_a_fault_and_a_fault_before_a_low_battery_and_that_before_the_network():
    assert led.state(True, True, True, False, False) == SAFE_MODE
    assert led.state(False, True, True, False, False) == FAULT
    assert led.state(False, False, True, False, False) == LOW_BATTERY


def test_an_answer_is_one_long_flash_per_ten_decibels_begun_then_one_short_one_per_gateway():
    assert flashes(answered(0, 1)) == [6, 2]
    assert flashes(answered(9, 1)) == [6, 2]
    assert flashes(answered(10, 2)) == [6, 6, 2, 2]
    assert flashes(answered(34, 3)) == [6, 6, 6, 6, 2, 2, 2]


def test_an_answer_has_at_most_five_flashes_of_either_kind_and_ends():
    assert flashes(answered(254, 255)) == [6] * 5 + [2] * 5
    assert len(answered(254, 255)) < 150


def test_an_answer_is_dark_for_a_second_before_between_and_after():
    levels = answered(20, 1)
    assert levels[:10] == levels[-10:] == [0] * 10
    assert levels[10 + 30 : 10 + 30 + 10] == [0] * 10
