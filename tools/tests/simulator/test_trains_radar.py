"""A radar at a board's UART: lines of JSON with garbage, halves and streams become passages by direction, or a fault."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tools.tests.simulator.sensor_board import FIRST_NS, sensor_tree, watch
from tools.tests.simulator.small_city import City
from zaehlwerk_tools.simulator.board_spec import Lateness
from zaehlwerk_tools.simulator.inputs import PulseInputs, SerialLine
from zaehlwerk_tools.simulator.passages import MS, Radar, Sighting, spoiled
from zaehlwerk_tools.simulator.scheduler import NS

MISSED, MERGED, OVERFLOW, STUCK, GARBAGE, NO_SIGNAL = 1, 4, 16, 256, 2048, 4096
QUIET_MS = 600
RADAR = (
    {"class": "bicycle", "direction": "in", "sensor": "radar", "output": "towards", "pin": 4},
    {"class": "bicycle", "direction": "out", "shares": 0, "output": "away"},
)


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> object:
    return sensor_tree(tmp_path_factory.mktemp("sensors"))


def settings(**changes: Any) -> tuple[dict[str, Any], ...]:
    return ({**RADAR[0], **changes}, RADAR[1])


def sightings(randoms: random.Random, count: int, step_ms: int = 80) -> list[Sighting]:
    """So many in each direction, both at once; within a direction nobody follows within the quiet time and a stall."""
    made = []
    for away in (False, True):
        now = FIRST_NS + randoms.randint(0, 500) * MS
        for _ in range(count):
            hits = randoms.randint(4, 8)
            made.append(Sighting(now, randoms.randint(80, 500), away, hits, step_ms * MS))
            now += (hits * step_ms + QUIET_MS + 150 + randoms.randint(0, 800)) * MS
    return sorted(made, key=lambda sighting: sighting.at_ns)


def seconds(made: list[Sighting]) -> int:
    return (max(sighting.at_ns for sighting in made) - FIRST_NS) // NS + 8


@pytest.mark.parametrize("disturbance", ["nothing", "flash", "garbage"])
def test_passages_of_both_directions_are_told_apart_and_counted(city: City, disturbance: str) -> None:
    randoms = random.Random(disturbance)
    made = sightings(randoms, 60)
    serial = Radar().sent(Radar().lines(randoms, made))
    told = watch(
        city,
        PulseInputs(serial={4: serial}),
        *RADAR,
        seconds=seconds(made),
        disturbance=disturbance,
        lateness=Lateness(gc_ms=20),
    )
    assert told.counts == [60, 60]
    assert told.health == [0, 0]


def test_at_the_stated_maximum_rate_none_is_lost_with_one_reading_a_minute(city: City) -> None:
    """128 passages a minute: 64 each way, three detections each. What comes first after the start is never believed."""
    made = [
        Sighting(FIRST_NS + (n * 937 + away * 400) * MS, 200, bool(away), hits=3 + (n == 0))
        for n in range(3 * 64)
        for away in (0, 1)
    ]
    serial = Radar().sent(Radar().lines(random.Random(5), made))
    told = watch(city, PulseInputs(serial={4: serial}), *RADAR, seconds=240, every_s=60)
    assert told.counts == [192, 192]
    assert told.health == [0, 0]


def test_two_that_follow_within_the_quiet_time_are_one_and_noted(city: City) -> None:
    made = [
        Sighting(FIRST_NS + (n * 3000 + k * 700) * MS, 200, False, hits=5) for n in range(10) for k in (0, 1)
    ]
    serial = Radar().sent(Radar().lines(random.Random(6), made))
    told = watch(city, PulseInputs(serial={4: serial}), *RADAR, seconds=seconds(made))
    assert told.counts == [10, 0]
    noted = [(counts[0], bool(health[0] & MERGED)) for counts, _, health, _ in told.readings]
    assert {merged for count, merged in noted if count} == {True}
    assert {merged for count, merged in noted if not count} == {False}


def test_a_row_that_drove_farther_than_the_radar_sees_one_vehicle_is_one_and_noted(city: City) -> None:
    """Without a hole between them, 50 km/h: a lorry is seen for 110 m, a queue of cars for 140 m."""
    made = [
        Sighting(FIRST_NS, 500, True, hits=50, step_ns=160 * MS),
        Sighting(FIRST_NS + 12_000 * MS, 500, True, hits=64, step_ns=160 * MS),
    ]
    serial = Radar().sent(Radar().lines(random.Random(7), made))
    told = watch(city, PulseInputs(serial={4: serial}), *RADAR, seconds=seconds(made) + 8)
    assert [health[1] & MERGED for counts, _, health, _ in told.readings if counts[1]] == [0, MERGED]
    assert told.counts == [0, 2]


def test_a_vehicle_of_which_reports_are_lost_at_the_edge_of_the_beam_is_one_and_not_noted(city: City) -> None:
    """One report, two that are missing, and then all: nobody could have been there before."""
    made = [
        Sighting(FIRST_NS + (n * 4000 + at) * MS, 200, False, hits, 160 * MS)
        for n in range(10)
        for at, hits in ((0, 1), (480, 6), (480 + 6 * 160 + 320, 1))
    ]
    serial = Radar().sent(Radar().lines(random.Random(8), made))
    told = watch(city, PulseInputs(serial={4: serial}), *RADAR, seconds=seconds(made))
    assert told.counts == [10, 0]
    assert told.health == [0, 0]


def test_the_speed_is_the_second_highest_of_a_passage(city: City) -> None:
    made = [Sighting(FIRST_NS + n * 5000 * MS, speed, False) for n, speed in enumerate((123, 250, 498))]
    serial = Radar().sent(Radar().lines(random.Random(1), made))
    told = watch(city, PulseInputs(serial={4: serial}), *RADAR, seconds=20, every_s=5)
    assert [mean for mean, *_ in told.flows(0) if mean is not None] == [123, 250, 498]


def test_garbage_and_half_lines_cost_themselves_and_no_passage(city: City) -> None:
    """One line in ten has noise in front and one in ten is cut in two; of each passage three detections and more stay."""
    randoms = random.Random(2)
    made = [Sighting(FIRST_NS + n * 2500 * MS, 200, n % 2 == 1, hits=12) for n in range(40)]
    lines = spoiled(randoms, Radar().lines(randoms, made), garbage=0.1, cut=0.1)
    told = watch(city, PulseInputs(serial={4: Radar().sent(lines)}), *RADAR, seconds=seconds(made))
    assert told.counts == [20, 20]
    assert any(health[0] & MISSED for _, _, health, _ in told.readings)


def test_a_sensor_that_sends_mostly_garbage_is_a_fault_and_its_time_is_not_observed(city: City) -> None:
    randoms = random.Random(3)
    made = [Sighting(FIRST_NS + n * 1000 * MS, 200, False, hits=10) for n in range(20)]
    lines = spoiled(randoms, Radar().lines(randoms, made), garbage=0.9, cut=0.9)
    told = watch(city, PulseInputs(serial={4: Radar().sent(lines)}), *RADAR, seconds=25)
    assert told.health[0] & GARBAGE
    assert told.observed_ms[0] < 15_000


def test_a_wrong_speed_of_the_line_is_garbage(city: City) -> None:
    made = [Sighting(FIRST_NS + n * 1000 * MS, 200, False) for n in range(10)]
    serial = Radar(baud=9600).sent(Radar(9600).lines(random.Random(4), made))
    told = watch(city, PulseInputs(serial={4: serial}), *settings(baud=19_200), seconds=15)
    assert told.counts == [0, 0]
    assert told.health[0] & GARBAGE


@pytest.mark.parametrize("disturbance", ["nothing", "flash", "garbage"])
def test_a_stream_of_100_detections_a_second_is_kept_up_with(city: City, disturbance: str) -> None:
    """At 115,200 baud, with zeros in between as "Blank Data Reporting" sends them; an erasure of flash costs some lines."""
    randoms = random.Random(disturbance)
    radar = Radar(115_200, idle_step_ns=10 * MS)
    made = [Sighting(FIRST_NS + n * 3000 * MS, 150, n % 3 == 0, 100, 10 * MS) for n in range(20)]
    serial = radar.sent(radar.lines(randoms, made), FIRST_NS - NS, FIRST_NS + 66 * NS)
    told = watch(
        city,
        PulseInputs(serial={4: serial}),
        *settings(baud=115_200, tx_pin=6),
        seconds=64,
        disturbance=disturbance,
        lateness=Lateness(gc_ms=20),
    )
    assert told.counts == [13, 7]
    codes = [health[0] & ~NO_SIGNAL for _, _, health, _ in told.readings]
    assert set(codes) <= ({0, MISSED} if disturbance == "flash" else {0})
    assert len(serial.data) > 100_000


def test_the_radar_is_set_up_at_the_start_and_each_reading_where_its_line_is_connected(city: City) -> None:
    watch(city, PulseInputs(serial={4: SerialLine([], 19_200)}), *settings(tx_pin=6, unit="mps"), seconds=3)
    assert city.boards[0].serial_out == {1: b"UMR|BZ" * (1 + 3)}


def test_a_radar_that_says_nothing_although_told_to_is_a_fault(city: City) -> None:
    radar = Radar(idle_step_ns=500 * MS)
    serial = radar.sent([], FIRST_NS - NS, FIRST_NS + 10 * NS)
    told = watch(city, PulseInputs(serial={4: serial}), *settings(tx_pin=6), seconds=20)
    silent = [bool(health[0] & NO_SIGNAL) for _, _, health, _ in told.readings]
    assert not any(silent[2:10])
    assert all(silent[13:])
    assert told.readings[-1][1][0] == 0


def test_bytes_that_the_driver_had_no_room_for_are_flagged(city: City) -> None:
    """A stream of 20 kB a second, and a collection of 250 ms: buffer and FIFO hold less than half of it."""
    line = Radar().line(200, False)
    pieces = [(FIRST_NS + n * 2 * MS, line) for n in range(3000)]
    told = watch(
        city,
        PulseInputs(serial={4: SerialLine(pieces, 230_400)}),
        *settings(baud=230_400),
        seconds=10,
        disturbance="one collection",
        lateness=Lateness(gc_ms=250),
    )
    assert told.health[0] & OVERFLOW
    assert told.observed_ms[0] < 10_000
