"""Sensors on a chip whose interrupts come late, get lost and stall, as the ESP32's do: pins, counters, UART, settings."""

import gc
import sys

import fake_machine
from expect import raises
from world import install, world

install()


class Chip:
    """Levels and edges per pin, a queue of eight handlers, and stalls.

    A stall that is `deaf` takes no interrupts (a flash block is being erased): all edges of a pin become one.
    """

    def __init__(self):
        self.reset()

    def reset(self):
        self.levels, self.edges, self.handlers, self.resistors = {}, {}, {}, {}
        self.queue, self.latched = [], []
        self.stalled, self.deaf = False, False

    def set(self, pin, level):
        if self.levels.get(pin, 0) == level:
            return
        self.levels[pin] = level
        self.edges.setdefault(pin, [0, 0])[level] += 1
        handler, trigger, _ = self.handlers.get(pin, (None, 0, None))
        if handler is None or not trigger & (1 if level else 2):
            return
        if self.stalled and self.deaf:
            if pin not in self.latched:
                self.latched.append(pin)
        else:
            self.interrupt(pin)

    def interrupt(self, pin):
        if len(self.queue) < 8:
            self.queue.append(pin)
        if not self.stalled:
            self.run()

    def run(self):
        while self.queue:
            pin = self.queue.pop(0)
            handler, _, owner = self.handlers[pin]
            handler(owner)

    def stall(self, us, deaf):
        self.stalled, self.deaf = True, deaf
        world.at(world.now_us + us, self.resume)

    def resume(self):
        self.stalled = False
        latched, self.latched = self.latched, []
        # By the number of the pin, not by time.
        for pin in sorted(latched):
            self.interrupt(pin)
        self.run()


chip = Chip()


class Pin:
    IN = 1
    PULL_DOWN, PULL_UP = 1, 2
    IRQ_RISING, IRQ_FALLING = 1, 2

    def __init__(self, number, mode=-1, pull=-1):
        if number > 48:
            raise ValueError("invalid pin")
        self.id = number
        if pull != -1:
            chip.resistors[number] = pull

    def value(self):
        return chip.levels.get(self.id, 0)

    def irq(self, handler=None, trigger=3):
        chip.handlers[self.id] = (handler, trigger, self)


class Counter:
    """As machine.Counter; its driver switches the pull-up on, as the ESP32's does."""

    RISING, FALLING = 1, 2
    live = []  # noqa: RUF012

    def __init__(self, unit, src=None, edge=1, filter_ns=0):
        self.unit, self.pin, self.edge = unit, src.id, edge
        chip.resistors[src.id] = Pin.PULL_UP
        Counter.live.append(self)

    def value(self):
        falling, rising = chip.edges.get(self.pin, (0, 0))
        return (rising if self.edge & 1 else 0) + (falling if self.edge & 2 else 0)

    def deinit(self):
        Counter.live.remove(self)


class UART:
    """What `send` gives it is there to be read; more than its buffer holds is lost."""

    IRQ_RX = 1
    last = None

    def __init__(self, number, baudrate, rx=None, tx=None, rxbuf=256, timeout_char=0):
        self.number, self.baud, self.rx, self.tx, self.room = number, baudrate, rx, tx, rxbuf
        self.written, self.data, self.handler = b"", b"", None
        UART.last = self

    def write(self, data):
        self.written += data

    def any(self):
        return len(self.data)

    def readinto(self, buffer):
        n = min(len(buffer), len(self.data))
        if not n:
            return None
        buffer[:n] = self.data[:n]
        self.data = self.data[n:]
        return n

    def irq(self, handler, trigger):
        self.handler = handler

    def deinit(self):
        self.handler = None

    def send(self, data, interrupt=True):
        self.data = (self.data + data)[: self.room]
        if interrupt:
            self.handler(self)


fake_machine.Pin, fake_machine.Counter, fake_machine.UART = Pin, Counter, UART

import micropython  # noqa: E402

from app.settings import OUTPUTS, validate  # noqa: E402
from counting import (  # noqa: E402
    AMBIGUOUS,
    GARBAGE,
    MERGED,
    MISSED,
    NO_SIGNAL,
    OVERFLOW,
    SHORT,
    SILENT,
    STUCK,
    UNVERIFIED,
    SensorError,
)
from counting.inputs import Inputs  # noqa: E402

IDENTITY = {
    "dev_eui": "70b3d57ed0000001",
    "join_eui": "0000000000000000",
    "app_key": "000102030405060708090a0b0c0d0e0f",
    "board": "virtual",
}


def inputs(*channels, units=8):
    """The sensors of such channels, started."""
    chip.reset()
    world.events.clear()
    Counter.live.clear()
    made = Inputs(validate(dict(IDENTITY, channels=list(channels)))["channels"], units)
    made.start()
    return made


def after(ms):
    world.move_to(world.now_us + ms * 1000)


def pulse(pin, ms, rest=300, bounces=5):
    """Active for `ms`, with bounces of half a ms at either end, and nothing for `rest` ms after."""
    for level, length in ((1, ms), (0, rest)):
        for _ in range(bounces):
            chip.set(pin, level)
            world.move_to(world.now_us + 400)
            chip.set(pin, 1 - level)
            world.move_to(world.now_us + 100)
        chip.set(pin, level)
        after(length)


def settle():
    """Let scheduled handlers run."""
    for _ in range(10):
        pass


def total(made, readings=3):
    """(counts per channel, all codes) of so many readings: the first one's tick is what the next one reads."""
    counts = [0] * len(made.health)
    codes = 0
    for _ in range(readings):
        for i, count in enumerate(made.read()[0]):
            counts[i] += count
        for health in made.health:
            codes |= health
        settle()
    return counts, codes


CONTACT = {"class": "bicycle", "sensor": "contact", "pin": 4}
PRESENCE = {"class": "kfz", "sensor": "presence", "pin": 4, "stuck_s": 300, "silent_s": 3600}


def test_a_contact_that_bounces_is_counted_once_a_passage():
    made = inputs(CONTACT)
    for _ in range(20):
        pulse(4, 60)
    assert total(made) == ([20], 0)
    assert not made.faulty


def test_a_contact_that_is_active_low_is_one_too():
    chip.reset()
    made = inputs(dict(CONTACT, edge="falling", pull="up"))
    chip.set(4, 1)
    after(1000)
    assert total(made)[0] == [0]
    for _ in range(3):
        chip.set(4, 0)
        after(60)
        chip.set(4, 1)
        after(500)
    assert total(made)[0] == [3]


def test_the_counter_beside_a_contact_counts_both_edges_and_leaves_the_resistor_as_set():
    for pull, resistor in (("none", None), ("up", Pin.PULL_UP), ("down", Pin.PULL_DOWN)):
        for kind in ("contact", "pulse"):
            inputs(dict(CONTACT, sensor=kind, pull=pull))
            assert Counter.live[0].edge == (3 if kind == "contact" else 1)
            assert chip.resistors[4] is resistor or chip.resistors[4] == resistor


def test_a_passage_that_hides_in_a_stall_is_missed_and_its_time_not_observed():
    for deaf in (True, False):
        made = inputs(CONTACT)
        pulse(4, 60)
        total(made)
        after(60000)
        chip.stall(50000, deaf)
        after(5)
        chip.set(4, 1)
        after(25)
        chip.set(4, 0)
        after(1000)
        seen, codes = 0, 0
        for _ in range(3):
            counts, observed = made.read()
            assert counts == [0]
            seen += observed[0]
            codes |= made.health[0]
            settle()
        assert codes & MISSED
        # The minute in which it happened.
        assert seen < 2000
        assert not made.faulty


def test_a_passage_that_no_interrupt_told_of_at_all_is_found_by_the_counter():
    made = inputs(CONTACT)
    after(10000)
    handlers, chip.handlers = chip.handlers, {}
    pulse(4, 60, 2000, 0)
    chip.handlers = handlers
    counts, codes = total(made)
    assert counts == [0]
    after(1000)
    assert (total(made)[1] | codes) & MISSED


def test_without_a_free_counter_a_contact_says_so():
    made = inputs(CONTACT, units=0)
    for _ in range(5):
        pulse(4, 60)
    assert total(made) == ([5], UNVERIFIED)
    assert not made.faulty


def test_counters_go_first_to_those_who_must_have_one():
    pulses = [{"class": "bicycle", "pin": 10 + i} for i in range(3)]
    made = inputs(CONTACT, *pulses, units=3)
    assert sorted([counter.pin for counter in Counter.live]) == [10, 11, 12]
    assert total(made)[1] == UNVERIFIED
    inputs(CONTACT, dict(CONTACT, pin=5), units=1)
    assert [counter.pin for counter in Counter.live] == [4]
    made = inputs(CONTACT, *pulses, units=4)
    assert sorted([counter.pin for counter in Counter.live]) == [4, 10, 11, 12]
    assert len({counter.unit for counter in Counter.live}) == 4
    assert total(made)[1] == 0
    made.stop()
    assert Counter.live == []


def test_a_pin_that_cannot_be_had_is_named_with_its_kind():
    entry = dict(validate(dict(IDENTITY, channels=[CONTACT]))["channels"][0], pin=99)
    error = raises(SensorError, Inputs([entry], 8).start)
    assert "contact sensor on pin 99" in str(error)


def test_presence_gives_occupancy_in_per_mille_and_the_longest():
    made = inputs(PRESENCE)
    total(made)
    made.flow()
    for ms in (6000, 2000, 1000):
        pulse(4, ms, 20000 - ms, 0)
    sensor = made._sensors[0]
    counts, longest = 0, 0
    for _ in range(2):
        counts += made.read()[0][0]
        settle()
        longest = max(longest, sensor.longest_ms)
    assert counts == 3
    assert made.flow() == [(None, None, 150)]
    assert longest == 6000


def test_a_presence_over_the_end_of_an_interval_belongs_to_both():
    made = inputs(PRESENCE)
    total(made)
    made.flow()
    after(5000)
    chip.set(4, 1)
    after(5000)
    total(made)
    assert made.flow() == [(None, None, 500)]
    after(2500)
    chip.set(4, 0)
    after(2500)
    total(made)
    assert made.flow() == [(None, None, 500)]
    assert made.flow() == [(None, None, None)]


def test_a_presence_without_end_is_stuck_until_it_ends():
    made = inputs(PRESENCE)
    after(1000)
    chip.set(4, 1)
    after(299000)
    assert not total(made)[1] & STUCK
    after(2000)
    assert total(made)[1] & STUCK
    assert made.faulty
    # Beyond half the ticks' period, and beyond the whole.
    for _ in range(20 * 24):
        after(3600000)
        assert total(made)[1] & STUCK
    chip.set(4, 0)
    after(1000)
    total(made)
    assert not made.health[0] & STUCK


def test_a_sensor_without_a_passage_for_longer_than_set_is_silent():
    made = inputs(PRESENCE)
    pulse(4, 500)
    total(made)
    after(3590000)
    assert not total(made)[1] & SILENT
    after(20000)
    assert total(made)[1] & SILENT
    assert made.faulty
    pulse(4, 500)
    total(made)
    assert not made.health[0] & SILENT


DIRECTION = [
    {"class": "pedestrian", "direction": "in", "sensor": "direction", "pin": 4, "pin_b": 5, "output": "ab"},
    {"class": "pedestrian", "direction": "out", "shares": 0, "output": "ba"},
    {"class": "pedestrian", "shares": 0, "output": "unknown"},
]


def cross(first, second, apart=120, active=400, rest=3000):
    chip.set(first, 1)
    after(apart)
    chip.set(second, 1)
    after(active - apart)
    chip.set(first, 0)
    after(apart)
    chip.set(second, 0)
    after(rest)


def test_three_channels_share_a_sensor_of_two_contacts():
    made = inputs(*DIRECTION)
    for first, second in ((4, 5), (4, 5), (5, 4)):
        cross(first, second)
    pulse(4, 200, 3000, 0)
    counts, codes = total(made)
    assert counts == [2, 1, 1]
    assert codes == AMBIGUOUS
    assert [counter.pin for counter in Counter.live] == [4, 5]


def test_who_is_between_the_sensors_at_a_reading_is_counted_in_the_next():
    made = inputs(*DIRECTION)
    after(1000)
    chip.set(4, 1)
    after(100)
    assert total(made)[0] == [0, 0, 0]
    chip.set(5, 1)
    after(100)
    chip.set(4, 0)
    assert total(made)[0] == [0, 0, 0]
    after(100)
    chip.set(5, 0)
    after(3000)
    assert total(made) == ([1, 0, 0], 0)


def test_both_sensors_in_one_stall_have_no_order():
    made = inputs(*DIRECTION)
    after(1000)
    chip.stall(50000, True)
    after(10)
    cross(5, 4, 20)
    counts, codes = total(made)
    assert counts == [0, 0, 1]
    assert codes & AMBIGUOUS


def test_more_passages_than_there_is_room_for_are_flagged_and_not_observed():
    made = inputs(*DIRECTION)
    for _ in range(130):
        pulse(4, 60, 130, 0)
    observed = made.read()[1]
    assert made.health[0] & OVERFLOW
    assert observed == [0, 0, 0]


TUBE = [
    {
        "class": "kfz",
        "direction": "in",
        "sensor": "tube",
        "pin": 4,
        "pin_b": 5,
        "distance_mm": 1000,
        "output": "motor_ab",
    },
    {"class": "kfz", "direction": "out", "shares": 0, "output": "motor_ba"},
    {"class": "bicycle", "direction": "in", "shares": 0, "output": "bicycle_ab"},
    {"class": "bicycle", "direction": "out", "shares": 0, "output": "bicycle_ba"},
    {"class": "unknown", "shares": 0, "output": "unknown"},
]


def drive(axles, kmh, back=False, begin_ms=10, bounces=3):
    """Hits of a vehicle on the tubes 1 m apart, each with bounces; its end in ms from now."""
    pins = (5, 4) if back else (4, 5)
    for mm in axles:
        for pin, at in ((pins[0], mm), (pins[1], mm + 1000)):
            us = world.now_us + begin_ms * 1000 + at * 3600 // kmh
            for i in range(bounces + 1):
                world.at(us + 2000 * i, lambda pin=pin: chip.set(pin, 1))
                world.at(us + 2000 * i + 1000, lambda pin=pin: chip.set(pin, 0))
    after(begin_ms + (axles[-1] + 1000) * 36 // (kmh * 10) + 3000)


def test_tubes_tell_class_direction_and_speed():
    made = inputs(*TUBE)
    assert Counter.live == []
    drive((0, 2600), 50)
    drive((0, 2600), 52)
    drive((0, 3800, 9200, 10500, 11800), 40, True)
    drive((0, 1050), 18)
    drive((0, 1050), 22, True)
    drive((0, 1500), 20)
    counts, codes = total(made)
    assert counts == [2, 1, 1, 1, 1]
    assert codes == AMBIGUOUS
    flow = made.flow()
    assert abs(flow[0][0] - 510) <= 1
    assert [
        row[0] is not None and abs(row[0] - kmh) <= 1
        for row, kmh in zip(flow[1:4], (400, 180, 220))  # noqa: B905 - MicroPython cannot do that
    ] == [True] * 3
    assert flow[4] == (None, None, None)
    assert made.flow()[0] == (None, None, None)


def test_tubes_count_over_a_wrap_of_the_ticks():
    before = world.offset_ms
    # ticks_us wrap every 17.9 minutes: after the third of the four hits.
    world.offset_ms = (1 << 30) // 1000 - world.now_us // 1000 - 230
    try:
        made = inputs(*TUBE)
        drive((0, 2600), 50)
        assert total(made) == ([1, 0, 0, 0, 0], 0)
        assert abs(made.flow()[0][0] - 500) <= 1
    finally:
        world.offset_ms = before


def test_a_hit_a_whole_period_of_the_ticks_after_another_is_not_its_bounce():
    made = inputs(*TUBE)
    for _ in range(3):
        # The rear axle is on tube A 10 ms and 2.6 m at 50 km/h after the beginning.
        last = world.now_us + 10000 + 2600 * 3600 // 50
        drive((0, 2600), 50)
        assert total(made)[0] == [1, 0, 0, 0, 0]
        begin = last + (1 << 30) - 10000 + 5000
        while world.now_us < begin - 60000000:
            after(60000)
            made.read()
        world.move_to(begin)


def test_more_hits_than_there_is_room_for_are_flagged_and_not_observed():
    made = inputs(*TUBE)
    for _ in range(513):
        pulse(4, 10, 40, 0)
    assert made.read()[1] == [0] * 5
    assert made.health[0] & OVERFLOW


def test_a_vehicle_in_a_stall_has_no_speed_and_is_counted_as_unknown():
    for deaf in (True, False):
        made = inputs(*TUBE)
        world.at(world.now_us + 15000, lambda deaf=deaf: chip.stall(50000, deaf))
        drive((0, 2600), 130, False, 20, 0)
        counts, codes = total(made)
        assert counts == [0, 0, 0, 0, 1]
        assert codes == AMBIGUOUS
        assert made.flow()[0][0] is None


def test_a_tube_without_air_is_a_fault_and_nothing_is_observed():
    made = inputs(*TUBE)
    for _ in range(10):
        pulse(5, 10, 3000, 0)
    after(1000)
    counts, observed = made.read()
    assert counts == [0] * 5
    assert observed == [0] * 5
    assert made.health[0] & NO_SIGNAL
    assert made.faulty


RADAR = [
    {"class": "kfz", "direction": "in", "sensor": "radar", "pin": 16, "tx_pin": 17, "output": "towards"},
    {"class": "kfz", "direction": "out", "shares": 0, "output": "away"},
]


def test_the_radar_is_set_up_and_its_passages_are_counted_by_direction():
    made = inputs(*RADAR)
    uart = UART.last
    assert (uart.number, uart.baud, uart.rx, uart.tx) == (1, 19200, 16, 17)
    assert uart.written == b"UKR|BZ"
    uart.send(b"ill be back\r\n0.0\r\n")
    for speed in (b"50.1", b"-30.2"):
        for _ in range(8):
            uart.send(speed + b"\r\n0.0\r\n")
            after(100)
        after(2000)
    uart.send(b"0.0\r\n")
    counts, codes = total(made, 1)
    assert counts == [1, 1]
    assert codes == 0
    assert [row[0] for row in made.flow()] == [501, 302]


def test_a_radar_that_was_switched_on_later_is_set_up_at_the_next_reading():
    made = inputs(*RADAR)
    uart = UART.last
    uart.written = b""  # it was not ready
    made.read()
    assert uart.written == b"UKR|BZ"


def test_only_motor_vehicles_make_a_jam():
    tube = [dict(channel) for channel in TUBE]
    tube[0]["jam_kmh"] = 15
    made = inputs(*tube)
    made.read()
    limits = sorted(made.jams.jams)
    assert [TUBE[channel]["class"] for channel in limits] == ["kfz", "kfz", "unknown"]
    assert inputs(*TUBE).jams is None


def test_a_radar_for_both_directions_in_one_channel_has_one_mean_speed():
    made = inputs({"class": "kfz", "direction": "both", "sensor": "radar", "pin": 16})
    assert UART.last.tx == -1
    assert UART.last.written == b""
    for speed in (b"40.0", b"-60.0"):
        for _ in range(5):
            UART.last.send(speed + b"\n")
            after(100)
        after(1000)
    UART.last.send(b"0.0\n")
    assert total(made)[0] == [2]
    mean, v85, occupancy = made.flow()[0]
    assert mean == 500
    assert 580 <= v85 <= 620
    assert occupancy is None


def test_a_stream_of_100_lines_a_second_between_two_readings_is_all_read():
    made = inputs(*RADAR)
    for i in range(6000):
        UART.last.send(b"-61.5\r\n" if i % 300 < 150 else b"0.0\r\n")
        after(10)
    after(2000)
    assert total(made)[0] == [0, 20]


def test_a_stall_longer_than_the_uart_can_hold_is_flagged_and_not_observed():
    made = inputs(*RADAR)
    UART.last.send(b"50.0\r\n" * 400, False)
    UART.last.send(b"", True)
    observed = made.read()[1]
    assert made.health[0] & OVERFLOW
    assert observed == [0, 0]
    # 2,048 bytes end within a line: what comes next is not its other half.
    doppler = made._sensors[0]._doppler
    assert doppler.heard == 340
    UART.last.send(b".9\r\n")
    assert doppler.heard == 340
    UART.last.send(b"50.9\r\n")
    assert doppler.heard == 341


def test_a_buffer_too_full_for_what_the_driver_takes_at_once_is_flagged():
    """ESP-IDF moves up to 120 bytes; where these do not fit it waits, and the chip's own 128 overflow unseen."""
    made = inputs(*RADAR)
    UART.last.room = 2048 - 119
    UART.last.send(b"50.0\r\n" * 400)
    made.read()
    assert made.health[0] & OVERFLOW


def test_a_radar_that_says_nothing_or_only_garbage_is_a_fault():
    made = inputs(*RADAR)
    after(60000)
    made.read()
    assert made.health == [NO_SIGNAL, NO_SIGNAL]
    UART.last.send(b"x\r\ny\r\nz\r\n1.0\r\n")
    made.read()
    assert made.health == [GARBAGE | MISSED] * 2
    assert made.faulty
    UART.last.send(b"0.0\r\n" * 10)
    made.read()
    assert made.health == [0, 0]


def test_a_line_of_the_radar_that_cannot_be_read_is_noted_and_no_fault():
    made = inputs(*RADAR)
    UART.last.send(b"0.0\r\n0.0\r\n5\xff.0\r\n0.0\r\n")
    made.read()
    assert made.health == [MISSED, MISSED]
    assert not made.faulty


def test_too_few_detections_are_no_passage_and_flagged():
    made = inputs(*RADAR)
    UART.last.send(b"50.0\r\n50.0\r\n")
    after(2000)
    assert total(made)[0] == [0, 0]
    UART.last.send(b"50.0\r\n50.0\r\n")
    after(2000)
    assert total(made)[1] & SHORT


def test_two_within_the_quiet_time_are_one_passage_of_their_direction_and_flagged():
    made = inputs(*RADAR)
    UART.last.send(b"\n")
    for pause, flagged in ((400, MERGED), (1000, 0)):
        for _ in range(2):
            for _ in range(3):
                UART.last.send(b"-50.0\r\n")
                after(100)
            after(pause)
        after(1000)
        counts, codes = total(made, 2)
        assert counts == [0, 1 if flagged else 2]
        assert codes & MERGED == flagged


def test_a_passage_without_end_is_a_fault_of_the_radars_place():
    made = inputs(*RADAR)
    for _ in range(620):
        UART.last.send(b"20.0\r\n" * 3)
        after(500)
        UART.last.send(b"20.0\r\n" * 3)
        after(500)
    assert total(made, 1)[1] & STUCK


def test_each_kind_has_the_outputs_that_the_settings_name():
    for channels in (DIRECTION, TUBE, RADAR):
        made = inputs(*channels)
        assert made._sensors[0].outputs == len(OUTPUTS[channels[0]["sensor"]]) == len(made.read()[0])


def test_only_what_the_configured_kind_needs_is_loaded():
    base = ["inputs", "sensor", "silence", "watch"]
    bouncing = ["contact", "counter", "debounce"]
    for channels, modules in (
        ([{"class": "bicycle", "pin": 4}], ["counter", "pulse"]),
        ([CONTACT], bouncing),
        ([PRESENCE], bouncing + ["presence"]),  # noqa: RUF005 - MicroPython cannot do that
        (DIRECTION, bouncing + ["crossing", "direction", "ring"]),  # noqa: RUF005 - MicroPython cannot do that
        (TUBE, ["axles", "ring", "speeds", "tube"]),
        (RADAR, ["doppler", "radar", "ring", "speeds"]),
    ):
        kept = [name for name in sys.modules if name.startswith("counting.")]
        kept = {name: sys.modules.pop(name) for name in kept}
        from counting.inputs import Inputs as Fresh

        Fresh(validate(dict(IDENTITY, channels=list(channels)))["channels"], 8)
        loaded = [name[9:] for name in sys.modules if name.startswith("counting.")]
        for name in loaded:
            sys.modules.pop("counting." + name)
        sys.modules.update(kept)
        assert sorted(loaded) == sorted(base + modules)


class Still:
    """Pin, counter, UART and ring that allocate nothing."""

    def __init__(self):
        self.n = 0

    def value(self):
        self.n += 1
        return self.n & 1

    def any(self):
        return 0

    def put(self, value, code):
        self.n += 1


class Ticks:
    """1 s a call, from just below the wrap."""

    now = 0x3FFFF000

    @staticmethod
    def ticks_ms():
        Ticks.now = 0 if Ticks.now > 0x3FFFFC00 else Ticks.now + 1000
        return Ticks.now

    ticks_us = ticks_ms


def quietly(module, call):
    """Call it 200 times under a locked heap, with a clock that needs none."""
    real, module.time = module.time, Ticks
    gc.collect()
    micropython.heap_lock()
    try:
        for _ in range(200):
            call()
    finally:
        micropython.heap_unlock()
        module.time = real


def test_no_interrupt_handler_allocates():
    import counting.contact
    import counting.radar
    import counting.tube

    still = Still()
    for channels in ((CONTACT,), DIRECTION):
        made = inputs(*channels)
        sensor = made._sensors[0]
        if channels is DIRECTION:
            sensor = sensor._sides[1]
        sensor._counter = Still()
        quietly(counting.contact, lambda: sensor._edge(still))  # noqa: B023
        quietly(counting.contact, lambda: sensor._look(still))  # noqa: B023
        assert sensor.contact.count > 0
    sensor = inputs(*TUBE)._sensors[0]
    quietly(counting.tube, lambda: sensor._hit_a(still))
    quietly(counting.tube, lambda: sensor._look(still))
    sensor = inputs(*RADAR)._sensors[0]
    lines = iter(
        [b'{"speed":"50.0", "direction":"outbound"}\r\n'] * 100 + [b"-12.34\n"] * 100 + [b"x\n"] * 300
    )

    class Line(Still):
        part = b""

        def readinto(self, buffer):
            if self.n % 2:
                self.n += 1
                return 0
            self.n += 1
            line = next(lines)
            for i in range(len(line)):
                buffer[i] = line[i]
            return len(line)

    uart = Line()
    quietly(counting.radar, lambda: sensor._receive(uart))
    assert (sensor._doppler.heard, sensor._doppler.bad) == (199, 0)
