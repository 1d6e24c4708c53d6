"""Two tubes on a virtual board: axle patterns become vehicles with class, direction and speed; what is spoilt is unknown."""

from __future__ import annotations

import random

import pytest

from tools.tests.simulator.sensor_board import FIRST_NS, sensor_tree, watch
from tools.tests.simulator.small_city import City
from zaehlwerk_tools.simulator.board_spec import Lateness
from zaehlwerk_tools.simulator.inputs import EdgeTrain, PulseInputs
from zaehlwerk_tools.simulator.passages import BICYCLE, CAR, LORRY, MS, TRAILER, Bounces, Vehicle, tubes

AMBIGUOUS, OVERFLOW, NO_SIGNAL = 8, 16, 4096
DISTANCE_MM = 1000
OUTPUTS = ("motor_ab", "motor_ba", "bicycle_ab", "bicycle_ba", "unknown")
CLASSES = {"m": "kfz", "b": "bicycle", "u": "unknown"}
TUBES = (
    {
        "class": "kfz",
        "sensor": "tube",
        "output": "motor_ab",
        "direction": "in",
        "pin": 4,
        "pin_b": 5,
        "distance_mm": DISTANCE_MM,
    },
    {"class": "kfz", "direction": "out", "shares": 0, "output": "motor_ba"},
    {"class": "bicycle", "direction": "in", "shares": 0, "output": "bicycle_ab"},
    {"class": "bicycle", "direction": "out", "shares": 0, "output": "bicycle_ba"},
    {"class": "unknown", "shares": 0, "output": "unknown"},
)
SWITCH = Bounces(pairs=4, span_ns=6 * MS)
"""A pressure switch's bounces; its second level change is 9 ms after the first."""


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> object:
    return sensor_tree(tmp_path_factory.mktemp("sensors"))


def traffic(
    randoms: random.Random, count: int, rest_ms: tuple[int, int], kinds: tuple[tuple[int, ...], ...]
) -> list[Vehicle]:
    """Vehicles that come when the one before could have no further axle, and so much later."""
    made, now = [], FIRST_NS
    for _ in range(count):
        axles = randoms.choice(kinds)
        speed = randoms.randint(120, 280) if axles in (BICYCLE, TRAILER) else randoms.randint(200, 600)
        made.append(Vehicle(now, axles, speed, randoms.random() < 0.5))
        # REACH_MM of firmware/counting/axles.py at this speed, with its tolerance of an eighth.
        reach_ns = 7500 * 36_000 * 1000 // speed * 9 // 8
        now = made[-1].gone_ns(DISTANCE_MM) + max(500 * MS, reach_ns) + randoms.randint(*rest_ms) * MS
    return made


def seconds(made: list[Vehicle]) -> int:
    return (made[-1].gone_ns(DISTANCE_MM) - FIRST_NS) // 1_000_000_000 + 10


def truth(made: list[Vehicle]) -> list[int]:
    return [sum(vehicle.output == output for vehicle in made) for output in OUTPUTS]


def inputs(randoms: random.Random, made: list[Vehicle]) -> PulseInputs:
    a, b = tubes(randoms, made, DISTANCE_MM, SWITCH)
    return PulseInputs(trains={4: a, 5: b})


@pytest.mark.parametrize("kinds", [(BICYCLE,), (TRAILER,), (CAR,), (LORRY,), (BICYCLE, TRAILER, CAR, LORRY)])
def test_axle_patterns_become_vehicles_with_class_and_direction(
    city: City, kinds: tuple[tuple[int, ...], ...]
) -> None:
    randoms = random.Random(str(kinds))
    made = traffic(randoms, 60, (50, 800), kinds)
    told = watch(city, inputs(randoms, made), *TUBES, seconds=seconds(made))
    assert told.counts == truth(made)
    assert told.health == [0] * 5


def test_the_speed_is_that_of_the_axles_to_a_hundredth(city: City) -> None:
    """One car per reading; its hits are a handler's time late, all alike."""
    speeds = [220, 310, 500, 780]
    made = [
        Vehicle(FIRST_NS + n * 10_000 * MS + 3000 * MS, CAR, speed, n % 2 == 1)
        for n, speed in enumerate(speeds)
    ]
    told = watch(city, inputs(random.Random(1), made), *TUBES, seconds=50, every_s=10)
    means = [mean for channel in (0, 1) for mean, *_ in told.flows(channel) if mean is not None]
    assert sorted(means) == [pytest.approx(speed, rel=0.01) for speed in speeds]


def test_two_cars_that_meet_on_the_tubes_are_two_unknown(city: City) -> None:
    made = []
    for n in range(10):
        at = FIRST_NS + n * 8000 * MS
        made += [Vehicle(at, CAR, 400, False), Vehicle(at + 170 * MS, CAR, 360, True)]
    told = watch(city, inputs(random.Random(2), made), *TUBES, seconds=90)
    assert told.counts == [0, 0, 0, 0, 20]
    assert told.health[0] & AMBIGUOUS


@pytest.mark.parametrize("disturbance", ["flash", "garbage"])
def test_a_stall_costs_class_and_speed_and_no_vehicle(city: City, disturbance: str) -> None:
    """Nobody is lost or made up; each that a stall has touched is in "unknown" and noted. 2.7 s lie between two."""
    randoms = random.Random(disturbance)
    made = traffic(randoms, 120, (2750, 3500), (BICYCLE, CAR, LORRY))
    told = watch(
        city,
        inputs(randoms, made),
        *TUBES,
        seconds=seconds(made),
        disturbance=disturbance,
        lateness=Lateness(gc_ms=20),
    )
    assert sum(told.counts) == 120
    assert all(count <= true for count, true in zip(told.counts[:4], truth(made), strict=False))
    assert told.counts[4] > 0
    noted = sum(bool(health[0] & AMBIGUOUS) for _, _, health, _ in told.readings)
    assert noted > 0


def test_at_the_densest_that_the_rules_allow_bicycles_and_cars_are_exact(city: City) -> None:
    """A burst: each comes 20 ms after the one before can have had a further axle."""
    randoms = random.Random(3)
    made = traffic(randoms, 150, (20, 21), (BICYCLE, CAR))
    told = watch(city, inputs(randoms, made), *TUBES, seconds=seconds(made))
    assert told.counts == truth(made)


def test_at_the_stated_distance_of_a_second_an_hour_s_traffic_of_cars_is_exact(city: City) -> None:
    """3,600 cars an hour at 50 km/h, for three minutes with one reading each."""
    randoms = random.Random(6)
    made = [Vehicle(FIRST_NS + n * 1000 * MS, CAR, 500, False) for n in range(180)]
    told = watch(city, inputs(randoms, made), *TUBES, seconds=240, every_s=60)
    assert told.counts == [180, 0, 0, 0, 0]
    assert told.health == [0] * 5


def test_a_column_without_a_gap_is_noted_where_it_is_not_counted_whole(city: City) -> None:
    """128 cars a minute bumper to bumper at 50 km/h: no vehicle is made up, and what is missing has left a note."""
    made = [Vehicle(FIRST_NS + n * 468 * MS, CAR, 500, False) for n in range(128)]
    told = watch(city, inputs(random.Random(7), made), *TUBES, seconds=80, every_s=20)
    assert sum(told.counts) <= 128
    assert sum(told.counts) == 128 or told.health[0] & (AMBIGUOUS | OVERFLOW)


def test_a_dead_tube_is_a_fault_and_its_time_is_not_observed(city: City) -> None:
    randoms = random.Random(4)
    made = traffic(randoms, 20, (500, 900), (BICYCLE,))
    a, _ = tubes(randoms, made, DISTANCE_MM)
    told = watch(city, PulseInputs(trains={4: a, 5: EdgeTrain([])}), *TUBES, seconds=seconds(made))
    assert sum(told.counts) == 0
    assert told.health[0] & NO_SIGNAL
    assert told.readings[-1][1][0] == 0


def test_more_hits_than_there_is_room_for_are_flagged(city: City) -> None:
    """A tube that flutters at 40 Hz for 20 s between two readings: 800 hits, room for 512."""
    flutter = EdgeTrain(range(FIRST_NS, FIRST_NS + 20_000 * MS, 13 * MS))
    told = watch(city, PulseInputs(trains={4: flutter, 5: EdgeTrain([])}), *TUBES, seconds=30, every_s=30)
    assert told.health[0] & OVERFLOW
    assert told.observed_ms[0] == 0
