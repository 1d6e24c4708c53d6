"""Tubes: every vehicle that keeps the stated limits is counted with its class, direction and speed; a stall of the
interrupts can take that from it, and never gives it what it has not. Distances in mm, times in us, speeds in 0.1 km/h.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from counting import AMBIGUOUS, MERGED, TICKS
from counting.axles import (
    BICYCLE_REACH_MM,
    CAR_GAP_MM,
    DEAD_AFTER,
    LEAST_US,
    LONGEST_MM,
    MOST,
    REACH_MM,
    TOO_FAST,
    UNIT,
    UNSURE_US,
    Axles,
)
from counting.speeds import CLASSES, WIDTH, Speeds

MOTOR, BICYCLE, UNKNOWN = 0, 2, 4
STALL_US = 50_000
# What a handler may be late by without a stall.
JITTER_US = 200
# As set: edges so soon after a hit are its own.
BOUNCE_US = 25_000

# Distances from the first axle, as on German roads.
LORRIES = [
    (0, 3600, 4900),
    (0, 5000),
    (0, 1900, 5100, 6400),
    (0, 3800, 9200, 10500, 11800),
    (0, 4500, 9500, 14500),
    (0, 6000),
    (0, 6900, 8300),
]


@dataclass(frozen=True)
class Vehicle:
    """back: from B to A; the next one's first hit comes `rest` us after all that still could belong to this one."""

    axles: tuple[int, ...]
    speed: int
    back: bool
    kind: int
    rest: int = 100_000

    def transit(self, distance: int) -> int:
        return distance * UNIT // self.speed

    def hits(self, distance: int, start: int) -> list[tuple[int, int]]:
        """[(time, tube)]."""
        first, second = (1, 0) if self.back else (0, 1)
        return [(start + mm * UNIT // self.speed, first) for mm in self.axles] + [
            (start + (mm + distance) * UNIT // self.speed, second) for mm in self.axles
        ]

    def reach(self) -> int:
        return BICYCLE_REACH_MM if self.kind == BICYCLE and len(self.axles) == 2 else REACH_MM


def vehicles(kinds: st.SearchStrategy[tuple[tuple[int, ...], int, int]]) -> st.SearchStrategy[Vehicle]:
    return st.builds(
        lambda kind, back, rest: Vehicle(kind[0], kind[1], back, kind[2], rest),
        kinds,
        st.booleans(),
        st.integers(20_000, 5_000_000),
    )


BICYCLES = st.tuples(st.integers(900, 1250).map(lambda mm: (0, mm)), st.integers(80, 400), st.just(BICYCLE))
TRAILERS = st.tuples(
    st.tuples(st.integers(950, 1150), st.integers(1350, 1850)).map(lambda w: (0, w[0], w[0] + w[1])),
    st.integers(80, 300),
    st.just(BICYCLE),
)
CARS = st.tuples(st.integers(2200, 3300).map(lambda mm: (0, mm)), st.integers(100, 1300), st.just(MOTOR))
MOTORCYCLES = st.tuples(
    st.integers(1350, 1600).map(lambda mm: (0, mm)), st.integers(370, 1300), st.just(MOTOR)
)
HEAVY = st.tuples(st.sampled_from(LORRIES), st.integers(100, 900), st.just(MOTOR))
CARGO_BIKES = st.tuples(
    st.integers(1400, 1600).map(lambda mm: (0, mm)), st.integers(80, 330), st.just(UNKNOWN)
)
ALL = vehicles(st.one_of(BICYCLES, TRAILERS, CARS, MOTORCYCLES, HEAVY, CARGO_BIKES))
TRAFFIC = st.lists(ALL, min_size=1, max_size=12)
DISTANCES = st.sampled_from([500, 800, 1000])
OFFSETS = st.sampled_from([0, TICKS - 1_000_000, TICKS - 1_300_000])


def road(traffic: list[Vehicle], distance: int, start: int = 1_000_000) -> list[tuple[int, int]]:
    """The hits of vehicles that keep their distance."""
    hits: list[tuple[int, int]] = []
    now = start
    for vehicle in traffic:
        own = vehicle.hits(distance, now)
        hits += own
        # The last transit, as it is measured, may be longer than it is; so may that of the trailer's wheel.
        transit = vehicle.transit(distance) * 9 // 8
        now = max(own)[0] + max(LEAST_US, transit * vehicle.reach() // distance) + vehicle.rest
    return sorted(hits)


@dataclass
class Counted:
    """What `Axles` makes of hits; a reading, which settles what is over, takes place every `reading_us`."""

    hits: list[tuple[int, int]]
    distance: int
    offset: int = 0
    reading_us: int = 3_000_000
    told: list[tuple[int, int | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.axles = Axles(self.distance, lambda output, speed: self.told.append((output, speed)))
        end = self.hits[-1][0] + 80_000_000 if self.hits else 0
        readings = [(at, 2) for at in range(self.reading_us, end, self.reading_us)]
        for at, tube in sorted(self.hits + readings):
            ticks = (at + self.offset) & TICKS
            if tube == 2:
                self.axles.settle(ticks)
            else:
                self.axles.hit(ticks, tube)

    @property
    def outputs(self) -> list[int]:
        return [output for output, _ in self.told]


def output_of(vehicle: Vehicle) -> int:
    return UNKNOWN if vehicle.kind == UNKNOWN else vehicle.kind + vehicle.back


@given(TRAFFIC, DISTANCES, OFFSETS, st.data())
@settings(max_examples=200, deadline=None)
def test_every_vehicle_that_keeps_its_distance_has_its_class_direction_and_speed(
    traffic: list[Vehicle], distance: int, offset: int, data: st.DataObject
) -> None:
    late = data.draw(st.lists(st.integers(0, JITTER_US), min_size=1, max_size=7))
    hits = [(at + late[i % len(late)], tube) for i, (at, tube) in enumerate(road(traffic, distance))]
    counted = Counted(sorted(hits), distance, offset)
    assert counted.outputs == [output_of(vehicle) for vehicle in traffic]
    for vehicle, (output, speed) in zip(traffic, counted.told, strict=True):
        if output == UNKNOWN:
            assert speed is None
        else:
            # Two hits, each late by the jitter, and the step of 0.1 km/h.
            error = vehicle.speed * JITTER_US // (vehicle.transit(distance) - JITTER_US) + 2
            assert abs(speed - vehicle.speed) <= error
    assert bool(counted.axles.notes) == any(vehicle.kind == UNKNOWN for vehicle in traffic)


@given(TRAFFIC, DISTANCES)
@settings(max_examples=40, deadline=None)
def test_the_moment_of_a_reading_decides_nothing(traffic: list[Vehicle], distance: int) -> None:
    hits = road(traffic, distance)
    assert Counted(hits, distance, reading_us=17_000).told == Counted(hits, distance).told


def stalled(hits: list[tuple[int, int]], stalls: list[tuple[int, int, bool]]) -> list[tuple[int, int]]:
    """Hits as the handlers see them: late by the rest of the stall; without the chip's interrupts one per tube."""
    seen = []
    for at, tube in hits:
        stall = next(((begin, end, deaf) for begin, end, deaf in stalls if begin <= at < end), None)
        if stall is None:
            seen.append((at, tube))
        elif not stall[2]:
            seen.append((stall[1] + len(seen) % 3, tube))
        elif (stall[1] + tube, tube) not in seen:
            seen.append((stall[1] + tube, tube))
    return sorted(seen)


STALLS = st.lists(
    st.tuples(st.integers(-60_000, 20_000), st.integers(1_000, STALL_US), st.booleans()),
    min_size=1,
    max_size=3,
)


# Distances are right to an eighth: so near to a boundary of classes nobody drives here.
CLEAR = vehicles(
    st.one_of(
        st.tuples(st.integers(900, 1100).map(lambda mm: (0, mm)), st.integers(80, 350), st.just(BICYCLE)),
        st.tuples(st.just((0, 1050, 2650)), st.integers(80, 300), st.just(BICYCLE)),
        CARS,
        HEAVY,
    )
)


@given(st.lists(CLEAR, min_size=1, max_size=8), STALLS, st.sampled_from([800, 1000]), st.data())
@settings(max_examples=300, deadline=None)
def test_a_stall_invents_no_vehicle_and_what_it_spoils_is_unknown_and_without_speed(
    traffic: list[Vehicle], stalls: list, distance: int, data: st.DataObject
) -> None:
    hits = road(traffic, distance)
    windows = []
    for shift, length, deaf in stalls:
        at = data.draw(st.sampled_from(hits))[0] + shift
        windows.append((at, at + length, deaf))
    windows.sort()
    # One stall per passage: a second one can move another axle just as far.
    assume(all(b[0] - a[1] > 4_000_000 for a, b in itertools.pairwise(windows)))
    counted = Counted(stalled(hits, windows), distance)
    truth = [output_of(vehicle) for vehicle in traffic]
    assert len(counted.told) <= len(truth)
    for output in range(4):
        assert counted.outputs.count(output) <= truth.count(output)
    if counted.outputs != truth:
        assert counted.axles.notes == AMBIGUOUS
    speeds = [[v.speed for v in traffic if output_of(v) == output] for output in range(4)]
    for output, speed in counted.told:
        if speed is not None:
            assert any(abs(speed - true) * 8 <= true + 16 for true in speeds[output])


# Both on the tubes at the same time: so that at least one hit of each lies between two of the other. One of them has its
# axles within LEAST_US: of two that have not, the first axles alone can look like a car.
SHORT = vehicles(
    st.one_of(
        st.tuples(st.integers(2200, 3300).map(lambda mm: (0, mm)), st.integers(250, 1300), st.just(MOTOR)),
        BICYCLES,
    )
)


def met(one: Vehicle, other: Vehicle, distance: int, part: int) -> Counted:
    """The second one's first hit comes `part` per cent through the first one's.

    A hit within the bounces of another one of the same tube is not seen: that one is left out.
    """
    own = Vehicle(one.axles, one.speed, False, one.kind).hits(distance, 1_000_000)
    start = min(own)[0] + (max(own)[0] - min(own)[0]) * part // 100
    hits = sorted(own + Vehicle(other.axles, other.speed, True, other.kind).hits(distance, start))
    seen: list[tuple[int, int]] = []
    for at, tube in hits:
        if all(at - before >= 25_000 for before, where in seen if where == tube):
            seen.append((at, tube))
    return Counted(seen, distance)


@given(
    SHORT,
    st.one_of(SHORT, vehicles(HEAVY)),
    st.sampled_from([500, 800, 1000]),
    st.integers(0, 99),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_two_vehicles_that_meet_on_the_tubes_are_never_three(
    one: Vehicle, other: Vehicle, distance: int, part: int, swap: bool
) -> None:
    one, other = (other, one) if swap else (one, other)
    counted = met(one, other, distance, part)
    assert 1 <= len(counted.told) <= 2


def some_vehicle(rng: random.Random, back: bool = False) -> Vehicle:
    """What drives through a town, by rough shares."""
    kind = rng.random()
    if kind < 0.1:
        return Vehicle((0, rng.randint(950, 1150)), rng.randint(100, 280), back, BICYCLE)
    if kind < 0.2:
        return Vehicle(rng.choice(LORRIES), rng.randint(200, 600), back, MOTOR)
    return Vehicle((0, rng.randint(2300, 3100)), max(200, min(800, int(rng.gauss(480, 70)))), back, MOTOR)


def test_of_two_that_meet_at_any_moment_one_in_a_thousand_is_misread_and_none_is_three() -> None:
    """The figure of docs/sensors/tube.md."""
    rng = random.Random(2)
    misread = 0
    for _ in range(3000):
        counted = met(some_vehicle(rng), some_vehicle(rng), 1000, rng.randint(0, 99))
        assert 1 <= len(counted.told) <= 2
        misread += counted.outputs != [UNKNOWN] * len(counted.told)
    assert misread <= 3


@pytest.mark.parametrize(
    ("per_hour", "both_ways", "least", "unknown"),
    [(600, False, 0.999, 0.002), (100, True, 0.985, 0.06), (300, True, 0.96, 0.14), (600, True, 0.89, 0.25)],
)
def test_in_the_traffic_of_a_street_so_many_are_counted(
    per_hour: int, both_ways: bool, least: float, unknown: float
) -> None:
    """The figures of docs/sensors/tube.md: vehicles per hour and direction, at least a second behind each other."""
    rng = random.Random(1)
    truth, hits = [0] * 5, []
    for back in (False, True) if both_ways else (False,):
        now = 1_000_000
        while now < 4 * 3_600_000_000:
            vehicle = some_vehicle(rng, back)
            own = vehicle.hits(1000, now)
            truth[output_of(vehicle)] += 1
            hits += [(at + rng.randint(0, JITTER_US), tube) for at, tube in own]
            now = max(own)[0] + 1_000_000 + int(rng.expovariate(1 / (3_600_000_000 / per_hour - 1_600_000)))
    seen, last = [], [0, 0]
    for at, tube in sorted(hits):
        if at - last[tube] >= 25_000:
            seen.append((at, tube))
            last[tube] = at
    counted = Counted(seen, 1000, reading_us=60_000_000).outputs
    vehicles_there = sum(truth)
    assert least * vehicles_there <= len(counted) <= vehicles_there
    assert counted.count(UNKNOWN) <= unknown * vehicles_there
    for output in range(4):
        assert counted.count(output) <= truth[output] + vehicles_there // 1000


@pytest.mark.parametrize("part", range(5, 100, 10))
def test_two_cars_that_meet_on_the_tubes_are_two(part: int) -> None:
    for there, back in ((500, 400), (300, 320), (1000, 700)):
        one, other = Vehicle((0, 2600), there, False, MOTOR), Vehicle((0, 2750), back, True, MOTOR)
        counted = met(one, other, 1000, part)
        assert len(counted.hits) < 8 or counted.outputs == [UNKNOWN] * 2, (there, back)


def column(all_axles: list[list[int]], speed: int, distance: int = 1000) -> Counted:
    """Vehicles one behind the other at the same speed, each with the position of its axles on the road."""
    axles = [mm for axles in all_axles for mm in axles]
    return Counted(sorted(Vehicle(tuple(axles), speed, False, MOTOR).hits(distance, 1_000_000)), distance)


@given(
    st.lists(st.tuples(st.integers(950, 1150), st.integers(1350, 1900)), min_size=2, max_size=12),
    st.integers(100, 300),
)
@settings(deadline=None)
def test_bicycles_wheel_to_wheel_are_as_many_as_there_are(riders: list[tuple[int, int]], speed: int) -> None:
    """The gap between two of them is longer than a wheelbase of either, and still within that of a trailer."""
    places, at = [], 0
    for wheelbase, gap in riders:
        places.append([at, at + wheelbase])
        at += wheelbase + gap
    counted = column(places, speed)
    assert counted.outputs == [BICYCLE] * len(riders)
    assert not counted.axles.notes


@given(
    st.lists(st.tuples(st.integers(2200, 3200), st.integers(3800, 9000)), min_size=2, max_size=8),
    st.integers(100, 500),
)
@settings(deadline=None)
def test_cars_in_a_queue_are_as_many_as_there_are(cars: list[tuple[int, int]], speed: int) -> None:
    places, at = [], 0
    for wheelbase, gap in cars:
        places.append([at, at + wheelbase])
        at += wheelbase + gap
    assert column(places, speed).outputs == [MOTOR] * len(cars)


@pytest.mark.parametrize("axles", LORRIES)
def test_a_lorry_is_one_vehicle_whatever_its_axles(axles: tuple[int, ...]) -> None:
    for speed in (100, 300, 900):
        counted = column([list(axles)], speed)
        assert [output for output, _ in counted.told] == [MOTOR]
        assert abs(counted.told[0][1] - speed) <= 1


def test_a_moped_is_a_motor_vehicle_when_it_is_too_fast_for_a_bicycle() -> None:
    assert column([[0, 1200]], 450).told == [(BICYCLE, 450)]
    assert column([[0, 1200]], 460).told == [(MOTOR, 460)]


def test_what_hits_one_tube_only_is_no_vehicle() -> None:
    counted = Counted([(1_000_000, 0), (5_000_000, 0), (5_200_000, 0)], 1000)
    assert counted.told == []
    assert counted.axles.notes == AMBIGUOUS
    assert counted.axles.alone == [3, 0]


def test_a_tube_that_is_never_hit_while_the_other_is_shows() -> None:
    counted = Counted([(1_000_000 * i, 1) for i in range(1, DEAD_AFTER + 1)], 1000)
    assert max(counted.axles.alone) == DEAD_AFTER
    counted.axles.hit(20_000_000, 0)
    assert counted.axles.alone == [1, 0]


def test_a_lost_hit_makes_its_vehicle_unknown_and_leaves_those_3_s_later() -> None:
    car = Vehicle((0, 2600), 500, False, MOTOR, 2_700_000)
    bicycle = Vehicle((0, 1050), 180, True, BICYCLE)
    hits = road([car, bicycle, car, bicycle], 1000)
    for lost in range(4):
        counted = Counted(hits[:lost] + hits[lost + 1 :], 1000)
        assert counted.outputs[-3:] == [BICYCLE + 1, MOTOR, BICYCLE + 1]
        assert counted.outputs[:-3] == [UNKNOWN]
        assert counted.axles.notes == AMBIGUOUS


def test_what_was_spoilt_is_told_by_the_first_reading_after_nothing_can_belong_to_it() -> None:
    told: list[tuple[int, int | None]] = []
    axles = Axles(1000, lambda output, speed: told.append((output, speed)))
    (first, *_, last) = sorted(Vehicle((0, 2700), 500, False, MOTOR).hits(1000, 1_000_000))
    axles.hit(*first)
    axles.hit(*last)
    axles.settle(last[0] + UNSURE_US)
    assert told == []
    axles = Axles(1000, lambda output, speed: told.append((output, speed)))
    axles.hit(*first)
    axles.hit(*last)
    axles.settle(last[0] + UNSURE_US + 1)
    assert told == [(UNKNOWN, None)]


def test_faster_than_anything_drives_is_no_speed() -> None:
    distance = 1000
    assert column([[0, 2600]], TOO_FAST, distance).outputs == [MOTOR]
    counted = column([[0, 2600]], TOO_FAST * 9 // 8, distance)
    assert counted.told == [(UNKNOWN, None)]


def test_a_group_without_end_is_cut_and_does_not_grow() -> None:
    told: list[int] = []
    axles = Axles(1000, lambda output, speed: told.append(output))
    for i in range(3 * MOST):
        axles.hit(1_000_000 + 100_000 * i, 0)
        assert max(len(hits) for hits in axles._hits) < MOST
    assert told == []
    assert axles.notes == AMBIGUOUS


# --- mean and 85th percentile


@given(st.lists(st.integers(0, WIDTH * CLASSES - 1), min_size=1, max_size=300))
@settings(deadline=None)
def test_the_mean_is_exact_and_v85_is_right_to_one_class(values: list[int]) -> None:
    speeds = Speeds()
    for value in values:
        speeds.add(value)
    mean, v85 = speeds.taken()
    assert mean == (sum(values) + len(values) // 2) // len(values)
    exact = sorted(values)[-(-len(values) * 85 // 100) - 1]
    assert abs(v85 - exact) <= WIDTH
    assert speeds.taken() == (None, None)


def test_the_next_interval_knows_nothing_of_the_one_before() -> None:
    speeds = Speeds()
    for value in [300] * 100:
        speeds.add(value)
    speeds.taken()
    speeds.add(500)
    mean, v85 = speeds.taken()
    assert mean == 500
    assert abs(v85 - 500) <= WIDTH


def test_what_is_faster_than_the_last_class_is_in_it() -> None:
    speeds = Speeds()
    speeds.add(WIDTH * CLASSES * 2)
    assert speeds.taken() == (WIDTH * CLASSES * 2, WIDTH * CLASSES)


def close(first: Vehicle, second: Vehicle, gap_us: int, distance: int = 1000) -> Counted:
    """Two vehicles in one direction; so long after the last axle of the first comes the first one of the second."""
    hits = first.hits(distance, 1_000_000)
    last = max(at for at, tube in hits if tube == (1 if first.back else 0))
    return Counted(sorted(hits + second.hits(distance, last + gap_us)), distance)


def exact_or_noted(counted: Counted, *traffic: Vehicle) -> bool:
    return bool(counted.axles.notes) or counted.outputs == [output_of(vehicle) for vehicle in traffic]


ONE_WAY_CARS = CARS.map(lambda kind: Vehicle(kind[0], max(kind[1], 150), False, MOTOR))
ONE_WAY_MOTORS = st.one_of(CARS, MOTORCYCLES, HEAVY).map(
    lambda kind: Vehicle(kind[0], min(max(kind[1], 150), 900), False, MOTOR)
)
GAPS_US = st.integers(500_000, 3_000_000)


@given(ONE_WAY_MOTORS, ONE_WAY_CARS, GAPS_US)
@settings(max_examples=400, deadline=None)
def test_a_car_however_close_behind_a_motor_vehicle_is_counted_or_noted(
    first: Vehicle, car: Vehicle, gap_us: int
) -> None:
    assume(gap_us * first.speed >= CAR_GAP_MM * 9 // 8 * UNIT)
    assert exact_or_noted(close(first, car, gap_us), first, car)


@given(ONE_WAY_CARS, ONE_WAY_MOTORS, GAPS_US)
@settings(max_examples=400, deadline=None)
def test_a_motor_vehicle_however_close_behind_a_car_is_counted_or_noted(
    car: Vehicle, second: Vehicle, gap_us: int
) -> None:
    assume(gap_us * car.speed >= CAR_GAP_MM * 9 // 8 * UNIT)
    assert exact_or_noted(close(car, second, gap_us), car, second)


@given(st.tuples(ONE_WAY_MOTORS, ONE_WAY_MOTORS), GAPS_US)
@settings(max_examples=400, deadline=None)
def test_two_in_one_direction_are_never_more_and_are_one_unnoted_only_where_they_look_like_one(
    two: tuple[Vehicle, Vehicle], gap_us: int
) -> None:
    """One speed, within the reach, and together no longer than a lorry: nothing that hits two tubes tells them apart."""
    first, second = two
    counted = close(first, second, gap_us)
    assert len(counted.outputs) <= 2
    if not exact_or_noted(counted, first, second):
        between = gap_us * first.speed // UNIT
        assert abs(first.speed - second.speed) * 8 <= first.speed + second.speed
        assert between <= REACH_MM * 9 // 8
        assert first.axles[-1] + between + second.axles[-1] <= LONGEST_MM * 9 // 8


@pytest.mark.parametrize("gap_ms", range(500, 1400, 100))
def test_a_car_about_a_second_behind_a_lorry_is_counted_or_noted_at_every_speed_of_a_town(
    gap_ms: int,
) -> None:
    for speed in range(150, 600, 10):
        for axles in LORRIES:
            lorry, car = Vehicle(axles, speed, False, MOTOR), Vehicle((0, 2700), speed, False, MOTOR)
            if gap_ms * 1000 * speed >= CAR_GAP_MM * UNIT:
                counted = close(lorry, car, gap_ms * 1000)
                assert exact_or_noted(counted, lorry, car), (axles, speed)


@pytest.mark.parametrize("axles", [*LORRIES, (0, 2700, 6700), (0, 2700, 6700, 7500)])
def test_a_lorry_or_a_car_with_a_trailer_is_not_noted(axles: tuple[int, ...]) -> None:
    counted = Counted(Vehicle(axles, 400, False, MOTOR).hits(1000, 1_000_000), 1000)
    assert (counted.outputs, counted.axles.notes) == ([MOTOR], 0)


def test_two_cars_behind_a_lorry_may_be_one_and_are_noted() -> None:
    axles = (0, 5000, 10000, 12700, 17700, 20400)
    counted = Counted(Vehicle(axles, 250, False, MOTOR).hits(1000, 1_000_000), 1000)
    assert counted.axles.notes == MERGED


# A vehicle that nobody promised: any two axles at any speed, or a lorry's.
ODD = st.builds(
    Vehicle,
    st.one_of(st.integers(100, 12_000).map(lambda mm: (0, mm)), st.sampled_from(LORRIES)),
    st.integers(5, 4000),
    st.booleans(),
    st.just(MOTOR),
)


@given(ODD, DISTANCES)
@settings(max_examples=500, deadline=None)
def test_a_vehicle_of_whatever_speed_and_axles_is_one_or_noted(vehicle: Vehicle, distance: int) -> None:
    counted = Counted(sorted(vehicle.hits(distance, 1_000_000)), distance)
    assert counted.outputs in ([MOTOR + vehicle.back], [BICYCLE + vehicle.back]) or counted.axles.notes
    if vehicle.speed > TOO_FAST * 9 // 8:
        assert counted.axles.notes


# Edges of a hit after the time in which they would be its own, but not twice as late: on one tube or on both.
LATE_EDGES = st.tuples(st.integers(BOUNCE_US, 2 * BOUNCE_US), st.sampled_from([(0,), (1,), (0, 1)]))
TOWN = st.one_of(
    BICYCLES, CARS, st.tuples(st.sampled_from(LORRIES), st.integers(100, 500), st.just(MOTOR))
).map(lambda kind: Vehicle(kind[0], min(kind[1], 500), False, kind[2]))


@given(TOWN, LATE_EDGES, st.data())
@settings(max_examples=400, deadline=None)
def test_a_switch_that_bounces_for_longer_than_set_costs_no_count_unless_it_is_noted(
    vehicle: Vehicle, late: tuple[int, tuple[int, ...]], data: st.DataObject
) -> None:
    after, tubes = late
    hits = vehicle.hits(1000, 1_000_000)
    axles = data.draw(st.sets(st.integers(0, len(vehicle.axles) - 1), min_size=1))
    extra = [(hits[n + tube * len(vehicle.axles)][0] + after, tube) for tube in tubes for n in axles]
    counted = Counted(sorted(hits + extra), 1000)
    assert counted.outputs == [output_of(vehicle)] or counted.axles.notes
