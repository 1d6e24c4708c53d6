"""The program kills itself between the steps of a command: the node is asked once, and the platform told what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.tests.service.chirpstack import KEY, TENANT, ChirpStack
from bridge.tests.service.killed_program import Program
from bridge.tests.service.mosquitto import Mosquitto
from bridge.tests.service.node import Node
from bridge.tests.service.operator import Operator
from bridge.tests.service.until import until
from zaehlwerk_protocol import answer as answers
from zaehlwerk_protocol.answer import Answer
from zaehlwerk_protocol.command import REBOOT, Command

DOWNLINKS = ("command.before-acknowledge", "enqueue.begun", "enqueue.taken", "enqueue.noted")
# The one at which a node could be asked twice; the others take longer than a test run should.
ALWAYS = "enqueue.taken"
EUI = "70b3d57ed0000001"
DIES_S = ENDS_S = 40.0
# A doubt lasts half a minute otherwise.
SHORT_DOUBTS = "import zaehlwerk_bridge.commands.dispatcher as sending; sending.LOOK_NS = 10**8; sending.DOUBT_NS = 10**9"


@pytest.fixture
def operator(broker: Mosquitto) -> Iterator[Operator]:
    operator = Operator(broker.port)
    yield operator
    operator.close()


def program(directory: Path, server: ChirpStack, broker: Mosquitto) -> Program:
    made = Program(
        directory,
        f"""
id = "b1"
database = "bridge.sqlite"
[store]
low_water_mb = 0
[chirpstack]
server = "127.0.0.1:{server.port}"
tenants = ["{TENANT}"]
api_key_file = "api.key"
insecure = true
backoff_first_s = 0.05
backoff_most_s = 0.2
[mqtt]
host = "127.0.0.1"
port = {broker.port}
insecure = true
backoff_first_s = 0.05
backoff_most_s = 0.2
[commands]
enabled = true
[healing]
enabled = false
[http]
port = 0
""",
        SHORT_DOUBTS,
    )
    (directory / "api.key").write_text(f"{KEY}\n")
    return made


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == ALWAYS else pytest.mark.long) for name in DOWNLINKS]
)
async def test_a_bridge_that_dies_here_asks_the_node_once_and_tells_how_it_ended(
    name: str, tmp_path: Path, server: ChirpStack, broker: Mosquitto, operator: Operator
) -> None:
    node = Node(EUI, "one")
    await server.put(EUI, node.status(), node.count(3))
    bridge = program(tmp_path, server, broker)
    running = await bridge.start(name)
    try:
        async with asyncio.timeout(DIES_S):
            # Who does not know whether a command got through sends it again.
            while running.returncode is None:
                await asyncio.to_thread(operator.send, "one", "a", "reboot")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(running.wait(), 0.3)
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()
    assert running.returncode == -signal.SIGKILL, bridge.said
    again = await bridge.start()
    try:
        await until(lambda: len(server.enqueued) == 1 and "queued" in operator.fates("a"), ENDS_S)
        item = await server.transmit(EUI)
        await server.acknowledge(EUI, item.id)
        command = Command.decode(item.data)
        await server.follow(EUI, node.says(Answer(command.token, REBOOT, answers.OK)))
        await until(lambda: "answered" in operator.fates("a"), ENDS_S)
    finally:
        again.terminate()
        await again.wait()
    assert again.returncode == 0, bridge.said
    assert command.kind == REBOOT
    assert len(server.enqueued) == 1, "the node was asked twice"
    assert server.devices[EUI].queue == []
    # Before the station was known it could not be asked; each fate that follows is told, again at most because of a copy.
    told = [fate for fate in operator.fates("a") if fate != "refused"]
    assert sorted(set(told), key=told.index) == sorted(set(told), key=FATES.index)
    assert told[-1] == "answered"


FATES = ("accepted", "queued", "sent", "acknowledged", "answered")
