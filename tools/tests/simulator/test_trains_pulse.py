"""The hardware counter on a virtual board: exact at the stated maximum rate whatever the program does, behind its filter."""

from __future__ import annotations

import random

import pytest

from tools.tests.simulator.sensor_board import FIRST_NS, sensor_tree, watch
from tools.tests.simulator.small_city import City
from zaehlwerk_tools.simulator.board_spec import Lateness
from zaehlwerk_tools.simulator.inputs import EdgeTrain, PulseInputs
from zaehlwerk_tools.simulator.passages import MS, Stay, contact
from zaehlwerk_tools.simulator.scheduler import NS

US = 1000
CHATTER = 128
PULSE = {"class": "bicycle", "sensor": "pulse", "pin": 4}


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> object:
    return sensor_tree(tmp_path_factory.mktemp("sensors"))


@pytest.mark.parametrize("disturbance", ["nothing", "flash", "garbage"])
def test_533_pulses_a_second_are_exact_with_one_reading_a_minute(city: City, disturbance: str) -> None:
    """20 us long, at random within their time; two channels at once."""
    randoms = random.Random(disturbance)
    step = 1_000_000_000 // 533
    trains = {}
    for pin in (4, 5):
        begins = [FIRST_NS + n * step + randoms.randrange(step - 50 * US) for n in range(533 * 110)]
        trains[pin] = EdgeTrain([at for begin in begins for at in (begin, begin + 20 * US)])
    told = watch(
        city,
        PulseInputs(trains=trains),
        PULSE,
        {**PULSE, "pin": 5},
        seconds=120,
        every_s=60,
        disturbance=disturbance,
        lateness=Lateness(gc_ms=20),
    )
    assert told.counts == [533 * 110, 533 * 110]
    assert told.health == [0, 0]


def test_what_is_shorter_than_the_filter_is_not_counted_and_does_not_divide_a_pulse(city: City) -> None:
    """Pulses of 1 ms with a dropout of 10 us in their middle, and glitches of 12 us between them."""
    times: list[int] = []
    for n in range(50):
        at = FIRST_NS + n * 10 * MS
        times += [at, at + 500 * US, at + 510 * US, at + MS, at + 5 * MS, at + 5 * MS + 12 * US]
    told = watch(city, PulseInputs(trains={4: EdgeTrain(times)}), PULSE, seconds=5)
    assert told.counts == [50]


@pytest.mark.parametrize("edge", ["rising", "falling"])
def test_either_edge_is_counted_once(city: City, edge: str) -> None:
    made = [Stay(FIRST_NS + n * 100 * MS, FIRST_NS + (n * 100 + 30) * MS) for n in range(30)]
    train = contact(random.Random(1), made, idle=int(edge == "falling"))
    told = watch(city, PulseInputs(trains={4: train}), {**PULSE, "edge": edge}, seconds=8)
    assert told.counts == [30]


@pytest.mark.parametrize("rate", [600, 1200, 3000, 19_000])
def test_more_pulses_than_the_counter_can_tell_apart_are_flagged(city: City, rate: int) -> None:
    """A round of the counter and more in a minute, and then a minute of traffic, which is in order again."""
    step, burst = 1_000_000_000 // rate, min(rate * 55, 200_000)
    begins = [FIRST_NS + n * step for n in range(burst)]
    begins += [FIRST_NS + 65 * NS + n * 2 * NS for n in range(20)]
    train = EdgeTrain([at for begin in begins for at in (begin, begin + 20 * US)])
    told = watch(city, PulseInputs(trains={4: train}), PULSE, seconds=120, every_s=60)
    assert [health for _, _, health, _ in told.readings] == [[CHATTER], [0]]
    assert told.readings[0][0] == [burst]
    assert [seen[0] for _, seen, _, _ in told.readings] == [0, pytest.approx(60_000, abs=10)]
    assert told.readings[1][0] == [20]


def test_bounces_are_not_the_counter_s_business(city: City) -> None:
    """What the documents warn of: a contact that bounces for a millisecond counts more than once."""
    at = FIRST_NS
    told = watch(
        city, PulseInputs(trains={4: EdgeTrain([at, at + MS, at + 2 * MS, at + 40 * MS])}), PULSE, seconds=5
    )
    assert told.counts == [2]
