"""Nodes are asked for what is missing: once, with a key that may, and never so often that it fills the air."""

from __future__ import annotations

from bridge.tests.service.chirpstack import KEY
from bridge.tests.service.manual_clock import ManualClock
from bridge.tests.service.node import INTERVAL_S, Node
from bridge.tests.service.rig import Rig
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.store import Store
from zaehlwerk_protocol.command import BACKFILL, Command

EUI = "70b3d57ed0000001"


async def with_gap(rig: Rig, lost: int = 5) -> tuple[Node, ManualClock]:
    """A node of whose frames so many in a row were lost, and a clock that shows the present."""
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), node.count(3))
    for _ in range(lost):
        node.count(4)
    await rig.server.put(EUI, node.count(5))
    return node, ManualClock(node.now_s * 10**9)


async def settled(bridge: Bridge, rig: Rig, clock: ManualClock, intervals: float = 3) -> None:
    """Let the grace of a gap go by."""
    await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
    await bridge.quiet()
    await clock.move(intervals * INTERVAL_S)
    await bridge.quiet()


def commands(rig: Rig) -> list[Command]:
    return [Command.decode(item.data) for item in rig.server.devices[EUI].queue]


async def test_a_gap_makes_the_bridge_ask_for_it(rig: Rig) -> None:
    """With the index and the number of intervals whose counts nobody knows."""
    node, clock = await with_gap(rig)
    async with rig.bridge(clock=clock) as bridge:
        await settled(bridge, rig, clock)
        (command,) = commands(rig)
    assert command.kind == BACKFILL
    unsynced, index, count = command.args
    assert unsynced == 0
    # The history of the newest frame tells two of the lost intervals, and the closure two more... at most those left.
    lost = {(node.slot - back) % 65536 for back in range(1, 6)}
    asked = {(int(str(index)) + n) % 65536 for n in range(int(str(count)))}
    assert asked <= lost | {node.slot % 65536}
    assert asked & lost
    assert rig.server.devices[EUI].queue[0].f_port == 10


async def test_what_is_queued_already_is_not_queued_again(rig: Rig) -> None:
    """The node has not fetched the first command yet: however often it is looked at, there is one."""
    _, clock = await with_gap(rig)
    async with rig.bridge(clock=clock) as bridge:
        await settled(bridge, rig, clock)
        for _ in range(4):
            await clock.move(10 * INTERVAL_S)
            await bridge.quiet()
        assert len(commands(rig)) == 1
        assert rig.server.calls["GetQueue"] > 1


async def test_a_timed_out_enqueue_is_looked_for_and_not_repeated(rig: Rig) -> None:
    """The server had done it; only the answer was lost."""
    _, clock = await with_gap(rig)
    rig.server.enqueue_hangs = True
    async with rig.bridge(clock=clock, chirpstack_request_timeout_s=0.5, healing_check_s=60) as bridge:
        await settled(bridge, rig, clock)
        rig.server.enqueue_hangs = False
        await clock.move(61)
        await bridge.quiet()
        assert len(commands(rig)) == 1
        assert rig.server.calls["Enqueue"] == 1


async def test_a_key_that_may_not_enqueue_is_named_once_and_the_bridge_goes_on(rig: Rig) -> None:
    node, clock = await with_gap(rig)
    rig.server.writable = False
    async with rig.bridge(clock=clock) as bridge:
        await settled(bridge, rig, clock)
        for _ in range(3):
            await clock.move(10 * INTERVAL_S)
            await bridge.quiet()
        assert commands(rig) == []
        assert "write_key_file" in bridge.healer.trouble
        await rig.server.put(EUI, node.count(1))
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
    assert rig.logged.getvalue().count("nodes cannot be asked") == 1


async def test_a_key_of_its_own_is_used_for_downlinks(rig: Rig) -> None:
    _, clock = await with_gap(rig)
    write_key = rig.directory / "write.key"
    write_key.write_text("a-key-that-may-write")
    async with rig.bridge(clock=clock, chirpstack_write_key_file=write_key) as bridge:
        await settled(bridge, rig, clock)
        assert "InvalidToken" in bridge.healer.trouble
        rig.server.keys = {KEY, "a-key-that-may-write"}
        await clock.move(10 * INTERVAL_S)
        await bridge.quiet()
        assert len(commands(rig)) == 1


async def test_healing_can_be_switched_off(rig: Rig) -> None:
    """The gap's span is published all the same."""
    _, clock = await with_gap(rig)
    async with rig.bridge(clock=clock, healing_enabled=False) as bridge:
        await settled(bridge, rig, clock)
        assert "GetQueue" not in rig.server.calls
        topics = [row.topic for row in await bridge.ask(Store.outbox)]
    assert "zaehlwerk/v1/one/span" in topics
