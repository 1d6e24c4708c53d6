"""A whole node that sleeps between passages: when it does, when not, and that nothing it wakes for is lost."""

from world import install, world

install()

import fake_machine  # noqa: E402
import fake_sleep  # noqa: E402
import micropython  # noqa: E402
from node_rig import MIDNIGHT, Site  # noqa: E402

from app.clock import ABSORBED, SET  # noqa: E402
from app.sleep import RoughClock  # noqa: E402
from counting import SHORT, UNVERIFIED  # noqa: E402
from lorawan import eu868  # noqa: E402

if not hasattr(micropython, "schedule"):
    micropython.schedule = lambda handler, argument: handler(argument)

CONTACT = {"class": "bicycle", "direction": "in", "sensor": "contact", "pin": 4}
BANDS = eu868.SUB_BANDS


class Sleepy(Site):
    """A site with one contact, active high; times in ms."""

    def __init__(self, **settings):
        eu868.SUB_BANDS = BANDS
        settings = dict({"sleep": "light", "channels": [CONTACT]}, **settings)
        Site.__init__(self, MIDNIGHT - 600, **settings)
        fake_sleep.install()
        self.idle = 1 if settings["channels"][0].get("edge") == "falling" else 0
        fake_machine.levels[4] = self.idle

    def passage(self, at, length):
        world.at(1000 * at, lambda: fake_machine.set_level(4, 1 - self.idle))
        world.at(1000 * (at + length), lambda: fake_machine.set_level(4, self.idle))

    def counted(self):
        node = self.node
        node.intervals.read(node.uptime(), *node.inputs.read())
        return node.intervals.pulses[0]

    def watch_notes(self):
        """`noted`: all codes of the readings from now on."""
        inputs = self.node.inputs
        read = inputs.read
        self.noted = 0

        def noting():
            found = read()
            self.noted |= inputs.health[0]
            return found

        inputs.read = noting


def test_it_sleeps_when_the_technicians_grace_is_over_and_counts_what_wakes_it():
    site = Sleepy(grace_s=60)
    for n in range(50):
        site.passage(61000 + 7300 * n, 30 + 11 * n)
    site.run(600)
    assert site.counted() == 50
    assert fake_sleep.slept[0][0] >= 60 * 1000000
    assert fake_sleep.seconds() > 500
    assert site.node.inputs.health == [UNVERIFIED]


def test_contacts_that_are_active_low_wake_it_too():
    site = Sleepy(channels=[dict(CONTACT, edge="falling", pull="up")])
    for n in range(20):
        site.passage(61000 + 7300 * n, 50)
    site.run(300)
    assert site.counted() == 20
    assert fake_sleep.seconds() > 250


def test_without_the_setting_nobody_sleeps():
    site = Sleepy(sleep="none")
    site.run(300)
    assert fake_sleep.slept == []
    assert eu868.SUB_BANDS == BANDS


def test_where_nothing_can_wake_it_the_node_says_so_and_counts_awake():
    site = Sleepy()
    fake_sleep.remove()
    site.passage(70000, 50)
    site.run(200)
    assert fake_sleep.slept == []
    assert b"wake_on_gpio" in site.node.crash
    assert site.counted() == 1


def test_in_safe_mode_nobody_sleeps():
    site = Sleepy()
    fake_machine.cause = fake_machine.WDT_RESET
    try:
        for _ in range(5):
            site.run(site.now() + 30)
        fake_sleep.slept.clear()
        site.run(site.now() + 300)
    finally:
        fake_machine.cause = fake_machine.PWRON_RESET
    assert site.node.safe
    assert fake_sleep.slept == []


class Unending:
    def done(self):
        return False

    def cancel(self):
        pass


def hold_quiet(node):
    node.quiet.state = 1


def show(node):
    node._showing["led"] = Unending()


def blink(node):
    node.blinking = Unending()


def last_sleep_s(begin):
    """When it went to sleep for the last time, where begin(node) was called at 100 s."""
    site = Sleepy()
    site.at(100, lambda: begin(site.node))
    site.run(130)
    assert fake_sleep.seconds() > 50
    return fake_sleep.slept[-1][0] // 1000000


def test_while_quiet_is_held_or_something_shines_it_is_awake():
    for begin in (hold_quiet, show, blink):
        assert last_sleep_s(begin) < 100
    assert last_sleep_s(lambda node: None) > 105


def test_no_frame_is_on_the_air_and_no_window_open_while_it_sleeps():
    site = Sleepy()
    site.at(1800, lambda: setattr(site.network, "lose", lambda number, port: True))
    site.run(2 * 3600)
    air = [(begun, end + 2000000) for begun, end, _, _, _ in site.network.air if begun > 1800 * 1000000]
    assert len(air) > 5
    for begun, end in fake_sleep.slept:
        # To the begin of the second window, when nothing is heard in the first.
        assert not any([begun < last and end > first for first, last in air]), (begun, end)


def test_a_pin_that_stays_active_is_waited_for_awake_and_is_stuck():
    site = Sleepy(channels=[dict(CONTACT, stuck_s=60)])
    site.passage(100000, 400000)
    site.run(400)
    assert site.node.inputs.faulty
    assert fake_sleep.seconds(101) == 0


def test_when_it_has_come_to_rest_again_it_sleeps_again():
    site = Sleepy()
    site.passage(100000, 20000)
    site.run(200)
    assert site.counted() == 1
    # The last one was not over at the end.
    assert 60 < fake_sleep.seconds(100) < 80


def test_a_signal_that_is_over_when_it_is_awake_is_noted_and_not_counted():
    site = Sleepy()
    real = fake_machine.lightsleep

    def slow(ms):
        # Awake, it finds the pin as it was.
        real(ms)
        if fake_sleep.cause[0] == fake_sleep.GPIO:
            fake_machine.levels[4] = 0

    fake_machine.lightsleep = slow
    site.at(90, site.watch_notes)
    site.passage(100000, 1)
    site.run(200)
    assert site.counted() == 0
    assert site.noted & SHORT


def test_an_edge_that_no_interrupt_told_of_keeps_it_awake_until_the_sensor_knows():
    site = Sleepy()
    world.at(100000 * 1000, lambda: fake_machine.set_level(4, 1))
    world.at(100300 * 1000, lambda: fake_machine.set_level(4, 0, interrupt=False))
    known = []
    world.at(101000 * 1000, lambda: known.append(site.node.inputs._sensors[0].contact.level))
    site.run(200)
    assert site.counted() == 1
    assert known == [0]


def test_the_rests_of_the_duty_cycle_are_longer_than_the_clock_can_be_fast():
    site = Sleepy()
    site.run(30)
    assert len(eu868.SUB_BANDS) == len(BANDS)
    for i in range(len(BANDS)):
        assert BANDS[i][:2] == eu868.SUB_BANDS[i][:2]
        # Rests are airtime times (n - 1).
        assert (BANDS[i][2] - 1) * 101 <= (eu868.SUB_BANDS[i][2] - 1) * 100


def test_the_radios_select_line_is_held_while_it_sleeps():
    site = Sleepy()
    import node_rig

    node_rig.Board.NSS = 8
    try:
        site.run(100)
    finally:
        del node_rig.Board.NSS
    assert fake_sleep.held[:2] == [(8, True), (8, False)]


def test_the_button_wakes_it_where_contacts_are_active_low():
    import node_rig

    site = Sleepy(channels=[dict(CONTACT, edge="falling", pull="up")])
    node_rig.Board.BUTTON = (38, False)
    fake_machine.levels[38] = 1
    pressed = []
    world.at(100000 * 1000, lambda: fake_machine.set_level(38, 0))
    world.at(100200 * 1000, lambda: fake_machine.set_level(38, 1))
    world.at(100001 * 1000, lambda: pressed.append(fake_sleep.slept[-1][1]))
    try:
        site.run(150)
    except RuntimeError:
        pass
    finally:
        del node_rig.Board.BUTTON
    assert [pin.id for pin in fake_sleep.wakes[0]] == [4, 38]
    assert pressed == [100000 * 1000]


class Drift:
    """Ticks that are off by `ppm`: uptime(second) is what they show."""

    def __init__(self, ppm):
        self.ppm = ppm

    def uptime(self, second):
        return second * 1000 + second * self.ppm // 1000


def test_the_clocks_bound_holds_from_the_first_answer_on_whatever_was_measured_of_slow_clocks():
    for ppm in (0, 1000, 3300, 7000, -3000):
        ticks = Drift(ppm)
        clock = RoughClock(450000)
        assert clock.error_ms(5) is None
        assert clock.wants(0)
        assert clock.take(1000000 * 1000, ticks.uptime(0)) == SET
        asked = 0
        for minute in range(1, 8 * 60):
            uptime = ticks.uptime(60 * minute)
            true = 1000000000 + 60000 * minute
            assert abs(clock.utc_ms(uptime) - true) <= clock.error_ms(uptime), (ppm, minute)
            assert clock.error_ms(uptime) < 10000
            # Every quarter of an hour there is a frame that can ask.
            if minute % 15 == 0 and clock.wants(uptime):
                asked += 1
                assert clock.take(true, uptime) == ABSORBED
        assert 16 <= asked <= 20


def test_a_short_span_teaches_the_clock_nothing():
    clock = RoughClock(450000)
    clock.take(1000000, 0)
    clock.take(1000000 + 100000, 101000)
    assert clock.utc_ms(101000 + 1000000) == 1100000 + 1000000
    assert clock.error_ms(101000 + 1000000) == 30 + 7000


def test_a_step_beyond_any_slow_clock_is_no_rate():
    clock = RoughClock(450000)
    clock.take(1000000, 0)
    clock.take(1000000 + 1000000, 1030000)
    assert clock.utc_ms(1030000 + 1000000) == 2000000 + 1000000
