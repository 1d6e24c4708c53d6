"""Light sleep of a virtual board: what it does not see, what wakes it, what its clock is off by, and how long it was asleep."""

from __future__ import annotations

import pytest

from tools.tests.simulator.small_city import START_NS, City
from zaehlwerk_tools.simulator.board_spec import BoardError
from zaehlwerk_tools.simulator.inputs import EdgeTrain, PulseInputs
from zaehlwerk_tools.simulator.passages import MS
from zaehlwerk_tools.simulator.scheduler import NS

PIN = 4
TIMER, GPIO = 4, 7
HEAD = """
import esp32, machine, time
pin = machine.Pin(4, machine.Pin.IN)
other = machine.Pin(5, machine.Pin.IN)
edges = []
def edge(pin):
    edges.append(pin.value())
def nap(ms):
    begun = time.ticks_ms()
    machine.lightsleep(ms)
    return time.ticks_diff(time.ticks_ms(), begun)
"""


def at(*seconds: float) -> EdgeTrain:
    """A pin that changes so long after the boot."""
    return EdgeTrain([START_NS + round(second * NS) for second in seconds])


def run(city: City, program: str, *, seconds: float = 100, **changes: object) -> list[str]:
    city.add(HEAD + program, changes.pop("inputs", None), **changes)  # type: ignore[arg-type]
    return city.run(seconds)


def test_it_sleeps_as_long_as_the_timer_says(city: City) -> None:
    lines = run(city, "print(nap(10000), machine.wake_reason())")
    slept, reason = map(int, lines[0].split())
    assert slept == pytest.approx(10_000, abs=2)
    assert reason == TIMER


@pytest.mark.parametrize("level", [1, 0])
def test_the_level_of_a_pin_wakes_it(city: City, level: int) -> None:
    """High at 3 s where high wakes, low at 5 s where low does."""
    program = f"""
while pin.value() == {level}:
    time.sleep_ms(1)
esp32.wake_on_gpio((pin, other), {bool(level)})
print(nap(60000), machine.wake_reason(), pin.value())
"""
    trains = {PIN: at(3, 5) if level else at(0.001, 5), 5: at() if level else at(0.001)}
    slept, reason, now = map(int, run(city, program, inputs=PulseInputs(trains=trains))[0].split())
    assert slept == pytest.approx(3000 if level else 5000, abs=5)
    assert (reason, now) == (GPIO, level)


def test_a_pin_that_has_the_level_already_lets_it_not_sleep(city: City) -> None:
    program = (
        "time.sleep_ms(2000)\nesp32.wake_on_gpio((pin,), True)\nprint(nap(60000), machine.wake_reason())"
    )
    slept, reason = map(int, run(city, program, inputs=PulseInputs(trains={PIN: at(1, 50)}))[0].split())
    assert slept <= 3
    assert reason == GPIO


@pytest.mark.parametrize("pulses", [False, True])
def test_edges_during_sleep_reach_no_interrupt(city: City, pulses: bool) -> None:
    """Neither where trains are played nor where pins have pulses only; and those after it do."""
    program = "pin.irq(edge, 3)\nnap(10000)\nprint(edges)\ntime.sleep(10)\ntime.ticks_ms()\nprint(edges)"
    moments = [3, 4, 6, 7, 13, 14]
    inputs = PulseInputs(trains={PIN: at(*moments)})
    if pulses:
        inputs = PulseInputs({PIN: [START_NS + second * NS for second in moments[::2]]}, width_ns=NS)
    assert run(city, program, inputs=inputs) == ["[]", "[1, 0]"]


@pytest.mark.parametrize(
    ("make", "value"),
    [
        ("machine.Counter(0, src=pin, edge=3)", "unit.value()"),
        (
            "esp32.PCNT(0, pin=pin, rising=esp32.PCNT.INCREMENT, falling=esp32.PCNT.INCREMENT)\nunit.start()",
            "unit.value()",
        ),
    ],
    ids=["Counter", "PCNT"],
)
def test_the_hardware_counter_stands_still(city: City, make: str, value: str) -> None:
    program = f"""
unit = {make}
time.sleep(5)
print({value})
nap(5000)
print({value})
time.sleep(10)
print({value})
"""
    inputs = PulseInputs(trains={PIN: at(1, 2, 6, 7, 8, 9, 12, 13, 14)})
    assert run(city, program, inputs=inputs) == ["2", "2", "5"]


@pytest.mark.parametrize("ppm", [0, 3000, -2000])
def test_the_ticks_are_off_by_the_slow_clock(city: City, ppm: int) -> None:
    """A thousand seconds of sleep: the ticks say that it was a thousand, the world that it was not."""
    program = """
print(sum([nap(50000) for _ in range(20)]))
before = time.ticks_us()
nap(50000)
print(time.ticks_diff(time.ticks_us(), before))
machine.Pin(7, machine.Pin.OUT, value=1)
"""
    lines = run(city, program, seconds=1200, sleep_ppm=ppm)
    assert int(lines[0]) == pytest.approx(1_000_000, abs=100)
    assert int(lines[1]) == pytest.approx(50_000_000, abs=1000)
    ((moment, _, _),) = [output for output in city.boards[0].outputs if output[1:] == (7, 1)]
    assert (moment - START_NS) / NS == pytest.approx(1050 * (1 - ppm / 1e6), abs=0.05)


def test_how_long_it_slept_is_counted(city: City) -> None:
    run(
        city,
        "nap(7000)\ntime.sleep(5)\nesp32.wake_on_gpio((pin,), True)\nnap(60000)",
        inputs=PulseInputs(trains={PIN: at(20)}),
    )
    board = city.boards[0]
    assert board.light_sleeps == 2
    assert board.light_sleep_ns / NS == pytest.approx(7 + 8, abs=0.01)


def test_a_handler_left_on_a_pin_that_wakes_is_an_error(city: City) -> None:
    """On the chip its interrupt has become one of level, and the program would hang in it."""
    program = "pin.irq(edge, 3)\nesp32.wake_on_gpio((pin,), True)\nnap(1000)"
    with pytest.raises(BoardError, match="GPIO 4 wakes by level"):
        run(city, program, inputs=PulseInputs(trains={PIN: at(3)}))


def test_a_handler_that_is_taken_off_and_put_on_again_hears_the_next_edge(city: City) -> None:
    program = """
pin.irq(edge, 3)
time.sleep(2)
pin.irq(None)
esp32.wake_on_gpio((pin,), True)
nap(60000)
pin.irq(edge, 3)
print(edges, pin.value())
time.sleep(10)
time.ticks_ms()
print(edges)
"""
    inputs = PulseInputs(trains={PIN: at(0.5, 0.6, 5, 6, 9)})
    assert run(city, program, inputs=inputs) == ["[1, 0] 1", "[1, 0, 0, 1]"]


def test_the_watchdog_goes_on(city: City) -> None:
    run(city, "machine.WDT(timeout=5000)\nnap(10000)", seconds=7)
    # The board may have run ahead, and have been reset again.
    first = city.boards[0].resets[0]
    assert (first.cause, first.at_ns) == ("WATCHDOG", START_NS + 5 * NS)


def test_a_sleep_that_nothing_ends_lasts_for_ever(city: City) -> None:
    run(city, "machine.lightsleep()\nprint('awake')", seconds=1000)
    assert city.printed(city.boards[0]) == []


def test_a_pulse_within_the_time_that_waking_takes_is_not_seen_any_more(city: City) -> None:
    """It wakes the board, which finds the pin as it was."""
    program = "esp32.wake_on_gpio((pin,), True)\nnap(60000)\nprint(machine.wake_reason(), pin.value())"
    begin = START_NS + 5 * NS
    train = EdgeTrain([begin, begin + MS // 2])
    assert run(city, program, inputs=PulseInputs(trains={PIN: train})) == [f"{GPIO} 0"]
