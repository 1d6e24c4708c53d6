"""UTC from monotonic ticks: small errors absorbed, large ones confirmed, the crystal's rate learnt."""

from app import clock
from app.clock import Clock

HOUR = 3600000
UTC = 1780000000000


def test_gps_seconds_become_utc():
    # The answer of a recorded ChirpStack: 0x582e33c0 and 0x1d / 256 s.
    seconds = 0x582E33C0
    assert clock.from_gps(seconds, 0x1D) == (seconds + 315964800 - 18) * 1000 + 115


def test_time_is_unknown_until_the_first_answer():
    it = Clock(450000)
    assert not it.known
    assert it.error_ms(5) is None
    assert it.wants(0)
    assert it.take(UTC, 1000) == clock.SET
    assert it.known
    assert it.utc_ms(1000) == UTC
    assert it.utc_ms(61000) == UTC + 60000
    assert it.uptime_ms(UTC + 60000) == 61000


def test_a_small_step_is_taken_over_at_once():
    it = Clock(450000)
    it.take(UTC, 0)
    assert it.take(UTC + HOUR + 400, HOUR) == clock.ABSORBED
    assert it.utc_ms(HOUR) == UTC + HOUR + 400


def test_a_large_step_is_believed_only_when_a_second_answer_says_the_same():
    it = Clock(450000)
    it.take(UTC, 0)
    assert it.take(UTC + 10 * HOUR, HOUR) == clock.DOUBTFUL
    assert it.utc_ms(HOUR) == UTC + HOUR
    assert it.doubtful
    assert it.wants(HOUR)
    assert it.take(UTC + 10 * HOUR + 30100, HOUR + 30000) == clock.JUMPED
    assert it.utc_ms(HOUR + 30000) == UTC + 10 * HOUR + 30100
    assert not it.doubtful


def test_two_different_large_steps_confirm_nothing():
    it = Clock(450000)
    it.take(UTC, 0)
    assert it.take(UTC + 10 * HOUR, HOUR) == clock.DOUBTFUL
    assert it.take(UTC + 20 * HOUR, HOUR + 30000) == clock.DOUBTFUL
    assert it.utc_ms(HOUR) == UTC + HOUR


def test_a_right_answer_ends_the_doubt():
    it = Clock(450000)
    it.take(UTC, 0)
    it.take(UTC + 10 * HOUR, HOUR)
    assert it.take(UTC + HOUR + 30000, HOUR + 30000) == clock.ABSORBED
    assert not it.doubtful


def test_just_below_half_an_interval_is_absorbed_and_from_there_on_doubted():
    for step, outcome in (
        (449999, clock.ABSORBED),
        (-449999, clock.ABSORBED),
        (450000, clock.DOUBTFUL),
        (-450000, clock.DOUBTFUL),
    ):
        it = Clock(450000)
        it.take(UTC, 0)
        assert it.take(UTC + HOUR + step, HOUR) == outcome


def test_time_is_asked_for_after_an_hour_and_then_every_six():
    it = Clock(450000)
    it.take(UTC, 0)
    assert not it.wants(HOUR - 1)
    assert it.wants(HOUR)
    it.take(UTC + HOUR, HOUR)
    assert not it.wants(7 * HOUR - 1)
    assert it.wants(7 * HOUR)


def test_a_crystal_of_twenty_ppm_is_learnt():
    it = Clock(450000)
    true = lambda uptime: UTC + uptime + uptime * 20 // 1000000  # noqa: E731
    it.take(true(0), 0)
    it.take(true(HOUR), HOUR)
    for hours in range(7, 60, 6):
        uptime = hours * HOUR
        assert abs(it.utc_ms(uptime) - true(uptime)) <= 30
        assert abs(it.utc_ms(uptime) - true(uptime)) <= it.error_ms(uptime)
        it.take(true(uptime), uptime)


def test_answers_close_together_teach_no_rate():
    it = Clock(450000)
    it.take(UTC, 0)
    it.take(UTC + 60000 + 25, 60000)
    assert it.utc_ms(60000 + HOUR) == UTC + 60025 + HOUR
    # Nor do they count as the second answer that the learning needs.
    assert it.wants(60000 + HOUR)


def test_a_correction_of_the_time_is_no_rate():
    it = Clock(450000)
    it.take(UTC, 0)
    it.take(UTC + HOUR + 100000, HOUR)
    assert it.utc_ms(2 * HOUR) == UTC + 2 * HOUR + 100000


def test_error_bound_grows_with_the_age_of_the_answer():
    it = Clock(450000)
    it.take(UTC, 0)
    assert it.error_ms(0) == 30
    assert it.error_ms(HOUR) == 30 + 72


def test_uptime_of_a_moment_is_the_first_at_which_it_is_reached():
    it = Clock(450000)
    it.take(UTC, 0)
    it.take(UTC + HOUR + 43, HOUR)
    for ahead in range(0, 5 * HOUR, 777777):
        uptime = it.uptime_ms(UTC + HOUR + ahead)
        assert it.utc_ms(uptime) >= UTC + HOUR + ahead
        assert it.utc_ms(uptime - 1) < UTC + HOUR + ahead
