"""Enqueues whose answer is lost, and bridges that end in between: what the server has is found out, never sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from bridge.tests.service.chirpstack import ChirpStack
from bridge.tests.service.manual_clock import ManualClock
from bridge.tests.service.mosquitto import Mosquitto
from bridge.tests.service.operator import Operator
from bridge.tests.service.rig import Rig
from bridge.tests.service.test_commands import EUI, answered, asked, counting, listening
from bridge.tests.service.until import until
from zaehlwerk_bridge.service import Bridge

BRIEF = {"commands_enabled": True, "chirpstack_request_timeout_s": 1.5}


@pytest.fixture
def operator(broker: Mosquitto) -> Iterator[Operator]:
    operator = Operator(broker.port)
    yield operator
    operator.close()


async def moving(clock: ManualClock, bridge: Bridge, seconds: float) -> None:
    """Let time go by in steps, and the bridge do what becomes due."""
    for _ in range(int(seconds)):
        await clock.move(1)
        await bridge.quiet()


async def in_doubt(bridge: Bridge, rig: Rig, operator: Operator) -> None:
    """A command whose Enqueue has no answer."""
    await listening(bridge, rig)
    operator.send("one", "a", "reboot")
    await operator.until("a", "accepted")
    await until(lambda: "Enqueue" in rig.server.calls and "DEADLINE_EXCEEDED" in bridge.commands.trouble)


async def test_an_enqueue_without_answer_that_was_done_is_found_in_the_queue(
    rig: Rig, operator: Operator
) -> None:
    node = await counting(rig)
    clock = ManualClock(node.now_s * 10**9)
    rig.server.enqueue_hangs = True
    async with rig.bridge(clock=clock, **BRIEF) as bridge:
        await in_doubt(bridge, rig, operator)
        rig.server.enqueue_hangs = False
        await moving(clock, bridge, 120)
        await operator.until("a", "queued")
        assert bridge.commands.trouble == ""
        assert dict(bridge.commands.counts.resolved) == {"found": 1}
        item = await rig.server.transmit(EUI)
        await operator.until("a", "sent")
        assert item.id == rig.server.enqueued[0].id
    assert len(rig.server.enqueued) == 1


async def test_one_that_was_sent_meanwhile_is_known_by_what_the_server_says_of_its_item(
    rig: Rig, operator: Operator
) -> None:
    """The queue is empty again before the bridge can look; a foreign item that was there before is not it."""
    node = await counting(rig)
    clock = ManualClock(node.now_s * 10**9)
    rig.server.enqueue_hangs = True
    rig.server.devices[EUI].queue.append(rig.server.made(EUI, 99, b"foreign"))
    async with rig.bridge(clock=clock, **BRIEF) as bridge:
        await in_doubt(bridge, rig, operator)
        rig.server.enqueue_hangs = False
        foreign = await rig.server.transmit(EUI)
        item = await rig.server.transmit(EUI)
        await rig.server.acknowledge(EUI, item.id)
        await moving(clock, bridge, 120)
        await operator.until("a", "acknowledged")
        assert foreign.id != item.id
    assert len(rig.server.enqueued) == 1


async def test_one_that_was_not_done_is_begun_again_when_that_is_certain_and_only_once(
    rig: Rig, operator: Operator
) -> None:
    node = await counting(rig)
    clock = ManualClock(node.now_s * 10**9)
    rig.server.enqueue_lost = True
    async with rig.bridge(clock=clock, **BRIEF) as bridge:
        await in_doubt(bridge, rig, operator)
        rig.server.enqueue_lost = False
        await moving(clock, bridge, 20)
        assert rig.server.enqueued == [], "it could still come"
        await moving(clock, bridge, 60)
        await operator.until("a", "queued")
        assert dict(bridge.commands.counts.resolved) == {"absent": 1}
        await moving(clock, bridge, 120)
    assert len(rig.server.enqueued) == 1


async def test_as_long_as_streams_are_closed_nothing_is_certain(rig: Rig, operator: Operator) -> None:
    """What the server said of the item may be waiting there; only after very long the token has to do."""
    node = await counting(rig)
    clock = ManualClock(node.now_s * 10**9)
    rig.server.enqueue_lost = True
    async with rig.bridge(clock=clock, **BRIEF) as bridge:
        await in_doubt(bridge, rig, operator)
        rig.server.enqueue_lost = False
        rig.server.devices[EUI].refuse = (grpc.StatusCode.UNAUTHENTICATED, "")
        await rig.server.wake()
        await until(lambda: not bridge.source.ready)
        for _ in range(80):
            await clock.move(10)
            await asyncio.sleep(0.005)
        assert rig.server.enqueued == []
        for _ in range(40):
            await clock.move(10)
            await asyncio.sleep(0.005)
        await until(lambda: len(rig.server.enqueued) == 1)


async def test_a_server_that_is_away_holds_commands_up_and_loses_none(rig: Rig, operator: Operator) -> None:
    await counting(rig)
    async with rig.bridge(**BRIEF) as bridge:
        await listening(bridge, rig)
        await rig.server.stop()
        operator.send("one", "a", "reboot")
        await until(lambda: bridge.commands.trouble.startswith("downlinks fail: "))
        await rig.server.start()
        await operator.until("a", "queued")
    assert len(rig.server.enqueued) == 1


async def test_a_failure_that_may_be_the_commands_own_is_tried_a_few_times_and_then_refused(
    rig: Rig, operator: Operator
) -> None:
    node = await counting(rig)
    clock = ManualClock(node.now_s * 10**9)
    rig.server.enqueue_fails = (grpc.StatusCode.INTERNAL, "something odd")
    async with rig.bridge(clock=clock, **BRIEF) as bridge:
        await listening(bridge, rig)
        operator.send("one", "a", "reboot")
        await operator.until("a", "accepted")
        await moving(clock, bridge, 300)
        assert (await operator.until("a", "refused"))["reason"] == "INTERNAL something odd"
        assert rig.server.calls["Enqueue"] == 5


async def test_a_queue_that_was_emptied_by_a_join_is_filled_again(rig: Rig, operator: Operator) -> None:
    """The same frame, for it was not sent; one that is still there stays alone."""
    node = await counting(rig)
    clock = ManualClock(node.now_s * 10**9)
    async with rig.bridge(clock=clock, **BRIEF) as bridge:
        await listening(bridge, rig)
        operator.send("one", "a", "reboot")
        await operator.until("a", "queued")
        item = await rig.server.report(EUI, "join", devAddr="00112233")
        await bridge.committed(EUI, item)
        await moving(clock, bridge, 60)
        assert len(rig.server.enqueued) == 1
        rig.server.devices[EUI].queue.clear()
        item = await rig.server.report(EUI, "join", devAddr="00112234")
        await bridge.committed(EUI, item)
        await moving(clock, bridge, 60)
        assert len(rig.server.enqueued) == 2
    first, second = rig.server.enqueued
    assert first.data == second.data
    assert operator.fates("a") == ["accepted", "queued"]


async def killed(rig: Rig, bridge: Bridge) -> None:
    """End a bridge without any of its farewells."""
    for task in bridge._tasks:
        task.cancel()
    await bridge.commands.close()


async def test_a_bridge_that_ends_in_any_state_of_a_command_goes_on_where_it_was(
    rig: Rig, operator: Operator
) -> None:
    """A bridge for each step: none of them knows the others but by their store."""
    node = await counting(rig)
    rig.server.writable = True
    rig.server.queue_fails = (grpc.StatusCode.UNAVAILABLE, "not yet")
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
        operator.send("one", "a", "identify", seconds=9)
        await operator.until("a", "accepted")
    rig.server.queue_fails = None
    async with rig.bridge(commands_enabled=True):
        await operator.until("a", "queued")
    item = await rig.server.transmit(EUI)
    async with rig.bridge(commands_enabled=True):
        await operator.until("a", "sent")
    await rig.server.acknowledge(EUI, item.id)
    async with rig.bridge(commands_enabled=True):
        await operator.until("a", "acknowledged")
    await answered(rig, node)
    async with rig.bridge(commands_enabled=True):
        await operator.until("a", "answered")
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
        await bridge.published()
        operator.send("one", "a", "identify", seconds=9)
        await operator.until("a", "answered", times=2)
    assert operator.fates("a") == ["accepted", "queued", "sent", "acknowledged", "answered", "answered"]
    assert len(asked(rig)) == 1


@pytest.mark.parametrize("done", [True, False])
async def test_a_bridge_that_ends_during_an_enqueue_finds_out_what_became_of_it(
    rig: Rig, operator: Operator, done: bool
) -> None:
    node = await counting(rig)
    rig.server.enqueue_hangs, rig.server.enqueue_lost = done, not done
    clock = ManualClock(node.now_s * 10**9)
    async with rig.bridge(clock=clock, commands_enabled=True) as bridge:
        await listening(bridge, rig)
        operator.send("one", "a", "reboot")
        await until(lambda: rig.server.calls.get("Enqueue") == 1)
        await operator.until("a", "accepted")
    rig.server.enqueue_hangs = rig.server.enqueue_lost = False
    async with rig.bridge(clock=clock, commands_enabled=True) as bridge:
        await listening(bridge, rig)
        await bridge.quiet()
        assert len(rig.server.enqueued) == done
        await moving(clock, bridge, 60)
        await operator.until("a", "queued")
    assert len(rig.server.enqueued) == 1


async def test_commands_wait_at_the_broker_for_a_bridge_that_is_away(rig: Rig, operator: Operator) -> None:
    """Its session outlives it; what was stored is not delivered again."""
    await counting(rig)
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
    operator.send("one", "a", "reboot")
    async with rig.bridge(commands_enabled=True) as bridge:
        await operator.until("a", "queued")
        assert bridge.listener is not None
        assert bridge.listener.received == 1
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
        assert bridge.listener is not None
        assert bridge.listener.received == 0
    assert operator.fates("a") == ["accepted", "queued"]


async def test_a_command_is_acknowledged_to_the_broker_only_when_it_is_stored(
    rig: Rig, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    await counting(rig)
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
        stuck = asyncio.Event()

        async def never(*_: object) -> None:
            stuck.set()
            await asyncio.Event().wait()

        assert bridge.listener is not None
        with monkeypatch.context() as patched:
            patched.setattr(bridge.listener, "_take", never)
            operator.send("one", "a", "reboot")
            await stuck.wait()
            await killed(rig, bridge)
    async with rig.bridge(commands_enabled=True):
        await operator.until("a", "queued")
    assert len(rig.server.enqueued) == 1


async def test_a_broker_that_has_forgotten_the_session_is_subscribed_to_again(
    rig: Rig, operator: Operator
) -> None:
    await counting(rig)
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
        rig.broker.kill()
        listener = bridge.listener
        assert listener is not None
        await until(lambda: not listener.subscribed)
        rig.broker.start()
        await until(lambda: listener.subscribed)
        operator.send("one", "a", "reboot")
        await operator.until("a", "queued")


async def test_commands_outlive_bridge_broker_and_server_together(
    tmp_path: Path, server: ChirpStack, start_broker: Callable[..., Mosquitto]
) -> None:
    """A broker with persistence holds what came while the bridge was away; the server is back last."""
    broker = start_broker(options=["persistence true", f"persistence_location {tmp_path}/"])
    rig = Rig(tmp_path, server, broker)
    await counting(rig)
    operator = Operator(broker.port)
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
    operator.send("one", "a", "reboot")
    broker.stop()
    await server.stop()
    broker.start()
    async with rig.bridge(ready=False, commands_enabled=True) as bridge:
        await operator.until("a", "accepted")
        await until(lambda: "UNAVAILABLE" in bridge.commands.trouble)
        await server.start()
        await operator.until("a", "queued")
    operator.close()
    assert len(rig.server.enqueued) == 1


async def test_a_copy_of_the_store_that_was_put_back_does_nothing_a_second_time(
    rig: Rig, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    await counting(rig)
    rig.server.queue_fails = (grpc.StatusCode.UNAVAILABLE, "not yet")
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
        operator.send("one", "a", "reboot")
        await operator.until("a", "accepted")
    rig.server.queue_fails = None
    monkeypatch.setattr("zaehlwerk_bridge.store.Life.is_copy", lambda _: True)
    async with rig.bridge(commands_enabled=True) as bridge:
        assert "put back from a copy" in (await operator.until("a", "refused"))["reason"]
        await bridge.quiet()
    assert rig.server.enqueued == []
