"""Power that goes: at every flash operation of a node's first minutes and of its daily round, at any moment, often."""

import random

import fake_machine
from world import install, world

install()

from cut_steps import STEP  # noqa: E402
from node_rig import MIDNIGHT, Site  # noqa: E402

from app.state import TOTALS_VERSION  # noqa: E402
from lorawan import frames as phy_frames  # noqa: E402
from lorawan.records import seal, unseal  # noqa: E402
from zaehlwerk_protocol import ports  # noqa: E402

HOUR = 3600
# What a cut may take: a minute until the next snapshot, and a transmission with its windows that holds it up.
LOSS_S = 72


def check_air(site):
    """No DevNonce twice; in each session counters only rise, so that a network that hears half of them can follow."""
    nonces = [phy[17] | phy[18] << 8 for phy in site.network.joins]
    assert len(set(nonces)) == len(nonces), nonces
    counters = {}
    for _, _, _, _, phy in site.network.air:
        if phy[0] == phy_frames.JOIN_REQUEST:
            continue
        counter = phy[6] | phy[7] << 8
        assert 0 < (counter - counters.get(phy[1:5], -1) & 0xFFFF) < 0x8000
        counters[phy[1:5]] = counter


def check_totals(site):
    """In each epoch and space totals never run backwards and no index has two; the sum of all that was reported."""
    last = {}
    for frame in site.counts():
        key = (frame.state & 3, frame.state & 4)
        index, totals = last.get(key, (frame.index, (0,) * len(frame.totals)))
        assert frame.index >= index
        if frame.index == index and key in last:
            assert frame.totals == totals
        assert all([frame.totals[i] >= totals[i] for i in range(len(totals))])
        last[key] = (frame.index, frame.totals)
    return [sum([totals[i] for _, totals in last.values()]) for i in (0, 1)]


def flagged(site, from_s, to_s):
    """Whether some count frame says that a slot touching [from_s, to_s] was not observed whole."""
    length = site.document.get("interval_s", 900)
    for frame in site.counts():
        for back, (mask, _) in enumerate(frame.cover):
            start = (frame.index - back) * length
            begin, end = (site.unix + from_s) % (length << 16), (site.unix + to_s) % (length << 16)
            if mask and start < end and begin < start + length:
                return True
    return False


def cut_and_go_on(cut_at, **settings):
    """A node whose power goes at flash operation `cut_at` and is back 3 s later; whether the cut happened."""
    site = Site(unix=MIDNIGHT - 130, interval_s=60, uplink_offset_s=10, **settings)
    site.pulses(4, 1, 700)
    if site.run(300, cut_at):
        return False
    cut = site.now()
    world.move_to(world.now_us + 3000000)
    site.run(900)
    check_air(site)
    reported = check_totals(site)[0]
    lost = fake_machine.pulses[4] - reported
    assert 2 <= lost <= LOSS_S + 3, (cut_at, cut, lost)
    # A slot before the first one that was ever stored is nobody's.
    first = min([frame.index for frame in site.counts()])
    assert first > (site.unix + cut) // 60 & 0xFFFF or flagged(site, cut - LOSS_S, cut + 3), (cut_at, cut)
    return True


def test_power_goes_at_every_flash_operation_of_the_first_minutes():
    cut_at = 1
    while cut_and_go_on(cut_at):
        cut_at += STEP
    # Starting, joining and several intervals lie before the last one.
    assert cut_at > 80


def test_power_goes_at_every_flash_operation_of_a_restart_that_closes_what_was_open():
    cut_at, cut = 1, True
    while cut:
        site = Site(unix=MIDNIGHT - 130, interval_s=60, uplink_offset_s=10)
        site.pulses(4, 1, 900)
        site.run(300)
        world.move_to(500 * 1000000)
        cut = not site.run(650, cut_at)
        if cut:
            world.move_to(world.now_us + 3000000)
            site.run(1100)
            check_air(site)
            lost = fake_machine.pulses[4] - check_totals(site)[0]
            assert 200 <= lost <= 200 + 2 * (LOSS_S + 3), (cut_at, lost)
        cut_at += STEP
    assert cut_at > 50


def test_power_goes_at_every_flash_operation_of_a_restart_that_begins_a_new_epoch():
    """The clock was an hour ahead: the index would go back, so the restart closes the old epoch."""
    cut_at, cut, epochs = 1, True, 0
    while cut:
        site = Site(unix=MIDNIGHT - 130, interval_s=60, uplink_offset_s=10)
        site.network.error_s = HOUR
        site.pulses(4, 1, 900)
        site.run(300)
        site.network.error_s = 0
        world.move_to(310 * 1000000)
        cut = not site.run(550, cut_at)
        if cut:
            world.move_to(world.now_us + 3000000)
        site.run(1300)
        check_air(site)
        lost = fake_machine.pulses[4] - check_totals(site)[0]
        assert 10 <= lost <= 10 + 2 * (LOSS_S + 3), (cut_at, lost)
        epochs = max(epochs, len({frame.epoch for frame in site.statuses()}))
        cut_at += STEP
    assert cut_at > 40
    assert epochs == 2


def test_power_goes_at_random_moments_of_a_day():
    site = Site(unix=MIDNIGHT - 600, seed=5)
    site.pulses(4, 7, 22 * HOUR)
    site.pulses(5, 11, 22 * HOUR)
    dice = random.getrandbits(30)
    cuts, off = 0, 0
    at = 0
    while at < 23 * HOUR:
        dice = (dice * 1103515245 + 12345) & 0x3FFFFFFF
        at = min(at + 60 + dice % 3600, 23 * HOUR)
        site.run(at)
        if at < 23 * HOUR:
            pause = dice % 7 * 120
            cuts, off = cuts + 1, off + pause
            at += pause
            world.move_to(at * 1000000)
    site.run(26 * HOUR)
    check_air(site)
    reported = check_totals(site)
    assert cuts > 30
    for i, pin, every in ((0, 4, 7), (1, 5, 11)):
        lost = fake_machine.pulses[pin] - reported[i]
        assert 0 < lost <= (off + cuts * LOSS_S) // every + cuts, (lost, cuts, off)


def test_a_short_cut_within_a_slot_continues_it():
    site = Site(unix=MIDNIGHT - 600)
    site.pulses(4, 7, 2 * HOUR)
    site.run(HOUR)
    world.move_to((HOUR + 30) * 1000000)
    site.run(3 * HOUR)
    assert site.network.joined == 1
    indices = [frame.index for frame in site.counts()]
    assert sorted(set(indices)) == list(range(indices[0], indices[0] + len(set(indices))))
    lost = fake_machine.pulses[4] - check_totals(site)[0]
    assert 4 <= lost <= (30 + LOSS_S) // 7 + 1, lost


def counted_after_a_reset(at_s, spoil=lambda: None):
    """(pulses that a reset at `at_s` took, the site afterwards): one a second, and it takes the node two to be back."""
    site = Site(unix=MIDNIGHT - 600)
    site.pulses(4, 1, 2 * HOUR)
    site.run(at_s)
    world.move_to((at_s + 2) * 1000000)
    spoil()
    site.run(3 * HOUR, power_stayed=True)
    check_air(site)
    return fake_machine.pulses[4] - check_totals(site)[0] - 2, site


def test_a_reset_that_the_power_survives_takes_ten_seconds_at_most():
    for at_s in (HOUR + 27, HOUR + 59, HOUR + 300 + 31, 600 + 3):
        lost, site = counted_after_a_reset(at_s)
        assert 0 <= lost <= 10, (at_s, lost)
        assert site.network.joined == 1


def test_memory_that_is_damaged_or_of_another_epoch_or_interval_is_not_counted():
    for changed, sealed_anew in ((30, False), (0, True), (4 + 3, True)):

        def spoil(at=changed, anew=sealed_anew):
            data = bytearray(unseal(TOTALS_VERSION, fake_machine.RTC.kept))
            data[at] ^= 1
            if anew:
                fake_machine.RTC.kept = seal(TOTALS_VERSION, bytes(data))
            else:
                fake_machine.RTC.kept = fake_machine.RTC.kept[:1] + bytes(data) + fake_machine.RTC.kept[-4:]

        lost, _ = counted_after_a_reset(HOUR + 55, spoil)
        assert 40 <= lost <= LOSS_S, changed


def test_hours_without_power_are_not_observed_and_not_zero():
    site = Site(unix=MIDNIGHT - 600)
    site.pulses(4, 7, 8 * HOUR)
    site.run(2 * HOUR)
    world.move_to(4 * HOUR * 1000000)
    site.run(8 * HOUR)
    rows = {}
    for frame in site.counts():
        for back, row in enumerate(frame.history):
            cover = frame.cover[back + 1] if back + 1 < len(frame.cover) else (0, 0)
            rows[frame.index - back - 1] = (row, cover)
    first = (site.unix + 2 * HOUR) // 900 + 1
    dark = [rows[index & 0xFFFF] for index in range(first, first + 6) if index & 0xFFFF in rows]
    assert dark
    assert all([row == (0, 0) and cover == (3, 0) for row, cover in dark])


def test_a_changed_channel_map_closes_the_old_epoch_and_loses_nothing_that_was_stored():
    site = Site(unix=MIDNIGHT - 600)
    site.pulses(4, 7, 4 * HOUR)
    site.run(2 * HOUR + 430)
    site.document["channels"] = [dict(entry) for entry in site.document["channels"]]
    site.document["channels"][1]["direction"] = "both"
    site.run(6 * HOUR)
    generations = {frame.state & 3 for frame in site.counts()}
    assert len(generations) == 2
    lost = fake_machine.pulses[4] - check_totals(site)[0]
    assert lost <= LOSS_S // 7 + 1
    assert len({frame.epoch for frame in site.statuses()}) == 2
    assert site.node.epoch.farewell is None


def test_the_farewell_of_an_old_epoch_is_sent_until_it_is_acknowledged():
    site = Site(unix=MIDNIGHT - 600)
    site.pulses(4, 7, 2 * HOUR)
    site.run(2 * HOUR + 430)
    site.document["interval_s"] = 300
    site.network.lose = lambda number, port: port == ports.COUNTS and site.now() < 3 * HOUR
    site.run(3 * HOUR)
    assert site.node.epoch.farewell is not None
    site.run(5 * HOUR)
    assert site.node.epoch.farewell is None
    assert fake_machine.pulses[4] - check_totals_of_epochs(site) <= LOSS_S // 7 + 1


def check_totals_of_epochs(site):
    """The sum over epochs of the highest total of the first channel."""
    highest = {}
    for frame in site.counts():
        key = frame.state & 7
        highest[key] = max(highest.get(key, 0), frame.totals[0])
    return sum(highest.values())


def test_lost_totals_begin_a_new_epoch_and_the_unsynced_index_goes_on():
    site = Site(unix=MIDNIGHT - 600)
    site.network.gives_time = False
    site.pulses(4, 7, 4 * HOUR)
    site.run(2 * HOUR)
    unsynced = site.node.intervals.unsynced_index
    epoch = site.node.epoch.number
    assert unsynced > 3
    import os

    os.remove("state/totals")
    site.network.gives_time = True
    site.run(4 * HOUR)
    assert site.node.epoch.number != epoch
    assert site.node.intervals.unsynced_index >= unsynced


def erasures_a_day(channels):
    """From a quarter of a day, after the first hour."""
    site = Site(unix=MIDNIGHT - 600, channels=[{"class": "bicycle", "pin": 4 + n} for n in range(channels)])
    site.pulses(4, 7, 7 * HOUR)
    site.run(HOUR)
    before = sum(site.flash.erased)
    site.run(7 * HOUR)
    erased = 4 * (sum(site.flash.erased) - before)
    print("erasures a day with", channels, "channels:", erased)
    return erased


def test_flash_wear_of_two_channels_is_what_the_readme_says():
    assert 200 < erasures_a_day(2) <= 260


def test_flash_wear_of_eight_channels_is_what_the_readme_says():
    assert 1500 < erasures_a_day(8) <= 1900
