"""A virtual board's time: sleeps cost nothing, ticks wrap as the ESP32's do, the epoch is 2000."""

from __future__ import annotations

import time

import pytest

from tools.tests.simulator.small_city import START_NS, City
from zaehlwerk_tools.simulator.board_spec import BoardError
from zaehlwerk_tools.simulator.scheduler import NS, SchedulerError

TASKS = """
import asyncio, time
async def tick(name, ms, n):
    for i in range(n):
        await asyncio.sleep_ms(ms)
        print(name, time.ticks_ms())
async def main():
    await asyncio.gather(tick("a", 1000, 3), tick("b", 1500, 2), tick("c", 3600000, 2))
asyncio.run(main())
"""


@pytest.mark.parametrize("bits", [64, 32])
def test_tasks_wake_in_order_and_hours_take_no_time(city: City, bits: int) -> None:
    """Three tasks sleep for up to two hours; each wakes when it is due, and the whole takes seconds."""
    board = city.add(TASKS, bits=bits)
    began = time.monotonic()
    lines = city.run(3 * 3600)
    assert time.monotonic() - began < 5
    assert board.ended
    # At 3.0 s the second task was put to sleep before the first.
    assert "".join(line[0] for line in lines) in {"abaabcc", "ababacc"}
    at = {name: [int(line.split()[1]) for line in lines if line[0] == name] for name in "abc"}
    assert at["a"][0] == pytest.approx(1000, abs=2)
    assert at["b"][1] == pytest.approx(3000, abs=3)
    assert at["c"] == [pytest.approx(3_600_000, abs=2), pytest.approx(7_200_000, abs=3)]


WRAP = """
import asyncio, time
async def main():
    before = time.ticks_ms()
    await asyncio.sleep(5)
    after = time.ticks_ms()
    print(before > after, time.ticks_diff(after, before), time.ticks_add(before, 5000) - after, after < 1 << 30)
    await asyncio.create_task(nap())
    print(time.ticks_diff(time.ticks_ms(), after))
async def nap():
    await asyncio.sleep(1)
asyncio.run(main())
"""


@pytest.mark.parametrize("bits", [64, 32])
def test_asyncio_sleeps_across_the_wrap_of_ticks_ms(city: City, bits: int) -> None:
    """ticks_ms wraps at 2^30 during a sleep: the difference is right and nobody oversleeps."""
    city.add(WRAP, bits=bits, ticks_ms=(1 << 30) - 2000)
    lines = city.run(60)
    wrapped, difference, error, inside = lines[0].split()
    assert (wrapped, difference, inside) == ("True", "5000", "True")
    assert abs(int(error)) <= 1
    assert int(lines[1]) == pytest.approx(1000, abs=2)


def test_tasks_keep_their_order_across_the_wrap(city: City) -> None:
    """Due before, at and after the wrap, put to sleep in another order: they wake in the order they are due."""
    city.add(
        """
import asyncio
async def nap(ms):
    await asyncio.sleep_ms(ms)
    print(ms)
async def main():
    await asyncio.gather(*[nap(ms) for ms in (3000, 500, 2500, 1500, 1000, 4000)])
asyncio.run(main())
""",
        ticks_ms=(1 << 30) - 2000,
    )
    assert city.run(60) == ["500", "1000", "1500", "2500", "3000", "4000"]


def test_ticks_us_wraps_every_18_minutes(city: City) -> None:
    city.add(
        "import time\na = time.ticks_us()\ntime.sleep(1)\nb = time.ticks_us()\n"
        "print(a > b, time.ticks_diff(b, a) // 1000, time.ticks_cpu() < 1 << 30)",
        ticks_us=(1 << 30) - 500_000,
    )
    assert city.run(10) == ["True 1000 True"]


def test_ticks_diff_is_signed_with_half_the_period(city: City) -> None:
    city.add(
        "import time\nprint(time.ticks_diff(5, (1 << 30) - 5), time.ticks_diff((1 << 30) - 5, 5), "
        "time.ticks_add((1 << 30) - 1, 1), time.ticks_diff(1 << 29, 0))"
    )
    assert city.run(10) == [f"10 -10 0 {-(1 << 29)}"]


@pytest.mark.parametrize("bits", [64, 32])
def test_time_counts_from_2000_and_the_rtc_sets_it(city: City, bits: int) -> None:
    """After power-on it is 2000-01-01; machine.RTC sets the time of day, gmtime and mktime agree on the epoch."""
    city.add(
        "import time, machine\n"
        "print(time.time(), time.gmtime()[:6], time.mktime((2000, 1, 1, 0, 0, 0, 0, 0)))\n"
        "machine.RTC().datetime((2026, 6, 18, 0, 0, 0, 0, 250000))\n"
        "time.sleep_ms(900)\n"
        "print(time.time(), time.gmtime(), time.mktime((2026, 6, 18, 0, 0, 0, 0, 0)), time.time_ns() // 1000000)\n"
        "print(machine.RTC().datetime()[:7])",
        bits=bits,
    )
    since_2000 = (START_NS // NS + 2 * 3600) - 946_684_800
    assert city.run(10) == [
        "0 (2000, 1, 1, 0, 0, 0) 0",
        f"{since_2000 + 1} (2026, 6, 18, 0, 0, 1, 3, 169) {since_2000} {since_2000 * 1000 + 1150}",
        "(2026, 6, 18, 3, 0, 0, 1)",
    ]


def test_a_loop_that_polls_the_clock_ends(city: City) -> None:
    """Reading a clock moves time, so busy waiting is not for ever; it costs no message either."""
    board = city.add(
        "import time\nt = time.ticks_ms()\nwhile time.ticks_diff(time.ticks_ms(), t) < 200: pass\nprint('done')"
    )
    assert city.run(10) == ["done"]
    assert board.messages < 5


def test_a_loop_without_a_clock_is_named_and_not_waited_for_for_ever(city: City) -> None:
    city.add("while True: pass")
    city.scheduler._stall_s = 0.5
    with pytest.raises(SchedulerError, match="waiting for board 1"):
        city.run(10)


def test_a_crash_ends_the_run_with_board_and_traceback(city: City) -> None:
    city.add("import time\ntime.sleep(1)\nraise ValueError('broken on purpose')")
    with pytest.raises(BoardError, match=r"board 1 at [\d.]+ s UTC: its program crashed") as caught:
        city.run(10)
    assert "ValueError: broken on purpose" in str(caught.value)
    assert 'File "main.py", line 3' in str(caught.value)


def test_a_node_that_returns_is_an_error(city: City) -> None:
    city.add("pass", may_end=False)
    with pytest.raises(BoardError, match=r"main\.py returned"):
        city.run(10)


def test_cancelling_tasks_works_as_on_the_real_one(city: City) -> None:
    """cancel() of a sleeping task, of one that waits for an event, and of one that awaits another task."""
    city.add("""
import asyncio, time
async def sleeper(name):
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        print(name, "cancelled", time.ticks_ms() // 100)
        raise
async def waiter(event):
    try:
        await event.wait()
    finally:
        print("waiter left")
async def outer(task):
    await task
async def main():
    event = asyncio.Event()
    a = asyncio.create_task(sleeper("a"))
    b = asyncio.create_task(waiter(event))
    inner = asyncio.create_task(sleeper("inner"))
    c = asyncio.create_task(outer(inner))
    await asyncio.sleep(1)
    for task in (a, b, c):
        print(task.cancel())
    for task in (a, b, c):
        try:
            await task
        except asyncio.CancelledError:
            print("gone", task.done())
    try:
        await asyncio.wait_for(sleeper("late"), 2)
    except asyncio.TimeoutError:
        print("timeout", time.ticks_ms() // 100)
asyncio.run(main())
""")
    lines = city.run(100)
    assert lines[:3] == ["True"] * 3
    assert {"a cancelled 10", "inner cancelled 10", "waiter left"} <= set(lines[3:])
    assert lines.count("gone True") == 3
    assert lines[-2:] == ["late cancelled 30", "timeout 30"]
