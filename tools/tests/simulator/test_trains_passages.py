"""From passages to trains and lines: as many edges as a contact makes, axles where they are, and nothing that overlaps."""

from __future__ import annotations

import itertools
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zaehlwerk_tools.simulator.passages import (
    BICYCLE,
    CAR,
    CLEAN,
    LORRY,
    MS,
    TRAILER,
    WORST,
    Bounces,
    Crossing,
    Radar,
    Sighting,
    Stay,
    Vehicle,
    contact,
    occupancy,
    spoiled,
    tubes,
    two_contacts,
)

S = 1_000_000_000


@given(st.integers(0, 10), st.integers(1, 8), st.booleans(), st.integers(0, 2**32))
def test_a_change_has_an_odd_number_of_edges_within_its_span(
    pairs: int, span_ms: int, always: bool, seed: int
) -> None:
    edges = Bounces(pairs, span_ms * MS, always).edges(random.Random(seed), 5 * S)
    assert edges[0] == 5 * S
    assert len(edges) % 2 == 1
    assert len(edges) <= 1 + 2 * pairs
    assert not always or len(edges) == 1 + 2 * pairs
    assert all(b - a >= 10_000 for a, b in itertools.pairwise(edges))
    assert edges[-1] <= 5 * S + span_ms * MS


@given(st.integers(0, 2**32), st.integers(0, 1))
def test_a_contact_is_at_its_level_between_the_bounces(seed: int, idle: int) -> None:
    stays = [Stay(S, S + 50 * MS), Stay(2 * S, 2 * S + 30 * MS)]
    train = contact(random.Random(seed), stays, WORST, idle)
    for stay in stays:
        assert train.level(stay.begin_ns - 1) == idle
        assert train.level(stay.begin_ns + 10 * MS) == 1 - idle
        assert train.level(stay.end_ns - 1) == 1 - idle
        assert train.level(stay.end_ns + 10 * MS) == idle


def test_the_occupancy_counts_what_lies_within_the_time() -> None:
    stays = [Stay(0, 2 * S), Stay(5 * S, 6 * S), Stay(9 * S, 11 * S)]
    assert occupancy(stays, S, 10 * S) == pytest.approx(1000 * 3 / 9)


def test_of_two_contacts_the_first_is_where_one_comes_from() -> None:
    there, back = Crossing(S, 100 * MS, 80 * MS, False), Crossing(3 * S, 100 * MS, 80 * MS, True)
    a, b = two_contacts(random.Random(1), [there, back], CLEAN)
    assert list(a.times) == [S, S + 100 * MS, 3 * S + 80 * MS, 3 * S + 180 * MS]
    assert list(b.times) == [S + 80 * MS, S + 180 * MS, 3 * S, 3 * S + 100 * MS]


@pytest.mark.parametrize(
    ("axles", "output"),
    [(BICYCLE, "bicycle_ab"), (TRAILER, "bicycle_ab"), (CAR, "motor_ab"), (LORRY, "motor_ab")],
)
def test_every_axle_hits_both_tubes_at_the_vehicle_s_speed(axles: tuple[int, ...], output: str) -> None:
    """36 km/h are 10 m/s: 1 m between the tubes is 100 ms."""
    vehicle = Vehicle(S, axles, 360)
    assert vehicle.output == output
    near, far = vehicle.hits(1000)
    assert [at - S for at in near] == [mm * 100_000 for mm in axles]
    assert [b - a for a, b in zip(near, far, strict=True)] == [100 * MS] * len(axles)
    assert vehicle.gone_ns(1000) == far[-1]
    back = Vehicle(S, axles, 360, back=True)
    assert back.hits(1000) == (far, near)
    assert back.output == output.replace("ab", "ba")
    a, b = tubes(random.Random(1), [vehicle], 1000)
    assert list(a.times[::2]) == near
    assert list(b.times[::2]) == far


def test_hits_within_a_hit_are_one() -> None:
    a, _ = tubes(random.Random(1), [Vehicle(S, CAR, 360), Vehicle(S + 5 * MS, CAR, 360)], 1000)
    assert len(a.times) == 4


@given(st.integers(0, 2**32))
def test_a_radar_s_lines_follow_each_other_and_are_json(seed: int) -> None:
    """Two at once: their lines take turns, none overlaps another, and every speed but two is below the one that is told."""
    randoms = random.Random(seed)
    radar = Radar()
    seen = [Sighting(S, 200, False, 5), Sighting(S + 3 * MS, 312, True, 6)]
    lines = radar.lines(randoms, seen)
    assert [at for at, _ in lines] == sorted(at for at, _ in lines)
    told = [json.loads(line) for _, line in lines]
    for way, speed, hits in (("inbound", 20.0, 5), ("outbound", 31.2, 6)):
        own = sorted(line["speed"] for line in told if line["direction"] == way)
        assert len(own) == hits
        assert own[-2:] == [speed, speed]
    assert radar.sent(lines).data == b"".join(line for _, line in lines)


def test_a_radar_that_is_told_to_says_when_it_sees_nothing() -> None:
    radar = Radar(idle_step_ns=100 * MS)
    line = radar.sent(radar.lines(random.Random(1), [Sighting(2 * S, 200, False)]), S, 3 * S)
    assert line.data.count(b'{"speed":0.0}') in range(10, 20)
    assert line.data.count(b"inbound") == 5


def test_spoiled_lines_lose_an_end_or_get_noise_that_ends_no_line() -> None:
    lines = Radar().lines(random.Random(1), [Sighting(n * S, 200, False) for n in range(1, 50)])
    told = spoiled(random.Random(2), lines, garbage=0.5, cut=0.5)
    assert [at for at, _ in told] == [at for at, _ in lines]
    assert sum(new == old for (_, new), (_, old) in zip(told, lines, strict=True)) in range(30, 100)
    assert all(new.count(b"\n") <= 1 for _, new in told)
