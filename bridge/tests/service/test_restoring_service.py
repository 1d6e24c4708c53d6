"""A database that was put back from a copy, in front of a real broker: what was published since stands once in the sum."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from bridge.tests.service.chirpstack import ChirpStack
from bridge.tests.service.mosquitto import Mosquitto
from bridge.tests.service.node import Node
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber
from bridge.tests.service.until import until
from zaehlwerk_bridge.checkpoint import epoch_name
from zaehlwerk_bridge.life import SUFFIX
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.store import Store

EUI = "70b3d57ed0000001"
OTHER = "70b3d57ed0000002"
STATION = "hafenstrasse"
CHECKPOINT = f"zaehlwerk/v1/{STATION}/checkpoint"


def copied(rig: Rig) -> Path:
    """A copy of the database as it is now, made beside the running bridge or of one that has stopped."""
    copy = rig.directory / "copy.sqlite"
    source, target = sqlite3.connect(rig.directory / "bridge.sqlite"), sqlite3.connect(copy)
    with contextlib.closing(source), contextlib.closing(target):
        source.backup(target)
    return copy


def put_back(rig: Rig, copy: Path) -> None:
    for suffix in ("-wal", "-shm"):
        (rig.directory / f"bridge.sqlite{suffix}").unlink(missing_ok=True)
    shutil.copy(copy, rig.directory / "bridge.sqlite")


async def published(bridge: Bridge, server: ChirpStack, dev_eui: str = EUI) -> None:
    await bridge.committed(dev_eui, server.devices[dev_eui].items[-1].id)
    await bridge.published()


def revisions(platform: Subscriber) -> list[int]:
    """Of all records of counts and spans, in the order of their arrival."""
    contents = [json.loads(m.payload) for m in platform.messages if m.topic.endswith(("/count", "/span"))]
    return [record["revision"] for content in contents for record in content["records"]]


def retain(port: int, topic: str, payload: bytes) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.publish(topic, payload, qos=1, retain=True).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


@pytest.mark.parametrize("when", ["while the bridge runs", "while it is stopped"])
async def test_a_copy_that_is_put_back_adds_nothing_twice_loses_nothing_and_goes_on_with_higher_revisions(
    rig: Rig, subscribe: Callable[..., Subscriber], when: str
) -> None:
    """The server replays the whole history to the copy; what the first life published since is in the sum already."""
    platform = subscribe()
    counter = Node(EUI, "Hafenstraße")
    copy = None
    await rig.server.put(EUI, counter.status(), counter.count(7), counter.count(5))
    async with rig.bridge() as bridge:
        await published(bridge, rig.server)
        if when == "while the bridge runs":
            copy = copied(rig)
    if copy is None:
        copy = copied(rig)
    async with rig.bridge() as bridge:
        await rig.server.put(EUI, counter.count(11), counter.count(2))
        await published(bridge, rig.server)
        assert "put back" not in rig.logged.getvalue()
    await platform.until(lambda: platform.sums() == {STATION: 25})
    used = max(revisions(platform))
    seen = len(platform.messages)

    put_back(rig, copy)
    async with rig.bridge() as bridge:
        assert "put back from a copy" in rig.logged.getvalue()
        await rig.server.put(EUI, counter.count(4))
        await published(bridge, rig.server)
        await platform.until(lambda: platform.sums() == {STATION: 29})
        assert await bridge.ask(Store.unverified, [STATION]) == set()
    told = [m for m in platform.messages[seen:] if m.topic.endswith(("/count", "/span"))]
    again = [record["revision"] for m in told for record in json.loads(m.payload)["records"]]
    assert min(again) > used
    assert platform.sums() == {STATION: 29}


async def test_a_database_begun_anew_takes_a_city_over_that_was_counted_before(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    """Database and the word beside it are lost, and half of the server's history."""
    platform = subscribe()
    counter = Node(EUI, "Hafenstraße")
    await rig.server.put(EUI, counter.status(), *(counter.count(3) for _ in range(6)))
    async with rig.bridge() as bridge:
        await published(bridge, rig.server)
    await platform.until(lambda: platform.sums() == {STATION: 18})
    for path in rig.directory.glob("bridge.sqlite*"):
        path.unlink()
    del rig.server.devices[EUI].items[:4]
    async with rig.bridge() as bridge:
        await rig.server.put(EUI, counter.count(4), counter.status(), counter.count(1))
        await published(bridge, rig.server)
        await platform.until(lambda: platform.sums() == {STATION: 23})


async def test_without_the_word_beside_it_a_database_counts_as_a_copy(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    """So a machine that was restored whole, both files together, is told by deleting the small one."""
    platform = subscribe()
    counter = Node(EUI, "Hafenstraße")
    await rig.server.put(EUI, counter.status(), counter.count(7))
    async with rig.bridge() as bridge:
        await published(bridge, rig.server)
    (rig.directory / f"bridge.sqlite{SUFFIX}").unlink()
    async with rig.bridge() as bridge:
        assert await bridge.ask(Store.unverified, [STATION]) == {STATION, epoch_name(counter.epoch)}
        await rig.server.put(EUI, counter.count(4))
        await published(bridge, rig.server)
        await platform.until(lambda: platform.sums() == {STATION: 11})
    async with rig.bridge() as bridge:
        assert await bridge.ask(Store.unverified, [STATION]) == set()


async def test_a_station_whose_checkpoint_cannot_be_read_back_is_held_and_the_status_says_so(
    start_broker: Callable[..., Mosquitto], server: ChirpStack, tmp_path: Path
) -> None:
    """The broker's access list lets the bridge write and not read. Allowed, everything goes out."""
    allowed = ["topic readwrite #"]
    broker = start_broker(
        acl=["topic write #", "topic read zaehlwerk/v1/+/count", "topic read zaehlwerk/v1/bridge/#"]
    )
    rig = Rig(tmp_path, server, broker)
    platform = Subscriber(broker.port)
    counter = Node(EUI, "Hafenstraße")
    await server.put(EUI, counter.status(), counter.count(7))
    async with rig.bridge(mqtt_connect_timeout_s=0.3) as bridge:
        await bridge.committed(EUI, server.devices[EUI].items[-1].id)
        await until(lambda: STATION in bridge.publisher.held)
        held = bridge.publisher.held[STATION]
        assert held.startswith("the bridge does not get back what it publishes on zaehlwerk/v1/")
        assert held.endswith(f"{CHECKPOINT}; may it read there?")
        await platform.until(lambda: platform.newest("b1/status").get("held") == 1)
        assert CHECKPOINT in platform.of("b1/status")[-1]["for_example"]
        assert platform.of("/count") == []
        broker.allow(allowed)
        await bridge.published()
        await platform.until(lambda: platform.sums() == {STATION: 7})
        await platform.until(lambda: platform.newest("b1/status") == {"state": "online"})
    platform.close()


async def test_a_broken_checkpoint_is_named_and_holds_its_station_alone(
    rig: Rig, broker: Mosquitto, subscribe: Callable[..., Subscriber]
) -> None:
    """When it is cleared the station goes on."""
    platform = subscribe()
    retain(broker.port, CHECKPOINT, b"nonsense")
    for node in (Node(EUI, "Hafenstraße"), Node(OTHER, "Neutor", epoch=2)):
        await rig.server.put(node.dev_eui, node.status(), node.count(7))
    async with rig.bridge() as bridge:
        await platform.until(lambda: platform.sums() == {"neutor": 7})
        await until(lambda: STATION in bridge.publisher.held)
        assert bridge.publisher.held == {
            STATION: f"the checkpoint at {CHECKPOINT} cannot be read: JSONDecodeError: Expecting value: line 1"
            " column 1 (char 0)"
        }
        retain(broker.port, CHECKPOINT, b"")
        await bridge.published()
        await platform.until(lambda: platform.sums() == {"neutor": 7, STATION: 7})


async def test_a_node_that_was_moved_after_the_copy_is_counted_at_each_station_once(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    platform = subscribe()
    first, moved = Node(EUI, "Hafenstraße"), Node(EUI, "Neutor")
    await rig.server.put(EUI, first.status(), *(first.count(3) for _ in range(4)))
    async with rig.bridge() as bridge:
        await published(bridge, rig.server)
        copy = copied(rig)
    moved.slot, moved.total, moved.f_cnt, moved.counts = first.slot, first.total, first.f_cnt, [*first.counts]
    async with rig.bridge() as bridge:
        await rig.server.put(EUI, *(moved.count(5) for _ in range(4)))
        await published(bridge, rig.server)
    await platform.until(lambda: platform.sums() == {STATION: 12, "neutor": 20})

    put_back(rig, copy)
    async with rig.bridge() as bridge:
        await published(bridge, rig.server)
        await rig.server.put(EUI, moved.count(6))
        await published(bridge, rig.server)
        await platform.until(lambda: sum(platform.sums().values()) == 38)
    assert platform.sums() == {STATION: 12, "neutor": 26}


async def test_a_node_that_was_moved_while_no_bridge_listened_is_counted_once_by_a_database_begun_anew(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    """The server's history does not reach back, and another node serves its new station when it comes there."""
    platform = subscribe()
    first, resident = Node(EUI, "Hafenstraße"), Node(OTHER, "Neutor", epoch=2)
    await rig.server.put(EUI, first.status(), *(first.count(3) for _ in range(4)))
    async with rig.bridge() as bridge:
        await published(bridge, rig.server)
    await platform.until(lambda: platform.sums() == {STATION: 12})
    for path in rig.directory.glob("bridge.sqlite*"):
        path.unlink()
    rig.server.devices[EUI].items.clear()
    await rig.server.put(OTHER, resident.status(), resident.count(7))
    async with rig.bridge() as bridge:
        await published(bridge, rig.server, OTHER)
        await platform.until(lambda: platform.sums() == {STATION: 12, "neutor": 7})
        moved = Node(EUI, "Neutor", total=first.total, slot=first.slot + 4, f_cnt=first.f_cnt)
        await rig.server.put(EUI, moved.count(5), moved.status(), moved.count(6))
        await published(bridge, rig.server)
        await platform.until(lambda: sum(platform.sums().values()) == 30)
        assert await bridge.ask(Store.unverified, ["neutor", STATION]) == set()


async def test_a_station_that_is_being_published_waits_when_it_turns_out_to_be_in_doubtful_company(
    rig: Rig, broker: Mosquitto, subscribe: Callable[..., Subscriber]
) -> None:
    """The broker refused what would have told so of itself; its messages are on their way when the other's tells it."""
    platform = subscribe()
    one, two = Node(EUI, "Hafenstraße"), Node(OTHER, "Neutor", epoch=2)
    names_the_other = {"station": "neutor", "revision": 5, "intervals": [], "spans": [], "with": [STATION]}
    retain(broker.port, "zaehlwerk/v1/neutor/checkpoint", json.dumps(names_the_other).encode())
    await rig.server.put(EUI, one.status(), one.count(1))
    rig.server.add(OTHER)
    async with rig.bridge() as bridge:
        await published(bridge, rig.server)
        broker.pause()
        await rig.server.put(EUI, *(one.count(1) for _ in range(30)))
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        await rig.server.put(OTHER, two.status(), two.count(7))
        await bridge.committed(OTHER, rig.server.devices[OTHER].items[-1].id)
        broker.resume()
        await bridge.published()
        await platform.until(lambda: platform.sums() == {STATION: 31, "neutor": 7})
