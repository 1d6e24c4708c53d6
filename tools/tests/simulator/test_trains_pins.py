"""Trains of edges on a board's pins: interrupts as the ESP32 has them, counters that miss nothing, filters, levels."""

from __future__ import annotations

import itertools

import pytest

from tools.tests.simulator.small_city import START_NS, City
from zaehlwerk_tools.simulator.board_spec import Lateness
from zaehlwerk_tools.simulator.inputs import FALLING, RISING, EdgeTrain, PulseInputs
from zaehlwerk_tools.simulator.scheduler import NS

US, MS = 1000, 1_000_000


def train(*at_us: int, first_us: int = 1_000_000, idle: int = 0) -> EdgeTrain:
    """Edges so many us after a second of the board's life."""
    return EdgeTrain([START_NS + (first_us + at) * US for at in at_us], idle)


def regular(step_us: int, count: int, first_us: int = 1_000_000) -> EdgeTrain:
    return train(*range(0, step_us * count, step_us), first_us=first_us)


# Edges are noted with their time and level into memory that is there; `micropython` is as on the chip.
NOTES = """
import asyncio, gc, machine, micropython, time
from array import array
at, levels, n = array("I", bytes(8000)), bytearray(2000), 0
def edge(pin):
    global n
    at[n] = time.ticks_us()
    levels[n] = pin.value()
    n += 1
pin = machine.Pin(4, machine.Pin.IN)
c = machine.Counter(0, machine.Pin(4), edge=3, filter_ns={filter_ns})
pin.irq(edge, pin.IRQ_RISING | pin.IRQ_FALLING)
{then}
print(n, c.value())
print(*at[:n])
print(*levels[:n])
"""


def notes(then: str, filter_ns: int = 0) -> str:
    return NOTES.format(then=then, filter_ns=filter_ns)


def test_a_train_has_levels_counts_and_next_edges() -> None:
    edges = EdgeTrain([1000, 3000, 7000, 9000])
    assert [edges.level(t) for t in (0, 999, 1000, 2999, 3000, 8999, 10_000)] == [0, 0, 1, 1, 0, 1, 0]
    assert edges.count_and_next(999, RISING) == (0, 1000)
    assert edges.count_and_next(1000, RISING) == (1, 7000)
    assert edges.count_and_next(3000, FALLING) == (1, 9000)
    assert edges.count_and_next(7000, RISING | FALLING) == (3, 9000)
    assert edges.count_and_next(9000, RISING) == (2, None)
    assert edges.after(1000, 2) == [3000, 7000]


def test_an_idle_level_of_one_turns_the_edges_round() -> None:
    edges = EdgeTrain([1000, 3000, 7000], idle=1)
    assert [edges.level(t) for t in (0, 1000, 3000, 7000)] == [1, 0, 1, 0]
    assert edges.count_and_next(7000, FALLING) == (2, None)
    assert edges.count_and_next(1000, RISING) == (0, 3000)


def test_a_filter_lets_through_what_lasts_and_nothing_else() -> None:
    edges = EdgeTrain([10_000, 15_000, 40_000, 80_000, 82_000, 100_000])
    assert edges.filtered(0) is edges
    # 5 us high, and 2 us low within a long high level, are glitches.
    assert edges.filtered(12_787).times == [52_787, 92_787 + 20_000]


@pytest.mark.parametrize(("times", "idle"), [([5000, 5000], 0), ([5000, 5500], 0), ([5000], 2)])
def test_a_train_that_makes_no_sense_is_refused(times: list[int], idle: int) -> None:
    with pytest.raises(ValueError, match=r"microsecond|idle level"):
        EdgeTrain(times, idle)


def test_a_pin_has_one_schedule_only() -> None:
    with pytest.raises(ValueError, match=r"pins \[4\]"):
        PulseInputs({4: [1]}, trains={4: EdgeTrain([1])})


@pytest.mark.parametrize("bits", [64, 32])
def test_every_edge_of_a_train_interrupts_at_its_time_with_its_level(city: City, bits: int) -> None:
    """40 edges, more than the simulator hands over at once; a handler runs 30 us after its edge, in a sleep or in asyncio."""
    gaps = [700, 300, 1500, 90_000, 200] * 8
    edges = [0, *itertools.accumulate(gaps)][:40]
    city.add(notes("time.sleep(3)"), PulseInputs(trains={4: train(*edges)}), bits=bits)
    count, times, levels = city.run(60)
    assert count == "40 40"
    assert [int(at) - 1_000_000 - 40 for at in times.split()] == edges
    assert levels.split() == ["1", "0"] * 20


def test_a_waiting_program_is_woken_by_an_edge(city: City) -> None:
    program = """
flag = asyncio.ThreadSafeFlag()
pin.irq(lambda pin: flag.set(), pin.IRQ_FALLING)
async def main():
    await flag.wait()
    print(time.ticks_ms(), pin.value())
asyncio.run(main())
"""
    city.add(notes(program), PulseInputs(trains={4: train(0, 500_000)}))
    assert city.run(60)[0] == "1500 0"


def test_while_flash_is_erased_all_edges_of_a_pin_are_one_interrupt_and_the_counter_has_them_all(
    city: City,
) -> None:
    """The chip's interrupt routine is in flash itself. One handler per pin, in the order of the pins and not of the edges."""
    program = """
order = []
pin.irq(lambda pin: order.append((4, pin.value())), 3)
other = machine.Pin(5, machine.Pin.IN)
other.irq(lambda pin: order.append((5, pin.value())), 3)
with open("x", "w") as f:
    f.write("y" * 700)
    time.sleep_us(1000000 - time.ticks_us())
    begun = c.value()
with open("x", "w") as f:
    f.write("z" * 700)
    print(c.value() - begun, order, time.ticks_ms() > 1029)
"""
    trains = {4: train(5000, 12_000, 19_000), 5: train(3000, 25_000)}
    city.add(notes(program), PulseInputs(trains=trains))
    assert city.run(60)[0] == "3 [(4, 1), (5, 0)] True"


def test_a_collection_keeps_eight_handlers_and_drops_the_rest(city: City) -> None:
    """20 edges of 1 ms while garbage is collected for 20 ms: the interrupt routine runs, its queue holds eight."""
    edges = [*range(1000, 21_000, 1000)]
    program = "time.sleep_ms(1000 - time.ticks_ms())\ngc.collect()\nprint(n)\ntime.sleep(1)"
    city.add(notes(program), PulseInputs(trains={4: train(*edges)}), lateness=Lateness(gc_ms=20))
    during, count, *_ = city.run(60)
    assert during == "8"
    assert count.split()[1] == "20"
    assert int(count.split()[0]) in (8, 9)


def test_edges_that_come_within_a_handler_wait_for_their_turn(city: City) -> None:
    """A burst faster than a handler: those that find a place in the queue come late, the level is the one of then."""
    city.add(notes("time.sleep(2)"), PulseInputs(trains={4: regular(20, 40)}))
    count, times, _ = city.run(60)
    seen, counted = map(int, count.split())
    assert counted == 40
    assert 8 < seen < 40
    assert all(b - a >= 50 for a, b in itertools.pairwise(map(int, times.split())))


def test_interrupts_that_are_served_late_are_one(city: City) -> None:
    city.add(
        notes("time.sleep(2)"),
        PulseInputs(trains={4: regular(5000, 10)}),
        lateness=Lateness(irq_ms=50, always=True),
    )
    count, times, _ = city.run(60)
    assert count == "1 10"
    assert int(times) >= 1_050_000


def test_schedule_runs_its_callback_in_turn_and_refuses_the_ninth(city: City) -> None:
    program = """
ran = []
def nine(pin):
    for i in range(9):
        try:
            micropython.schedule(ran.append, i)
        except RuntimeError as error:
            print(error)
    print(ran)
pin.irq(nine, pin.IRQ_RISING)
time.sleep(2)
print(ran)
"""
    city.add(notes(program), PulseInputs(trains={4: train(0)}))
    assert city.run(60)[:3] == ["schedule queue full", "[]", str(list(range(8)))]


def test_a_filter_spares_the_counter_glitches_that_still_interrupt(city: City) -> None:
    """10 us are below the longest filter of 12.8 us, 20 us are not."""
    edges = [0, 10, 1000, 1020, 2000, 2010]
    city.add(notes("time.sleep(2)", filter_ns=12_787), PulseInputs(trains={4: train(*edges)}))
    assert city.run(60)[0] == "6 2"


def test_pcnt_filters_too(city: City) -> None:
    city.add(
        "import esp32, machine, time\n"
        "u = esp32.PCNT(0, pin=machine.Pin(4), rising=esp32.PCNT.INCREMENT, falling=esp32.PCNT.INCREMENT,"
        " min=0, max=32000, filter=1023, value=0)\nu.start()\ntime.sleep(2)\nprint(u.value())",
        PulseInputs(trains={4: train(0, 10, 1000, 1020, 2000, 2010)}),
    )
    assert city.run(60) == ["2"]


@pytest.mark.parametrize("ppb", [-20_000, 20_000])
def test_a_crystal_that_is_off_loses_no_edge(city: City, ppb: int) -> None:
    city.add(notes("time.sleep(20)"), PulseInputs(trains={4: regular(9973, 1500)}), crystal_ppb=ppb)
    assert city.run(60)[0] == "1500 1500"


def test_a_handler_that_allocates_is_found_out_and_asking_for_edges_is_not(city: City) -> None:
    """`strict` locks the heap in handlers; the 40 edges take three questions to the simulator within handlers."""
    city.add(
        notes("time.sleep(2)"), PulseInputs(trains={4: regular(20, 40), 5: regular(70, 60)}), strict=True
    )
    assert int(city.run(60)[0].split()[1]) == 40
    city.boards.clear()


def test_a_board_without_trains_asks_as_before(city: City) -> None:
    """The stand-in for interrupts is not loaded, and an edge of a level costs one message."""
    board = city.add(
        "import machine, sys, time\nn = []\nmachine.Pin(4).irq(n.append, 3)\ntime.sleep(10)\n"
        "print(len(n), 'board_link' in sys.modules and sys.modules['board_link'].edges)",
        PulseInputs(levels={4: [(START_NS + (1 + k) * NS, 1 - k % 2) for k in range(6)]}),
    )
    assert city.run(60) == ["6 None"]
    assert board.messages < 14
