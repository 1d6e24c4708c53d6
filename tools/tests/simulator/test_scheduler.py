"""The scheduler's contract: order, gates, holds, real time; and the clock that stands while its user works."""

from __future__ import annotations

import asyncio
import time

import pytest

from zaehlwerk_bridge.alarm import Alarm
from zaehlwerk_tools.simulator.clock import VirtualClock
from zaehlwerk_tools.simulator.scheduler import FOREVER, NS, Scheduler, SchedulerError


class FakeGate:
    """A board that is as far as the test says."""

    def __init__(self, scheduler: Scheduler, bound_ns: int) -> None:
        self.bound_ns = bound_ns
        self.name = "gate"
        self._scheduler = scheduler
        scheduler.add_gate(self)

    def advance(self, bound_ns: int) -> None:
        self.bound_ns = bound_ns
        self._scheduler.moved(bound_ns)


async def turns(n: int = 20) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


async def test_events_run_by_time_then_owner_then_order() -> None:
    scheduler = Scheduler(0)
    ran: list[str] = []
    for t, owner, name in ((20, 0, "late"), (10, 2, "b1"), (10, 2, "b2"), (10, 1, "a"), (10, 0, "own")):
        scheduler.at(t, lambda name=name: ran.append(name), owner=owner)  # type: ignore[misc]
    await scheduler.run(15)
    assert ran == ["own", "a", "b1", "b2"]
    assert scheduler.now_ns == 15
    await scheduler.run(20)
    assert ran[-1] == "late"


async def test_an_event_may_cause_others_now_and_later_but_not_before() -> None:
    scheduler = Scheduler(0)
    ran: list[int] = []

    def first() -> None:
        scheduler.at(10, lambda: ran.append(scheduler.now_ns))
        scheduler.at(11, lambda: ran.append(scheduler.now_ns))
        with pytest.raises(SchedulerError, match="it is 10 ns already"):
            scheduler.at(9, lambda: None)

    scheduler.at(10, first)
    await scheduler.run(100)
    assert ran == [10, 11]


async def test_a_cancelled_event_does_not_happen() -> None:
    scheduler = Scheduler(0)
    ran: list[int] = []
    handle = scheduler.at(10, lambda: ran.append(1))
    scheduler.at(5, lambda: scheduler.cancel(handle))
    await scheduler.run(100)
    assert ran == []


async def test_an_event_waits_until_every_gate_has_passed_its_time() -> None:
    """A gate at exactly the event's time could still do something then: it has to be beyond."""
    scheduler = Scheduler(0)
    one, two = FakeGate(scheduler, 0), FakeGate(scheduler, FOREVER)
    ran: list[int] = []
    scheduler.at(10, lambda: ran.append(1))
    running = asyncio.create_task(scheduler.run(10))
    await turns()
    assert ran == []
    one.advance(10)
    await turns()
    assert ran == []
    one.advance(11)
    await running
    assert ran == [1]
    assert two.bound_ns == FOREVER


async def test_a_gate_that_stands_at_the_events_time_has_not_passed_it() -> None:
    scheduler = Scheduler(0, stall_s=0.05)
    FakeGate(scheduler, 10)
    ran: list[int] = []
    scheduler.at(10, lambda: ran.append(1))
    with pytest.raises(SchedulerError):
        await scheduler.run(10)
    assert ran == []


async def test_an_event_that_a_gate_adds_meanwhile_comes_in_its_place() -> None:
    scheduler = Scheduler(0)
    gate = FakeGate(scheduler, 0)
    ran: list[str] = []
    scheduler.at(10, lambda: ran.append("mine"))
    running = asyncio.create_task(scheduler.run(20))
    await turns()
    scheduler.at(7, lambda: ran.append("the board's"), owner=1)
    gate.advance(FOREVER)
    await running
    assert ran == ["the board's", "mine"]


async def test_a_gate_that_never_moves_is_named() -> None:
    scheduler = Scheduler(0, stall_s=0.05)
    FakeGate(scheduler, 0)
    with pytest.raises(SchedulerError, match="waiting for gate"):
        await scheduler.run(10)


async def test_time_stands_while_something_is_held() -> None:
    scheduler = Scheduler(0)
    release = asyncio.Event()
    ran: list[int] = []
    scheduler.at(10, lambda: scheduler.hold(release.wait()))
    scheduler.at(11, lambda: ran.append(1))
    running = asyncio.create_task(scheduler.run(20))
    await asyncio.sleep(0.02)
    assert ran == []
    assert scheduler.now_ns == 10
    release.set()
    await running
    assert ran == [1]


async def test_an_event_that_returns_an_awaitable_is_held() -> None:
    scheduler = Scheduler(0)
    order: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0.01)
        order.append("worked")

    scheduler.at(10, work)
    scheduler.at(10, lambda: order.append("next"))
    await scheduler.run(20)
    assert order == ["worked", "next"]


async def test_what_is_held_may_hold_more() -> None:
    scheduler = Scheduler(0)
    order: list[str] = []

    async def second() -> None:
        await asyncio.sleep(0.01)
        order.append("second")

    async def first() -> None:
        scheduler.hold(second())
        order.append("first")

    scheduler.at(10, first)
    scheduler.at(11, lambda: order.append("after"))
    await scheduler.run(20)
    assert order == ["first", "second", "after"]


async def test_what_a_hold_raises_ends_the_run() -> None:
    scheduler = Scheduler(0)

    async def broken() -> None:
        raise RuntimeError("the bridge broke")

    scheduler.at(10, broken)
    with pytest.raises(RuntimeError, match="the bridge broke"):
        await scheduler.run(20)


async def test_real_time_is_an_option() -> None:
    """At pace 10 half a virtual second takes 50 ms, and now moves between events."""
    scheduler = Scheduler(0, pace=10)
    seen: list[tuple[float, int]] = []
    began = time.monotonic()
    for n in (1, 3, 5):
        scheduler.at(n * NS // 10, lambda: seen.append((time.monotonic() - began, scheduler.now_ns)))
    running = asyncio.create_task(scheduler.run(NS // 2))
    await asyncio.sleep(0.02)
    between = scheduler.now_ns
    await running
    assert NS // 10 <= between < NS // 2
    assert [now for _, now in seen] == [NS // 10, 3 * NS // 10, NS // 2]
    for wall, now in seen:
        assert wall >= now / NS / 10 - 0.001


async def test_in_real_time_an_event_added_from_outside_is_not_late() -> None:
    scheduler = Scheduler(0, pace=1)
    began = time.monotonic()
    running = asyncio.create_task(scheduler.run(NS // 5))
    await asyncio.sleep(0.02)
    at: list[float] = []
    scheduler.at(scheduler.now_ns + 20_000_000, lambda: at.append(time.monotonic() - began))
    await running
    assert at[0] < 0.15


@pytest.mark.parametrize("pace", [0, -1])
def test_a_pace_that_is_none_is_refused(pace: float) -> None:
    with pytest.raises(ValueError, match="pace"):
        Scheduler(0, pace=pace)


async def test_the_clock_sleeps_in_virtual_time() -> None:
    scheduler = Scheduler(1000)
    clock = VirtualClock(scheduler)
    woke: list[int] = []

    async def user() -> None:
        for seconds in (3600, 0.5, 0):
            await clock.sleep(seconds)
            woke.append(clock.now_ns())

    task = asyncio.create_task(user())
    await turns()
    await scheduler.run(2 * 3600 * NS)
    await task
    assert woke == [1000 + 3600 * NS, 1000 + 3600 * NS + NS // 2, 1000 + 3600 * NS + NS // 2]


async def test_time_stands_while_a_user_that_slept_is_awake() -> None:
    """He works for real time (a commit); no event runs meanwhile, and time goes on as soon as he sleeps again."""
    scheduler = Scheduler(0)
    clock = VirtualClock(scheduler)
    events: list[int] = []
    seen: list[tuple[int, int]] = []
    for n in range(1, 10):
        scheduler.at(n * NS, lambda: events.append(scheduler.now_ns))

    async def user() -> None:
        while True:
            await clock.sleep(2.5)
            before = len(events)
            await asyncio.sleep(0.01)
            seen.append((before, len(events)))

    task = asyncio.create_task(user())
    await turns()
    await scheduler.run(9 * NS)
    task.cancel()
    assert seen == [(2, 2), (5, 5), (7, 7)]
    assert clock.overdue == 0


async def test_time_stands_for_a_user_that_asked_for_no_sleep_at_all() -> None:
    scheduler = Scheduler(0)
    clock = VirtualClock(scheduler)
    events: list[int] = []
    seen: list[int] = []
    scheduler.at(NS, lambda: events.append(1))

    async def user() -> None:
        await clock.sleep(0)
        await asyncio.sleep(0.01)
        seen.append(len(events))

    task = asyncio.create_task(user())
    await turns()
    await scheduler.run(2 * NS)
    await task
    assert (seen, events, clock.overdue) == ([0], [1], 0)


async def test_time_stands_for_what_an_alarm_does_and_for_the_alarms_that_it_rings_or_sets() -> None:
    """The bridge settles a gap, which asks a node for it: how long that takes on the machine changes no moment."""
    scheduler = Scheduler(0)
    clock = VirtualClock(scheduler)
    at: list[tuple[str, int]] = []

    def failed(error: BaseException) -> None:
        raise error

    async def asks() -> None:
        await asyncio.sleep(0.01)
        at.append(("asks", clock.now_ns()))

    async def settles() -> None:
        if not at:
            settling.set(NS)
        asking.ring()
        await asyncio.sleep(0.005)
        at.append(("settles", clock.now_ns()))

    asking, settling = Alarm(clock, asks, failed), Alarm(clock, settles, failed)
    for moment in range(1, 100):
        scheduler.at(moment * NS + 1, lambda: None)
    settling.set(NS)
    await turns()
    await scheduler.run(100 * NS)
    assert {moment for _, moment in at} == {NS}
    assert [name for name, _ in at].count("settles") == 2
    assert "asks" in [name for name, _ in at]
    await asking.close()
    await settling.close()


async def test_the_user_is_who_calls_sleep_not_the_task_made_of_it() -> None:
    """`wait(ensure_future(clock.sleep(…)), …)` is the usual way to wait for time or a peer."""
    scheduler = Scheduler(0)
    clock = VirtualClock(scheduler)
    events: list[int] = []
    scheduler.at(NS + 1, lambda: events.append(1))
    seen: list[int] = []

    async def user() -> None:
        sleeper = asyncio.ensure_future(clock.sleep(1))
        await asyncio.wait(
            {sleeper, asyncio.ensure_future(asyncio.sleep(1000))}, return_when="FIRST_COMPLETED"
        )
        await asyncio.sleep(0.01)
        seen.append(len(events))

    task = asyncio.create_task(user())
    await turns()
    await scheduler.run(2 * NS)
    await task
    assert (seen, events) == ([0], [1])
    for other in asyncio.all_tasks() - {asyncio.current_task()}:
        other.cancel()


async def test_time_goes_on_when_its_user_waits_for_something_else() -> None:
    scheduler = Scheduler(0)
    clock = VirtualClock(scheduler)
    never = asyncio.Event()

    async def says_so() -> None:
        await clock.sleep(1)
        clock.away()
        await never.wait()

    task = asyncio.create_task(says_so())
    await turns()
    began = time.monotonic()
    await scheduler.run(5 * NS)
    assert time.monotonic() - began < 1
    assert clock.overdue == 0
    task.cancel()


async def test_a_user_that_forgets_to_say_so_is_counted_and_does_not_stop_the_world() -> None:
    scheduler = Scheduler(0)
    clock = VirtualClock(scheduler, grace_s=0.02)
    never = asyncio.Event()

    async def forgets() -> None:
        await clock.sleep(1)
        await never.wait()

    task = asyncio.create_task(forgets())
    await turns()
    await scheduler.run(5 * NS)
    assert clock.overdue == 1
    task.cancel()


async def test_a_sleep_that_is_cancelled_wakes_nobody() -> None:
    scheduler = Scheduler(0)
    clock = VirtualClock(scheduler)
    task = asyncio.create_task(clock.sleep(3))
    await turns()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await scheduler.run(10 * NS)
    assert (clock.overdue, scheduler.now_ns) == (0, 10 * NS)


async def test_time_stands_in_a_block_that_wants_it() -> None:
    scheduler = Scheduler(0)
    clock = VirtualClock(scheduler)
    events: list[int] = []
    scheduler.at(NS, lambda: events.append(1))
    with clock.standing():
        running = asyncio.create_task(scheduler.run(2 * NS))
        await asyncio.sleep(0.02)
        assert events == []
    await running
    assert events == [1]
