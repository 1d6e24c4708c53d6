"""The lamp of a whole node: what it shows after a start, and that it goes dark and leaves the heap."""

import sys

import fake_machine
from world import install, world

install()

from lamp_states import FAULT, JOINED, JOINING, LOW_BATTERY, UNANSWERED  # noqa: E402
from managed_rig import LED, Managed  # noqa: E402
from node_rig import MIDNIGHT  # noqa: E402

from app import led  # noqa: E402


class Watched(Managed):
    """A managed site whose lamp somebody looks at."""

    def watch(self, begin_s, end_s):
        """The levels of these seconds, a tenth of a second each, read in the middle."""
        levels = []

        def look():
            levels.append(fake_machine.levels.get(LED, 0))
            if world.now_us < end_s * 1000000 - 100000:
                world.at(world.now_us + 100000, look)

        world.at(begin_s * 1000000 + 50000, look)
        return levels


def is_shown(pattern, levels):
    """Whether `levels` of at least four seconds show a pattern, wherever in it they begin."""
    return any(
        [
            levels == [led.shines(pattern, 100 * (i + turn)) for i in range(len(levels))]
            for turn in range(led.STEPS)
        ]
    )


def test_a_node_that_joined_and_was_acknowledged_says_so():
    site = Watched(unix=MIDNIGHT - 600)
    levels = site.watch(300, 304)
    site.run(400)
    assert site.network.joined == 1
    assert is_shown(JOINED, levels)


def test_a_node_that_nobody_lets_join_says_that_it_is_joining():
    site = Watched(unix=MIDNIGHT - 600)
    site.network.lose_joins = lambda number: True
    levels = site.watch(580, 584)
    site.run(590)
    assert is_shown(JOINING, levels)


def test_it_shines_from_the_transmission_to_the_end_of_the_windows():
    site = Watched(unix=MIDNIGHT - 600)
    levels = site.watch(0, 60)
    site.run(61)
    first = site.network.air[0][0] // 100000
    assert all(levels[first + 1 : first + 50])
    assert not all(levels[first + 60 : first + 90])


def test_a_node_whose_status_is_never_answered_says_so():
    site = Watched(unix=MIDNIGHT - 600)
    site.network.lose = lambda number, port: True
    levels = site.watch(595, 599)
    site.run(600)
    assert site.node.answered is False
    assert is_shown(UNANSWERED, levels)


def test_a_sensor_that_is_silent_for_too_long_is_shown_as_a_fault():
    site = Watched(unix=MIDNIGHT - 600, channels=[{"class": "bicycle", "pin": 4, "silent_s": 60}])
    levels = site.watch(400, 404)
    site.run(500)
    assert is_shown(FAULT, levels)


def test_an_empty_battery_is_shown():
    site = Watched(unix=MIDNIGHT - 600)
    site.battery = lambda: 3200
    levels = site.watch(400, 404)
    site.run(500)
    assert is_shown(LOW_BATTERY, levels)


def test_it_is_dark_ten_minutes_after_the_start_and_out_of_the_heap():
    site = Watched(unix=MIDNIGHT - 600)
    levels = site.watch(601, 700)
    site.run(700)
    assert not any(levels)
    assert "app.led" not in sys.modules


def test_a_board_without_an_led_drives_no_pin():
    site = Watched(unix=MIDNIGHT - 600)
    site.led = None
    site.run(700)
    assert not fake_machine.driven
