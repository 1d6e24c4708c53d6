"""The subscriber takes everything that a real broker has for it, once, and says why if it cannot."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tools.tests.city.test_consumer_store import END, STORY, entry, message
from zaehlwerk_tools import broker as broker_module
from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.broker_report import dropped_messages
from zaehlwerk_tools.consumer_store import UnreadableMessageError
from zaehlwerk_tools.errors import BrokerError
from zaehlwerk_tools.plan import Broker
from zaehlwerk_tools.retained import clear_retained
from zaehlwerk_tools.subscriber import Subscriber

PREFIX = "zaehlwerk"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[BrokerProcess]:
    async with await BrokerProcess.start(tmp_path) as started:
        yield started


@pytest.fixture
async def subscriber(broker: BrokerProcess, tmp_path: Path) -> AsyncIterator[Subscriber]:
    made = Subscriber(broker.address, tmp_path / "subscriber.sqlite", PREFIX)
    await made.start()
    yield made
    await made.stop()
    made.close()


class Publisher:
    """Publishes and waits for the PUBACK."""

    def __init__(self, broker: Broker) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()

    async def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        sent = self._client.publish(topic, payload, qos=1, retain=retain)
        await asyncio.to_thread(sent.wait_for_publish, 10)
        assert sent.is_published()

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
async def publisher(broker: BrokerProcess) -> AsyncIterator[Publisher]:
    made = Publisher(broker.address)
    yield made
    made.stop()


def _held(subscriber: Subscriber) -> dict[str, int | None]:
    return {record.id: record.channels[0].count for record in subscriber.records()}


async def test_redelivered_and_reordered_messages_end_exactly(
    subscriber: Subscriber, publisher: Publisher
) -> None:
    for number in (4, 2, 2, 1, 0, 3, 1, 0, 4):
        topic = "span" if number == 1 else "count"
        await publisher.publish(f"{PREFIX}/v1/neutor/{topic}", STORY[number])
    await subscriber.drain()
    assert _held(subscriber) == END
    assert subscriber.messages == 9
    assert subscriber.redelivered > 0


async def test_drain_waits_for_everything_that_was_acknowledged_before(
    subscriber: Subscriber, publisher: Publisher, broker: BrokerProcess
) -> None:
    """More than a default broker keeps for a slow subscriber, and not one is missing."""
    sends = [
        publisher.publish(f"{PREFIX}/v1/s{n % 7}/count", message([entry(n, 0, 1, n, name=f"r{n}")]))
        for n in range(1500)
    ]
    for begin in range(0, len(sends), 50):
        await asyncio.gather(*sends[begin : begin + 50])
    await subscriber.drain()
    assert len(_held(subscriber)) == 1500
    assert await dropped_messages(broker.address) == 0


async def test_what_the_broker_drops_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report is not always zero: a broker that keeps one message for a client that takes none drops the rest."""
    monkeypatch.setattr(
        broker_module,
        "MOSQUITTO_CONF",
        broker_module.MOSQUITTO_CONF.replace(
            "max_queued_messages 0", "max_queued_messages 1\nmax_inflight_messages 1"
        ),
    )
    async with await BrokerProcess.start(tmp_path) as broker:
        deaf = Client(
            CallbackAPIVersion.VERSION2, "deaf", protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True
        )
        subscribed = asyncio.Event()
        loop = asyncio.get_running_loop()
        deaf.on_connect = lambda client, *_: client.subscribe("#", qos=1)

        def on_subscribe(*_: object) -> None:
            loop.call_soon_threadsafe(subscribed.set)

        deaf.on_subscribe = on_subscribe
        deaf.connect(broker.address.host, broker.address.port)
        deaf.loop_start()
        await asyncio.wait_for(subscribed.wait(), 10)
        publisher = Publisher(broker.address)
        for number in range(20):
            await publisher.publish("a", str(number).encode())
        publisher.stop()
        dropped = await dropped_messages(broker.address)
        deaf.disconnect()
        deaf.loop_stop()
    assert dropped is not None
    assert dropped > 0


async def test_a_message_that_is_not_as_promised_ends_the_run(
    subscriber: Subscriber, publisher: Publisher
) -> None:
    await publisher.publish(f"{PREFIX}/v1/neutor/count", b"{}")
    with pytest.raises(UnreadableMessageError, match="zaehlwerk/v1/neutor/count"):
        await subscriber.drain()


async def test_rejected_frames_are_counted_and_other_topics_are_none_of_its_business(
    subscriber: Subscriber, publisher: Publisher
) -> None:
    await publisher.publish(f"{PREFIX}/v1/bridge/b1/rejected", b"{}")
    await publisher.publish(f"{PREFIX}/v1/neutor/last", b"not for us", retain=True)
    await publisher.publish("other/v1/neutor/count", STORY[0])
    await subscriber.drain()
    assert subscriber.rejected == 1
    assert subscriber.messages == 0


async def test_a_broker_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    subscriber = Subscriber(Broker("127.0.0.1", port), tmp_path / "s.sqlite", PREFIX)
    with pytest.raises(BrokerError, match=f"^no broker at 127.0.0.1:{port}: "):
        await subscriber.start()
    subscriber.close()


async def test_a_broker_that_refuses_is_one_line_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = broker_module.MOSQUITTO_CONF.replace("allow_anonymous true", "allow_anonymous false")
    monkeypatch.setattr(broker_module, "MOSQUITTO_CONF", strict)
    async with await BrokerProcess.start(tmp_path) as broker:
        subscriber = Subscriber(broker.address, tmp_path / "s.sqlite", PREFIX)
        with pytest.raises(BrokerError, match="refused the subscriber: Not authorized"):
            await subscriber.start()
        subscriber.close()


async def test_a_broker_that_refuses_our_topics_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mosquitto grants every subscription and refuses what is published; waiting for it would be in vain."""
    rules = tmp_path / "acl"
    rules.write_text("topic read other/#\n", encoding="utf-8")
    rules.chmod(0o600)
    monkeypatch.setattr(broker_module, "MOSQUITTO_CONF", broker_module.MOSQUITTO_CONF + f"acl_file {rules}\n")
    async with await BrokerProcess.start(tmp_path) as broker:
        subscriber = Subscriber(broker.address, tmp_path / "s.sqlite", PREFIX)
        await subscriber.start()
        with pytest.raises(BrokerError, match=r"refused zaehlwerk/v1/subscriber/.*: Not authorized"):
            await subscriber.drain()
        await subscriber.stop()
        subscriber.close()


async def test_somebody_who_is_no_broker_is_one_line(tmp_path: Path) -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        subscriber = Subscriber(Broker("127.0.0.1", port), tmp_path / "s.sqlite", PREFIX)
        with pytest.raises(BrokerError, match=f"127.0.0.1:{port} closed the connection"):
            await subscriber.start()
        subscriber.close()


async def test_drain_does_not_wait_for_a_broker_that_is_stopped(
    subscriber: Subscriber, publisher: Publisher, broker: BrokerProcess
) -> None:
    """A broker that hangs is told as such; it is woken again so that it can be ended."""
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        with pytest.raises(BrokerError, match="did not deliver within"):
            await subscriber.drain(timeout_s=0.5)
    finally:
        os.kill(broker.pid, signal.SIGCONT)


async def test_retained_messages_below_a_prefix_are_taken_back(
    broker: BrokerProcess, publisher: Publisher
) -> None:
    await publisher.publish("mine-1/v1/a/last", json.dumps({"a": 1}).encode(), retain=True)
    await publisher.publish("mine-1/v1/b/meta", b"x", retain=True)
    await publisher.publish("others/v1/b/meta", b"x", retain=True)
    assert await clear_retained(broker.address, "mine-1") == 2
    assert await clear_retained(broker.address, "mine-1") == 0
    assert await clear_retained(broker.address, "others") == 1
