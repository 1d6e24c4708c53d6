"""What a board reads from its pins: counters that cycle, levels, interrupts at their exact time."""

from __future__ import annotations

import pytest

from tools.tests.simulator.small_city import START_NS, City
from zaehlwerk_tools.simulator.inputs import FALLING, RISING, PulseInputs
from zaehlwerk_tools.simulator.scheduler import NS

MS = 1_000_000


def every(ms: int, count: int, first_ms: int = 1000) -> list[int]:
    return [START_NS + (first_ms + n * ms) * MS for n in range(count)]


def test_a_pulse_counts_from_its_own_nanosecond_on() -> None:
    inputs = PulseInputs({4: [100, 200, 200, 300]}, width_ns=10)
    assert [inputs.count_until(4, t) for t in (99, 100, 199, 200, 300, 10**9)] == [0, 1, 1, 3, 4, 4]
    assert inputs.count_and_next(4, 100) == (1, 200)
    assert inputs.count_and_next(4, 300) == (4, None)
    assert inputs.total(4) == 4


def test_a_pulse_falls_after_its_width_and_before_the_next_one() -> None:
    inputs = PulseInputs({4: [100, 120, 300]}, width_ns=50)
    assert [inputs.level_and_next(4, t) for t in (99, 100, 110, 120, 170, 310)] == [
        (0, 100),
        (1, 110),
        (0, 120),
        (1, 170),
        (0, 300),
        (1, 350),
    ]
    assert inputs.count_and_next(4, 130, FALLING) == (1, 170)
    assert inputs.count_and_next(4, 130, RISING | FALLING) == (3, 170)


def test_levels_have_edges_only_where_they_change() -> None:
    inputs = PulseInputs(levels={5: [(0, 1), (100, 1), (200, 0)]})
    assert inputs.level_and_next(5, 50) == (1, 200)
    assert inputs.level_and_next(5, 200) == (0, None)
    assert inputs.level_and_next(9, 200) == (0, None)
    assert inputs.count_until(5, 300, FALLING) == 1


@pytest.mark.parametrize(
    ("pulses", "levels", "words"),
    [
        ({4: [2, 1]}, {}, "not sorted"),
        ({}, {5: [(2, 1), (1, 0)]}, "sorted"),
        ({}, {5: [(2, 7)]}, "0 or 1"),
        ({4: [1]}, {4: [(1, 1)]}, "pins \\[4\\]"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(pulses: object, levels: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PulseInputs(pulses, levels)  # type: ignore[arg-type]


@pytest.mark.parametrize("bits", [64, 32])
def test_a_counter_counts_what_came_since_it_was_made(city: City, bits: int) -> None:
    """Edges before it was made do not count; a pulse costs no message until somebody reads."""
    board = city.add(
        "import machine, time\ntime.sleep_ms(3500)\n"
        "c = machine.Counter(0, machine.Pin(4, machine.Pin.IN), edge=machine.Counter.RISING)\n"
        "print(c.value())\ntime.sleep(10)\nprint(c.value(), c.value())\nprint(c.value(0), c.value())",
        PulseInputs({4: every(1000, 1000)}),
        bits=bits,
    )
    assert city.run(60) == ["0", "10 10", "10 0"]
    assert board.messages < 10


def test_falling_edges_come_a_pulse_width_later(city: City) -> None:
    city.add(
        "import machine, time\np = machine.Pin(4)\n"
        "r = machine.Counter(0, src=p, edge=machine.Counter.RISING)\n"
        "f = machine.Counter(1, src=p, edge=machine.Counter.FALLING)\n"
        "time.sleep_ms(1020)\nprint(r.value(), f.value())\ntime.sleep_ms(50)\nprint(r.value(), f.value())",
        PulseInputs({4: every(1000, 5)}),
    )
    assert city.run(60) == ["1 0", "1 1"]


CYCLES = """
import machine, time
c = machine.Counter(0, machine.Pin(4))
for s in {sleeps}:
    time.sleep(s)
    print(c.value())
"""


def test_a_counter_that_is_read_often_enough_passes_its_limit(city: City) -> None:
    """32,000 is the hardware's limit: read before the second cycle, the value goes on."""
    city.add(CYCLES.format(sleeps=[30, 10, 20]), PulseInputs({4: every(1, 100_000, 0)}))
    assert city.run(100) == ["30000", "40000", "60000"]


def test_a_counter_that_is_read_rarely_has_lost_no_cycle(city: City) -> None:
    """Two cycles without a read: each was added by its interrupt."""
    city.add(CYCLES.format(sleeps=[70]), PulseInputs({4: every(1, 100_000, 0)}))
    assert city.run(100) == ["70000"]


def test_pcnt_has_the_bare_hardware_with_its_limit(city: City) -> None:
    city.add(
        "import esp32, machine, time\n"
        "u = esp32.PCNT(0, pin=machine.Pin(4), rising=esp32.PCNT.INCREMENT, falling=esp32.PCNT.IGNORE,"
        " min=0, max=1000, filter=1023, value=0)\n"
        "u.irq(lambda p: print('max', p.flags() == esp32.PCNT.IRQ_MAX), esp32.PCNT.IRQ_MAX)\n"
        "u.start()\ntime.sleep_ms(999)\nprint(u.value())\ntime.sleep_ms(1000)\nprint(u.value())",
        PulseInputs({4: every(1, 5000, 0)}),
    )
    first, *rest = city.run(20)
    assert int(first) in range(997, 1001)
    assert rest[0] == "max True"
    assert int(rest[1]) == pytest.approx(int(first), abs=3)


def test_there_are_as_many_counters_as_the_chip_has(city: City) -> None:
    city.add(
        "import machine\nmachine.Counter(3, machine.Pin(4))\n"
        "try:\n    machine.Counter(4, machine.Pin(4))\nexcept ValueError as e:\n    print(e)"
    )
    assert city.run(10) == ["invalid id"]


def test_an_interrupt_comes_at_the_edge_and_ends_a_wait(city: City) -> None:
    """The handler runs at the edge's microsecond, in a sleep and in asyncio; a flag it sets wakes its task at once."""
    city.add(
        """
import asyncio, machine, time
flag = asyncio.ThreadSafeFlag()
edges = []
def edge(pin):
    edges.append((time.ticks_us(), pin.value()))
    flag.set()
pin = machine.Pin(5, machine.Pin.IN)
pin.irq(edge, machine.Pin.IRQ_RISING | machine.Pin.IRQ_FALLING)
time.sleep(2)
print(edges, time.ticks_ms())
async def main():
    flag.clear()
    await flag.wait()
    print(time.ticks_ms(), pin.value())
    pin.irq(None)
    await asyncio.sleep(10)
    print(len(edges))
asyncio.run(main())
""",
        PulseInputs(
            levels={5: [(START_NS + 1_234_567_000, 1), (START_NS + 4_000_000_000, 0), (START_NS + 6 * NS, 1)]}
        ),
    )
    lines = city.run(60)
    assert lines == ["[(1234577, 1)] 2000", "4000 0", "2"]


def test_only_the_wanted_edge_interrupts(city: City) -> None:
    city.add(
        "import machine, time\nn = []\n"
        "machine.Pin(4).irq(lambda p: n.append(time.ticks_ms()), machine.Pin.IRQ_FALLING)\n"
        "time.sleep(4)\nprint(n)",
        PulseInputs({4: every(1000, 3)}),
    )
    assert city.run(60) == ["[1050, 2050, 3050]"]


def test_a_burst_during_a_flash_write_loses_edges_beyond_eight(city: City) -> None:
    """Interrupts are soft and queued 8 deep: what comes while a driver blocks is lost silently, as on the chip."""
    city.add(
        """
import machine, time
n = 0
def edge(pin):
    global n
    n += 1
machine.Pin(4).irq(edge, machine.Pin.IRQ_RISING)
c = machine.Counter(0, machine.Pin(4))
before = time.ticks_ms()
with open("x", "w") as f:
    f.write("x" * 9000)
took = time.ticks_diff(time.ticks_ms(), before)
print(took > 30, n < c.value() - 10)
""",
        PulseInputs({4: every(1, 5000, 0)}),
    )
    assert city.run(60) == ["True True"]


def test_outputs_are_seen_outside_with_their_time(city: City) -> None:
    board = city.add(
        "import machine, time\nled = machine.Pin(2, machine.Pin.OUT)\ntime.sleep(1)\nled.on()\ntime.sleep(1)\n"
        "led(0)\nprint(led.value())"
    )
    assert city.run(10) == ["0"]
    assert board.outputs == [(START_NS, 2, 0), (START_NS + NS, 2, 1), (START_NS + 2 * NS, 2, 0)]


def test_analog_values_and_identity_come_from_the_spec(city: City) -> None:
    program = (
        "import machine\nfrom boards import heltec_v3 as board\n"
        "print(machine.ADC(machine.Pin(2)).read_uv(), board.temperature(),"
        " board.PCNT_UNITS, len(machine.unique_id()))\nprint(board.battery_mv())"
    )
    city.add(program, analog_uv={2: 1_500_000}, battery_mv=3700, temperature_dc=-35)
    values, battery = city.run(10)
    assert values == "1500000 -40 4 8"
    # Through a divider and an ADC.
    assert int(battery) == pytest.approx(3700, abs=10)
