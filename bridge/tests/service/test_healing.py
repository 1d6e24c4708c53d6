"""Nodes are asked for what is missing: once, with a key that may, and never so often that it fills the air."""

from __future__ import annotations

from collections.abc import Callable

from bridge.tests.service.chirpstack import KEY
from bridge.tests.service.manual_clock import ManualClock
from bridge.tests.service.node import INTERVAL_S, START_S, Node
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber
from zaehlwerk_bridge.healing import ambiguities
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.store import Store
from zaehlwerk_protocol.answer import NO_RECORD, OK, Answer
from zaehlwerk_protocol.command import BACKFILL, STATUS, Command
from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.state import UNSYNCED
from zaehlwerk_protocol.status import Status

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
        assert rig.server.calls["Enqueue"] == 1


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
        assert "write_key_file" in bridge.commands.trouble
        await rig.server.put(EUI, node.count(1))
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
    assert rig.logged.getvalue().count("commands cannot be sent") == 1


async def test_a_key_of_its_own_is_used_for_downlinks(rig: Rig) -> None:
    _, clock = await with_gap(rig)
    write_key = rig.directory / "write.key"
    write_key.write_text("a-key-that-may-write")
    async with rig.bridge(clock=clock, chirpstack_write_key_file=write_key) as bridge:
        await settled(bridge, rig, clock)
        assert "InvalidToken" in bridge.commands.trouble
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


def kinds(rig: Rig) -> list[int]:
    """Of all commands that were ever queued."""
    return [Command.decode(item.data).kind for item in rig.server.enqueued]


async def passing(bridge: Bridge, clock: ManualClock, intervals: int) -> None:
    """Time goes by, and what becomes due is done."""
    for _ in range(3 * intervals):
        await clock.move(INTERVAL_S / 3)
        await bridge.quiet()


async def test_frames_of_an_epoch_that_nobody_has_named_make_the_bridge_ask_for_a_status(rig: Rig) -> None:
    """After the time in which the node says it by itself, at most six times, and no more when it was said."""
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), node.count(3))
    node.slot += 1
    await rig.server.put(EUI, node.says(Counts(node.slot % 65536, 1, [7], [])))
    clock = ManualClock(node.now_s * 10**9)
    async with rig.bridge(clock=clock) as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        await passing(bridge, clock, 2)
        assert kinds(rig) == []
        await passing(bridge, clock, 2)
        assert kinds(rig) == [STATUS]
        await passing(bridge, clock, 20)
        assert kinds(rig) == [STATUS], "the first one is not sent yet"
        for _ in range(10):
            if rig.server.devices[EUI].queue:
                await rig.server.transmit(EUI)
            await passing(bridge, clock, 40)
        assert 2 <= len(kinds(rig)) <= 6
        asked = len(kinds(rig))
        node.epoch = 0x5678
        named = node.says(Status(1, 1, 0x5678, INTERVAL_S, (node.slot % 65536, [7])))
        item = await rig.server.follow(EUI, named)
        await bridge.committed(EUI, item)
        await passing(bridge, clock, 40)
        assert len(kinds(rig)) == asked
        assert await bridge.ask(lambda store: ambiguities(store._database)) == []


async def test_totals_that_no_status_has_anchored_make_the_bridge_ask_for_one(rig: Rig) -> None:
    node = Node(EUI, "one")
    without_anchor = node.says(Status(1, 0, node.epoch, INTERVAL_S))
    await rig.server.put(EUI, without_anchor, node.count(3), node.count(4))
    clock = ManualClock(node.now_s * 10**9)
    async with rig.bridge(clock=clock) as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        await passing(bridge, clock, 4)
        assert kinds(rig) == [STATUS]
        await rig.server.transmit(EUI)
        await bridge.committed(EUI, await rig.server.follow(EUI, node.status()))
        await passing(bridge, clock, 40)
        assert kinds(rig) == [STATUS]


async def test_totals_that_may_have_gone_round_make_the_bridge_ask_for_a_status(rig: Rig) -> None:
    """Ten in a second are 65536 in less than two hours."""
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), node.count(3))
    node.slot += 40
    await rig.server.put(EUI, node.count(3, history=0))
    clock = ManualClock(node.now_s * 10**9)
    async with rig.bridge(clock=clock) as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        await passing(bridge, clock, 4)
        assert kinds(rig)
        while rig.server.devices[EUI].queue:
            await rig.server.transmit(EUI)
            await passing(bridge, clock, 1)
        assert STATUS in kinds(rig)


async def test_intervals_of_the_nodes_own_numbering_make_the_bridge_ask_when_it_knows_the_time(
    rig: Rig,
) -> None:
    node = Node(EUI, "one")
    named = node.says(Status(1, UNSYNCED, node.epoch, INTERVAL_S, (6, [0])))
    await rig.server.put(EUI, named, node.says(Counts(7, UNSYNCED, [2], [])))
    clock = ManualClock(node.now_s * 10**9)
    async with rig.bridge(clock=clock) as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        await passing(bridge, clock, 4)
        assert STATUS not in kinds(rig), "it could not tell"
        await bridge.committed(EUI, await rig.server.follow(EUI, node.count(3)))
        await passing(bridge, clock, 4)
        assert STATUS in kinds(rig)
        anchor = (node.slot % 65536, [node.total])
        mapped = node.says(Status(1, 0, node.epoch, INTERVAL_S, anchor, (7, START_S - 9000)))
        await bridge.committed(EUI, await rig.server.follow(EUI, mapped))
        assert await bridge.ask(lambda store: ambiguities(store._database)) == []


async def test_a_node_that_says_it_has_no_record_is_not_asked_again(rig: Rig) -> None:
    node, clock = await with_gap(rig)
    async with rig.bridge(clock=clock) as bridge:
        await settled(bridge, rig, clock)
        (command,) = commands(rig)
        await rig.server.transmit(EUI)
        answer = node.says(Answer(command.token, BACKFILL, NO_RECORD))
        await bridge.committed(EUI, await rig.server.follow(EUI, answer))
        await passing(bridge, clock, 60)
        assert kinds(rig) == [BACKFILL]


async def test_a_node_that_does_not_answer_is_asked_again_and_not_for_ever(rig: Rig) -> None:
    _, clock = await with_gap(rig)
    async with rig.bridge(clock=clock) as bridge:
        await settled(bridge, rig, clock)
        for _ in range(60):
            while rig.server.devices[EUI].queue:
                await rig.server.transmit(EUI)
            await passing(bridge, clock, 1)
        assert kinds(rig) == [BACKFILL] * 6
        tokens = {Command.decode(item.data).token for item in rig.server.enqueued}
        assert len(tokens) == 6


async def test_of_the_bridges_own_questions_only_the_end_is_told(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    platform = subscribe()
    node, clock = await with_gap(rig)
    async with rig.bridge(clock=clock) as bridge:
        await settled(bridge, rig, clock)
        (command,) = commands(rig)
        await rig.server.transmit(EUI)
        answer = node.says(Answer(command.token, BACKFILL, OK))
        await bridge.committed(EUI, await rig.server.follow(EUI, answer))
        await bridge.published()
        await platform.until(lambda: platform.of("/result"))
    (told,) = platform.of("/result")
    assert (told["by"], told["command"], told["fate"]) == ("bridge", "backfill", "answered")
    assert told["id"].startswith("bridge.backfill.")
