"""Pulses from hardware counters of any width, and how long a sensor really watched."""

import fake_machine
from expect import raises
from world import install, world

install()

import micropython  # noqa: E402
from machine import Pin  # noqa: E402

from counting import CHATTER, RESTARTED, SensorError  # noqa: E402
from counting.inputs import Inputs  # noqa: E402
from counting.pulse import PulseSensor  # noqa: E402
from counting.watch import Watch  # noqa: E402

ENTRY = {"class": "kfz", "sensor": "pulse", "pin": 4, "ok_pin": None, "edge": "rising", "pull": "none"}


def begin():
    fake_machine.pulses.clear()
    fake_machine.levels.clear()
    fake_machine.handlers.clear()


def settle():
    """Let scheduled handlers run."""
    for _ in range(10):
        pass


def test_pulses_are_counted_across_many_rounds_of_the_hardware():
    begin()
    sensor = PulseSensor(ENTRY, 0)
    sensor.start()
    total = 0
    for step in (1, 31998, 1, 1, 20000, 20000, 31999, 5):
        fake_machine.pulses[4] = fake_machine.pulses.get(4, 0) + step
        total += sensor.take()[0]
    assert total == fake_machine.pulses[4]
    assert not sensor.faulty


def test_pulses_before_the_start_are_nobodys():
    begin()
    fake_machine.pulses[4] = 12345
    sensor = PulseSensor(ENTRY, 0)
    sensor.start()
    assert sensor.take() == (0,)


def read(inputs, pulses, looks=0):
    """(counted, health, observed ms) of a minute with so many pulses, and so many looks in between."""
    for left in range(looks, -1, -1):
        world.move_to(world.now_us + 60000000 // (looks + 1))
        some = pulses // (left + 1)
        pulses -= some
        fake_machine.pulses[4] = fake_machine.pulses.get(4, 0) + some
        if left:
            inputs.so_far()
    (count,), (observed,) = inputs.read()
    return count, inputs.health[0], observed


def test_more_than_traffic_can_be_between_two_readings_is_a_fault_and_not_observed_however_often_they_are_looked_at():
    begin()
    inputs = Inputs([ENTRY], 1)
    inputs.start()
    for looks in (0, 5):
        assert read(inputs, 31999, looks) == (31999, 0, 60000)
        assert read(inputs, 32000, looks) == (32000, CHATTER, 0)
        assert inputs.faulty
        assert read(inputs, 5, looks) == (5, 0, 60000)


class Shows:
    """A counter that somebody else restarts."""

    def __init__(self, *values):
        self.values = list(values)

    def value(self):
        return self.values.pop(0)


def test_a_counter_that_was_restarted_behind_our_back_is_a_fault_and_invents_nothing():
    for before in (5000, 100000):
        begin()
        sensor = PulseSensor(ENTRY, 0)
        sensor.start()
        sensor._counter = Shows(before, 7, -3)
        sensor.take()
        assert sensor.take() == (7,)
        assert sensor.health == RESTARTED
        assert sensor.take() == (0,)


def test_a_pin_that_cannot_be_had_is_named():
    begin()
    error = raises(SensorError, PulseSensor(dict(ENTRY, pin=99), 0).start)
    assert "pin 99" in str(error)


def test_more_channels_than_hardware_counters_are_refused():
    error = raises(SensorError, Inputs, [dict(ENTRY, pin=i) for i in range(5)], 4)
    assert "5 channels" in str(error)
    assert "4" in str(error)


def test_an_unknown_kind_of_sensor_is_refused():
    error = raises(SensorError, Inputs, [dict(ENTRY, sensor="eye")], 4)
    assert "eye" in str(error)


def test_without_an_ok_pin_all_time_is_observed():
    begin()
    watch = Watch()
    world.move_to(world.now_us + 61000000)
    assert watch.observed() == 61000
    assert watch.observed() == 0


def test_only_time_with_the_ok_pin_up_is_observed():
    begin()
    watch = Watch(Pin(6))
    world.move_to(world.now_us + 10000000)
    fake_machine.set_level(6, 0)
    assert not watch.watching
    world.move_to(world.now_us + 20000000)
    assert watch.observed() == 10000
    world.move_to(world.now_us + 5000000)
    fake_machine.set_level(6, 1)
    world.move_to(world.now_us + 3000000)
    assert watch.observed() == 3000


def test_a_sensor_that_is_down_at_the_start_is_not_observed():
    begin()
    fake_machine.levels[6] = 0
    watch = Watch(Pin(6))
    world.move_to(world.now_us + 10000000)
    assert watch.observed() == 0


def test_observed_time_survives_the_wrap_of_the_ticks():
    begin()
    before = world.offset_ms
    world.offset_ms = (1 << 30) - world.now_us // 1000 - 30000
    try:
        watch = Watch(Pin(6))
        world.move_to(world.now_us + 20000000)
        assert watch.observed() == 20000
        world.move_to(world.now_us + 20000000)
        assert watch.observed() == 20000
        fake_machine.set_level(6, 0)
        fake_machine.set_level(6, 1)
        world.move_to(world.now_us + 1000000)
        assert watch.observed() == 1000
    finally:
        world.offset_ms = before


def test_days_without_a_reading_or_an_edge_are_not_lost_by_the_handler():
    """The handler's sum is modulo the ticks' period, so it may run for longer than half of it between two edges."""
    begin()
    watch = Watch(Pin(6))
    for _ in range(20):
        world.move_to(world.now_us + 86400000000)
        assert watch.observed() == 86400000
    fake_machine.set_level(6, 0)
    assert watch.observed() == 0


def test_the_interrupt_handler_allocates_nothing():
    begin()
    watch = Watch(Pin(6))
    handler = fake_machine.handlers[6][0]

    class Still:
        """A pin and a clock that allocate nothing either."""

        @staticmethod
        def value():
            return 0

    import counting.watch as module

    real = module.time

    class Ticks:
        @staticmethod
        def ticks_ms():
            return 0x3FFFFF00

        @staticmethod
        def ticks_add(ticks, delta):
            return (ticks + delta - 0x3FFFFFFF) & 0x3FFFFFFF

        @staticmethod
        def ticks_diff(end, start):
            return end - start

    module.time = Ticks
    watch._closed = watch._since = 0x3FFFFE00
    try:
        micropython.heap_lock()
        try:
            handler(Still)
        finally:
            micropython.heap_unlock()
    finally:
        module.time = real


def test_an_edge_that_no_interrupt_told_of_is_handled_at_the_next_reading():
    begin()
    watch = Watch(Pin(6))
    world.move_to(world.now_us + 1000000)
    fake_machine.set_level(6, 0, interrupt=False)
    watch.observed()
    settle()
    world.move_to(world.now_us + 5000000)
    watch.observed()
    world.move_to(world.now_us + 5000000)
    assert watch.observed() == 0
