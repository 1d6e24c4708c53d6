"""Two contacts on a virtual board: both ways are counted exactly, whatever cannot be told is unknown and never a guess."""

from __future__ import annotations

import random

import pytest

from tools.tests.simulator.sensor_board import FIRST_NS, sensor_tree, watch
from tools.tests.simulator.small_city import City
from zaehlwerk_tools.simulator.board_spec import Lateness
from zaehlwerk_tools.simulator.inputs import EdgeTrain, PulseInputs
from zaehlwerk_tools.simulator.passages import MS, WORST, Bounces, Crossing, Stay, contact, two_contacts

MISSED, AMBIGUOUS = 1, 8
WINDOW_MS, STALL_MS = 300, 50
WAYS = (
    {
        "class": "bicycle",
        "direction": "in",
        "sensor": "direction",
        "output": "ab",
        "pin": 4,
        "pin_b": 5,
        "window_ms": WINDOW_MS,
    },
    {"class": "bicycle", "direction": "out", "shares": 0, "output": "ba"},
    {"class": "bicycle", "shares": 0, "output": "unknown"},
)


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> object:
    return sensor_tree(tmp_path_factory.mktemp("sensors"))


def crossings(randoms: random.Random, count: int, way: str = "both") -> list[Crossing]:
    """So many that keep the limits: nobody follows within the window and a stall."""
    made, now = [], FIRST_NS
    for _ in range(count):
        delay, stay = randoms.randint(70, 250) * MS, randoms.randint(90, 300) * MS
        back = randoms.random() < 0.5 if way == "both" else way == "ba"
        made.append(Crossing(now, stay, delay, back))
        # The last to begin is the second contact; each must also have been inactive for the gap.
        now += max(delay + (WINDOW_MS + STALL_MS + 20) * MS, stay + 130 * MS) + randoms.randint(0, 500) * MS
    return made


def seconds(made: list[Crossing]) -> int:
    return (made[-1].begin_ns - FIRST_NS) // 1_000_000_000 + 8


@pytest.mark.parametrize("disturbance", ["nothing", "flash", "garbage"])
@pytest.mark.parametrize("way", ["ab", "ba", "both"])
def test_each_way_is_counted_as_often_as_somebody_went_it(city: City, way: str, disturbance: str) -> None:
    """Up to 21 edges per change; with collections of 20 ms as many as the scheduler's queue holds of both contacts."""
    randoms = random.Random(f"{way} {disturbance}")
    made = crossings(randoms, 150, way)
    a, b = two_contacts(randoms, made, Bounces(1) if disturbance == "garbage" else WORST)
    told = watch(
        city,
        PulseInputs(trains={4: a, 5: b}),
        *WAYS,
        seconds=seconds(made),
        disturbance=disturbance,
        lateness=Lateness(gc_ms=20),
    )
    back = sum(crossing.back for crossing in made)
    assert told.counts == [150 - back, back, 0]
    assert not told.health[0] & AMBIGUOUS


def test_at_the_stated_maximum_rate_all_ways_are_counted_with_one_reading_a_minute(city: City) -> None:
    """64 crossings a minute, for three minutes."""
    randoms = random.Random(11)
    made = [
        Crossing(
            FIRST_NS + n * 937 * MS,
            randoms.randint(90, 300) * MS,
            randoms.randint(70, 250) * MS,
            randoms.random() < 0.5,
        )
        for n in range(3 * 64)
    ]
    a, b = two_contacts(randoms, made, WORST)
    told = watch(city, PulseInputs(trains={4: a, 5: b}), *WAYS, seconds=240, every_s=60)
    back = sum(crossing.back for crossing in made)
    assert told.counts == [len(made) - back, back, 0]
    assert told.health[0] == 0


def test_a_contact_whose_bounces_fill_the_queue_costs_the_other_ones_direction_and_is_noted(
    city: City,
) -> None:
    """21 edges of one contact within a collection leave no room for the other one's: nobody is lost, some are unknown."""
    randoms = random.Random("both garbage")
    made = crossings(randoms, 150)
    a, b = two_contacts(randoms, made, WORST)
    told = watch(
        city,
        PulseInputs(trains={4: a, 5: b}),
        *WAYS,
        seconds=seconds(made),
        disturbance="garbage",
        lateness=Lateness(gc_ms=20),
    )
    back = sum(crossing.back for crossing in made)
    assert sum(told.counts) == 150
    assert told.counts[0] <= 150 - back
    assert told.counts[1] <= back
    assert told.counts[2] > 0
    assert told.health[0] & AMBIGUOUS
    assert told.health[0] & MISSED


def test_two_that_meet_are_unknown(city: City) -> None:
    """One from either side, on the sensors at the same time: as many as the sensors saw, none with a direction."""
    randoms = random.Random(7)
    stays: tuple[list[Stay], list[Stay]] = ([], [])
    for n in range(20):
        at = FIRST_NS + n * 3000 * MS
        # First at A and then at B; the other way round 40 ms later.
        for side, delay in ((0, 0), (1, 200), (1, 40), (0, 240)):
            stays[side].append(Stay(at + delay * MS, at + (delay + 30) * MS))
    trains = {
        pin: contact(randoms, sorted(side, key=lambda stay: stay.begin_ns))
        for pin, side in zip((4, 5), stays, strict=True)
    }
    told = watch(city, PulseInputs(trains=trains), *WAYS, seconds=65)
    assert told.counts == [0, 0, 40]
    assert told.health[0] & AMBIGUOUS


def test_who_turns_round_between_the_sensors_is_unknown(city: City) -> None:
    """At A first and at A last: the order in which they begin alone would make it a passage from A to B."""
    trains = {
        pin: contact(
            random.Random(pin),
            [
                Stay(at + begin * MS, at + end * MS)
                for at in range(FIRST_NS, FIRST_NS + 20_000 * MS, 1000 * MS)
            ],
        )
        for pin, begin, end in ((4, 0, 400), (5, 100, 250))
    }
    told = watch(city, PulseInputs(trains=trains), *WAYS, seconds=30)
    assert told.counts == [0, 0, 20]
    assert told.health[0] & AMBIGUOUS


@pytest.mark.parametrize("side", [4, 5])
def test_what_one_sensor_alone_has_seen_is_unknown(city: City, side: int) -> None:
    randoms = random.Random(side)
    made = [Stay(FIRST_NS + n * 1000 * MS, FIRST_NS + (n * 1000 + 200) * MS) for n in range(20)]
    trains = {4: EdgeTrain([]), 5: EdgeTrain([]), side: contact(randoms, made, Bounces(5))}
    told = watch(city, PulseInputs(trains=trains), *WAYS, seconds=30)
    assert told.counts == [0, 0, 20]
    assert told.health[0] & AMBIGUOUS


def test_those_that_follow_within_the_window_are_unknown_and_not_fewer(city: City) -> None:
    """Two of them 200 ms apart: nobody can say which passage at B belongs to which at A."""
    randoms = random.Random(8)
    made = [
        Crossing(FIRST_NS + (n * 3000 + k * 200) * MS, 60 * MS, 100 * MS, False)
        for n in range(20)
        for k in (0, 1)
    ]
    a, b = two_contacts(randoms, made)
    told = watch(city, PulseInputs(trains={4: a, 5: b}), *WAYS, seconds=65)
    assert told.counts == [0, 0, 40]
    assert told.health[0] & AMBIGUOUS
