"""The subscriber of the benches, at a real broker, against one of the library."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from zaehlwerk_tools.bridge_bench.subscriber import Subscriber
from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.errors import BrokerError
from zaehlwerk_tools.plan import Broker

PATIENCE_S = 30.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_what_is_published_comes_in_order_whole_and_with_its_topic(tmp_path: Path) -> None:
    """Of every length of a length, with properties and without, and nothing of other topics."""
    sizes = [0, 1, 90, 127, 128, 300, 16_383, 16_384, 70_000, 2_200_000]
    came: list[tuple[str, bytes]] = []
    async with await BrokerProcess.start(tmp_path) as broker:
        subscriber = Subscriber(
            broker.address, "s", ["a/+/count"], lambda _at, topic, payload: came.append((topic, payload))
        )
        client = paho.Client(CallbackAPIVersion.VERSION2, "p", protocol=paho.MQTTv5)
        client.connect(broker.address.host, broker.address.port)
        client.loop_start()
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ContentType = "application/json"
        properties.UserProperty = [("id", "x" * 200)]
        for size in sizes:
            client.publish("a/hafenstraße/count", bytes([size % 251]) * size, qos=1, properties=properties)
            client.publish("a/b/span", b"for others", qos=1)
            client.publish("a/b/count", bytes([size % 251]) * size, qos=0)
        until(lambda: len(came) == 2 * len(sizes))
        subscriber.check()
        client.loop_stop()
        subscriber.close()
    for topic in ("a/hafenstraße/count", "a/b/count"):
        assert [payload for name, payload in came if name == topic] == [
            bytes([size % 251]) * size for size in sizes
        ]


async def test_more_messages_than_may_be_unanswered_all_come(tmp_path: Path) -> None:
    """So each is acknowledged: a broker sends no more than it may have unanswered (MQTT 5.0, 3.3.4)."""
    many = 70_000
    came: list[float] = []
    async with await BrokerProcess.start(tmp_path) as broker:
        subscriber = Subscriber(broker.address, "s", ["t"], lambda at, _topic, _payload: came.append(at))
        sender = Subscriber(broker.address, "p", ["nothing"], lambda *_: None)
        # QoS 1 packets as they are in MQTT 5.0, 3.3, by the thousand.
        for first in range(0, many, 1000):
            packets = (
                b"\x32\x07\x00\x01t" + (number % 65_535 + 1).to_bytes(2, "big") + b"\x00x"
                for number in range(first, first + 1000)
            )
            sender._socket.sendall(b"".join(packets))
            until(lambda first=first: len(came) == first + 1000)  # type: ignore[misc]
        sender.close()
        subscriber.close()
    assert came == sorted(came)


async def test_a_broker_that_ends_is_told_and_leaving_is_no_fault(tmp_path: Path) -> None:
    async with await BrokerProcess.start(tmp_path) as broker:
        left = Subscriber(broker.address, "a", ["t"], lambda *_: None)
        left.close()
        left.check()
        stays = Subscriber(broker.address, "b", ["t"], lambda *_: None)

    def ended() -> bool:
        try:
            stays.check()
        except BrokerError:
            return True
        return False

    until(ended)
    with pytest.raises(BrokerError, match=r"closed the connection|is gone"):
        stays.close()


def test_nobody_who_listens_and_somebody_who_says_no_are_told() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(BrokerError, match=f"no broker at 127.0.0.1:{port}"):
        Subscriber(Broker("127.0.0.1", port), "s", ["t"], lambda *_: None)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"\x20\x03\x00\x87\x00")  # CONNACK: not authorized (MQTT 5.0, 3.2.2.2)

        refusing = threading.Thread(target=refuse)
        refusing.start()
        with pytest.raises(BrokerError, match="reason code 135"):
            Subscriber(Broker("127.0.0.1", server.getsockname()[1]), "s", ["t"], lambda *_: None)
        refusing.join()


async def test_what_breaks_in_who_takes_is_told(tmp_path: Path) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    async with await BrokerProcess.start(tmp_path) as broker:
        subscriber = Subscriber(broker.address, "s", ["t"], broken)
        client = paho.Client(CallbackAPIVersion.VERSION2, "p", protocol=paho.MQTTv5)
        client.connect(broker.address.host, broker.address.port)
        client.loop_start()
        client.publish("t", b"x", qos=1)
        with pytest.raises(ZeroDivisionError):
            until(lambda: bool(subscriber.check()))
        client.loop_stop()
        with pytest.raises(ZeroDivisionError):
            subscriber.close()
