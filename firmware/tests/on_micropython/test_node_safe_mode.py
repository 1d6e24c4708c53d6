"""Starts that do not last lead to a safe mode that counts pulses and reports why; what leads there, and out of it."""

import fake_machine
from world import install, world

install()

from expect import raises  # noqa: E402
from managed_rig import Managed  # noqa: E402
from node_rig import MIDNIGHT  # noqa: E402

from zaehlwerk_protocol import answer, command  # noqa: E402

HOUR = 3600
MIXED = [
    {"class": "bicycle", "direction": "in", "pin": 4},
    {"class": "kfz", "sensor": "contact", "pin": 9},
]


def short_lives(site, count, seconds=60):
    """Starts that the power ends before the node is healthy."""
    for _ in range(count):
        site.run(site.now() + seconds)


def test_five_starts_that_did_not_last_lead_to_safe_mode_which_says_so():
    site = Managed(unix=MIDNIGHT - 600, channels=MIXED)
    short_lives(site, 5)
    assert not site.node.safe
    site.run(site.now() + HOUR)
    assert site.node.safe
    last = site.statuses()[-1]
    assert last.health.crash == b"safe mode: 5 short starts"
    # Somebody has to look at it.
    assert last.state & 8


def test_a_start_that_lasts_ends_the_count():
    site = Managed(unix=MIDNIGHT - 600)
    short_lives(site, 4)
    site.run(site.now() + 640)
    short_lives(site, 4)
    site.run(site.now() + 60)
    assert not site.node.safe


def test_safe_mode_counts_pulses_under_the_same_channels_and_leaves_other_sensors_alone():
    site = Managed(unix=MIDNIGHT - 600, channels=MIXED)
    site.pulses(4, 7, 2 * HOUR)
    short_lives(site, 5)
    epoch = site.node.epoch.number
    fake_machine.handlers.clear()
    site.run(2 * HOUR + 1000)
    assert site.node.safe
    assert 9 not in fake_machine.handlers
    assert site.node.epoch.number == epoch
    frame = site.counts()[-1]
    assert fake_machine.pulses[4] - frame.totals[0] <= 60
    # The channel of the contact is not observed, which is not the same as zero.
    assert frame.cover[0] == (0b10, 0)


def test_a_crash_that_keeps_the_node_from_being_put_together_is_tried_again_and_then_told_in_safe_mode():
    site = Managed(unix=MIDNIGHT - 600, channels=MIXED)

    from counting import contact

    def broken(*_):
        raise MemoryError("no room")

    original = contact.ContactSensor._open
    contact.ContactSensor._open = broken
    try:
        site.run(2 * HOUR)
    finally:
        contact.ContactSensor._open = original
    # A minute's pause after each.
    assert len(site.resets) == 5
    assert site.resets[4] - site.resets[0] >= 240
    assert site.node.safe
    told = site.statuses()[-1].health.crash
    assert told.startswith(b"safe mode: ")
    assert b"_mode.py:" in told
    assert site.counts()


def test_settings_that_nobody_can_use_are_the_technicians():
    site = Managed(unix=MIDNIGHT - 600, channels=[])
    raises(SystemExit, site.run, HOUR)
    assert site.resets == []


def test_safe_mode_ends_with_a_normal_start_after_six_hours():
    site = Managed(unix=MIDNIGHT - 600, channels=MIXED)
    short_lives(site, 5)
    begun = site.now()
    site.run(begun + 8 * HOUR)
    assert len(site.resets) == 1
    assert site.resets[0] - begun in range(6 * HOUR, 6 * HOUR + 120)
    assert not site.node.safe
    assert site.node.healthy
    assert site.node.short_starts == 0


def test_one_more_start_that_does_not_last_leads_back_to_safe_mode():
    site = Managed(unix=MIDNIGHT - 600)
    short_lives(site, 5)
    short_lives(site, 1)
    assert site.node.safe
    short_lives(site, 1)
    assert not site.node.safe
    short_lives(site, 1)
    assert site.node.safe


def test_a_reboot_by_command_leaves_safe_mode_at_once():
    site = Managed(unix=MIDNIGHT - 600)
    short_lives(site, 5)
    site.ask(site.now() + 60, 1, command.REBOOT)
    site.run(site.now() + 2 * HOUR)
    assert site.results() == [(1, answer.OK)]
    assert len(site.resets) == 1
    assert not site.node.safe


def test_restarts_by_command_are_no_starts_that_did_not_last():
    site = Managed(unix=MIDNIGHT - 600, interval_s=60, uplink_offset_s=10)
    for token in range(7):
        site.ask(site.now() + 30 + 150 * token, token, command.REBOOT)
    site.run(site.now() + 7 * 200)
    assert len(site.resets) == 7
    assert not site.node.safe


def test_the_count_of_starts_costs_two_writes_a_start():
    site = Managed(unix=MIDNIGHT - 600)
    written = []
    from lorawan.records import Files

    replace = Files.replace

    def counted(self, name, data):
        if name == "boot":
            written.append(world.now_us)
        replace(self, name, data)

    Files.replace = counted
    try:
        site.run(2 * HOUR)
    finally:
        Files.replace = replace
    assert len(written) == 2
