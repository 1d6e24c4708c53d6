"""A whole node: what its sensors see beyond their limits is told by a status, of each kind of sensor."""

import fake_machine
from world import install, world

install()

from node_rig import MIDNIGHT, Board, Site  # noqa: E402

import counting  # noqa: E402
from zaehlwerk_protocol import note_codes, ports, state  # noqa: E402

HOUR = 3600
DAY = 86400
# When the sensor's limits are broken; the status of the start has arrived by then.
LATE = 3 * HOUR


class UART:
    """As much of machine.UART as the radar asks for."""

    IRQ_RX = 1

    def __init__(self, *arguments, **options):
        self.waiting = b""
        self.handler = None
        UART.last = self

    def any(self):
        return len(self.waiting)

    def readinto(self, part):
        n = min(len(part), len(self.waiting))
        part[:n] = self.waiting[:n]
        self.waiting = self.waiting[n:]
        return n

    def write(self, data):
        pass

    def irq(self, handler, trigger):
        self.handler = handler

    def send(self, data):
        self.waiting += data
        self.handler(self)


fake_machine.UART = UART


def site(**channel):
    """A node with one sensor, whose pins are at rest."""
    made = Site(unix=MIDNIGHT - 600, channels=[dict({"class": "kfz", "direction": "both"}, **channel)])
    for name in ("pin", "pin_b"):
        if name in channel:
            fake_machine.levels[channel[name]] = 0
    return made


def level(ms, pin, value):
    world.at(ms * 1000, lambda: fake_machine.set_level(pin, value))


def passage(ms, pin, length=200):
    level(ms, pin, 1)
    level(ms + length, pin, 0)


def noted(made):
    """[(second, codes of the first channel)] of the statuses that say something of notes."""
    return [
        (at, f.notes[1][0][0] if f.notes[1] else 0)
        for at, f in made.frames(ports.STATUS)
        if f.notes is not None
    ]


def told_at(made, code):
    """The seconds of the statuses that tell of `code`."""
    return [at for at, codes in noted(made) if codes & code]


def hour_of(made, code):
    """A day passed; how many hours after it began `code` was told for the first time."""
    made.run(DAY)
    assert made.node.crash is None
    return (told_at(made, code)[0] + 600 - LATE) / HOUR


def test_two_bicycles_closer_than_the_gap_of_a_contact_are_told_as_merged():
    made = site(sensor="contact", pin=4)
    passage(LATE * 1000, 4)
    passage(LATE * 1000 + 220, 4)
    assert 0 < hour_of(made, note_codes.MERGED) < 1.5
    assert made.counts()[-1].totals == (1,)


def test_a_signal_too_short_for_a_contact_is_told_as_short():
    made = site(sensor="contact", pin=4)
    passage(LATE * 1000, 4, 2)
    assert 0 < hour_of(made, note_codes.SHORT) < 1.5


def test_two_cars_without_a_gap_at_a_loop_are_told_as_merged():
    made = site(sensor="presence", pin=4)
    passage(LATE * 1000, 4, 900)
    passage(LATE * 1000 + 920, 4, 900)
    assert 0 < hour_of(made, note_codes.MERGED) < 1.5


def test_two_who_meet_between_a_pair_of_sensors_are_told_as_ambiguous():
    made = site(sensor="direction", pin=4, pin_b=5)
    passage(LATE * 1000, 4)
    passage(LATE * 1000 + 1, 5)
    assert 0 < hour_of(made, note_codes.AMBIGUOUS) < 1.5


def test_two_who_meet_on_the_tubes_are_told_as_ambiguous():
    made = site(sensor="tube", pin=4, pin_b=5, distance_mm=1000, **{"class": "unknown"})
    for ms, pin in ((0, 4), (30, 5), (72, 5), (102, 4), (200, 4), (230, 5), (272, 5), (302, 4)):
        passage(LATE * 1000 + ms, pin, 5)
    assert 0 < hour_of(made, note_codes.AMBIGUOUS) < 1.5


def test_a_car_close_behind_a_lorry_on_the_tubes_is_told_as_merged():
    made = site(sensor="tube", pin=4, pin_b=5, distance_mm=1000, **{"class": "unknown"})
    # A lorry of three axles and 5 m behind it a car, at 30 km/h.
    for mm in (0, 3600, 4900, 9900, 12600):
        passage(LATE * 1000 + mm * 3 // 25, 4, 5)
        passage(LATE * 1000 + (mm + 1000) * 3 // 25, 5, 5)
    assert 0 < hour_of(made, note_codes.MERGED) < 1.5
    assert made.counts()[-1].totals == (1,)


def test_a_radar_that_sends_garbage_is_told_as_such_and_as_a_fault():
    made = site(sensor="radar", pin=4, uart=1)

    def garbage():
        UART.last.send(b"\xff\xfe\r\n" * 20)
        if made.now() < LATE + 600:
            world.at(world.now_us + 5000000, garbage)

    def zeros():
        if not LATE - 5 <= made.now() <= LATE + 605:
            UART.last.send(b"0.0\r\n")
        world.at(world.now_us + 5000000, zeros)

    made.at(LATE, garbage)
    made.at(5, zeros)
    assert 0 < hour_of(made, note_codes.GARBAGE) < 1.5


def test_pulses_too_fast_for_traffic_are_told_as_chatter():
    made = site(sensor="pulse", pin=4)
    made.at(LATE, lambda: fake_machine.pulses.update({4: 40000}))
    assert 0 < hour_of(made, note_codes.CHATTER) < 1.5


def test_what_a_pulse_output_merges_leaves_no_trace():
    """The node sees one pulse: this is a limit of the kind, and docs/sensors/pulse.md says so."""
    made = site(sensor="pulse", pin=4)
    made.at(LATE, lambda: fake_machine.pulses.update({4: 1}))
    made.run(DAY)
    assert [codes for _, codes in noted(made) if codes] == []


def test_what_goes_on_is_told_once_an_hour_after_the_last_status_and_then_daily():
    made = site(sensor="contact", pin=4)

    def close():
        passage(made.now() * 1000 + 5, 4)
        passage(made.now() * 1000 + 225, 4)
        world.at(world.now_us + 120000000, close)

    made.at(LATE, close)
    made.run(3 * DAY)
    at = told_at(made, note_codes.MERGED)
    assert len(at) == 3
    assert at[1] - at[0] >= DAY
    (minutes, ((_, share),)) = [f.notes for f in made.statuses() if f.notes is not None][-1]
    assert DAY // 60 <= minutes < DAY // 60 + 30
    assert 45 <= share <= 55


def test_when_it_is_over_the_next_daily_status_says_so():
    made = site(sensor="contact", pin=4)
    passage(LATE * 1000, 4)
    passage(LATE * 1000 + 220, 4)
    made.run(3 * DAY)
    assert [codes for _, codes in noted(made)] == [note_codes.MERGED, 0]


def test_a_contact_without_a_hardware_counter_says_so_with_every_status_and_asks_for_none():
    made = site(sensor="contact", pin=4)
    Board.PCNT_UNITS = 0
    try:
        made.run(DAY + 2 * HOUR)
    finally:
        Board.PCNT_UNITS = 8
    at = [second for second, f in made.frames(ports.STATUS) if f.notes is not None]
    assert at == told_at(made, note_codes.UNVERIFIED)
    assert [second for second in at if HOUR < second < DAY] == []
    assert at[-1] > DAY


def test_what_comes_while_a_status_is_on_its_way_is_told_by_the_next():
    made = site(sensor="contact", pin=4)
    passage(LATE * 1000, 4)
    passage(LATE * 1000 + 220, 4)
    made.run(LATE + 300)
    inputs = made.node.inputs
    assert inputs.news
    before = list(inputs.noted)
    inputs.noted[0] = (inputs.noted[0] | counting.SHORT) + 8192
    from app import report_noted

    report_noted.noted(made.node, 1000, before)
    assert inputs.news
    assert (inputs.told, inputs.noted) == ([counting.MERGED], [counting.MERGED | counting.SHORT | 8192])
    report_noted.noted(made.node, 2000, list(inputs.noted))
    assert not inputs.news
    assert inputs.noted == [0]


def test_a_sensor_within_its_limits_costs_no_status():
    made = site(sensor="contact", pin=4)
    for n in range(100):
        passage((LATE + 60 * n) * 1000, 4)
    made.run(DAY - HOUR)
    assert noted(made) == []


def test_the_fault_bit_is_set_while_a_sensor_has_a_fault():
    made = site(sensor="pulse", pin=4)
    made.at(LATE, lambda: fake_machine.pulses.update({4: 40000}))
    made.run(LATE + 30)
    assert made.node.inputs.faulty == bool(made.node.inputs.health[0] & counting.FAULTS)
    assert not any(f.state & state.FAULT for f in made.counts()[1:])


def test_the_nodes_codes_are_those_of_the_protocol():
    for name in dir(note_codes):
        if name[0] != "_":
            assert getattr(note_codes, name) == getattr(counting, name)
