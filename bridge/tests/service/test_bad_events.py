"""Events that nobody should send, in great numbers: each has a fate with a name, and a counter beside them loses nothing.

`make long` sends 100,000. `ZAEHLWERK_BAD_EVENTS` in the environment: so many instead of a few; `ZAEHLWERK_BAD_SEED`: others.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import generate_latest

from bridge.tests.service.manual_clock import ManualClock
from bridge.tests.service.node import Item, Node
from bridge.tests.service.redis_server import EventStream, event_bytes
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber
from bridge.tests.service.test_redis_source import acknowledged
from bridge.tests.service.until import until
from zaehlwerk_bridge import claims
from zaehlwerk_bridge.intake import Fate
from zaehlwerk_bridge.metrics import registry
from zaehlwerk_bridge.rejected import Cause, RejectedRow
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.sources.connection import MAX_MESSAGE_BYTES
from zaehlwerk_bridge.sources.item import KINDS
from zaehlwerk_bridge.store import Store

EVENTS = int(os.environ.get("ZAEHLWERK_BAD_EVENTS", "1500"))
MANY_EVENTS = 100_000
SEED = int(os.environ.get("ZAEHLWERK_BAD_SEED", "1"))
EACH_S = 0.02
"""So long an event may take on a machine that does much else."""
SOUND = "Unversehrt"
HOSTILE = (
    "",
    "#",
    "+/+",
    "a/b",
    "$SYS",
    "\0",
    "ß" * 600,
    "..",
    "'; DROP TABLE record; --",
    '{"a":',
    "in,out",
    "in,in",
    "🚲",
    "-1",
    "NaN",
)
STRUCTURES: tuple[dict[str, Any], ...] = (
    {"deviceInfo": []},
    {"deviceInfo": {"tags": {str(n): "x" for n in range(100)}}},
    {"deviceInfo": {"tags": {"station": {"station": 1}}}},
    {"rxInfo": {"rssi": 1}},
    {"rxInfo": [{"rssi": 1e308}, {"snr": "loud"}, None]},
    {"rxInfo": [{"rssi": -80, "nsTime": "9999-99-99T99:99:99Z"}]},
    {"data": {"a": 1}},
    {"data": "A" * 70_000},
    {"fCnt": -1},
    {"fPort": 1.5},
    {"deduplicationId": ["a"]},
    {"object": [[[[[[[[]]]]]]]]},
    {"deviceInfo": {"deviceName": "\ud83d", "tags": {}}},
    {"deviceInfo": {"tags": {"station": "\udeb2\ud83d"}}},
)
"""What the protobuf of the other source cannot say."""
TAGS = ("station", "channels", "classes", "directions", "max_rate", "corridor", "position", "interval")


class Mutations:
    """Draws events from `seed`: of some devices, with names, tags, payloads, counters and bytes that are wrong."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._victims = [Node(f"70b3d57ed{n:07x}", f"victim {n}", epoch=0x2000 + n) for n in range(1, 6)]

    def next(self) -> dict[str, bytes]:
        """The fields of an entry."""
        value = event_bytes("up", self._body()[1])
        for change in self._dice.sample([self._flip, self._cut, self._repeat, *[self._same] * 3], 1):
            value = change(value)
        return {self._kind(): value}

    def next_item(self, at_ms: int) -> tuple[str, Item]:
        """A device, and an item of its stream at that time: a text that was JSON."""
        dice = self._dice
        dev_eui, body = self._body()
        text = json.dumps({**body, **dice.choice(STRUCTURES)} if dice.random() < 0.2 else body)
        for change in dice.sample([self._flip, self._cut, self._repeat, *[self._same] * 3], 1):
            text = change(text.encode()).decode(errors="replace")
        return dev_eui, Item(f"{at_ms}-0", self._kind(), text)

    def _kind(self) -> str:
        kinds = {"up": 60, "join": 1, "ack": 1, "txack": 1, "log": 1, "status": 1, "#": 1}
        return self._dice.choices([*kinds], [*kinds.values()])[0]

    def _body(self) -> tuple[str, dict[str, Any]]:
        dice = self._dice
        node = dice.choice(self._victims)
        body = json.loads((node.status() if dice.random() < 0.2 else node.count(dice.randrange(50))).body)
        for change in dice.sample([self._info, self._payload, self._numbers, *[self._none] * 3], 2):
            change(body)
        return node.dev_eui, body

    def _none(self, body: dict[str, Any]) -> None:
        """Nothing is wrong with it."""

    def _info(self, body: dict[str, Any]) -> None:
        info, dice = body["deviceInfo"], self._dice
        what = dice.randrange(3)
        if what == 0:
            info["deviceName"] = dice.choice(HOSTILE)
        elif what == 1:
            info["devEui"] = dice.choice([*HOSTILE, "70B3D57ED0000001", "70b3d57ed000000"])
        else:
            info["tags"] = {**info["tags"], dice.choice(TAGS): dice.choice(HOSTILE)}

    def _payload(self, body: dict[str, Any]) -> None:
        dice = self._dice
        data = bytearray(base64.b64decode(body["data"]))
        for _ in range(dice.randrange(1, 4)):
            what = dice.randrange(3)
            if what == 0 and data:
                data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            elif what == 1:
                data = data[: dice.randrange(len(data) + 1)]
            else:
                data += dice.randbytes(dice.randrange(1, 30))
        body["data"] = base64.b64encode(bytes(data[:300])).decode()

    def _numbers(self, body: dict[str, Any]) -> None:
        dice = self._dice
        body["fPort"] = dice.choice([0, 1, 2, 3, 10, 223, 224, 255, 256, 2**31])
        body["fCnt"] = dice.choice([0, 1, 65535, 65536, 2**32 - 1])
        if dice.random() < 0.3:
            body["deduplicationId"] = dice.choice(["", "the same", "x" * 500])

    def _same(self, value: bytes) -> bytes:
        return value

    def _flip(self, value: bytes) -> bytes:
        changed = bytearray(value)
        for _ in range(self._dice.randrange(1, 6)):
            changed[self._dice.randrange(len(changed))] ^= 1 << self._dice.randrange(8)
        return bytes(changed)

    def _cut(self, value: bytes) -> bytes:
        return value[: self._dice.randrange(len(value))]

    def _repeat(self, value: bytes) -> bytes:
        at = self._dice.randrange(len(value))
        return value[:at] + value[self._dice.randrange(at + 1) :]


def _fields(item: Item) -> dict[str, bytes]:
    return {item.description: event_bytes(item.description, json.loads(item.body))}


def _put(stream: EventStream, entries: list[dict[str, bytes]], first_ms: int) -> None:
    """A millisecond apart: one device does not say several things at one time."""
    pipeline = stream.client.pipeline(transaction=False)
    for at_ms, fields in enumerate(entries, first_ms):
        pipeline.xadd(stream.key, fields, id=f"{at_ms}-0")
    pipeline.execute()


async def _stored(bridge: Bridge, stream: EventStream, events: int) -> None:
    await until(lambda: acknowledged(stream), 30 + EACH_S * events)
    await bridge.quiet()


def _timeout(events: int) -> pytest.MarkDecorator:
    return pytest.mark.timeout(180 + 2 * EACH_S * events)


async def named_fates(bridge: Bridge, platform: Subscriber, events: int) -> list[RejectedRow]:
    """What was rejected of mutated events: each for a cause that is its own; of the others some are counted."""
    assert sum(bridge.counts.fates.values()) == bridge.counts.events
    assert set(bridge.counts.fates) <= set(Fate)
    assert bridge.counts.causes[Cause.INTERNAL] == 0, [
        row.reason for row in await bridge.ask(Store.rejected, Cause.INTERNAL)
    ][:3]
    rejected = await bridge.ask(Store.rejected)
    assert len(rejected) == bridge.counts.fates[Fate.REJECTED] > events // 20
    assert all(row.reason and row.cause for row in rejected)
    # Those that nothing is wrong with are counted nevertheless.
    assert bridge.counts.fates[Fate.DECODED] > events // 20
    assert not any("#" in topic or "+" in topic for topic in platform.topics())
    return rejected


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(EVENTS, id="some", marks=_timeout(EVENTS)),
        pytest.param(MANY_EVENTS, id="many", marks=[pytest.mark.long, _timeout(MANY_EVENTS)]),
    ],
)
async def test_each_of_many_mutated_events_has_a_named_fate_and_the_bridge_runs_on(
    events: int, bridge_at: Callable[..., Any], stream: EventStream, subscribe: Callable[..., Subscriber]
) -> None:
    mutations, sound, platform = Mutations(SEED), Node("a84041ffff000001", SOUND, epoch=0x1001), subscribe()
    at_ms = time.time_ns() // 1_000_000 - 2 * events
    _put(stream, [_fields(sound.status())], at_ms)
    async with bridge_at() as bridge:
        for done in range(0, events, 500):
            some = [mutations.next() for _ in range(min(events - done, 500))]
            at_ms += 1000
            _put(stream, [*some, _fields(sound.count(3))], at_ms)
        await _stored(bridge, stream, events)
        async with asyncio.timeout(30 + EACH_S * events):
            await bridge.published()
        await platform.until(lambda: platform.sums().get(SOUND.lower()) == sound.total, 60)
        assert not bridge.disk_trouble
        rejected = await named_fates(bridge, platform, events)
        assert {Cause.UNREADABLE, Cause.UNDECODABLE, Cause.NO_STATION} <= {row.cause for row in rejected}


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(EVENTS, id="some", marks=_timeout(EVENTS)),
        pytest.param(MANY_EVENTS, id="many", marks=[pytest.mark.long, _timeout(MANY_EVENTS)]),
    ],
)
async def test_each_of_many_mutated_items_of_devices_streams_has_a_named_fate_and_no_stream_ends(
    events: int, rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    """Hostile JSON by gRPC: what stands in one device's stream harms no other's, and not what follows it there."""
    mutations, sound, platform = Mutations(SEED), Node("a84041ffff000001", SOUND, epoch=0x1001), subscribe()
    at_ms = time.time_ns() // 1_000_000 - 2 * events
    await rig.server.put(sound.dev_eui, sound.status())
    async with rig.bridge(chirpstack_relist_s=1) as bridge:
        for done in range(0, events, 500):
            for _ in range(min(events - done, 500)):
                at_ms += 1
                await rig.server.put(*mutations.next_item(at_ms))
            await rig.server.put(sound.dev_eui, sound.count(3))
            async with asyncio.timeout(30 + EACH_S * events):
                for dev_eui, device in rig.server.devices.items():
                    newest = [item for item in device.items if item.description in KINDS]
                    await bridge.committed(dev_eui, newest[-1].id)
        await bridge.quiet()
        async with asyncio.timeout(30 + EACH_S * events):
            await bridge.published()
        await platform.until(lambda: platform.sums().get(SOUND.lower()) == sound.total, 60)
        assert all(device.opened == 1 for device in rig.server.devices.values())
        rejected = await named_fates(bridge, platform, events)
        # Each is put down to the device in whose stream it stood, whatever it says of itself.
        assert {row.event and row.event.dev_eui for row in rejected} <= rig.server.devices.keys()


async def test_an_item_beyond_what_grpc_may_receive_holds_up_its_device_alone_until_the_server_has_forgotten_it(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    """Nothing of it is taken into memory; what it stands before is read as soon as the history has moved on."""
    held, free, platform = Node("70b3d57ed0000001", "Held"), Node("70b3d57ed0000002", "Free"), subscribe()
    huge = Item(f"{held.now_s * 1000}-5", "up", "x" * (MAX_MESSAGE_BYTES + 1))
    await rig.server.put(held.dev_eui, held.status(), huge, held.count(3))
    await rig.server.put(free.dev_eui, free.status(), free.count(4))
    async with rig.bridge(ready=False) as bridge:
        await platform.until(lambda: platform.sums() == {"free": 4})
        await until(lambda: "RESOURCE_EXHAUSTED" in bridge.troubles().get("source", ""))
        assert "1 of 2 streams" in bridge.source.trouble
        rig.server.devices[held.dev_eui].items.remove(huge)
        await platform.until(lambda: platform.sums() == {"free": 4, "held": 3})


@pytest.mark.parametrize("name", ["#", "+/+", "$", "/"])
async def test_a_device_whose_name_has_wildcards_alone_has_no_station_and_is_rejected_by_name(
    rig: Rig, name: str
) -> None:
    """No tag names a station: the device's name would be the topic."""
    counter = Node("70b3d57ed0000001", "Neutor")
    body = json.loads(counter.status().body)
    body["deviceInfo"] |= {"deviceName": name, "tags": {}}
    await rig.server.put(counter.dev_eui, Item(f"{counter.now_s * 1000}-1", "up", json.dumps(body)))
    async with rig.bridge() as bridge:
        await bridge.committed(counter.dev_eui, rig.server.devices[counter.dev_eui].items[-1].id)
        (row,) = await bridge.ask(Store.rejected)
        assert row.event is not None
        assert (row.cause, row.event.dev_eui) == (Cause.NO_STATION, counter.dev_eui)
        assert repr(name) in row.reason
        topics = {row.topic for row in await bridge.ask(Store.outbox)}
    assert not any(character in topic for topic in topics for character in "#+$")


@pytest.mark.parametrize("name", ["#", "+/+", "victim/1", "$SYS"])
async def test_a_device_name_with_wildcards_is_no_topic_where_tags_name_the_station(
    bridge_at: Callable[..., Any], stream: EventStream, subscribe: Callable[..., Subscriber], name: str
) -> None:
    """A name is for people; it is in messages at most."""
    counter, platform = Node("70b3d57ed0000001", "Neutor"), subscribe()
    for item in (counter.status(), counter.count(7)):
        body = json.loads(item.body)
        body["deviceInfo"]["deviceName"] = name
        stream.raw({"up": event_bytes("up", body)})
    async with bridge_at():
        await platform.until(lambda: platform.sums() == {"neutor": 7})
    assert not any(word in topic for topic in platform.topics() for word in ("#", "+", "$"))


async def test_a_tag_that_contradicts_another_is_rejected_by_name_until_it_is_mended(
    bridge_at: Callable[..., Any], stream: EventStream, subscribe: Callable[..., Subscriber]
) -> None:
    counter, platform = Node("70b3d57ed0000001", "Neutor"), subscribe()
    stream.put(counter.status(), counter.count(7))
    body = json.loads(counter.count(5).body)
    body["deviceInfo"]["tags"]["directions"] = "in,out"
    stream.raw({"up": event_bytes("up", body)})
    async with bridge_at() as bridge:
        await _stored(bridge, stream, 3)
        (row,) = await bridge.ask(Store.rejected)
        assert row.cause is Cause.NO_STATION
        assert "directions" in row.reason
        assert "channels" in row.reason
        stream.put(counter.count(4))  # tells in its history what was rejected
        await platform.until(lambda: platform.sums() == {"neutor": 16})


async def test_two_devices_that_claim_one_station_are_both_counted_never_mixed_and_told_to_the_operator(
    bridge_at: Callable[..., Any],
    stream: EventStream,
    subscribe: Callable[..., Subscriber],
    rig: Rig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A node that was replaced and goes on beside the new one: each has records of its own, by its epoch."""
    monkeypatch.setattr(claims, "EVERY_S", 0.05)
    old = Node("70b3d57ed0000001", "Neutor", epoch=0x1111)
    new = Node("70b3d57ed0000002", "Neutor", epoch=0x2222)
    platform = subscribe()
    stream.put(old.status(), new.status())
    for _ in range(5):
        stream.put(old.count(3), new.count(4))
    async with bridge_at(clock=ManualClock(old.now_s * 10**9)) as bridge:
        await until(lambda: acknowledged(stream), 30)
        await platform.until(lambda: platform.sums() == {"neutor": 35})
        assert bridge.counts.rejected == 0
        await until(lambda: bridge.claims.contested == {"neutor": (old.dev_eui, new.dev_eui)})
        shown = generate_latest(registry(bridge)).decode()
        assert "\nzaehlwerk_bridge_ledger_contested_stations 1.0\n" in shown
    said = [json.loads(line) for line in rig.logged.getvalue().splitlines() if "claim" in line]
    assert [(entry["level"], entry["station"], entry["devices"]) for entry in said] == [
        ("warning", "neutor", [old.dev_eui, new.dev_eui])
    ]
    epochs = {
        record["id"].split(".")[1] for content in platform.of("/count") for record in content["records"]
    }
    assert epochs == {"00001111", "00002222"}
