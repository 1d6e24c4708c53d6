"""A whole node: what is wrong with it and its sensors is told at once, once, and is over when it is over."""

import fake_machine
from world import install

install()

from node_rig import MIDNIGHT, Site  # noqa: E402

from zaehlwerk_protocol import alarm, ports, state  # noqa: E402

MINUTE = 60
HOUR = 3600
PULSE = {"class": "bicycle", "direction": "in", "sensor": "pulse", "pin": 4}


def site_with(**settings):
    return Site(unix=MIDNIGHT - 600, **settings)


def alarms(site):
    """[(second, kind, raised, mask)] of the alarms that arrived."""
    return [(at, f.kind, f.raised, f.mask) for at, f in site.frames(ports.ALARM)]


def covers(site, channel=0):
    """{slot: coverage 0..255} as the node's own records have it."""
    node, at = site.node, (MIDNIGHT - 600) // 900
    rows = node.ring.rows(False, node.epoch.generation, at, at + 100)
    return {index: row[1][channel] for index, row in rows.items()}


def test_a_sensor_that_falls_silent_is_told_and_its_zeros_are_not_observed():
    site = site_with(channels=[dict(PULSE, silent_s=3600)])
    site.pulses(4, 30, 2 * HOUR)
    site.at(5 * HOUR, lambda: site.pulses(4, 30, 8 * HOUR))
    site.run(8 * HOUR)
    raised, over = alarms(site)
    assert raised[1:] == (alarm.SILENT, True, 1)
    assert 3 * HOUR <= raised[0] <= 3 * HOUR + 2 * MINUTE
    assert over[1:] == (alarm.SILENT, False, 1)
    assert 5 * HOUR <= over[0] <= 5 * HOUR + 4 * MINUTE
    (told, _) = [f for _, f in site.frames(ports.ALARM)]
    assert 3600 <= told.value <= 3600 + 120
    at = (MIDNIGHT - 600) // 900
    got = covers(site)
    assert got[at + 4 * 2 + 2] == 255
    assert got[at + 4 * 4] == 0
    assert got[at + 4 * 6 + 2] == 255


def test_an_empty_street_at_night_raises_nothing_and_is_observed():
    site = site_with(channels=[PULSE])
    site.pulses(4, 30, 2 * HOUR)
    site.run(10 * HOUR)
    assert alarms(site) == []
    got = covers(site)
    del got[min(got)]  # the node was put up within it
    assert set(got.values()) == {255}


def test_a_case_that_is_opened_is_told_at_once_and_in_every_frame_until_it_is_closed():
    site = site_with(channels=[PULSE], tamper_pin=9)
    fake_machine.levels[9] = 0
    site.pulses(4, 30, 5 * HOUR)
    site.at(2 * HOUR, lambda: fake_machine.set_level(9, 1))
    site.at(3 * HOUR, lambda: fake_machine.set_level(9, 0))
    site.run(5 * HOUR)
    (raised, over) = alarms(site)
    assert raised[1:] == (alarm.TAMPER, True, 0)
    assert 2 * HOUR <= raised[0] <= 2 * HOUR + 90
    assert over[1:] == (alarm.TAMPER, False, 0)
    flags = {at: bool(f.state & state.TAMPER) for at, f in site.frames(ports.COUNTS)}
    assert [tampered for at, tampered in flags.items() if at < 2 * HOUR] == [False] * len(
        [at for at in flags if at < 2 * HOUR]
    )
    assert all([tampered for at, tampered in flags.items() if 2 * HOUR + 90 < at < 3 * HOUR])
    assert not any([tampered for at, tampered in flags.items() if at > 3 * HOUR + 300])


def test_a_battery_that_sinks_is_told_once_though_it_recovers_a_little():
    site = site_with(channels=[PULSE])
    voltages = [(0, 3900), (2 * HOUR, 3250), (3 * HOUR, 3400), (4 * HOUR, 3290), (5 * HOUR, 3800)]
    site.battery = lambda: [mv for at, mv in voltages if at <= site.now()][-1]
    site.pulses(4, 30, 6 * HOUR)
    site.run(6 * HOUR)
    assert [(kind, raised) for _, kind, raised, _ in alarms(site)] == [
        (alarm.LOW_BATTERY, True),
        (alarm.LOW_BATTERY, False),
    ]
    assert site.frames(ports.ALARM)[0][1].value == 3250


def test_a_power_chip_that_has_not_measured_yet_is_no_empty_battery():
    site = site_with(channels=[PULSE])
    site.battery = lambda: 0 if site.now() < 10 else 3900
    site.run(HOUR)
    assert alarms(site) == []


def test_an_alarm_that_the_network_did_not_hear_is_told_again_until_it_is_over_and_then_its_end():
    site = site_with(channels=[PULSE], tamper_pin=9)
    fake_machine.levels[9] = 0
    site.pulses(4, 30, 6 * HOUR)
    site.at(2 * HOUR - 10, lambda: setattr(site.network, "lose", lambda *_: True))
    site.at(2 * HOUR, lambda: fake_machine.set_level(9, 1))
    site.at(3 * HOUR, lambda: fake_machine.set_level(9, 0))
    site.at(4 * HOUR, lambda: setattr(site.network, "lose", lambda *_: False))
    site.at(5 * HOUR, lambda: fake_machine.set_level(9, 1))
    site.run(6 * HOUR)
    # Nobody can know whether it was the alarm that was lost, or the network's answer.
    over, told = alarms(site)
    assert over[1:] == (alarm.TAMPER, False, 0)
    assert 4 * HOUR <= over[0] <= 4 * HOUR + 700
    assert told[1:] == (alarm.TAMPER, True, 0)
    assert 5 * HOUR <= told[0] <= 5 * HOUR + 150


def test_a_switch_that_flutters_costs_a_bounded_airtime():
    site = site_with(channels=[PULSE], tamper_pin=9)
    fake_machine.levels[9] = 0
    for minute in range(60, 8 * 60):
        site.at(minute * 60, lambda minute=minute: fake_machine.set_level(9, minute // 3 % 2))
    site.run(8 * HOUR)
    sent = len([1 for at, _, port, _ in site.network.uplinks if port == ports.ALARM])
    assert 6 <= sent <= 6 + 7 * 6 + 1


def test_an_alarm_that_ends_while_the_power_is_off_is_cleared_afterwards():
    site = site_with(channels=[PULSE], tamper_pin=9)
    fake_machine.levels[9] = 1
    site.run(HOUR)
    assert alarms(site)[-1][1:] == (alarm.TAMPER, True, 0)
    fake_machine.levels[9] = 0
    site.run(2 * HOUR)
    assert alarms(site)[-1][1:] == (alarm.TAMPER, False, 0)
    before = len(alarms(site))
    site.run(3 * HOUR)
    assert len(alarms(site)) == before


def test_a_loop_that_hangs_is_stuck_and_counts_as_not_observed():
    site = site_with(channels=[dict(PULSE, **{"sensor": "presence", "class": "kfz", "stuck_s": 600})])
    fake_machine.levels[4] = 0
    site.at(2 * HOUR, lambda: fake_machine.set_level(4, 1))
    site.run(4 * HOUR)
    assert [entry[1:] for entry in alarms(site)] == [(alarm.STUCK, True, 1)]
    assert 2 * HOUR + 600 <= alarms(site)[0][0] <= 2 * HOUR + 600 + 150
    got = covers(site)
    assert got[max(got)] == 0


def test_a_jam_is_told_within_half_a_minute_and_its_end_too():
    channel = dict(PULSE, **{"sensor": "presence", "class": "kfz", "jam_occupancy": 500})
    site = site_with(channels=[channel])
    fake_machine.levels[4] = 0

    def cars(begin, end, every_s, on_s):
        for at in range(begin, end, every_s):
            site.at(at, lambda: fake_machine.set_level(4, 1))
            site.at(at + on_s, lambda: fake_machine.set_level(4, 0))

    cars(30 * MINUTE, 2 * HOUR, 10, 1)
    cars(2 * HOUR, 3 * HOUR, 60, 57)
    cars(3 * HOUR, 4 * HOUR, 10, 1)
    site.run(4 * HOUR)
    raised, over = alarms(site)
    assert raised[1:] == (alarm.CONGESTION, True, 1)
    assert 2 * HOUR <= raised[0] <= 2 * HOUR + 30
    assert over[1:] == (alarm.CONGESTION, False, 1)
    assert 3 * HOUR <= over[0] <= 3 * HOUR + 90
    assert 500 <= site.frames(ports.ALARM)[0][1].value <= 1000


def test_the_occupancy_of_each_interval_follows_its_counts():
    channel = dict(PULSE, **{"sensor": "presence", "class": "kfz"})
    site = site_with(channels=[channel])
    fake_machine.levels[4] = 0
    for at in range(HOUR, 4 * HOUR, 20):
        site.at(at, lambda: fake_machine.set_level(4, 1))
        site.at(at + 5, lambda: fake_machine.set_level(4, 0))
    site.run(4 * HOUR)
    flows = site.frames(ports.FLOW)
    assert len(flows) >= 10
    at, flow = flows[-1]
    assert flow.rows == ((None, None, 250),)
    indices = [f.index for _, f in flows]
    assert indices == list(range(indices[0], indices[0] + len(indices)))
    counted = {f.index: at for at, f in site.frames(ports.COUNTS)}
    assert all([counted[f.index] < at < counted[f.index] + 120 for at, f in flows])


def test_flow_is_sent_as_seldom_as_it_is_set():
    channel = dict(PULSE, **{"sensor": "presence", "class": "kfz"})
    sent = []
    for every in (0, 4):
        site = site_with(channels=[channel], flow_every=every)
        fake_machine.levels[4] = 0
        site.run(6 * HOUR)
        sent.append([f.index % 4 for _, f in site.frames(ports.FLOW)])
    assert sent[0] == []
    assert set(sent[1]) == {0}
    assert len(sent[1]) >= 5


def test_what_a_sensors_silences_have_taught_survives_a_power_cut():
    site = site_with(channels=[PULSE])
    site.pulses(4, 60, 26 * HOUR)

    def learn():
        (silence,) = site.node.inputs.silences
        silence.longest[1] = 240

    site.at(HOUR, learn)
    site.run(2 * HOUR)
    (learnt,) = site.node.inputs.silences
    site.run(2 * HOUR + 600)
    (again,) = site.node.inputs.silences
    assert again is not learnt
    assert again.limit_ms == learnt.limit_ms == 8 * HOUR * 1000


def test_a_sensor_that_was_told_silent_stays_so_over_a_power_cut_until_a_passage():
    site = site_with(channels=[dict(PULSE, silent_s=3600)])
    site.pulses(4, 30, 2 * HOUR)
    site.run(4 * HOUR)
    assert [kind for _, kind, _, _ in alarms(site)] == [alarm.SILENT]
    site.run(6 * HOUR)
    assert len(alarms(site)) == 1
    got, at = covers(site), (MIDNIGHT - 600) // 900
    assert [got[at + n] for n in range(4 * 3 + 2, 4 * 6)] == [0] * 10
    site.pulses(4, 30, site.now() + HOUR)
    site.run(7 * HOUR)
    assert [raised for _, _, raised, _ in alarms(site)] == [True, False]


def test_a_dead_sensor_is_found_by_a_node_that_restarts_more_often_than_its_limit_allows_silence():
    site = site_with(channels=[dict(PULSE, silent_s=3600)])
    site.pulses(4, 30, 2 * HOUR)
    for start in range(1, 6):
        site.run(2 * HOUR + start * 3000)
    assert [(kind, raised) for _, kind, raised, _ in alarms(site)] == [(alarm.SILENT, True)]


def test_a_sensor_that_never_counted_has_observed_nothing_until_its_first_passage():
    site = site_with(channels=[PULSE])
    site.at(3 * HOUR, lambda: site.pulses(4, 3000, 8 * HOUR))
    site.run(5 * HOUR)
    got, at = covers(site), (MIDNIGHT - 600) // 900
    assert [got[at + n] for n in range(4 * 3)] == [0] * 12
    first = max(index for index, cover in got.items() if not cover) + 1
    # From the reading before the first passage on.
    assert 0 < got[first] < 255
    assert got[first + 1] == 255
    # A restart does not ask for another proof; the two quarter-hours around it are partial.
    site.run(6 * HOUR + 600)
    got = covers(site)
    assert [index for index, cover in got.items() if not cover and index > first] == []


def test_a_channel_of_a_sensor_that_has_counted_on_another_is_observed():
    site = site_with(
        channels=[
            {
                "class": "bicycle",
                "direction": "in",
                "sensor": "direction",
                "pin": 4,
                "pin_b": 5,
                "output": "ab",
            },
            {"class": "bicycle", "direction": "out", "shares": 0, "output": "ba"},
            {"class": "bicycle", "shares": 0, "output": "unknown"},
        ]
    )
    for pin in (4, 5):
        fake_machine.levels[pin] = 0

    def level(second, pin, value):
        site.at(second, lambda: fake_machine.set_level(pin, value))

    for start in range(1000, 2 * HOUR, 60):
        for pin in (4, 5):
            level(start + pin, pin, 1)
            level(start + pin + 1, pin, 0)
    site.run(3 * HOUR)
    at = (MIDNIGHT - 600) // 900
    assert [covers(site, channel)[at + 5] for channel in range(3)] == [255] * 3
