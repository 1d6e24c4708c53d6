"""The button of a whole node: presses, bounces, what is sent and what the lamp says of the answer."""

import fake_bus  # noqa: F401 - its select hears the button's flag
import fake_machine
from lamp_states import UNANSWERED
from managed_rig import LED, Managed
from node_rig import MIDNIGHT
from world import world

from app import led
from zaehlwerk_protocol import ports

BUTTON = 38
# Well after the first frames of a start, and before the next counts.
CALM = 700


class Pressed(Managed):
    """A managed site with a button; times in seconds, lengths in ms."""

    def __init__(self, **arguments):
        super().__init__(unix=MIDNIGHT - 600, **arguments)
        self.button = (BUTTON, False)
        fake_machine.levels[BUTTON] = 1

    def press(self, second, ms=200):
        self.level(1000 * second, 0)
        self.level(1000 * second + ms, 1)

    def level(self, ms, level):
        world.at(1000 * ms, lambda: fake_machine.set_level(BUTTON, level))

    def statuses_after(self, second):
        """Seconds of the status frames that were sent from `second` on."""
        return [
            us // 1000000
            for us, _, port, _ in self.network.sent
            if port == ports.STATUS and us >= second * 1000000
        ]

    def asks(self, second):
        """Whether a LinkCheckReq was answered from `second` on."""
        return self.node.link is not None and self.node.link[2] >= 1000 * second


def test_a_short_press_sends_a_status_at_once_and_asks_how_well_it_is_heard():
    site = Pressed()
    site.press(CALM)
    site.run(CALM + 60)
    sent = site.statuses_after(CALM)
    assert len(sent) == 1
    assert sent[0] - CALM < 5
    assert site.node.link[:2] == (20, 1)
    assert site.asks(CALM)


def test_without_a_press_nothing_is_sent_and_nothing_is_asked():
    site = Pressed()
    site.run(CALM + 60)
    assert site.statuses_after(CALM) == []
    assert site.node.link is None


def test_presses_within_a_minute_send_one_frame_and_one_after_it_the_next():
    site = Pressed()
    for second in range(CALM, CALM + 60, 5):
        site.press(second)
    site.press(CALM + 62)
    site.run(CALM + 120)
    first, second = site.statuses_after(CALM)
    assert second - first >= 60


def test_a_press_that_bounces_is_one_press():
    site = Pressed()
    for i in range(10):
        site.level(1000 * CALM + 2 * i, i % 2)
    site.press(CALM + 1)
    site.run(CALM + 60)
    assert len(site.statuses_after(CALM)) == 1


def test_a_spike_shorter_than_the_debouncing_is_no_press():
    site = Pressed()
    site.press(CALM, 20)
    site.run(CALM + 60)
    assert site.statuses_after(CALM) == []
    assert site.node.pressed_at == 0


def test_a_long_press_does_nothing_and_a_short_one_after_it_works():
    site = Pressed()
    site.press(CALM, 10000)
    site.press(CALM + 30)
    site.run(CALM + 60)
    assert [second - CALM >= 30 for second in site.statuses_after(CALM)] == [True]
    assert not site.resets


def test_a_button_that_is_stuck_sends_nothing_and_the_node_counts_on():
    site = Pressed()
    site.press(CALM, 7200000)
    site.pulses(4, 10, 3000)
    site.run(3600)
    assert site.statuses_after(CALM) == []
    assert sum([frame.totals[0] for frame in site.counts()[-1:]]) > 200


def test_the_lamp_shows_the_margin_and_the_gateways_of_the_answer_and_goes_dark_a_minute_after_the_press():
    site = Pressed()
    levels = []

    def look():
        levels.append(fake_machine.levels.get(LED, 0))
        world.at(world.now_us + 100000, look)

    world.at(CALM * 1000000 + 50000, look)
    site.press(CALM)
    site.run(CALM + 100)
    # 20 dB: three long flashes; one gateway: a short one.
    text = "".join([str(level) for level in levels])
    assert "1111110000" * 3 + "0000000000" + "11000" in text
    assert any(levels[550:600])
    assert not any(levels[620:])


def test_a_press_before_the_node_joined_breaks_no_back_off():
    joins = []
    for presses in ((), (100, 170, 240)):
        site = Pressed()
        site.network.lose_joins = lambda number: True
        for second in presses:
            site.press(second)
        site.run(400)
        joins.append(len(site.network.joins))
    assert joins[0] == joins[1]


def test_a_press_that_the_network_does_not_answer_is_shown():
    site = Pressed()
    site.network.lose = lambda number, port: site.now() >= CALM
    site.press(CALM)
    site.run(CALM + 15)
    assert site.node.answered is False
    assert site.node.link is None
    assert led.state(False, False, False, True, site.node.answered) == UNANSWERED


def test_a_board_without_a_button_has_no_task_for_one():
    site = Pressed()
    site.button = None
    site.press(CALM)
    site.run(CALM + 60)
    assert BUTTON not in fake_machine.handlers
    assert site.statuses_after(CALM) == []
