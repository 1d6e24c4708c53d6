"""Starts that do not last lead to a safe mode that counts pulses and reports why; what leads there, and out of it."""

import fake_machine
from world import install, world

install()

from managed_rig import Managed  # noqa: E402
from node_rig import MIDNIGHT  # noqa: E402

from zaehlwerk_protocol import answer, command  # noqa: E402

HOUR = 3600
MIXED = [
    {"class": "bicycle", "direction": "in", "pin": 4},
    {"class": "kfz", "sensor": "contact", "pin": 9},
    {"class": "unknown", "direction": "both", "sensor": "direction", "pin": 10, "pin_b": 11},
]


def short_lives(site, count, seconds=60):
    """Starts that crash before the node is healthy, the last one too: the next is one after a crash."""
    for _ in range(count):
        site.run(site.now() + seconds, cause=fake_machine.WDT_RESET)


def test_five_starts_that_did_not_last_lead_to_safe_mode_which_says_so():
    site = Managed(unix=MIDNIGHT - 600, channels=MIXED)
    short_lives(site, 5)
    assert not site.node.safe
    site.run(site.now() + HOUR, cause=fake_machine.WDT_RESET)
    assert site.node.safe
    last = site.statuses()[-1]
    assert last.health.crash == b"safe mode: 5 short starts"
    # Somebody has to look at it.
    assert last.state & 8


def test_a_start_that_lasts_ends_the_count():
    site = Managed(unix=MIDNIGHT - 600)
    short_lives(site, 4)
    site.run(site.now() + 640, cause=fake_machine.WDT_RESET)
    short_lives(site, 4)
    short_lives(site, 1)
    assert not site.node.safe


def test_safe_mode_counts_pulses_and_contacts_under_the_same_channels_and_leaves_other_sensors_alone():
    site = Managed(unix=MIDNIGHT - 600, channels=MIXED)
    site.pulses(4, 7, 2 * HOUR)
    short_lives(site, 5)
    epoch = site.node.epoch.number
    fake_machine.handlers.clear()
    fake_machine.levels[9] = 0

    def contact():
        fake_machine.set_level(9, 1)
        world.at(world.now_us + 500000, lambda: fake_machine.set_level(9, 0))

    for second in range(HOUR, 2 * HOUR, 100):
        site.at(second, contact)
    site.run(2 * HOUR + 1000, cause=fake_machine.WDT_RESET)
    assert site.node.safe
    assert 10 not in fake_machine.handlers
    assert site.node.epoch.number == epoch
    frame = site.counts()[-1]
    assert fake_machine.pulses[4] - frame.totals[0] <= 60
    assert frame.totals[1] == 36
    # The channel of the light barriers is not observed, which is not the same as zero.
    assert frame.cover[0] == (0b100, 0)


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
    # It is left out then, and the pulses are counted.
    assert site.node.inputs.health[1]
    assert site.node.safe
    told = site.statuses()[-1].health.crash
    assert told.startswith(b"safe mode: ")
    assert b"_mode.py:" in told
    assert site.counts()


def test_settings_that_nobody_can_use_are_tried_again_each_minute_and_wear_no_flash():
    site = Managed(unix=MIDNIGHT - 600, channels=[])
    site.run(600)
    assert len(site.resets) == 600 // 61
    assert site.flash.operations < 40
    site.write(dict(site.document, channels=MIXED))
    site.run(HOUR)
    assert site.counts()


def test_safe_mode_ends_with_a_normal_start_after_six_hours():
    site = Managed(unix=MIDNIGHT - 600, channels=MIXED)
    short_lives(site, 5)
    begun = site.now()
    site.run(begun + 8 * HOUR, cause=fake_machine.WDT_RESET)
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
    site.run(site.now() + 2 * HOUR, cause=fake_machine.WDT_RESET)
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


def test_the_powers_cuts_are_no_crashes():
    site = Managed(unix=MIDNIGHT - 600, channels=MIXED)
    for _ in range(12):
        site.run(site.now() + 540)
        assert not site.node.safe
    # But they are no proof of health either: what crashes between them counts.
    short_lives(site, 4)
    site.run(site.now() + 60)
    short_lives(site, 1)
    assert site.node.safe
