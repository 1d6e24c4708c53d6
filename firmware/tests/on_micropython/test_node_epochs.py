"""A whole node whose channels are changed again and again: no epoch takes anything for its own that is another's."""

from world import install

install()

from managed_rig import Managed  # noqa: E402
from node_rig import MIDNIGHT  # noqa: E402

from zaehlwerk_protocol import command, ports  # noqa: E402

HOUR = 3600
# A pulse every three seconds.
PULSE_S = 3
FIRST = (MIDNIGHT - 600) // 900
MAPS = ("kfz", "pedestrian", "unknown", "bicycle")


def channel(name):
    return [{"class": name, "direction": "in", "pin": 4}]


def site_with_four_epochs(stays_s, before_s=4000, last=None):
    """A site whose channel map was changed four times, the last time back to the first, or to `last`: powered off."""
    site = Managed(unix=MIDNIGHT - 600, channels=channel("bicycle"))
    site.pulses(4, PULSE_S, 200 * HOUR)
    site.run(before_s)
    for name in MAPS[:3]:
        site.write(dict(site.document, channels=channel(name)))
        site.run(site.now() + stays_s)
    site.write(dict(site.document, channels=last or channel(MAPS[3])))
    return site


def of_present_epoch(site, begin):
    """The count frames that arrived since second `begin`, without the last ones of epochs before."""
    generation = site.node.epoch.generation & 3
    return [f for at, f in site.frames(ports.COUNTS) if at >= begin and f.state & 3 == generation]


def test_the_fifth_epoch_begins_at_nought_though_the_first_ones_records_are_at_hand():
    site = site_with_four_epochs(130)
    begin = site.now()
    site.run(begin + HOUR)
    epoch = site.node.epoch.number
    counts = of_present_epoch(site, begin)
    assert len(counts) >= 3
    for frame in counts:
        assert frame.totals[0] <= HOUR // PULSE_S
        assert all(row is None or row[0] <= 900 // PULSE_S for row in frame.history)
        assert len(frame.history) <= frame.index - ((site.unix + begin) // 900 & 0xFFFF)
    anchors = [f.anchor for f in site.statuses() if f.epoch == epoch and f.anchor]
    assert anchors
    assert all(anchor[0] >= (site.unix + begin) // 900 & 0xFFFF for anchor in anchors)
    assert all(anchor[1][0] <= HOUR // PULSE_S for anchor in anchors)


def test_two_like_channels_whose_pins_are_changed_for_each_other_begin_a_new_epoch():
    like = [
        {"class": "bicycle", "direction": "in", "pin": 4},
        {"class": "bicycle", "direction": "in", "pin": 5},
    ]
    site = Managed(unix=MIDNIGHT - 600, channels=like)
    site.pulses(4, PULSE_S, 20 * HOUR)
    site.run(2 * HOUR)
    before = site.node.epoch.number
    site.write(dict(site.document, channels=like[::-1]))
    begin = site.now()
    site.run(begin + 2 * HOUR)
    assert site.node.epoch.number != before
    counts = of_present_epoch(site, begin)
    assert counts
    assert all(frame.totals[0] == 0 < frame.totals[1] <= 2 * HOUR // PULSE_S for frame in counts)


def test_a_power_cycle_in_the_fifth_epoch_adds_nothing_of_the_first():
    site = site_with_four_epochs(120)
    begin = site.now()
    site.run(begin + 120)
    site.run(begin + 220)
    assert 0 < site.node.intervals.pulses[0] <= 220 // PULSE_S + 1
    node = site.node
    assert (
        min(node.ring.rows(False, node.epoch.generation, FIRST, FIRST + 100), default=FIRST + 100)
        >= (site.unix + begin) // 900
    )


def test_after_another_number_of_channels_status_and_answers_are_of_this_epoch_alone():
    two = channel("bicycle") + [{"class": "bicycle", "direction": "out", "pin": 5}]  # noqa: RUF005 - no * here
    site = site_with_four_epochs(6 * HOUR, 6 * HOUR, two)
    begin = site.now()
    site.run(begin + 2 * HOUR)
    asked = site.now()
    site.ask(asked + 10, 77, command.BACKFILL, 0, (FIRST + 4) & 0xFFFF, 10)
    site.ask(asked + 20, 78, command.BACKFILL, 0, (site.unix + begin) // 900 + 1 & 0xFFFF, 4)
    site.run(asked + 4 * HOUR)
    # No record of this epoch.
    assert site.results() == [(77, 4)]
    (backfill,) = [f for _, f in site.frames(ports.BACKFILL)]
    assert backfill.channels == 2
    assert backfill.state & 3 == site.node.epoch.generation & 3
    assert len(backfill.rows) == 4
    assert len([at for at, _ in site.frames(ports.COUNTS) if at > asked]) >= 15
    assert site.node.crash is None


def test_an_answer_that_cannot_be_made_is_given_up_and_the_next_one_goes_out():
    site = Managed(unix=MIDNIGHT - 600, channels=channel("bicycle"))
    site.pulses(4, PULSE_S, 200 * HOUR)

    def spoil():
        whole = site.node.ring.rows

        def rows(unsynced, generation, first, end):
            if first == FIRST + 3:
                raise ValueError("row")
            return whole(unsynced, generation, first, end)

        site.node.ring.rows = rows

    site.at(2 * HOUR, spoil)
    site.ask(2 * HOUR + 10, 77, command.BACKFILL, 0, (FIRST + 3) & 0xFFFF, 4)
    site.ask(2 * HOUR + 20, 78, command.BACKFILL, 0, (FIRST + 4) & 0xFFFF, 3)
    site.run(5 * HOUR)
    assert "row" in site.node.crash.decode()
    assert [len(f.rows) for _, f in site.frames(ports.BACKFILL)] == [3]


def test_a_status_that_cannot_be_made_keeps_no_answer_and_no_counts_back():
    site = Managed(unix=MIDNIGHT - 600, channels=channel("bicycle"))
    site.pulses(4, PULSE_S, 200 * HOUR)
    # No frame has room for it.
    site.at(2 * HOUR, lambda: setattr(site.node.epoch, "number", -1))
    site.ask(2 * HOUR + 10, 77, command.STATUS)
    site.ask(2 * HOUR + 20, 78, command.BACKFILL, 0, (FIRST + 3) & 0xFFFF, 4)
    site.run(5 * HOUR)
    assert [at for at, _ in site.frames(ports.STATUS) if at > 2 * HOUR] == []
    assert site.node.crash is not None
    assert [len(f.rows) for _, f in site.frames(ports.BACKFILL)] == [4]
    counted = [at for at, _ in site.frames(ports.COUNTS) if at > 2 * HOUR]
    assert len(counted) == 12
    # A minute after the boundary, as ever, and not after a task's pause.
    assert all([(site.unix + at) % 900 < 90 for at in counted])
