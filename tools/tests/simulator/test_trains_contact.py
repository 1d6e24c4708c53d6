"""Contacts and presences on a virtual board: every legal train is counted exactly, whatever disturbs the program meanwhile,
and what a train that breaks the limits costs is flagged."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tools.tests.simulator.sensor_board import FIRST_NS, sensor_tree, watch
from tools.tests.simulator.small_city import City
from zaehlwerk_tools.simulator.board_spec import Lateness
from zaehlwerk_tools.simulator.inputs import EdgeTrain, PulseInputs
from zaehlwerk_tools.simulator.passages import MS, WORST, Bounces, Stay, contact, occupancy

# codes of firmware/counting/__init__.py
MISSED, SHORT, MERGED, UNVERIFIED, CHATTER, STUCK = 1, 2, 4, 32, 128, 256
NOTED = MISSED | SHORT | MERGED | CHATTER
BOUNCE_MS, DEBOUNCE_MS, GAP_MS, STALL_MS = 8, 10, 100, 50
CONTACT = {"class": "bicycle", "direction": "in", "sensor": "contact", "pin": 4}
PRESENCE = {**CONTACT, "sensor": "presence"}
DISTURBED = ("nothing", "flash", "garbage")


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> object:
    return sensor_tree(tmp_path_factory.mktemp("sensors"))


def stays(
    randoms: random.Random, count: int, active_ms: tuple[int, int], idle_ms: tuple[int, int]
) -> list[Stay]:
    """So many passages, active and inactive for so long."""
    made, now = [], FIRST_NS
    for _ in range(count):
        end = now + randoms.randrange(active_ms[0] * 1000, active_ms[1] * 1000) * 1000
        made.append(Stay(now, end))
        now = end + randoms.randrange(idle_ms[0] * 1000, idle_ms[1] * 1000) * 1000
    return made


def seconds(made: list[Stay]) -> int:
    """Long enough for all of them."""
    return (made[-1].end_ns - FIRST_NS) // 1_000_000_000 + 5


# Active for so long, a stall leaves enough of it.
LEGAL = (BOUNCE_MS + DEBOUNCE_MS + STALL_MS + 5, 200), (GAP_MS + BOUNCE_MS + 2, 300)


@pytest.mark.parametrize("disturbance", DISTURBED)
@pytest.mark.parametrize("kind", [CONTACT, PRESENCE])
def test_a_contact_that_bounces_counts_each_passage_once(city: City, kind: dict, disturbance: str) -> None:
    """300 passages, up to 21 edges in 8 ms at either end of each."""
    randoms = random.Random(f"{disturbance}")
    made = stays(randoms, 300, *LEGAL)
    inputs = PulseInputs(trains={4: contact(randoms, made, WORST)})
    told = watch(
        city, inputs, kind, seconds=seconds(made), disturbance=disturbance, lateness=Lateness(gc_ms=20)
    )
    assert told.counts == [300]
    assert not told.health[0] & CHATTER


@pytest.mark.parametrize("units", [8, 0])
def test_undisturbed_nothing_is_noted(city: City, units: int) -> None:
    """But that there was no hardware counter, where there was none."""
    randoms = random.Random(5)
    made = stays(randoms, 100, *LEGAL)
    told = watch(
        city,
        PulseInputs(trains={4: contact(randoms, made, Bounces(3))}),
        CONTACT,
        seconds=seconds(made),
        units=units,
    )
    assert told.counts == [100]
    assert told.health == [0 if units else UNVERIFIED]


@pytest.mark.parametrize("gap_ms", [50 + DEBOUNCE_MS, 100, 250, 1000])
def test_at_every_legal_gap_neighbours_are_told_apart(city: City, gap_ms: int) -> None:
    """The shortest gap that the setting promises to see: itself, after the last bounce of the opening."""
    randoms = random.Random(gap_ms)
    made = stays(randoms, 60, LEGAL[0], (gap_ms + BOUNCE_MS + 1, gap_ms + BOUNCE_MS + 3))
    told = watch(
        city,
        PulseInputs(trains={4: contact(randoms, made, Bounces(10, always=True))}),
        {**CONTACT, "gap_ms": gap_ms},
        seconds=seconds(made),
    )
    assert told.counts == [60]


@pytest.mark.parametrize("pairs", range(11))
def test_each_number_of_bounces_is_one_passage(city: City, pairs: int) -> None:
    randoms = random.Random(pairs)
    made = stays(randoms, 20, *LEGAL)
    train = contact(randoms, made, Bounces(pairs, always=True))
    assert len(train.times) == 20 * 2 * (2 * pairs + 1)
    told = watch(city, PulseInputs(trains={4: train}), CONTACT, seconds=seconds(made))
    assert told.counts == [20]


def test_at_the_stated_maximum_rate_none_is_lost(city: City) -> None:
    """Active for bounces and debounce, then for gap and bounces: 7.5 passages a second for a minute."""
    active, idle = BOUNCE_MS + DEBOUNCE_MS + 1, GAP_MS + BOUNCE_MS + 1
    randoms = random.Random(1)
    made = stays(randoms, 450, (active, active + 2), (idle, idle + 2))
    told = watch(city, PulseInputs(trains={4: contact(randoms, made, WORST)}), CONTACT, seconds=seconds(made))
    assert told.counts == [450]
    assert told.health == [0]


def test_a_contact_that_is_active_when_low_counts_the_same(city: City) -> None:
    randoms = random.Random(9)
    made = stays(randoms, 80, *LEGAL)
    settings = {**CONTACT, "edge": "falling", "pull": "up"}
    told = watch(
        city, PulseInputs(trains={4: contact(randoms, made, WORST, idle=1)}), settings, seconds=seconds(made)
    )
    assert told.counts == [80]


@pytest.mark.parametrize("disturbance", DISTURBED)
def test_two_channels_at_once_do_not_disturb_each_other(city: City, disturbance: str) -> None:
    randoms = random.Random(disturbance)
    one, other = stays(randoms, 150, *LEGAL), stays(randoms, 150, *LEGAL)
    trains = {4: contact(randoms, one, Bounces(1)), 5: contact(randoms, other, Bounces(1))}
    told = watch(
        city,
        PulseInputs(trains=trains),
        CONTACT,
        {**CONTACT, "direction": "out", "pin": 5},
        seconds=max(seconds(one), seconds(other)),
        disturbance=disturbance,
        lateness=Lateness(gc_ms=20),
    )
    assert told.counts == [150, 150]


@pytest.mark.parametrize("disturbance", DISTURBED)
def test_what_is_too_short_for_a_passage_is_never_lost_in_silence(city: City, disturbance: str) -> None:
    """Active for 12 to 60 ms: a stall can hide such a passage. As many as are missing, so often it is noted."""
    randoms = random.Random(f"short {disturbance}")
    made = stays(randoms, 300, (12, 60), (110, 400))
    inputs = PulseInputs(trains={4: contact(randoms, made)})
    told = watch(city, inputs, CONTACT, seconds=seconds(made), disturbance=disturbance)
    lost = 300 - told.counts[0]
    assert lost >= 0
    if disturbance == "flash":
        assert lost > 0
    noted = sum(bool(health[0] & (MISSED | SHORT)) for _, _, health, _ in told.readings)
    assert noted >= (lost > 0)
    assert lost <= 3 * noted


def test_passages_closer_than_the_gap_are_one_and_said_to_be(city: City) -> None:
    randoms = random.Random(2)
    made = [
        Stay(FIRST_NS + n * 1000 * MS + k * 100 * MS, FIRST_NS + n * 1000 * MS + (k * 100 + 40) * MS)
        for n in range(20)
        for k in (0, 1)
    ]
    told = watch(city, PulseInputs(trains={4: contact(randoms, made)}), CONTACT, seconds=seconds(made))
    assert told.counts == [20]
    assert told.health == [MERGED]


def test_pulses_below_the_debounce_are_noted_and_not_counted(city: City) -> None:
    randoms = random.Random(3)
    made = stays(randoms, 40, (1, 8), (200, 400))
    told = watch(city, PulseInputs(trains={4: contact(randoms, made)}), CONTACT, seconds=seconds(made))
    assert told.counts == [0]
    assert told.health == [SHORT]


def test_a_contact_that_never_comes_to_rest_is_a_fault_and_its_time_is_not_observed(city: City) -> None:
    """Edges every 3 ms for ten seconds."""
    train = EdgeTrain(range(FIRST_NS, FIRST_NS + 10_000 * MS, 3 * MS))
    told = watch(city, PulseInputs(trains={4: train}), CONTACT, seconds=15)
    assert told.counts[0] <= 1
    assert told.health[0] & CHATTER
    assert told.observed_ms[0] < 7000


def test_a_contact_that_stays_active_is_stuck(city: City) -> None:
    told = watch(city, PulseInputs(trains={4: EdgeTrain([FIRST_NS])}), {**CONTACT, "stuck_s": 10}, seconds=20)
    assert told.counts == [1]
    assert [reading[2][0] & STUCK for reading in told.readings[-5:]] == [STUCK] * 5
    assert not told.readings[5][2][0]


@pytest.mark.parametrize("share", [20, 300, 900])
def test_the_occupancy_of_a_presence_is_that_of_the_schedule(city: City, share: int) -> None:
    """Per mille, over half a minute at a time."""
    randoms = random.Random(share)
    length = 400
    cycle = length * 1000 // share
    rest = max(GAP_MS + 20, cycle - length)
    made = stays(randoms, 90_000 // (length + rest), (length - 50, length + 50), (rest - 5, rest + 5))
    told = watch(
        city,
        PulseInputs(trains={4: contact(randoms, made, Bounces(3))}),
        PRESENCE,
        seconds=90,
        every_s=30,
    )
    # The first reading begins the flow.
    start = FIRST_NS - 2000 * MS
    for n in (1, 2):
        truth = occupancy(made, start + 30_000 * n * MS, start + 30_000 * (n + 1) * MS)
        assert told.flows(0)[n][2] == pytest.approx(truth, abs=3)


def test_the_sensors_handlers_allocate_nothing(make_city: Callable[..., City]) -> None:
    randoms = random.Random(4)
    made = stays(randoms, 30, *LEGAL)
    told = watch(
        make_city(),
        PulseInputs(trains={4: contact(randoms, made, WORST)}),
        CONTACT,
        seconds=seconds(made),
        strict=True,
        bits=32,
    )
    assert told.counts == [30]
