"""Commands from the platform to nodes: each fate told once, nothing done twice, whatever is in between."""

from __future__ import annotations

import json
from collections.abc import Iterator

import grpc
import pytest

from bridge.tests.service.manual_clock import ManualClock
from bridge.tests.service.mosquitto import Mosquitto
from bridge.tests.service.node import Node
from bridge.tests.service.operator import Operator
from bridge.tests.service.rig import Rig
from bridge.tests.service.until import until
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_protocol import answer as answers
from zaehlwerk_protocol import command as commands
from zaehlwerk_protocol.answer import Answer
from zaehlwerk_protocol.command import Command

EUI = "70b3d57ed0000001"


@pytest.fixture
def operator(broker: Mosquitto) -> Iterator[Operator]:
    operator = Operator(broker.port)
    yield operator
    operator.close()


async def listening(bridge: Bridge, rig: Rig) -> None:
    """Wait until commands come in and the node is known."""
    await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
    assert bridge.listener is not None
    listener = bridge.listener
    await until(lambda: listener.subscribed)


async def counting(rig: Rig) -> Node:
    """A node that is at work."""
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), node.count(3))
    return node


def asked(rig: Rig) -> list[Command]:
    """All commands that were ever put into the node's queue."""
    return [Command.decode(item.data) for item in rig.server.enqueued]


async def answered(rig: Rig, node: Node, result: int = answers.OK, *data: object, at: int = -1) -> None:
    """The node answers the command that was queued last."""
    command = asked(rig)[at]
    await rig.server.follow(EUI, node.says(Answer(command.token, command.kind, result, data)))


async def test_every_fate_of_a_command_is_told_once_and_in_its_order(rig: Rig, operator: Operator) -> None:
    node = await counting(rig)
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
        operator.send("one", "k-1", "identify", seconds=30)
        await operator.until("k-1", "queued")
        item = await rig.server.transmit(EUI)
        await operator.until("k-1", "sent")
        await rig.server.acknowledge(EUI, item.id)
        await operator.until("k-1", "acknowledged")
        await answered(rig, node)
        told = await operator.until("k-1", "answered")
        await bridge.published()
    assert operator.fates("k-1") == ["accepted", "queued", "sent", "acknowledged", "answered"]
    (command,) = asked(rig)
    assert (command.kind, command.args, item.f_port, item.confirmed) == (commands.IDENTIFY, (30,), 10, True)
    assert told["answer"]["result"] == "ok"
    assert told["answer"]["token"] == command.token
    assert told["frames"] == {"all": 1, "sent": 1, "acknowledged": 1}
    assert dict(bridge.commands.counts.fates) == dict.fromkeys(operator.fates("k-1"), 1)


@pytest.mark.parametrize(
    ("fields", "kind", "arguments"),
    [
        ({"command": "status"}, commands.STATUS, ()),
        ({"command": "reboot"}, commands.REBOOT, ()),
        ({"command": "rejoin"}, commands.REJOIN, ()),
        ({"command": "time"}, commands.TIME, ()),
        ({"command": "time", "hint": "2026-06-21T00:00:00Z"}, commands.TIME, (1782000000,)),
        ({"command": "backfill_unsynced", "first": 7, "count": 4}, commands.BACKFILL, (1, 7, 4)),
        (
            {"command": "backfill", "from_": "2026-06-20T22:15:00Z", "to": "2026-06-20T22:46:00Z"},
            commands.BACKFILL,
            (0, 1979993 % 65536, 3),
        ),
        ({"command": "clear_alarm", "alarm": "stuck"}, commands.CLEAR_ALARM, (1, 0)),
        (
            {"command": "clear_alarm", "alarm": "silent", "channels": ["bicycles"]},
            commands.CLEAR_ALARM,
            (2, 1),
        ),
        ({"command": "get_config"}, commands.GET_CONFIG, (0,)),
    ],
)
async def test_each_kind_of_command_becomes_its_frame(
    rig: Rig, operator: Operator, fields: dict[str, object], kind: int, arguments: tuple[object, ...]
) -> None:
    node = await counting(rig)
    async with rig.bridge(clock=ManualClock(node.now_s * 10**9), commands_enabled=True) as bridge:
        await listening(bridge, rig)
        operator.send("one", "a", **fields)
        await operator.until("a", "queued")
    (command,) = asked(rig)
    assert (command.kind, command.args) == (kind, arguments)


async def test_settings_go_down_in_as_many_frames_as_they_take_and_one_answer_is_theirs(
    rig: Rig, operator: Operator
) -> None:
    node = await counting(rig)
    settings = {"history_bytes": 30, "interval_s": 300, "rx_error_ms": 40}
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
        operator.send("one", "s", "set_config", settings=settings)
        await operator.until("s", "queued")
        parts = int(str(asked(rig)[0].args[1]))
        for part in range(parts):
            await until(lambda at=part: len(rig.server.enqueued) == at + 1)
            item = await rig.server.transmit(EUI)
            await rig.server.acknowledge(EUI, item.id)
            await answered(rig, node, answers.OK if part == parts - 1 else answers.INCOMPLETE)
        told = await operator.until("s", "answered")
    assert parts > 1
    assert [int(str(command.args[0])) for command in asked(rig)] == list(range(parts))
    document = b"".join(bytes(command.args[3]) for command in asked(rig))  # type: ignore[arg-type]
    assert json.loads(document) == settings
    assert all(len(item.data) <= 36 for item in rig.server.enqueued)
    assert len({command.token for command in asked(rig)}) == parts
    assert told["answer"]["result"] == "ok"
    assert told["frames"]["all"] == parts


async def test_settings_that_a_node_does_not_take_come_back_with_its_reason(
    rig: Rig, operator: Operator
) -> None:
    node = await counting(rig)
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
        operator.send("one", "s", "set_config", settings={"flow_every": 99})
        await until(lambda: len(rig.server.enqueued) == 1)
        await rig.server.transmit(EUI)
        await answered(rig, node, answers.BAD_ARGS, b"flow_every: must be a whole number from 0 to 96")
        told = await operator.until("s", "answered")
    assert told["answer"]["result"] == "bad_args"
    assert told["answer"]["reason"] == "flow_every: must be a whole number from 0 to 96"


async def test_a_nodes_settings_come_up_in_parts_and_are_told_as_one_by_name_without_secrets(
    rig: Rig, operator: Operator
) -> None:
    node = await counting(rig)
    document = json.dumps({"5": 900, "13": [{"1": "bicycle", "6": 4}], "3": "00" * 16}).encode()
    pieces = [document[at : at + 20] for at in range(0, len(document), 20)]
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
        operator.send("one", "g", "get_config")
        for part, piece in enumerate(pieces):
            await until(lambda at=part: len(rig.server.enqueued) == at + 1)
            await rig.server.transmit(EUI)
            await answered(rig, node, answers.OK, len(pieces), piece)
        told = await operator.until("g", "answered")
    assert [command.args for command in asked(rig)] == [(part,) for part in range(len(pieces))]
    assert told["answer"]["settings"] == {"interval_s": 900, "channels": [{"class": "bicycle", "pin": 4}]}


async def test_a_command_that_the_node_did_not_hear_is_sent_again_with_its_token_and_not_for_ever(
    rig: Rig, operator: Operator
) -> None:
    node = await counting(rig)
    clock = ManualClock(node.now_s * 10**9)
    async with rig.bridge(clock=clock, commands_enabled=True) as bridge:
        await listening(bridge, rig)
        operator.send("one", "a", "reboot")
        for times in (1, 2, 3):
            await until(lambda count=times: len(rig.server.enqueued) == count)
            item = await rig.server.transmit(EUI)
            await rig.server.acknowledge(EUI, item.id, heard=False)
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        await clock.move(86400 + 61)
        told = await operator.until("a", "expired")
    assert len({item.data for item in rig.server.enqueued}) == 1
    assert len(rig.server.enqueued) == 3
    assert told["reason"] == "sent 3 times and never acknowledged"
    assert operator.fates("a") == ["accepted", "queued", "sent", "expired"]


async def test_commands_of_a_station_go_out_one_after_the_other(rig: Rig, operator: Operator) -> None:
    """The next one waits until the node has acknowledged the one before: it must not overtake it."""
    await counting(rig)
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
        operator.send("one", "first", "identify", seconds=1)
        operator.send("one", "second", "identify", seconds=2)
        await operator.until("first", "queued")
        await operator.until("second", "accepted")
        item = await rig.server.transmit(EUI)
        await operator.until("first", "sent")
        await bridge.quiet()
        assert len(rig.server.enqueued) == 1
        await rig.server.acknowledge(EUI, item.id)
        await operator.until("second", "queued")
    assert [command.args for command in asked(rig)] == [(1,), (2,)]


async def test_a_command_whose_time_is_over_is_not_sent_any_more(rig: Rig, operator: Operator) -> None:
    """The server throws the item away at the same moment: it knows when that is."""
    node = await counting(rig)
    clock = ManualClock(node.now_s * 10**9)
    async with rig.bridge(clock=clock, commands_enabled=True, commands_expire_s=600) as bridge:
        await listening(bridge, rig)
        operator.send("one", "a", "reboot")
        operator.send("one", "b", "reboot")
        await operator.until("a", "queued")
        await operator.until("b", "accepted")
        await clock.move(601 + 60)
        assert (await operator.until("a", "expired"))["reason"] == "the node was not heard in time"
        assert (await operator.until("b", "expired"))["reason"].startswith("not sent in time")
    (item,) = rig.server.enqueued
    assert item.expires_at.ToSeconds() == node.now_s + 600
    assert operator.fates("a") == ["accepted", "queued", "expired"]


async def test_an_answer_that_comes_after_the_end_is_told_all_the_same(rig: Rig, operator: Operator) -> None:
    node = await counting(rig)
    clock = ManualClock(node.now_s * 10**9)
    async with rig.bridge(clock=clock, commands_enabled=True, commands_expire_s=600) as bridge:
        await listening(bridge, rig)
        operator.send("one", "a", "identify", seconds=1)
        await operator.until("a", "queued")
        await rig.server.transmit(EUI)
        await operator.until("a", "sent")
        await clock.move(601 + 60)
        assert (await operator.until("a", "expired"))["reason"] == "sent, but no answer was heard"
        await answered(rig, node)
        await operator.until("a", "answered")


@pytest.mark.parametrize(
    ("code", "fate", "reason"),
    [
        ("DOWNLINK_PAYLOAD_SIZE", "refused", "the server has dropped it: DOWNLINK_PAYLOAD_SIZE too long"),
        ("EXPIRED", "expired", "the node was not heard in time"),
    ],
)
async def test_what_the_server_throws_away_is_told_with_its_reason(
    rig: Rig, operator: Operator, code: str, fate: str, reason: str
) -> None:
    await counting(rig)
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
        operator.send("one", "a", "reboot")
        await operator.until("a", "queued")
        await rig.server.drop(EUI, rig.server.enqueued[0].id, code, "too long")
        assert (await operator.until("a", fate))["reason"] == reason


@pytest.mark.parametrize(
    "error",
    [
        (grpc.StatusCode.UNAUTHENTICATED, ""),
        (grpc.StatusCode.INTERNAL, "FOREIGN KEY constraint failed"),
        (grpc.StatusCode.INVALID_ARGUMENT, "Validation error"),
    ],
)
async def test_what_the_server_will_never_take_is_refused_and_others_are_not_held_up(
    rig: Rig, operator: Operator, error: tuple[grpc.StatusCode, str]
) -> None:
    await counting(rig)
    rig.server.enqueue_fails = error
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
        operator.send("one", "a", "reboot")
        told = await operator.until("a", "refused")
        rig.server.enqueue_fails = None
        operator.send("one", "b", "status")
        await operator.until("b", "queued")
    assert error[0].name in told["reason"]
    assert operator.fates("a") == ["accepted", "refused"]
    assert [command.kind for command in asked(rig)] == [commands.STATUS]


async def test_an_id_that_is_known_is_not_done_again_and_its_fate_is_told_again(
    rig: Rig, operator: Operator
) -> None:
    node = await counting(rig)
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
        operator.send("one", "a", "reboot")
        await operator.until("a", "queued")
        operator.send("one", "a", "reboot")
        await operator.until("a", "queued", times=2)
        await rig.server.transmit(EUI)
        await answered(rig, node)
        first = await operator.until("a", "answered")
        operator.send("one", "a", "identify", seconds=5)
        again = await operator.until("a", "answered", times=2)
    assert first == again
    assert operator.fates("a").count("accepted") == 1
    assert len(rig.server.enqueued) == 1


async def test_the_bridge_publishes_again_what_it_is_asked_for_and_no_frame_goes_down(
    rig: Rig, operator: Operator
) -> None:
    await counting(rig)
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
        await bridge.published()
        before = bridge.publisher.counts.acknowledged
        operator.send("one", "a", "republish", from_="2026-06-20T00:00:00Z", to="2026-06-22T00:00:00Z")
        told = await operator.until("a", "answered")
        operator.send("one", "b", "republish", from_="2020-06-20T00:00:00Z", to="2020-06-22T00:00:00Z")
        assert (await operator.until("b", "refused"))["reason"] == "nothing of that time is kept"
        await bridge.published()
    assert (told["answer"]["result"], told["answer"]["records"]) == ("ok", 1)
    assert bridge.publisher.counts.acknowledged > before + 2
    assert rig.server.enqueued == []


async def test_the_answer_to_somebody_elses_command_is_told_as_such(rig: Rig, operator: Operator) -> None:
    node = await counting(rig)
    async with rig.bridge() as bridge:
        await rig.server.follow(EUI, node.says(Answer(99, commands.REBOOT, answers.REFUSED)))
        told = await operator.until(None, "answered")
        await bridge.published()
    assert (told["by"], told["command"], told["answer"]["result"]) == ("other", "reboot", "refused")
