"""A whole node with the low-power profile: every train of passages that keeps the stated limits is counted exactly, though
the processor sleeps in between; and what it may cost is within what docs/sensors/README.md says."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import zaehlwerk_protocol
from tools.tests.simulator.sensor_board import IDENTITY
from tools.tests.simulator.small_city import ROOT, START_NS, City
from zaehlwerk_tools.simulator.board import Board
from zaehlwerk_tools.simulator.board_spec import Lateness
from zaehlwerk_tools.simulator.firmware_tree import build_tree
from zaehlwerk_tools.simulator.inputs import EdgeTrain, PulseInputs
from zaehlwerk_tools.simulator.passages import MS, WORST, Bounces, Stay, contact
from zaehlwerk_tools.simulator.scheduler import NS

SHORT, UNVERIFIED, STUCK = 2, 32, 256
BOUNCE_MS, DEBOUNCE_MS, GAP_MS = 8, 10, 100
WAKE_MS = 5
"""What docs/sensors/README.md allows for waking, from the edge to the first look at the pin."""
CONTACT = {"class": "bicycle", "direction": "in", "sensor": "contact", "pin": 4}
PRESENCE = {**CONTACT, "sensor": "presence"}
OTHER = {**CONTACT, "direction": "out", "pin": 5}
BUTTON = 0
# Lamp and technician are gone, and the first start has lasted.
CALM_S = 620
PPM = 3300

# The node as it is, which says once a minute what it has read; main.py as it is, but for the last line.
TELLING = """
inputs = node.inputs
read = inputs.read
def telling():
    found = read()
    print("read", repr([found[0], found[1], inputs.health]).replace("(", "[").replace(")", "]"))
    return found
inputs.read = telling
asyncio.run(node.run())
"""


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Builds the whole firmware with another last line in main.py."""
    folder = tmp_path_factory.mktemp("asleep")
    firmware = folder / "firmware"
    shutil.copytree(ROOT / "firmware", firmware, ignore=shutil.ignore_patterns("tests"))
    text = (firmware / "main.py").read_text()
    last = "asyncio.run(node.run())\n"
    assert text.endswith(last)
    (firmware / "main.py").write_text(text.removesuffix(last) + TELLING)
    shutil.copytree(Path(zaehlwerk_protocol.__file__).parent, firmware / "zaehlwerk_protocol")
    tree = build_tree(firmware, None, folder / "cache")
    return lambda _: tree


@dataclass(frozen=True)
class Told:
    """What the node read: (counts, observed ms, health) per reading; and the board that it ran on."""

    readings: Sequence[Any]
    notes: Sequence[str]
    board: Board
    asleep_s: float

    @property
    def counts(self) -> list[int]:
        """Per channel, of all readings."""
        return [sum(column) for column in zip(*(counts for counts, *_ in self.readings), strict=True)]

    @property
    def health(self) -> list[int]:
        """All codes that were ever told."""
        codes = [0] * len(self.readings[0][2])
        for reading in self.readings:
            codes = [a | b for a, b in zip(codes, reading[2], strict=True)]
        return codes


def watch(
    city: City,
    trains: Mapping[int, EdgeTrain],
    *channels: Mapping[str, Any],
    until_s: float,
    settings: Mapping[str, Any] | None = None,
    levels: Mapping[int, Sequence[tuple[int, int]]] | None = None,
    **changes: Any,
) -> Told:
    """Run the node with these channels for so long."""
    document = {**IDENTITY, "channels": list(channels), "sleep": "light", **(settings or {})}
    board = city.add(
        "",
        PulseInputs(levels=levels or {BUTTON: [(START_NS - NS, 1)]}, trains=trains),
        files={"settings.json": json.dumps(document).encode()},
        **{"sleep_ppm": PPM, "may_end": False, **changes},
    )
    # One reading more, of what came last.
    city.run(until_s + 70)
    lines = city.printed(board)
    readings = [json.loads(found[1]) for line in lines if (found := re.match("read (.*)", line))]
    notes = [line for line in lines if line.startswith("zaehlwerk:") or "Error" in line]
    return Told(readings, notes, board, board.light_sleep_ns / NS)


def stays(
    randoms: random.Random, count: int, active_ms: tuple[int, int], idle_ms: tuple[int, int]
) -> list[Stay]:
    """So many passages, active and inactive for so long, from when the node is calm."""
    made, now = [], START_NS + CALM_S * NS
    for _ in range(count):
        end = now + randoms.randrange(active_ms[0] * 1000, active_ms[1] * 1000) * 1000
        made.append(Stay(now, end))
        now = end + randoms.randrange(idle_ms[0] * 1000, idle_ms[1] * 1000) * 1000
    return made


def end_s(made: Sequence[Stay]) -> float:
    return (made[-1].end_ns - START_NS) / NS


# The shortest that is promised, with the bounces at its begin.
LEAST_MS = BOUNCE_MS + DEBOUNCE_MS + WAKE_MS


@pytest.mark.parametrize("kind", [CONTACT, PRESENCE])
def test_passages_far_apart_wake_the_node_and_are_all_counted(city: City, kind: dict) -> None:
    """60 of them, short ones too, with up to 21 edges at either end, and sleep between all of them."""
    randoms = random.Random(kind["sensor"])
    made = stays(randoms, 60, (LEAST_MS, 400), (2000, 20_000))
    told = watch(city, {4: contact(randoms, made, WORST)}, kind, until_s=end_s(made))
    assert told.counts == [60]
    assert told.health == [UNVERIFIED]
    assert told.asleep_s > 0.9 * (end_s(made) - CALM_S)
    assert told.notes == []


def test_a_burst_at_the_stated_maximum_rate_is_counted_as_awake(city: City) -> None:
    """Seven a second for half a minute, out of sleep."""
    randoms = random.Random(1)
    idle = GAP_MS + BOUNCE_MS + 1
    made = stays(randoms, 200, (LEAST_MS, LEAST_MS + 2), (idle, idle + 2))
    told = watch(city, {4: contact(randoms, made, WORST)}, CONTACT, until_s=end_s(made))
    assert told.counts == [200]
    assert told.health == [UNVERIFIED]


def test_two_channels_wake_it_both_alone_and_at_the_same_moment(city: City) -> None:
    randoms = random.Random(2)
    one, other = (
        stays(randoms, 40, (LEAST_MS, 300), (1000, 9000)),
        stays(randoms, 40, (LEAST_MS, 300), (1000, 9000)),
    )
    both = [Stay(stay.begin_ns, stay.end_ns) for stay in one[:20]]
    rest = [stay for stay in other if stay.begin_ns > both[-1].end_ns + NS]
    trains = {4: contact(randoms, one, WORST), 5: contact(randoms, both + rest, Bounces(2))}
    told = watch(city, trains, CONTACT, OTHER, until_s=max(end_s(one), end_s(other)))
    assert told.counts == [40, 20 + len(rest)]


def test_contacts_that_are_active_low_wake_it_too(city: City) -> None:
    randoms = random.Random(3)
    made = stays(randoms, 30, (LEAST_MS, 300), (1000, 9000))
    kind = {**CONTACT, "edge": "falling", "pull": "up"}
    told = watch(city, {4: contact(randoms, made, WORST, idle=1)}, kind, until_s=end_s(made))
    assert told.counts == [30]
    assert told.asleep_s > 0.9 * (end_s(made) - CALM_S)


def test_passages_during_transmission_and_windows_are_counted(city: City) -> None:
    """A passage every 0.7 s for an hour, over join requests with both their windows; the chip model finds nothing wrong."""
    randoms = random.Random(4)
    made = stays(randoms, 5000, (100, 200), (500, 600))
    told = watch(city, {4: contact(randoms, made, Bounces(2))}, CONTACT, until_s=end_s(made))
    assert told.counts == [5000]
    assert told.board.radio.violations == []
    assert len(city.uplinks) > 3


@pytest.mark.parametrize("lateness", [Lateness(gc_ms=20), Lateness(irq_ms=10, always=True)])
def test_late_interrupts_and_collections_change_nothing(city: City, lateness: Lateness) -> None:
    randoms = random.Random(5)
    made = stays(randoms, 60, (LEAST_MS + 50, 400), (1000, 9000))
    told = watch(city, {4: contact(randoms, made, WORST)}, CONTACT, until_s=end_s(made), lateness=lateness)
    assert told.counts == [60]


def test_a_pin_that_stays_active_keeps_the_node_awake_and_is_stuck(city: City) -> None:
    """It neither sleeps nor spins: the world hears of it about as often as of a node without the profile."""
    begin = START_NS + (CALM_S + 10) * NS
    told = watch(city, {4: EdgeTrain([begin])}, {**CONTACT, "stuck_s": 60}, until_s=CALM_S + 610)
    assert told.counts == [1]
    assert told.readings[-1][2][0] & STUCK
    assert told.asleep_s < 31
    assert told.board.cpu_s < 10


def test_a_signal_too_short_to_be_seen_awake_is_noted(city: City) -> None:
    """Half a millisecond: over before the processor is awake."""
    times = [START_NS + (CALM_S + 5 * n) * NS + edge for n in range(1, 6) for edge in (0, MS // 2)]
    told = watch(city, {4: EdgeTrain(times)}, CONTACT, until_s=CALM_S + 60)
    assert told.counts == [0]
    assert told.health == [UNVERIFIED | SHORT]


def test_the_watchdog_is_fed_and_nothing_is_lost_over_hours_without_traffic(city: City) -> None:
    told = watch(city, {4: EdgeTrain([])}, CONTACT, until_s=4 * 3600)
    assert told.board.resets == []
    assert told.asleep_s > 0.95 * (4 * 3600 - CALM_S)


def test_the_lamp_and_the_technician_have_their_time(city: City) -> None:
    told = watch(city, {4: EdgeTrain([])}, CONTACT, until_s=500)
    assert told.asleep_s == 0


def test_without_the_setting_it_never_sleeps(city: City) -> None:
    told = watch(city, {4: EdgeTrain([])}, CONTACT, until_s=1200, settings={"sleep": "none"})
    assert told.asleep_s == 0
    assert told.health == [0]


def test_handlers_allocate_nothing(city: City) -> None:
    randoms = random.Random(6)
    made = stays(randoms, 30, (LEAST_MS, 300), (1000, 5000))
    told = watch(city, {4: contact(randoms, made, WORST)}, CONTACT, until_s=end_s(made), strict=True, bits=32)
    assert told.counts == [30]
    assert told.notes == []


def test_a_press_of_the_button_wakes_it_where_contacts_are_active_low(city: City) -> None:
    """The lamp shines at once."""
    at = START_NS + (CALM_S + 400) * NS
    levels = {BUTTON: [(START_NS - NS, 1), (at, 0), (at + 300 * MS, 1)]}
    kind = {**CONTACT, "edge": "falling", "pull": "up"}
    randoms = random.Random(7)
    before = [Stay(START_NS + CALM_S * NS, START_NS + CALM_S * NS + 100 * MS)]
    told = watch(city, {4: contact(randoms, before, idle=1)}, kind, until_s=CALM_S + 500, levels=levels)
    lamp = [ns for ns, pin, level in told.board.outputs if pin == 35 and level and ns > at]
    assert lamp
    assert lamp[0] < at + NS
    assert told.counts == [1]
