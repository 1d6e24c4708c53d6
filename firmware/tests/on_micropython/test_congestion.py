"""Congestion: how soon it is seen, that it does not flicker, and what nothing seen means."""

from counting.congestion import Congestion

LOOK = 10000


def looks_until(jam, value, jammed, most=100):
    for n in range(1, most):
        jam.look(value, LOOK)
        if jam.jammed == jammed:
            return n
    raise AssertionError("never")


def test_a_standstill_is_seen_within_half_a_minute():
    for usual in (0, 100, 200, 300):
        jam = Congestion(500)
        for _ in range(20):
            assert not jam.look(usual, LOOK)
        assert looks_until(jam, 1000, True) * LOOK <= 30000


def test_one_lorry_on_the_loop_is_no_jam():
    jam = Congestion(500)
    for value in (50, 100, 50, 1000, 50, 100, 50):
        jam.look(value, LOOK)
        assert not jam.jammed


def test_at_the_threshold_it_is_raised_once_and_is_over_well_below():
    jam = Congestion(500)
    changes = sum([jam.look(value, LOOK) for value in (500, 480, 520, 560, 500, 520, 400, 500, 380, 450)])
    assert changes == 1
    assert jam.jammed
    for _ in range(50):
        jam.look(360, LOOK)
    assert jam.jammed
    for _ in range(50):
        jam.look(340, LOOK)
    assert not jam.jammed


def test_slow_traffic_is_a_jam_until_it_is_fast_again():
    jam = Congestion(200, True)
    for _ in range(20):
        assert not jam.look(450, LOOK)
    assert looks_until(jam, 80, True) * LOOK <= 60000
    assert -200 < jam.report < 0
    for _ in range(50):
        jam.look(250, LOOK)
    assert jam.jammed
    looks_until(jam, 450, False)


def test_where_nothing_is_seen_what_was_known_holds_for_ten_minutes():
    jam = Congestion(200, True)
    assert not jam.look(None, LOOK)
    assert jam.value is None
    looks_until(jam, 80, True)
    before = jam.value
    for _ in range(59):
        assert not jam.look(None, LOOK)
    assert jam.jammed
    assert jam.value == before
    assert jam.look(None, LOOK)
    assert not jam.jammed
    assert jam.report is None
    assert not jam.look(None, LOOK)


def test_a_single_slow_vehicle_is_no_jam_be_it_the_first_or_after_a_long_time():
    jam = Congestion(150, True)
    for _ in range(5):
        for _ in range(2):
            assert not jam.look(140, LOOK)
        for _ in range(360):
            assert not jam.look(None, LOOK)
    assert looks_until(jam, 140, True) == 3


def test_a_lorry_that_stands_on_the_loop_when_the_node_starts_is_no_jam():
    jam = Congestion(500)
    for value in (1000, 0, 0, 0):
        jam.look(value, LOOK)
        assert not jam.jammed


def test_a_jam_that_was_known_before_a_restart_goes_on_or_is_over_within_half_a_minute():
    for value, jammed in ((1000, True), (0, False)):
        jam = Congestion(500)
        jam.jammed = True
        assert [jam.look(value, LOOK) for _ in range(3)] == [False, False, not jammed]
        assert jam.jammed == jammed
