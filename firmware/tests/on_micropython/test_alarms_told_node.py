"""A whole node: alarms of what the settings no longer have, of before a restart, and of two sorts at once."""

import fake_machine
from world import install

install()

from managed_rig import Managed  # noqa: E402
from node_rig import MIDNIGHT, Site  # noqa: E402

from zaehlwerk_protocol import alarm, ports  # noqa: E402

MINUTE = 60
HOUR = 3600
TWO = [
    {"class": "bicycle", "direction": "in", "pin": 4},
    {"class": "bicycle", "direction": "out", "pin": 5, "silent_s": 1800},
]
LOOP = {"class": "kfz", "direction": "in", "sensor": "presence", "pin": 9}
JAM = dict(LOOP, jam_occupancy=300)


def alarms(site):
    """[(second, kind, raised, mask)] of the alarms that arrived."""
    return [(at, f.kind, f.raised, f.mask) for at, f in site.frames(ports.ALARM)]


def told(site):
    """[(kind, raised, mask)] of them."""
    return [entry[1:] for entry in alarms(site)]


def occupied(site, begin, end):
    site.at(begin, lambda: fake_machine.set_level(9, 1))
    site.at(end, lambda: fake_machine.set_level(9, 0))


def counted(site, begin, end):
    """How many count frames arrived in that time."""
    return len([at for at, _ in site.frames(ports.COUNTS) if begin <= at < end])


def test_a_silent_channel_that_new_settings_no_longer_have_is_over_and_counts_go_on():
    site = Managed(unix=MIDNIGHT - 600, channels=TWO)
    site.pulses(4, 5, 9 * HOUR)
    site.pulses(5, 60, 600)
    site.configure(2 * HOUR, 100, {"channels": TWO[:1]})
    site.run(8 * HOUR)
    assert site.results()[-1][1] == 0
    assert [channel["pin"] for channel in site.in_force()["channels"]] == [4]
    assert told(site) == [(alarm.SILENT, True, 2), (alarm.SILENT, False, 2)]
    assert counted(site, 4 * HOUR, 8 * HOUR) == 16
    assert site.node.crash is None


def test_a_jam_that_new_settings_no_longer_look_for_is_over_and_counts_go_on():
    site = Managed(unix=MIDNIGHT - 600, channels=[JAM])
    fake_machine.levels[9] = 0
    occupied(site, 3000, 3700)
    site.run(3300)
    assert told(site) == [(alarm.CONGESTION, True, 1)]
    site.write(dict(site.document, channels=[LOOP]))
    site.run(8 * HOUR)
    assert told(site)[1:] == [(alarm.CONGESTION, False, 1)]
    assert counted(site, 4 * HOUR, 8 * HOUR) == 16


def test_an_alarm_that_cannot_be_told_keeps_no_counts_back():
    site = Site(unix=MIDNIGHT - 600, channels=TWO)
    site.pulses(4, 5, 9 * HOUR)
    site.pulses(5, 60, 600)
    # Of the silent sensor nobody can say for how long.
    site.at(600, lambda: setattr(site.node.inputs, "silence", None))
    site.run(8 * HOUR)
    assert told(site) == []
    assert site.node.crash is not None
    assert counted(site, 4 * HOUR, 8 * HOUR) >= 15


def test_a_jam_that_ends_while_the_power_is_off_is_cleared_afterwards():
    site = Site(unix=MIDNIGHT - 600, channels=[JAM])
    fake_machine.levels[9] = 0
    site.at(3000, lambda: fake_machine.set_level(9, 1))
    site.run(3300)
    fake_machine.levels[9] = 0
    site.run(2 * HOUR)
    assert told(site) == [(alarm.CONGESTION, True, 1), (alarm.CONGESTION, False, 1)]
    assert alarms(site)[1][0] <= 3300 + 90


def test_a_jam_that_goes_on_over_a_restart_is_not_told_twice():
    site = Site(unix=MIDNIGHT - 600, channels=[JAM])
    fake_machine.levels[9] = 0
    occupied(site, 3000, 3700)
    site.run(3300)
    site.run(2 * HOUR)
    assert told(site) == [(alarm.CONGESTION, True, 1), (alarm.CONGESTION, False, 1)]
    assert alarms(site)[1][0] >= 3700


def test_a_jam_that_somebody_cleared_is_raised_anew_while_it_lasts():
    site = Managed(unix=MIDNIGHT - 600, channels=[JAM])
    fake_machine.levels[9] = 0
    occupied(site, 3000, 3550)
    site.ask(3200, 100, 9, alarm.CONGESTION, 1)
    site.run(2 * HOUR)
    assert site.results() == [(100, 0)]
    assert [raised for _, raised, _ in told(site)] == [True, False, True, False]
    assert alarms(site)[2][0] < 3550 <= alarms(site)[3][0]


def test_a_case_that_stays_open_unanswered_keeps_no_jam_back_and_its_end_is_told_too():
    site = Site(unix=MIDNIGHT - 600, channels=[JAM], tamper_pin=7)
    fake_machine.levels[9] = fake_machine.levels[7] = 0
    heard = site.network.on_air

    def deaf(*arguments):
        heard(*arguments)
        if HOUR < site.now() < 2 * HOUR:
            site.network.reply = None

    site.network.on_air = deaf
    site.at(HOUR + 60, lambda: fake_machine.set_level(7, 1))
    occupied(site, HOUR + 600, HOUR + 1100)
    site.run(3 * HOUR)
    jams = [(at, raised) for at, kind, raised, _ in alarms(site) if kind == alarm.CONGESTION]
    assert jams[0][1]
    assert HOUR + 600 <= jams[0][0] <= HOUR + 630
    assert not jams[-1][1]
    # What was repeated in vain has used up the allowance: then it is one in ten minutes.
    over = next(at for at, raised in jams if not raised)
    assert HOUR + 1100 <= over <= HOUR + 1100 + 600
    assert len(jams) <= 6 + 6


def test_a_switch_that_flutters_keeps_no_jam_back():
    site = Site(unix=MIDNIGHT - 600, channels=[JAM], tamper_pin=7)
    fake_machine.levels[9] = fake_machine.levels[7] = 0
    for n in range(40):
        site.at(HOUR + n * 300, lambda: fake_machine.set_level(7, 1))
        site.at(HOUR + n * 300 + 70, lambda: fake_machine.set_level(7, 0))
    occupied(site, HOUR + 4000, HOUR + 4500)
    site.run(3 * HOUR)
    jams = [(at, raised) for at, kind, raised, _ in alarms(site) if kind == alarm.CONGESTION]
    assert [raised for _, raised in jams] == [True, False]
    assert jams[0][0] <= HOUR + 4030
    assert jams[1][0] <= HOUR + 4590
