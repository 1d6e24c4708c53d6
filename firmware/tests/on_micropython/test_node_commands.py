"""Commands that change what the node does: done once, whatever is repeated or lost, and whenever the power goes."""

import fake_machine
from world import install, world

install()

from cut_steps import STEP  # noqa: E402
from managed_rig import LED, Managed  # noqa: E402
from node_rig import MIDNIGHT  # noqa: E402

from zaehlwerk_protocol import answer, command, ports  # noqa: E402

HOUR = 3600


def test_a_reboot_is_answered_first_and_done_once():
    site = Managed(unix=MIDNIGHT - 600)
    site.pulses(4, 7, 3 * HOUR)
    site.ask(HOUR, 1, command.REBOOT)
    site.run(3 * HOUR)
    assert site.results() == [(1, answer.OK)]
    assert len(site.resets) == 1
    answered = site.answers()[0][0]
    # Both windows of the answer are over, which take two seconds.
    assert answered + 2 <= site.resets[0] < answered + 10
    assert site.node.boots == 2
    assert site.node.reset_cause == fake_machine.HARD_RESET


def test_a_reboot_loses_no_pulse_that_came_before_it():
    site = Managed(unix=MIDNIGHT - 600)
    site.pulses(4, 1, HOUR + 1700)
    site.ask(HOUR, 1, command.REBOOT)
    site.run(2 * HOUR)
    # One second without power, in which one pulse came.
    assert fake_machine.pulses[4] - site.counts()[-1].totals[0] <= 2


def test_a_reboot_that_is_repeated_under_its_token_is_answered_and_not_done_again():
    site = Managed(unix=MIDNIGHT - 600)
    for second in (HOUR, 2 * HOUR, 3 * HOUR):
        site.ask(second, 1, command.REBOOT)
    site.run(4 * HOUR)
    assert site.results() == [(1, answer.OK)] * 3
    assert len(site.resets) == 1


def test_a_reboot_frame_that_is_played_back_on_the_air_is_not_heard_again():
    site = Managed(unix=MIDNIGHT - 600)
    site.ask(HOUR, 1, command.REBOOT)
    network, frames = site.network, []
    down = network.down

    def remember(ack, fopts, item):
        phy = down(ack, fopts, item)
        if item is not None:
            frames.append(phy)
        return phy

    network.down = remember
    site.run(2 * HOUR)
    network.down = lambda ack, fopts, item: frames[0]
    site.run(4 * HOUR)
    assert len(frames) == 1
    assert len(site.resets) == 1
    assert site.results() == [(1, answer.OK)]
    assert site.node.device.mac.refused


def test_power_that_goes_at_every_flash_operation_of_a_reboot_makes_no_second_one():
    cut_at, cut, tried, done = 1, True, 0, 0
    while cut:
        site = Managed(unix=MIDNIGHT - 130, interval_s=60, uplink_offset_s=10)
        site.run(200)
        site.ask(200, 1, command.REBOOT)
        cut = not site.run(500, cut_at)
        # The platform repeats what was not answered.
        world.move_to(world.now_us + 3000000)
        site.ask(site.now() + 100, 1, command.REBOOT)
        site.run(900)
        assert len(site.resets) <= 1, cut_at
        assert site.results()[-1] == (1, answer.OK), cut_at
        done += len(site.resets)
        tried += 1
        cut_at += STEP
    assert cut_at > 20
    # Only where power went between the token and the deed it is not done.
    assert done >= tried - -(-23 // STEP), (done, tried)


def test_a_rejoin_is_answered_first_and_the_old_session_is_in_use_until_there_is_a_new_one():
    site = Managed(unix=MIDNIGHT - 600)
    site.network.lose_joins = lambda number: number > 1 and site.now() < 2 * HOUR
    old = []
    site.at(HOUR - 1, lambda: old.append(site.node.device.mac.session.address))
    site.ask(HOUR, 1, command.REJOIN)
    site.run(3 * HOUR)
    assert site.results() == [(1, answer.OK)]
    assert site.network.joined == 2
    requests = [begin for begin, _, _, _, phy in site.network.air if phy[0] == 0]
    between = [
        phy for begin, _, _, _, phy in site.network.air if requests[1] < begin < requests[-1] and phy[0]
    ]
    assert len(between) > 2
    assert {int.from_bytes(phy[1:5], "little") for phy in between} == set(old)
    assert site.node.device.mac.session.address != old[0]
    assert site.counts()[-1].index - site.counts()[0].index == len(site.counts()) - 1


def test_a_rejoin_goes_on_although_the_network_is_heard_meanwhile():
    site = Managed(unix=MIDNIGHT - 600)
    site.network.lose_joins = lambda number: number > 1 and site.now() < 2 * HOUR
    site.ask(HOUR, 1, command.REJOIN)
    # A downlink under the old session.
    site.ask(HOUR + 1000, 2, command.TIME)
    site.run(8 * HOUR)
    assert site.network.joined == 2
    assert sorted(site.results()) == [(1, answer.OK), (2, answer.OK)]


def test_identify_blinks_the_boards_led_for_the_asked_seconds():
    site = Managed(unix=MIDNIGHT - 600)
    site.at(HOUR, fake_machine.driven.clear)  # of the time after the start
    site.ask(HOUR, 1, command.IDENTIFY, 60)
    site.run(2 * HOUR)
    assert site.results() == [(1, answer.OK)]
    levels = [level for pin, level in fake_machine.driven if pin == LED]
    assert levels.count(1) == 120
    assert levels[0] == levels[-1] == 0
    import sys

    assert "app.led" not in sys.modules


def test_a_second_identify_ends_the_first():
    site = Managed(unix=MIDNIGHT - 600)
    site.led = (LED, 0)
    site.at(HOUR, fake_machine.driven.clear)
    site.ask(HOUR, 1, command.IDENTIFY, 3600)
    site.ask(HOUR + 1500, 2, command.IDENTIFY, 1)
    site.run(3 * HOUR)
    levels = [level for pin, level in fake_machine.driven if pin == LED]
    assert 1000 < levels.count(0) < 2500
    # Bright at 0: dark in the end.
    assert levels[-1] == 1


def test_a_board_without_an_led_refuses_to_identify():
    site = Managed(unix=MIDNIGHT - 600)
    site.led = None
    site.ask(HOUR, 1, command.IDENTIFY, 60)
    site.run(2 * HOUR)
    assert site.results() == [(1, answer.REFUSED)]
    assert not [pin for pin, _ in fake_machine.driven if pin == LED]


def test_time_makes_the_next_uplink_ask_the_network():
    site = Managed(unix=MIDNIGHT - 600)
    asked = []
    network = site.network
    down = network.down

    def answered(ack, fopts, item):
        if fopts[:1] == b"\x0d":
            asked.append(site.now())
        return down(ack, fopts, item)

    network.down = answered
    # The first hour's questions are over, the next one is six hours away.
    site.ask(2 * HOUR, 1, command.TIME)
    site.run(4 * HOUR)
    assert site.results() == [(1, answer.OK)]
    late = [at for at in asked if at > 2 * HOUR]
    assert len(late) == 1
    assert late[0] < 2 * HOUR + 2000


def test_an_answer_from_before_the_hint_is_believed_only_when_a_second_one_says_the_same():
    site = Managed(unix=MIDNIGHT - 600)
    site.network.error_s = -5 * HOUR
    site.run(2 * HOUR)
    clock = site.node.clock
    asked = []
    take = clock.take
    clock.ask((site.unix + 2 * HOUR) * 1000)
    now = site.node.uptime()
    assert clock.wants(now)
    wrong = clock.utc_ms(now)
    asked.append(take(wrong, now))
    assert clock.doubtful
    asked.append(take(wrong + 1000, now + 1000))
    assert asked == ["doubtful", "absorbed"]


def test_clear_alarm_reaches_the_alarms():
    site = Managed(unix=MIDNIGHT - 600)
    cleared = []

    def watch():
        rarely = site.node.alarms.rarely

        def noted(what, *arguments):
            if what == "clear":
                cleared.extend(arguments)
            return rarely(what, *arguments)

        site.node.alarms.rarely = noted

    site.at(1000, watch)
    site.ask(HOUR, 1, command.CLEAR_ALARM, 3, 0)
    site.run(2 * HOUR)
    assert cleared == [3]
    assert site.results() == [(1, answer.OK)]


def test_answers_go_before_a_long_backfill():
    site = Managed(unix=MIDNIGHT - 600, interval_s=60, uplink_offset_s=10)
    site.run(4 * HOUR)
    first = (site.unix + 1200) // 60 & 0xFFFF
    site.ask(4 * HOUR, 1, command.BACKFILL, 0, first, 200)
    site.ask(4 * HOUR + 60, 2, command.TIME)
    site.run(6 * HOUR)
    rows = [at for at, _ in site.frames(ports.BACKFILL)]
    assert len(rows) > 1
    assert site.answers()[0][0] < rows[-1]


def test_a_token_that_comes_again_with_another_command_is_answered_as_before():
    site = Managed(unix=MIDNIGHT - 600)
    site.ask(HOUR, 1, command.TIME)
    site.ask(2 * HOUR, 1, command.REBOOT)
    site.run(3 * HOUR)
    assert [(kind, result) for _, _, kind, result, _ in site.answers()] == [(command.TIME, answer.OK)] * 2
    assert site.resets == []
