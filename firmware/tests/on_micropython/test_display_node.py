"""The display of a whole node: what stands on it, when it is on, and what happens without one."""

import sys

import fake_bus  # noqa: F401 - its select hears the button's flag
import fake_machine
from framebuf import MONO_VLSB, FrameBuffer
from managed_rig import Managed
from node_rig import MIDNIGHT
from world import world

BUTTON, SUPPLY, RESET = 38, 36, 21
CALM = 700


class Screen:
    """machine.I2C with an SSD1306 that keeps what it is told; `there` is False when nobody acknowledges."""

    there = True
    writes = 0

    def __init__(self, number, scl=None, sda=None, freq=400000):
        Screen.pins = scl.id, sda.id

    def writeto(self, address, data):
        if not Screen.there or address != 0x3C:
            raise OSError(19)
        Screen.writes += 1
        Screen.at.append(world.now_us // 1000)
        data = bytes(data)
        if data[0] == 0x40:
            assert len(data) == 129
            Screen.memory[Screen.page] = data[1:]
            return
        assert data[0] == 0
        Screen.commands.append(data[1:])
        if data[1] in (0xAE, 0xAF):
            Screen.on = data[1] == 0xAF
        elif data[1] & 0xF0 == 0xB0:
            assert data[2:] == b"\x00\x10"
            Screen.page = data[1] & 7


fake_machine.I2C = Screen


def drawn(text):
    """The 128 bytes of a line."""
    page = bytearray(128)
    FrameBuffer(page, 128, 8, MONO_VLSB).text(text, 0, 0)
    return bytes(page)


class Shown(Managed):
    def __init__(self, **arguments):
        super().__init__(unix=MIDNIGHT - 600, **arguments)
        self.button, self.display = (BUTTON, False), (18, 17, RESET, SUPPLY)
        fake_machine.levels[BUTTON] = 1
        Screen.there, Screen.on, Screen.writes = True, None, 0
        Screen.memory, Screen.commands, Screen.at, Screen.page = [b""] * 8, [], [], 0

    def press(self, second):
        self.at(second, lambda: fake_machine.set_level(BUTTON, 0))
        world.at(second * 1000000 + 200000, lambda: fake_machine.set_level(BUTTON, 1))


def test_a_press_shows_the_network_the_signal_the_answer_the_battery_and_the_counts():
    site = Shown()
    site.battery = lambda: 3987
    site.pulses(4, 10, 10000)
    site.press(CALM)
    site.run(CALM + 35)
    assert Screen.on
    assert Screen.pins == (18, 17)
    expected = ["joined", "-80 dBm 7 dB", "+20 dB, 1 gw", "3.98 V", "0    73 1     0 ", "", "", ""]
    assert Screen.memory == [drawn(text) for text in expected]


def test_the_counts_are_those_of_this_second_and_none_is_lost_or_doubled_by_showing_them():
    totals = []
    for presses in ((), (CALM, CALM + 50, CALM + 100, CALM + 190)):
        site = Shown()
        site.pulses(4, 1, 10000)
        for second in presses:
            site.press(second)
        site.run(3600)
        totals.append([(frame.index, frame.totals) for frame in site.counts()])
    assert totals[0] == totals[1]


def test_it_goes_off_a_minute_after_the_last_press_and_leaves_the_heap():
    site = Shown()
    seen = []
    for second in (CALM - 1, CALM + 30, CALM + 80, CALM + 110):
        site.at(second, lambda: seen.append((Screen.on, fake_machine.levels.get(SUPPLY))))
    site.press(CALM)
    site.press(CALM + 40)
    site.run(CALM + 120)
    assert seen == [(None, None), (True, 0), (True, 0), (False, 1)]
    assert "app.display" not in sys.modules


def test_without_a_press_nothing_is_written_and_the_supply_is_left_alone():
    site = Shown()
    site.run(CALM)
    assert not Screen.writes
    assert SUPPLY not in [pin for pin, _ in fake_machine.driven]


def test_nothing_is_drawn_from_a_transmission_to_the_end_of_its_windows():
    site = Shown()
    site.network.lose = lambda number, port: site.now() >= CALM  # so that both windows are opened
    site.press(CALM)
    site.run(CALM + 60)
    sent = [
        (begin // 1000, end // 1000) for begin, end, _, _, _ in site.network.air if begin >= CALM * 1000000
    ]
    assert sent
    assert Screen.at
    for begin, end in sent:
        assert not [ms for ms in Screen.at if begin <= ms <= end + 2000]


def test_a_display_that_is_not_there_is_no_error():
    site = Shown()
    site.press(CALM)
    Screen.there = False
    site.run(CALM + 60)
    assert not site.node.faulty
    assert site.node.crash is None
    assert "app.display" not in sys.modules
    assert fake_machine.levels[SUPPLY] == 1


def test_a_display_that_comes_off_while_it_is_on_is_no_error_either():
    site = Shown()
    site.press(CALM)
    site.at(CALM + 10, lambda: setattr(Screen, "there", False))
    site.run(CALM + 60)
    assert site.node.crash is None
    assert fake_machine.levels[SUPPLY] == 1


def test_a_board_with_a_display_and_no_button_shows_it_for_a_minute_after_the_start():
    site = Shown()
    site.button = None
    seen = []
    for second in (30, 70):
        site.at(second, lambda: seen.append(Screen.on))
    site.run(100)
    assert seen == [True, False]


def test_the_memory_is_written_before_the_points_shine():
    site = Shown()
    site.press(CALM)
    site.run(CALM + 5)
    assert Screen.commands[0][0] == 0xAE
    first_on = [command[0] for command in Screen.commands].index(0xAF)
    assert len([command for command in Screen.commands[:first_on] if command[0] & 0xF0 == 0xB0]) == 8
