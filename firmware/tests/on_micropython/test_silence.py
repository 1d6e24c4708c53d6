"""Silence of a sensor: what is set, what is learnt, and that a fault is no lesson."""

from counting.silence import Silence

MINUTE = 60000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY


def weeks(silence, count, longest_ms):
    """Full weeks with a passage after every `longest_ms`; how often it was called silent."""
    called = 0
    for _ in range(count * WEEK // longest_ms):
        called += silence.passed(longest_ms, 1)
    return called


def test_what_is_set_holds_to_the_minute():
    silence = Silence(2 * HOUR)
    assert not silence.passed(2 * HOUR - MINUTE, 0)
    assert silence.passed(MINUTE, 0)
    assert silence.passed(MINUTE, 0)
    assert not silence.passed(MINUTE, 1)
    assert not silence.passed(2 * HOUR - MINUTE, 0)


def test_never_is_never():
    silence = Silence(0)
    assert not silence.passed(100 * WEEK, 0)


def test_before_a_week_is_known_two_days_are_too_long():
    silence = Silence(None)
    assert not silence.passed(2 * DAY - MINUTE, 0)
    assert silence.passed(MINUTE, 0)


def test_a_street_that_sleeps_at_night_is_not_taken_for_dead():
    silence = Silence(None)
    assert weeks(silence, 2, 7 * HOUR) == 0
    assert silence.limit_ms == 14 * HOUR
    assert not silence.passed(14 * HOUR - MINUTE, 0)
    assert silence.passed(MINUTE, 0)


def test_a_busy_street_is_missed_after_an_hour():
    silence = Silence(None)
    assert weeks(silence, 1, 5 * MINUTE) == 0
    assert silence.limit_ms == HOUR


def test_a_silence_that_was_a_fault_teaches_nothing():
    silence = Silence(None)
    weeks(silence, 1, 30 * MINUTE)
    for _ in range(3 * 24):
        silence.passed(HOUR, 0)
    assert not silence.passed(MINUTE, 1)
    assert silence.limit_ms == HOUR


def test_after_four_weeks_a_long_silence_is_forgotten():
    silence = Silence(None)
    weeks(silence, 1, 8 * HOUR)
    assert silence.limit_ms == 16 * HOUR
    weeks(silence, 2, HOUR)
    assert silence.limit_ms == 16 * HOUR
    weeks(silence, 2, HOUR)
    assert silence.limit_ms == 2 * HOUR


def test_an_outage_just_below_the_limit_is_no_lesson_that_goes_beyond_two_days():
    silence = Silence(None)
    weeks(silence, 2, MINUTE * 10)
    for _ in range(8):
        gone = silence.limit_ms - 30 * MINUTE
        assert not silence.passed(gone, 0)
        weeks(silence, 1, MINUTE * 10)
    assert silence.limit_ms == 2 * DAY
    assert silence.passed(2 * DAY, 0)


def test_a_sensor_is_proven_by_its_first_passage():
    silence = Silence(None)
    silence.passed(WEEK, 0)
    assert not silence.proven
    silence.passed(MINUTE, 1)
    silence.passed(WEEK, 0)
    assert silence.proven
