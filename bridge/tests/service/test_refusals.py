"""What a broker may do instead of taking a message, and what becomes of the message then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from bridge.tests.service.chirpstack import ChirpStack
from bridge.tests.service.mosquitto import Mosquitto
from bridge.tests.service.node import Node
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber
from bridge.tests.service.until import until
from zaehlwerk_bridge.errors import ClientTakenOver
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.store import Store

ALL = "topic readwrite #"


@pytest.fixture
def with_broker(
    start_broker: Callable[..., Mosquitto], server: ChirpStack, tmp_path: Any
) -> Callable[..., Rig]:
    """A rig whose broker has the options given."""
    return lambda **options: Rig(tmp_path, server, start_broker(**options))


async def filled(rig: Rig, *stations: str, counts: int = 3) -> list[Node]:
    """Nodes with some counts in the server's history."""
    nodes = [Node(f"70b3d57ed{number:07x}", station) for number, station in enumerate(stations, 1)]
    for node in nodes:
        await rig.server.put(node.dev_eui, node.status(), *(node.count(4) for _ in range(counts)))
    return nodes


def refuse(*stations: str) -> list[str]:
    return [ALL, *(f"topic deny zaehlwerk/v1/{station}/count" for station in stations)]


@pytest.mark.parametrize("options", [[], ["max_queued_messages 0"]])
async def test_a_refused_station_is_held_while_the_others_go_on(
    with_broker: Callable[..., Rig], options: list[str]
) -> None:
    """Denied by the broker's access list: the station waits and is visible as held; allowed again, nothing is lost.
    With `max_queued_messages 0` Mosquitto ends the connection after each refusal: the hold outlives the connection."""
    rig = with_broker(acl=refuse("one"), options=options)
    platform = Subscriber(rig.broker.port)
    await filled(rig, "one", "two")
    async with rig.bridge() as bridge:
        await platform.until(lambda: platform.sums() == {"two": 12})
        await until(lambda: "one" in bridge.publisher.held)
        assert "135 Not authorized" in bridge.publisher.held["one"]
        assert await bridge.ask(Store.outbox_size) > 0
        assert bridge.publisher.counts.refused > 0
        rig.broker.allow([ALL])
        await bridge.published()
        await platform.until(lambda: platform.sums() == {"one": 12, "two": 12})
        assert bridge.publisher.held == {}
    platform.close()
    assert "Not authorized" in rig.logged.getvalue()


async def test_a_refused_message_is_not_overtaken_by_a_later_one_of_its_station(
    with_broker: Callable[..., Rig],
) -> None:
    """While counts are denied, the other topics of the station wait as well: consumers see its messages in order."""
    rig = with_broker(acl=refuse("one"))
    platform = Subscriber(rig.broker.port)
    nodes = await filled(rig, "one", counts=1)
    async with rig.bridge() as bridge:
        await until(lambda: "one" in bridge.publisher.held)
        status = "zaehlwerk/v1/one/status"
        await platform.until(lambda: status in platform.topics())
        await rig.server.put(nodes[0].dev_eui, nodes[0].status())
        await bridge.committed(nodes[0].dev_eui, rig.server.devices[nodes[0].dev_eui].items[-1].id)
        refused = bridge.publisher.counts.refused
        await until(lambda: bridge.publisher.counts.refused >= refused + 3)
        assert platform.topics().count(status) == 1
        rig.broker.allow([ALL])
        await bridge.published()
        await platform.until(lambda: platform.topics().count(status) == 2)
    topics = [topic for topic in platform.topics() if topic.endswith(("/one/status", "/one/count"))]
    assert topics == [status, "zaehlwerk/v1/one/count", status]
    platform.close()


async def test_counts_wait_for_a_subscriber(rig: Rig, subscribe: Callable[..., Subscriber]) -> None:
    """Without one the broker would take and drop them. What is retained goes out, for the broker keeps it."""
    await filled(rig, "one")
    async with rig.bridge() as bridge:
        await until(lambda: "one" in bridge.publisher.held)
        assert bridge.publisher.counts.without_subscriber > 0
        assert "No matching subscribers" in bridge.publisher.held["one"]
        platform = subscribe()
        await bridge.published()
        await platform.until(lambda: platform.sums() == {"one": 12})


async def test_counts_without_a_subscriber_are_let_go_if_the_setting_says_so(rig: Rig) -> None:
    await filled(rig, "one")
    async with rig.bridge(mqtt_hold_without_subscriber=False) as bridge:
        await until(lambda: bridge.counts.events == 4)
        await bridge.published()
        assert bridge.publisher.counts.without_subscriber > 0
        assert bridge.publisher.held == {}


@pytest.mark.parametrize("option", ["max_packet_size 600", "message_size_limit 500"])
async def test_a_message_too_large_for_the_broker_is_put_aside_and_the_rest_goes_on(
    with_broker: Callable[..., Rig], option: str
) -> None:
    """By its announced packet size, or by a limit that the broker only tells of when it is exceeded."""
    rig = with_broker(options=[option])
    platform = Subscriber(rig.broker.port)
    await filled(rig, "s" * 200, "two")
    async with rig.bridge() as bridge:
        await until(lambda: bridge.publisher.counts.quarantined > 0)
        await bridge.published()
        await platform.until(lambda: platform.sums().get("two") == 12)
        await platform.until(lambda: platform.of("bridge/b1/rejected"))
        if option.startswith("max_packet_size"):
            assert bridge.publisher.counts.connections == 1  # announced, so never sent
    rejected = platform.of("bridge/b1/rejected")
    platform.close()
    assert rejected
    assert all("s" * 200 in content["topic"] for content in rejected)


async def test_the_window_is_the_brokers_receive_maximum_if_that_is_less(
    with_broker: Callable[..., Rig],
) -> None:
    """Mosquitto's `max_inflight_messages` is its Receive Maximum."""
    rig = with_broker(options=["max_inflight_messages 3"])
    platform = Subscriber(rig.broker.port)
    await filled(rig, *(f"station {number}" for number in range(20)))
    most = 0
    async with rig.bridge() as bridge:
        connection = bridge.publisher._connection
        assert connection is not None
        assert connection.window == 3
        send = bridge.publisher._send

        def watched(connection: Any) -> None:
            nonlocal most
            send(connection)
            most = max(most, len(connection.in_flight))

        bridge.publisher._send = watched  # type: ignore[method-assign]
        await platform.until(lambda: sum(platform.sums().values()) == 240)
        await bridge.published()
    platform.close()
    assert most <= 3


async def test_a_client_id_that_is_taken_over_ends_the_bridge(rig: Rig) -> None:
    """Two bridges with one id would throw each other out for ever."""
    bridge = Bridge(rig.settings(), seed=1)
    running = asyncio.create_task(bridge.run())
    await bridge.ready(10)
    client = paho.Client(CallbackAPIVersion.VERSION2, "zaehlwerk-bridge-b1", protocol=paho.MQTTv5)
    client.connect("127.0.0.1", rig.broker.port)
    client.loop_start()
    with pytest.raises(ClientTakenOver, match="zaehlwerk-bridge-b1"):
        await asyncio.wait_for(running, 10)
    client.disconnect()
    client.loop_stop()


async def test_a_broker_that_refuses_the_bridge_is_tried_again_and_the_reason_is_told(
    with_broker: Callable[..., Rig],
) -> None:
    rig = with_broker(options=["allow_anonymous false"])
    async with rig.bridge(ready=False) as bridge:
        await until(lambda: "Not authorized" in bridge.publisher.trouble)
        with pytest.raises(Exception, match=r"broker: .*Not authorized"):
            await bridge.ready(0.3)
    assert rig.logged.getvalue().count("broker is not connected") == 1


async def test_a_broker_that_stops_answering_is_left_and_found_again(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    """A connection that looks alive and is not: MQTT's keep alive tells."""
    platform = subscribe()
    nodes = await filled(rig, "one")
    async with rig.bridge(mqtt_keepalive_s=5) as bridge:
        await bridge.published()
        rig.broker.pause()
        await rig.server.put(nodes[0].dev_eui, nodes[0].count(9))
        await until(lambda: not bridge.publisher.connected, 20)
        rig.broker.resume()
        await bridge.published()
        await platform.until(lambda: platform.sums() == {"one": 21})
