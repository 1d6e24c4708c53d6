"""The node as a program, in virtual time, on littlefs, against a network that hears and answers it."""

import fake_machine
from world import install, world

install()

from node_rig import MIDNIGHT, SETTINGS, Site, slot  # noqa: E402

from zaehlwerk_protocol import answer, cbor, command, ports  # noqa: E402
from zaehlwerk_protocol.command import Command  # noqa: E402

HOUR = 3600
FULL = (0, 0)


def day(site, until):
    """Pulses half a second beside the full seconds, hence never within the clock's error of a boundary."""
    site.pulses(4, 7, until)
    site.pulses(5, 11, until)


def ledger(frames):
    """{slot: counts} from count frames, by totals and by history; they must agree."""
    totals, counts = {}, {}
    for frame in frames:
        seen = totals.setdefault(frame.index, frame.totals)
        assert seen == frame.totals, "two totals of slot %d" % frame.index
        for back, row in enumerate(frame.history):
            index = (frame.index - 1 - back) & 0xFFFF
            assert counts.setdefault(index, row) == row, "two counts of slot %d" % index
    for index, total in totals.items():
        before = totals.get((index - 1) & 0xFFFF)
        if before is not None:
            row = tuple([(total[i] - before[i]) & 0xFFFF for i in range(len(total))])
            assert counts.setdefault(index, row) == row, "totals and history of slot %d" % index
    return counts


def test_a_day_is_counted_to_the_last_pulse():
    site = Site(unix=MIDNIGHT - 600)
    day(site, 24 * HOUR)
    assert site.run(26 * HOUR)
    last = site.counts()[-1]
    assert last.totals == (fake_machine.pulses[4], fake_machine.pulses[5])
    counts = ledger(site.counts())
    unix = site.unix
    # Each whole quarter-hour has the pulses whose moment lies in it.
    for start in range(600, 24 * HOUR - 900, 900):
        row = counts[slot(start, unix)]
        for i, every in ((0, 7), (1, 11)):
            expected = (start + 899) // every - (start - 1) // every
            assert row[i] == expected, (start, row, expected)
    assert not fake_machine.WDT.starved


def test_first_uplinks_are_join_then_status_with_the_time_then_counts_at_the_offset():
    site = Site(unix=MIDNIGHT - 600)
    site.run(HOUR)
    kinds = [port for _, _, port, _ in site.network.uplinks]
    assert kinds[0] == ports.STATUS
    first = site.statuses()[0]
    assert first.version == 1
    assert first.state & 4
    assert first.anchor is None
    assert site.network.utc_us() // 1000000 - site.unix == HOUR
    sent = [at for at, frame in site.frames(ports.COUNTS)]
    for at in sent:
        # Seconds into the interval: the offset of 60 s, and the airtime.
        assert (site.unix + at) % 900 in (60, 61)
    assert len(sent) == 4


def test_an_offset_from_the_dev_eui_spreads_the_nodes_and_ends_before_the_boundary():
    from app.settings import derive, validate

    offsets = set()
    for i in range(50):
        document = dict(SETTINGS, uplink_offset_s=None, dev_eui="70b3d57ed000%04x" % i)
        offset = derive(validate(document))["offset_ms"]
        assert 3000 <= offset <= 860000
        offsets.add(offset // 90000)
    assert len(offsets) >= 8


def test_status_is_anchored_once_the_first_interval_is_closed():
    site = Site(unix=MIDNIGHT - 300)
    day(site, HOUR)
    site.run(HOUR)
    anchored = [frame for frame in site.statuses() if frame.anchor is not None]
    assert len(anchored) == 1
    index, totals = anchored[0].anchor
    of_counts = [frame for frame in site.counts() if frame.index == index]
    assert of_counts[0].totals == totals
    assert anchored[0].health.channels == ((2, 1), (2, 2))


def test_first_partial_slot_is_published_with_its_cover():
    site = Site(unix=MIDNIGHT - 300)
    day(site, HOUR)
    site.run(HOUR)
    first = site.counts()[0]
    assert first.index == slot(-1)
    assert first.cover[0][0] == 0b11
    assert 80 <= first.cover[0][1] <= 85
    assert site.counts()[1].cover[0] == FULL


def test_lost_uplinks_are_in_the_history_of_the_next():
    site = Site(unix=MIDNIGHT - 600)
    day(site, 6 * HOUR)
    site.network.lose = lambda number, port: port == ports.COUNTS and number % 3 != 0
    site.run(7 * HOUR)
    counts = ledger(site.counts())
    known = sorted(counts)
    assert len(known) >= 20
    assert sum(row[0] for row in counts.values()) <= fake_machine.pulses[4]


def test_a_channel_that_is_not_observed_is_flagged_and_the_other_is_not():
    site = Site(unix=MIDNIGHT - 600)
    day(site, HOUR)
    # ok_pin of the second channel: low from second 1500 to 2400, a whole quarter-hour.
    site.at(1500, lambda: fake_machine.set_level(6, 0))
    site.at(2400, lambda: fake_machine.set_level(6, 1))
    site.run(3400)
    covers = {frame.index: frame.cover for frame in site.counts()}
    assert covers[slot(1500, site.unix)][0] == (0b10, 0)
    # History of the next frame says so too.
    assert covers[slot(2400, site.unix)][:2] == (FULL, (0b10, 0))


def test_an_edge_lost_by_the_scheduler_is_noticed_at_the_next_reading():
    site = Site(unix=MIDNIGHT - 600)
    day(site, HOUR)
    site.at(1500, lambda: fake_machine.set_level(6, 0, interrupt=False))
    site.run(4000)
    covers = {frame.index: frame.cover for frame in site.counts()}
    assert covers[slot(2400, site.unix)][0] == (0b10, 0)


def test_ticks_wrap_without_a_mark():
    site = Site(unix=MIDNIGHT - 600)
    # 2^30 ms of ticks are reached after 75 minutes.
    world.offset_ms = (1 << 30) - 75 * 60000
    try:
        day(site, 4 * HOUR)
        site.run(5 * HOUR)
    finally:
        world.offset_ms = 0
    frames = site.counts()
    assert frames[-1].totals == (fake_machine.pulses[4], fake_machine.pulses[5])
    assert [frame.index for frame in frames] == list(range(frames[0].index, frames[0].index + len(frames)))
    assert all(frame.cover == () for frame in frames[4:])


def test_more_than_32000_pulses_in_an_interval_are_counted():
    site = Site(unix=MIDNIGHT - 600)

    def burst():
        fake_machine.pulses[4] = fake_machine.pulses.get(4, 0) + 9999
        if site.now() < HOUR:
            site.at(site.now() + 30, burst)

    site.at(30, burst)
    site.run(2 * HOUR)
    assert site.counts()[-1].totals[0] == fake_machine.pulses[4] & 0xFFFF
    # A total that moved far is anchored again.
    anchors = [frame.anchor[1][0] for frame in site.statuses() if frame.anchor]
    assert max(anchors) > 0x10000
    assert len(anchors) >= 3


def test_nothing_of_the_flash_is_written_between_a_transmission_and_the_end_of_its_windows():
    site = Site(unix=MIDNIGHT - 600)
    day(site, 2 * HOUR)
    busy, written = [], []
    network, flash = site.network, site.flash
    transmit, receive, count = network.transmit, network.receive, flash._count

    async def marked_transmit(*arguments):
        busy.append(1)
        return await transmit(*arguments)

    async def marked_receive():
        network.windows = getattr(network, "windows", 0) + 1
        return await receive()

    def sleep():
        busy.clear()

    def counted():
        if busy:
            written.append(world.now_us)
        return count()

    network.transmit, network.receive = marked_transmit, marked_receive
    flash._count = counted
    # The second window ends the silence: `sleep` is called after the session was stored, so ask the lock instead.
    node_heard = []

    def heard(original):
        def after(now, payload, snr=0):
            busy.clear()
            node_heard.append(now)
            return original(now, payload, snr)

        return after

    from lorawan.mac import Mac

    original = Mac.heard

    def patched(self, now, payload, snr=0):
        if payload is not None or self._window == 2:
            busy.clear()
        return original(self, now, payload, snr)

    Mac.heard = patched
    try:
        site.run(2 * HOUR)
    finally:
        Mac.heard = original
    assert network.windows > 10
    assert written == []


def test_a_network_without_the_time_gets_unsynced_counts_and_a_mapping_later():
    site = Site(unix=MIDNIGHT - 600)
    site.network.gives_time = False
    day(site, 3 * HOUR)

    def learn():
        site.network.gives_time = True

    site.at(2 * HOUR, learn)
    site.run(4 * HOUR)
    unsynced = [frame for frame in site.counts() if frame.state & 4]
    synced = [frame for frame in site.counts() if not frame.state & 4]
    assert [frame.index for frame in unsynced][:3] == [0, 1, 2]
    mappings = [frame.mapping for frame in site.statuses() if frame.mapping]
    assert mappings
    index, start = mappings[-1]
    assert index == 0
    assert abs(start - site.unix) <= 1
    # Every pulse is in one of the two spaces, and in only one.
    last_unsynced, last = unsynced[-1], synced[-1]
    for i, pin in ((0, 4), (1, 5)):
        assert last_unsynced.totals[i] + last.totals[i] == fake_machine.pulses[pin]


def test_the_last_unsynced_record_is_sent_until_it_is_acknowledged():
    site = Site(unix=MIDNIGHT - 600)
    site.network.gives_time = False
    day(site, 3 * HOUR)
    site.at(2 * HOUR + 30, lambda: setattr(site.network, "gives_time", True))
    lost = []

    def lose(number, port):
        if site.now() > 2 * HOUR + 30 and port == ports.COUNTS and len(lost) < 3:
            lost.append(number)
            return True
        return False

    site.network.lose = lose
    site.run(4 * HOUR)
    unsynced = [frame for frame in site.counts() if frame.state & 4]
    synced = [frame for frame in site.counts() if not frame.state & 4]
    assert unsynced[-1].totals[0] + synced[-1].totals[0] == fake_machine.pulses[4]
    assert site.node.epoch.unsynced_done == site.node.intervals.unsynced_index


def test_status_is_repeated_until_it_is_acknowledged_with_rising_counters():
    site = Site(unix=MIDNIGHT - 600)
    site.network.lose = lambda number, port: port == ports.STATUS and number < 12
    site.run(4 * HOUR)
    counters = [counter for _, counter, _, _ in site.network.sent]
    assert counters == list(range(len(counters)))
    assert site.node.epoch.acknowledged
    assert site.node.epoch.anchored


def test_backfill_is_answered_with_the_stored_rows():
    site = Site(unix=MIDNIGHT - 600)
    day(site, 8 * HOUR)
    first = slot(600, site.unix)

    def ask():
        site.network.queue.append((ports.COMMAND, Command(7, command.BACKFILL, (0, first, 20)).encode()))

    site.at(7 * HOUR, ask)
    site.run(9 * HOUR)
    rows = {}
    for _, frame in site.frames(ports.BACKFILL):
        for i, row in enumerate(frame.rows):
            rows[frame.index + i] = row
    assert sorted(rows) == list(range(first, first + 20))
    known = ledger(site.counts())
    for index, row in rows.items():
        assert known[index] == row


def test_a_repeated_token_is_answered_and_not_done_twice():
    site = Site(unix=MIDNIGHT - 600)
    request = Command(9, command.STATUS).encode()

    def ask():
        site.network.queue.append((ports.COMMAND, request))

    site.at(HOUR, ask)
    site.at(2 * HOUR, ask)
    site.run(3 * HOUR)
    asked = [at for at, frame in site.frames(ports.STATUS) if at > HOUR]
    assert len(asked) == 1
    answers = [frame for _, frame in site.frames(ports.ANSWER)]
    assert [(a.token, a.kind, a.result) for a in answers] == [(9, command.STATUS, answer.OK)]


def test_a_token_is_remembered_across_a_power_cut():
    site = Site(unix=MIDNIGHT - 600)
    site.at(HOUR, lambda: site.network.queue.append((ports.COMMAND, Command(9, command.STATUS).encode())))
    site.run(2 * HOUR)
    before = len(site.statuses())
    site.at(3 * HOUR, lambda: site.network.queue.append((ports.COMMAND, Command(9, command.STATUS).encode())))
    site.run(5 * HOUR)
    # One status because of the start, none because of the command.
    assert len(site.statuses()) == before + 1
    assert [frame.token for _, frame in site.frames(ports.ANSWER)] == [9]


def test_commands_that_cannot_be_done_are_refused_by_name():
    site = Site(unix=MIDNIGHT - 600)
    requests = (
        (1, command.IDENTIFY, (5,), answer.REFUSED),
        (2, 99, (), answer.UNKNOWN_KIND),
        (3, command.BACKFILL, (0, 1), answer.BAD_ARGS),
        (4, command.BACKFILL, (0, slot(-500000), 5), answer.NO_RECORD),
        (5, command.BACKFILL, (1, 0, 5), answer.NO_RECORD),
    )
    for i, (token, kind, args, _) in enumerate(requests):
        # The codec writes no command that does not fit its kind: this is how another's would look.
        frame = cbor.encode((token, kind, args))
        site.at(HOUR + 900 * i, lambda frame=frame: site.network.queue.append((ports.COMMAND, frame)))
    site.run(4 * HOUR)
    answers = {frame.token: frame.result for _, frame in site.frames(ports.ANSWER)}
    assert answers == {token: result for token, _, _, result in requests}


def test_an_unreadable_command_changes_nothing():
    site = Site(unix=MIDNIGHT - 600)
    site.at(HOUR, lambda: site.network.queue.append((ports.COMMAND, b"\xff\x00")))
    site.run(2 * HOUR)
    assert site.frames(ports.ANSWER) == []
    assert site.node.epoch.tokens == []


def test_a_large_time_step_is_confirmed_by_a_second_answer_before_it_is_believed():
    site = Site(unix=MIDNIGHT - 600)
    network = site.network

    def once_wrong():
        network.error_s = 5 * HOUR

    def right():
        network.error_s = 0

    # The question of the first hour gets one wrong answer.
    site.at(HOUR - 300, once_wrong)
    watched = []
    original = network.down

    def down(ack, fopts, item):
        if b"\x0d" in fopts[:1] and network.error_s:
            watched.append(site.now())
            world.at(world.now_us + 1000, right)
        return original(ack, fopts, item)

    network.down = down
    site.run(4 * HOUR)
    assert watched
    indices = [frame.index for frame in site.counts()]
    assert indices == list(range(indices[0], indices[0] + len(indices)))


def test_a_confirmed_step_back_begins_a_new_epoch_and_every_pulse_stays_counted_once():
    site = Site(unix=MIDNIGHT - 600)
    network = site.network
    network.error_s = 5 * HOUR
    day(site, 3 * HOUR)
    site.at(HOUR - 300, lambda: setattr(network, "error_s", 0))
    site.run(4 * HOUR)
    last = {}
    for frame in site.counts():
        last[frame.state & 3] = frame
    assert len(last) == 2
    assert sum(frame.totals[0] for frame in last.values()) == fake_machine.pulses[4]
    epochs = {frame.state & 3: frame.epoch for frame in site.statuses()}
    assert len(set(epochs.values())) == 2


def test_a_lost_session_is_found_out_within_hours_and_joined_anew():
    site = Site(unix=MIDNIGHT - 600)
    day(site, 10 * HOUR)

    def forget():
        site.network.session = None

    site.at(2 * HOUR, forget)
    site.run(12 * HOUR)
    assert site.network.joined == 2
    assert site.counts()[-1].totals[0] == fake_machine.pulses[4]


def test_an_outage_of_the_gateway_ends_with_every_pulse_reported_and_no_join_storm():
    site = Site(unix=MIDNIGHT - 600)
    day(site, 20 * HOUR)
    away = lambda *_: 2 * HOUR < site.now() < 14 * HOUR  # noqa: E731
    site.network.lose = away
    site.network.lose_joins = away
    site.run(22 * HOUR)
    # With the old session, or with the one that was asked for meanwhile.
    assert site.network.joined <= 2
    assert site.counts()[-1].totals[0] == fake_machine.pulses[4]
    joins = [(begin, end - begin) for begin, end, _, _, phy in site.network.air if phy[0] == 0]
    first = joins[1][0]
    in_hour = sum([airtime for begin, airtime in joins[1:] if begin < first + HOUR * 1000000])
    after = sum([airtime for begin, airtime in joins[1:] if begin >= first + HOUR * 1000000])
    assert 0 < in_hour <= 36000000
    assert 0 < after <= 36000000


def test_without_a_network_it_counts_on_and_is_sparing_with_joins():
    site = Site(unix=MIDNIGHT - 600)
    day(site, 5 * HOUR)
    site.network.lose_joins = lambda number: site.now() < 4 * HOUR
    site.run(9 * HOUR)
    airtime = sum(
        end - begin for begin, end, _, _, phy in site.network.air if phy[0] == 0 and end < HOUR * 1000000
    )
    assert airtime <= 36000000
    last = site.counts()[-1]
    unsynced = [frame for frame in site.counts() if frame.state & 4]
    total = last.totals[0] + (unsynced[-1].totals[0] if unsynced else 0)
    assert total == fake_machine.pulses[4]


def test_a_radio_that_fails_is_started_again_and_counting_goes_on():
    from radio import RadioError

    site = Site(unix=MIDNIGHT - 600)
    day(site, 2 * HOUR)
    transmit = site.network.transmit

    async def failing(*arguments):
        if HOUR - 600 < site.now() < HOUR + 600:
            raise RadioError("no TX done: check BUSY and DIO1")
        return await transmit(*arguments)

    site.network.transmit = failing
    site.run(3 * HOUR)
    assert site.counts()[-1].totals[0] == fake_machine.pulses[4]
    assert "RadioError" in site.node.crash.decode()


def test_settings_trouble_is_a_fault_and_is_reported():
    site = Site(unix=MIDNIGHT - 600)
    site.trouble = None
    from app import node as module

    original = module.Node.__init__

    def troubled(self, settings, trouble, *rest):
        original(self, settings, "interval_s: must be a number", *rest)

    module.Node.__init__ = troubled
    try:
        site.run(HOUR)
    finally:
        module.Node.__init__ = original
    first = site.statuses()[0]
    assert first.state & 8
    assert first.health.crash == b"settings: interval_s: must be a number"[-32:]


def test_after_an_outage_of_three_days_all_of_it_is_sent_without_being_asked_and_no_count_is_late():
    site = Site(unix=MIDNIGHT - 600)
    end = 110 * HOUR
    day(site, end)
    begin, over = 20 * HOUR, 20 * HOUR + 3 * 24 * HOUR
    site.at(begin, lambda: setattr(site.network, "lose", lambda *_: True))
    site.at(begin, lambda: setattr(site.network, "lose_joins", lambda *_: True))
    site.at(over, lambda: setattr(site.network, "lose", lambda *_: False))
    site.at(over, lambda: setattr(site.network, "lose_joins", lambda *_: False))
    site.run(end)
    rows = {}
    for at, frame in site.frames(ports.BACKFILL):
        assert at > over
        for i, row in enumerate(frame.rows):
            rows[frame.index + i] = row
    counted = {frame.index: at for at, frame in site.frames(ports.COUNTS)}
    missed = [slot(at, site.unix) for at in range(begin + 1800, over - 1800, 900)]
    known = ledger(site.counts())
    assert all([index in rows for index in missed])
    assert all([sum(rows[index]) > 150 for index in missed])
    assert all([known[index] == row for index, row in rows.items() if index in known])
    first, begins = slot(over + 2 * HOUR, site.unix), (site.unix + over + 2 * HOUR) // 900 * 900 - site.unix
    for index in range(first, slot(end - HOUR, site.unix)):
        # Reported a minute after its end, and within the time that a transmission takes.
        late = counted[index] - begins - (index - first + 1) * 900
        assert 60 <= late <= 75, late


def test_an_outage_of_three_days_with_a_restart_in_it_is_sent_from_its_begin_without_being_asked():
    """What was counted after the restart, without a clock, is in the node's own numbering, and sent too."""
    site = Site(unix=MIDNIGHT - 600)
    end = 110 * HOUR
    day(site, end)
    begin, cut, over = 20 * HOUR, 50 * HOUR, 20 * HOUR + 3 * 24 * HOUR
    for name in ("lose", "lose_joins"):
        site.at(begin, lambda name=name: setattr(site.network, name, lambda *_: True))
        site.at(over, lambda name=name: setattr(site.network, name, lambda *_: False))
    site.run(cut)
    site.run(end)
    slots, own = {}, {}
    for at, frame in site.frames(ports.BACKFILL):
        assert at > over
        for i, row in enumerate(frame.rows):
            if row is not None:
                (own if frame.state & 4 else slots)[frame.index + i] = row
    missed = [slot(at, site.unix) for at in range(begin + 1800, cut - 1800, 900)]
    assert all([index in slots for index in missed])
    assert all([sum(slots[index]) > 150 for index in missed])
    last = max([frame.index for frame in site.counts() if frame.state & 4])
    assert sorted(own) == list(range(last))
    # All of the 42 hours without a clock, but for what was waiting to be placed when the clock came.
    assert last >= 4 * 39


def test_a_node_that_was_off_for_a_week_sends_no_more_than_it_has():
    site = Site(unix=MIDNIGHT - 600)
    end = 220 * HOUR
    day(site, end)
    site.run(20 * HOUR)
    world.move_to(200 * HOUR * 1000000)
    site.run(end)
    sent = [frame for _, frame in site.frames(ports.BACKFILL)]
    assert len(sent) < 10
    assert site.counts()[-1].totals[0] > 0


def test_uplinks_that_the_network_missed_now_and_then_are_no_outage():
    site = Site(unix=MIDNIGHT - 600)
    day(site, 48 * HOUR)
    site.network.lose = lambda number, port: number % 3 == 0
    site.run(48 * HOUR)
    assert site.frames(ports.BACKFILL) == []
