"""Waiting on the handed clock: alarms, waits that end early, back-off, pace; and the bridge on a clock that stands."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bridge.tests.service.manual_clock import ManualClock
from bridge.tests.service.node import INTERVAL_S, Node
from bridge.tests.service.rig import Rig
from zaehlwerk_bridge.alarm import LOOK_S, Alarm
from zaehlwerk_bridge.backoff import Backoff
from zaehlwerk_bridge.clock import OFF_VARIABLE, SteadyClock, machine_clock, sleep_until_set
from zaehlwerk_bridge.errors import BridgeStopped, NotReady
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.sources.pace import Pace
from zaehlwerk_bridge.store import Store

EUI = "70b3d57ed0000001"
S = 10**9


class Bell:
    """An alarm that notes when it rang."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.rang: list[int] = []
        self.errors: list[BaseException] = []
        self.work = asyncio.Event()
        self.work.set()
        self.alarm = Alarm(clock, self.act, self.errors.append)

    async def act(self) -> None:
        self.rang.append(self.clock.now_ns() // S)
        await self.work.wait()


async def test_an_alarm_rings_at_its_time_once() -> None:
    bell = Bell(ManualClock(0))
    bell.alarm.set(5 * S)
    await asyncio.sleep(0)
    await bell.clock.move(4)
    assert bell.rang == []
    await bell.clock.move(10)
    assert bell.rang == [5]
    assert not bell.alarm.due


async def test_the_earlier_of_two_times_counts() -> None:
    bell = Bell(ManualClock(0))
    bell.alarm.set(5 * S)
    await asyncio.sleep(0)
    bell.alarm.set(3 * S)
    bell.alarm.set(9 * S)
    await asyncio.sleep(0)
    await bell.clock.move(20)
    assert bell.rang == [3]


async def test_an_alarm_rings_soon_after_its_time_when_the_clock_was_put_forwards_meanwhile() -> None:
    """As on a machine that starts in 1970 and learns the time then."""
    bell = Bell(ManualClock(0))
    year_s = 365 * 86_400
    bell.alarm.set(year_s * S)
    await asyncio.sleep(0)
    bell.clock._now_ns += year_s * S  # what slept goes on sleeping, as on a machine
    await bell.clock.move(0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert bell.clock.slept == [LOOK_S]
    assert len(bell.rang) == 1


async def test_an_alarm_waits_on_when_the_clock_was_put_back_meanwhile() -> None:
    bell = Bell(ManualClock(1000 * S))
    bell.alarm.set(1010 * S)
    await asyncio.sleep(0)
    bell.clock._now_ns -= 990 * S
    bell.clock._sleepers = [(at - 990 * S, order, woken) for at, order, woken in bell.clock._sleepers]
    await bell.clock.move(11)
    assert bell.rang == []
    assert bell.alarm.due is False
    await bell.clock.move(2 * LOOK_S)
    assert bell.rang == []
    await bell.clock.move(1000)
    assert bell.rang == [1010]


def test_a_steady_clock_goes_on_from_the_machines_time_whatever_is_done_to_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SteadyClock()
    assert abs(clock.now_ns() - time.time_ns()) < 10 * S
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    before = clock.now_ns()
    assert 0 <= clock.now_ns() - before < 10 * S


def test_the_machines_clock_is_off_by_what_a_file_says_at_that_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = tmp_path / "off"
    monkeypatch.setattr(time, "time_ns", lambda: 5000 * S)
    assert machine_clock().now_ns() == 5000 * S
    monkeypatch.setenv(OFF_VARIABLE, str(off))
    with pytest.raises(OSError, match="off"):
        machine_clock()
    off.write_text("-3600.5", encoding="ascii")
    clock = machine_clock()
    assert clock.now_ns() == 5000 * S - 3_600_500_000_000
    off.write_text("+60", encoding="ascii")
    assert clock.now_ns() == 5060 * S
    off.write_text("soon", encoding="ascii")
    with pytest.raises(ValueError, match="soon"):
        machine_clock()


async def test_an_alarm_that_is_rung_does_not_wait_for_the_clock() -> None:
    bell = Bell(ManualClock(0))
    bell.alarm.ring()
    assert bell.alarm.due
    await asyncio.sleep(0)
    assert bell.rang == [0]


async def test_an_alarm_never_acts_twice_at_once_but_once_more() -> None:
    bell = Bell(ManualClock(0))
    bell.work.clear()
    bell.alarm.ring()
    await asyncio.sleep(0)
    bell.alarm.ring()
    bell.alarm.ring()
    assert bell.rang == [0]
    bell.work.set()
    await asyncio.sleep(0.01)
    assert bell.rang == [0, 0]


async def test_a_time_set_during_the_action_rings_after_it() -> None:
    bell = Bell(ManualClock(0))
    bell.work.clear()
    bell.alarm.ring()
    await asyncio.sleep(0)
    bell.alarm.set(7 * S)
    bell.work.set()
    await asyncio.sleep(0.01)
    await bell.clock.move(8)
    assert bell.rang == [0, 7]


async def test_what_an_action_raises_is_handed_on() -> None:
    clock = ManualClock(0)
    errors: list[BaseException] = []

    async def breaks() -> None:
        raise RuntimeError("no")

    alarm = Alarm(clock, breaks, errors.append)
    alarm.ring()
    await asyncio.sleep(0.01)
    assert [str(error) for error in errors] == ["no"]


async def test_a_closed_alarm_is_silent() -> None:
    bell = Bell(ManualClock(0))
    bell.alarm.set(1 * S)
    await bell.alarm.close()
    bell.alarm.ring()
    bell.alarm.set(1 * S)
    await bell.clock.move(2)
    assert bell.rang == []
    assert not bell.alarm.due


async def test_a_wait_ends_with_the_event_or_with_the_time_and_leaves_nothing_behind() -> None:
    clock, event = ManualClock(0), asyncio.Event()
    tasks = len(asyncio.all_tasks())
    waiting = asyncio.create_task(sleep_until_set(clock, 5, event))
    await asyncio.sleep(0)
    event.set()
    assert await waiting
    event.clear()
    waiting = asyncio.create_task(sleep_until_set(clock, 5, event))
    await asyncio.sleep(0.01)
    await clock.move(6)
    assert not await waiting
    waiting = asyncio.create_task(sleep_until_set(clock, 5, event))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(asyncio.all_tasks()) == tasks


def test_waits_double_up_to_the_most_and_start_again_after_success() -> None:
    backoff = Backoff(random.Random(1), 1, 10)
    for most in (1, 2, 4, 8, 10, 10):
        assert most / 2 <= backoff.next() <= most
    for _ in range(2000):
        assert backoff.next() <= 10
    backoff.reset()
    assert backoff.next() <= 1


async def test_a_pace_lets_a_burst_through_and_then_so_many_a_second() -> None:
    clock = ManualClock(0)
    pace = Pace(clock, per_s=2, burst=3)
    passed: list[float] = []

    async def one() -> None:
        await pace.wait()
        passed.append(clock.now_ns() / S)

    tasks = [asyncio.create_task(one()) for _ in range(7)]
    await asyncio.sleep(0.01)
    for _ in range(40):
        await clock.move(0.1)
    await asyncio.gather(*tasks)
    assert passed[:3] == [0, 0, 0]
    assert [later - earlier for earlier, later in pairwise(passed[3:])] == [0.5, 0.5, 0.5]


async def test_on_a_clock_that_stands_everything_but_time_goes_on(rig: Rig) -> None:
    """Streams open, events are stored and published; a gap waits, however much real time passes."""
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), node.count(3))
    for _ in range(5):
        node.count(4)
    await rig.server.put(EUI, node.count(5))
    clock = ManualClock(node.now_s * S)
    async with rig.bridge(clock=clock, mqtt_hold_without_subscriber=False) as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        await bridge.quiet()
        await bridge.published()
        before = await bridge.ask(Store.dump)
        deadline_ns = await bridge.ask(Store.next_deadline_ns)
        assert deadline_ns is not None
        assert deadline_ns > clock.now_ns()
        await clock.move((deadline_ns - clock.now_ns()) / S - 1)
        await bridge.quiet()
        assert await bridge.ask(Store.dump) == before
        await clock.move(1)
        await bridge.quiet()
        assert await bridge.ask(Store.dump) != before


async def test_the_same_events_give_the_same_ledger(rig: Rig) -> None:
    """Twice the same day on a clock that stands while the bridge works."""
    dumps = []
    for run in range(2):
        rig.server.devices.clear()
        nodes = [Node(f"70b3d57ed{n:07x}", f"station {n}") for n in range(3)]
        for node in nodes:
            await rig.server.put(node.dev_eui, node.status())
        clock = ManualClock(nodes[0].now_s * S)
        database = rig.directory / f"run{run}.sqlite"
        # Topics of its own: the second bridge would find the checkpoints of the first one at the broker.
        async with rig.bridge(clock=clock, database=database, prefix=f"run{run}") as bridge:
            for step in range(8):
                for number, node in enumerate(nodes):
                    item = node.count(step)
                    if (step + number) % 4:
                        await rig.server.put(node.dev_eui, item)
                        await bridge.committed(node.dev_eui, item.id)
                await bridge.quiet()
                await clock.move(INTERVAL_S)
                await bridge.quiet()
            dumps.append(await bridge.ask(Store.dump))
    assert dumps[0] == dumps[1]
    assert "record" in dumps[0]


async def test_whoever_waits_is_told_when_the_bridge_ends(rig: Rig) -> None:
    async with rig.bridge() as bridge:
        waiting = asyncio.create_task(bridge.committed(EUI, "1-0"))
        await asyncio.sleep(0)
    with pytest.raises(BridgeStopped):
        await waiting


async def test_a_bridge_that_is_not_ready_says_why(rig: Rig) -> None:
    rig.server.keys = set()
    async with rig.bridge(ready=False) as bridge:
        with pytest.raises(
            NotReady, match=r"source: listing the applications .* UNAUTHENTICATED InvalidToken"
        ):
            await bridge.ready(1)


async def test_an_event_that_breaks_the_ledger_is_rejected_and_the_others_are_taken(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake of the bridge itself must not stop a city: the event is named, with its reason, and passed over."""
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), node.count(3), node.count(5))
    bad = rig.server.devices[EUI].items[1].id
    commit = Store.commit

    def breaks(store: Store, events: list, *taken: Any) -> object:  # type: ignore[type-arg]
        if any(event.cursor == bad and not event.problem for event in events):
            raise ZeroDivisionError("division by zero")
        return commit(store, events, *taken)

    monkeypatch.setattr(Store, "commit", breaks)
    async with rig.bridge() as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        assert bridge.counts.rejected == 1
        assert "ZeroDivisionError" in await bridge.ask(Store.dump)


async def test_a_full_disk_is_waited_for(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is dropped, and it is said once."""
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), node.count(3))
    commit, full = Store.commit, [True]

    def fails(store: Store, *taken: Any) -> object:
        if full:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return commit(store, *taken)

    monkeypatch.setattr(Store, "commit", fails)
    async with rig.bridge() as bridge:
        await asyncio.sleep(0.8)
        assert isinstance(bridge, Bridge)
        assert "full" in bridge.disk_trouble
        full.clear()
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        assert bridge.disk_trouble == ""
    assert rig.logged.getvalue().count("database fails") == 1


async def test_a_fault_of_the_program_in_the_store_ends_the_bridge_instead_of_trying_for_ever(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(store: Store, *taken: Any) -> object:
        return store._database.execute("SELECT 1 FROM nowhere")

    monkeypatch.setattr(Store, "commit", fails)
    await rig.server.put(EUI, Node(EUI, "one").status())

    async def work() -> None:
        async with rig.bridge(ready=False) as bridge:
            with pytest.raises(BridgeStopped, match="nowhere"):
                await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)

    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        await work()


async def test_a_bridge_tells_time_by_the_machines_clock_and_waits_by_one_that_nobody_steps(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = tmp_path / "off"
    off.write_text("0", encoding="ascii")
    monkeypatch.setenv(OFF_VARIABLE, str(off))
    bridge = Bridge(rig.settings())
    now_ns, waited_ns = bridge.now_ns(), bridge._wall.now_ns()
    off.write_text("-3600", encoding="ascii")
    assert -3600 <= (bridge.now_ns() - now_ns) / S < -3500
    assert 0 <= (bridge._wall.now_ns() - waited_ns) / S < 100
