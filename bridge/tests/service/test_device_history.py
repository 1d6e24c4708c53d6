"""How long an outage the devices' histories survive, as far as it can be seen from what ChirpStack replays."""

from __future__ import annotations

import json

import pytest

from zaehlwerk_bridge.sources.device_history import DeviceHistory, shortage

EUI = "70b3d57ed0000001"
OTHER = "70b3d57ed0000002"
QUARTER_MS = 900_000
DAY_S = 86_400


def up(f_cnt: int) -> str:
    return json.dumps({"fCnt": f_cnt})


def replayed(
    history: DeviceHistory, items: int, *, first: int, f_cnt: int, every_ms: int = QUARTER_MS
) -> None:
    """The stream is opened, and the server sends uplinks from the `first` quarter-hour on."""
    history.opened()
    for number in range(items):
        history.take((first + number) * every_ms, "up", up(f_cnt + number), 65536)
    history.ended()


def of(items: int, *, f_cnt: int, every_ms: int = QUARTER_MS) -> DeviceHistory:
    history = DeviceHistory()
    replayed(history, items, first=1000, f_cnt=f_cnt, every_ms=every_ms)
    return history


def test_a_history_that_lacks_what_its_frame_counter_says_survives_as_many_intervals_as_it_has_events() -> (
    None
):
    assert of(10, f_cnt=500).reach_s == 10 * 900


def test_a_new_devices_history_may_still_grow_so_nothing_is_said_of_it() -> None:
    assert of(10, f_cnt=0).reach_s is None
    assert of(10, f_cnt=3).reach_s is None  # its first frames may have been lost on the air


def test_a_join_begins_the_frame_counter_anew_so_nothing_is_said_of_what_was_before() -> None:
    history = DeviceHistory()
    history.opened()
    history.take(1, "join", "{}", 65536)
    for number in range(20):
        history.take(2 + number, "up", up(700 + number), 65536)
    history.ended()
    assert history.reach_s is None


def test_what_is_no_uplink_takes_room_too() -> None:
    history = DeviceHistory()
    history.opened()
    history.take(0, "log", "{}", 65536)
    history.take(0, "txack", "{}", 65536)
    for number in range(8):
        history.take(number * QUARTER_MS, "up", up(500 + number), 65536)
    history.ended()
    assert history.items == 10
    assert history.reach_s == 7 * 900 * 10 / 9


def test_a_history_that_began_earlier_the_last_time_is_cut() -> None:
    history = of(10, f_cnt=0)
    replayed(history, 10, first=1000, f_cnt=0)
    assert history.reach_s is None
    replayed(history, 10, first=1001, f_cnt=1)
    assert history.reach_s == 10 * 900


def test_a_handful_of_events_says_nothing_of_a_devices_pace() -> None:
    assert of(4, f_cnt=500).reach_s is None


@pytest.mark.parametrize("body", ["", "[]", '{"fCnt": "many"}', '{"fCnt": -1}', "x" * 70_000])
def test_an_uplink_that_cannot_be_read_does_not_say_that_others_came_before(body: str) -> None:
    history = DeviceHistory()
    history.opened()
    for number in range(10):
        history.take(number * QUARTER_MS, "up", body if number == 0 else up(500 + number), 65536)
    history.ended()
    assert history.reach_s is None


def test_the_worst_device_and_a_number_that_would_do_are_named() -> None:
    histories = {EUI: of(10, f_cnt=500), OTHER: of(10, f_cnt=500, every_ms=300_000)}
    short = shortage(histories, DAY_S)
    assert short is not None
    assert (short.devices, short.worst, short.items, short.reach_s) == (2, OTHER, 10, 3000)
    assert short.wanted == 500  # 288 a day, and half of that again
    assert str(short) == (
        f"the history of {OTHER}, 10 events, reaches back 50 min, an outage of 24.0 h is to be survived"
        " (2 devices have too short a history): set [monitoring] per_device_event_log_max_history to 500 in ChirpStack"
    )


def test_what_was_advised_is_enough_then() -> None:
    short = shortage({EUI: of(10, f_cnt=500)}, DAY_S)
    assert short is not None
    assert shortage({EUI: of(short.wanted, f_cnt=500)}, DAY_S) is None


def test_histories_that_reach_far_enough_or_are_not_known_to_be_cut_are_no_shortage() -> None:
    assert shortage({EUI: of(97, f_cnt=500), OTHER: of(10, f_cnt=0)}, DAY_S) is None
    assert shortage({}, DAY_S) is None


def test_a_history_that_has_not_come_to_its_end_says_what_the_last_one_said() -> None:
    history = DeviceHistory()
    history.opened()
    for number in range(10):
        history.take(number * QUARTER_MS, "up", up(500 + number), 65536)
    assert history.reach_s is None
    history.ended()
    assert history.reach_s == 10 * 900
    history.opened()
    for number in range(6):
        history.take((3 + number) * QUARTER_MS, "up", up(503 + number), 65536)
    assert (history.reach_s, history.whole) == (10 * 900, 10)


def test_what_comes_after_the_end_of_a_history_makes_it_no_longer() -> None:
    """A server whose clock is behind gives events of the present times of the past."""
    history = of(10, f_cnt=500)
    for number in range(50):
        history.take((1010 + number) * QUARTER_MS, "up", up(510 + number), 65536)
    history.ended()
    assert history.reach_s == 10 * 900


def test_a_history_that_began_anew_and_then_grows_is_not_taken_for_a_short_one() -> None:
    """Redis was emptied, or the device was silent for a month: its limit is not what can be seen."""
    history = of(200, f_cnt=500)
    assert history.reach_s == 200 * 900
    replayed(history, 8, first=1300, f_cnt=800)
    assert history.reach_s is None
    replayed(history, 60, first=1300, f_cnt=800)
    assert history.reach_s is None
    replayed(history, 200, first=1400, f_cnt=900)
    assert history.reach_s == 200 * 900


def test_a_history_that_began_anew_before_the_bridge_knew_it_is_no_limit_once_it_has_grown() -> None:
    history = of(8, f_cnt=500)
    assert history.reach_s == 8 * 900  # nothing tells that it is not the limit
    replayed(history, 60, first=1000, f_cnt=500)
    assert history.reach_s is None


def test_a_history_that_is_longer_by_what_redis_deletes_at_once_has_its_limit_still() -> None:
    history = of(10, f_cnt=500)
    replayed(history, 22, first=1000, f_cnt=500)
    assert history.reach_s == 22 * 900


def test_a_history_much_shorter_than_another_devices_has_not_come_to_the_limit() -> None:
    """The limit is one for all."""
    young = of(10, f_cnt=500)
    assert shortage({EUI: young, OTHER: of(100, f_cnt=500)}, DAY_S) is None
    short = shortage({EUI: young, OTHER: of(25, f_cnt=500)}, DAY_S)
    assert short is not None
    assert short.devices == 2


def test_the_rest_of_a_history_that_is_not_read_is_reckoned_at_the_pace_of_what_was_read() -> None:
    history = DeviceHistory()
    history.opened()
    for number in range(100):
        history.take(number * QUARTER_MS, "up", up(500 + number), 65536)
    history.left(399 * QUARTER_MS)
    history.ended()
    assert (history.whole, history.reach_s) == (400, 400 * 900)
    history.left(0)  # the device was not heard since
    assert history.items == 400
