"""The source `redis` with a real Redis: every event once in the sum, whatever becomes of Redis, bridge or broker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bridge.tests.service.mosquitto import Mosquitto
from bridge.tests.service.node import Node
from bridge.tests.service.redis_server import EventStream, RedisServer
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber
from bridge.tests.service.until import until
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.sources import redis as redis_source
from zaehlwerk_bridge.sources.redis import READ_MOST
from zaehlwerk_bridge.store import Store

GROUP = "zaehlwerk"


def nodes(count: int) -> list[Node]:
    return [Node(f"70b3d57ed{n:07x}", f"station {n}", epoch=0x1000 + n) for n in range(1, count + 1)]


def acknowledged(stream: EventStream, group: str = GROUP) -> bool:
    """Whether Redis holds nothing that was read and not acknowledged, and nothing that was not read."""
    found = [one for one in stream.client.xinfo_groups(stream.key) if one["name"].decode() == group]
    return bool(found) and found[0]["pending"] == 0 and found[0]["lag"] == 0


async def stored(bridge: Bridge, stream: EventStream) -> None:
    """Wait until everything in the stream is stored and acknowledged."""
    await until(lambda: acknowledged(stream), 20)
    await bridge.quiet()


async def test_what_chirpstack_writes_into_its_stream_reaches_the_platform_and_is_acknowledged(
    bridge_at: Callable[..., Any], stream: EventStream, subscribe: Callable[..., Subscriber]
) -> None:
    """What was there before the bridge, what comes while it runs, and kinds that are not for it."""
    platform = subscribe()
    (counter,) = nodes(1)
    stream.put(counter.status(), counter.count(7))
    async with bridge_at() as bridge:
        stream.put(counter.count(5))
        stream.raw({"location": b"\x00"})
        stream.raw({"integration": b"\xff"})
        await stored(bridge, stream)
        await platform.until(lambda: platform.sums() == {"station-1": 12})
        assert bridge.counts.rejected == 0
        assert bridge.source.lag == 0
        assert bridge.source.states()["open"] == 1


async def test_a_redis_that_is_killed_and_comes_back_loses_and_doubles_nothing(
    bridge_at: Callable[..., Any],
    redis: RedisServer,
    stream: EventStream,
    subscribe: Callable[..., Subscriber],
) -> None:
    """Killed again and again while entries come; answers and acknowledgements that were under way are lost with it."""
    platform = subscribe()
    counters = nodes(6)
    for counter in counters:
        stream.put(counter.status())
    async with bridge_at() as bridge:
        for _ in range(4):
            for counter in counters:
                stream.put(*(counter.count(3) for _ in range(10)))
            redis.kill()
            await until(lambda: not bridge.source.ready)
            assert "cannot be reached without TLS" in bridge.source.trouble
            redis.start()
        await until(lambda: bridge.source.ready)
        await stored(bridge, stream)
        await platform.until(lambda: sum(platform.sums().values()) == 6 * 4 * 10 * 3)
        assert bridge.counts.rejected == 0
        assert bridge.source.counts.trimmed == 0
    assert platform.sums() == {f"station-{n}": 120 for n in range(1, 7)}


async def test_a_redis_that_hangs_is_left_and_met_again(
    bridge_at: Callable[..., Any],
    redis: RedisServer,
    stream: EventStream,
    subscribe: Callable[..., Subscriber],
) -> None:
    platform = subscribe()
    (counter,) = nodes(1)
    stream.put(counter.status(), counter.count(7))
    async with bridge_at(redis_request_timeout_s=6) as bridge:
        await stored(bridge, stream)
        redis.pause()
        await until(lambda: not bridge.source.ready, 20)
        redis.resume()
        stream.put(counter.count(5))
        await stored(bridge, stream)
        await platform.until(lambda: platform.sums() == {"station-1": 12})


async def test_what_was_read_and_not_stored_is_read_again_after_a_restart(
    bridge_at: Callable[..., Any], stream: EventStream, subscribe: Callable[..., Subscriber]
) -> None:
    """As after a power cut: entries are pending for a consumer of the bridge's own name."""
    platform = subscribe()
    (counter,) = nodes(1)
    stream.put(counter.status(), counter.count(7), counter.count(5))
    stream.client.xgroup_create(stream.key, GROUP, "0")
    stream.client.xreadgroup(GROUP, "b1", {stream.key: ">"}, count=2)
    async with bridge_at() as bridge:
        await stored(bridge, stream)
        await platform.until(lambda: platform.sums() == {"station-1": 12})
        assert bridge.source.counts.claimed == 0


async def test_what_a_dead_reader_left_is_taken_over(
    bridge_at: Callable[..., Any],
    stream: EventStream,
    subscribe: Callable[..., Subscriber],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A reader of another name that took entries and died: they are older than what was read since, and count."""
    platform = subscribe()
    (counter,) = nodes(1)
    stream.put(counter.status(), counter.count(7), counter.count(5))
    stream.client.xgroup_create(stream.key, GROUP, "0")
    stream.client.xreadgroup(GROUP, "dead", {stream.key: ">"}, count=2)
    held = [one["message_id"] for one in stream.client.xpending_range(stream.key, GROUP, "-", "+", 10)]
    stream.client.xclaim(stream.key, GROUP, "dead", 0, held, idle=3_600_000, justid=True)
    monkeypatch.setattr(redis_source, "ALIVE_MS", 1500)
    async with bridge_at(ready=False, redis_claim_idle_s=1) as bridge:
        # Until its last sign of life is old enough it may be alive, and nobody else may read.
        await until(lambda: "'dead' reads in the consumer group" in bridge.source.trouble)
        await until(lambda: bridge.source.ready, 25)
        await stored(bridge, stream)
        await platform.until(lambda: platform.sums() == {"station-1": 12})
        assert bridge.source.counts.claimed == 2


async def test_a_second_bridge_with_a_store_of_its_own_may_not_read_in_the_same_group(
    rig: Rig,
    bridge_at: Callable[..., Any],
    stream: EventStream,
    subscribe: Callable[..., Subscriber],
) -> None:
    """Each would get a part of a station's frames. In a group of its own it reads everything."""
    platform = subscribe()
    (counter,) = nodes(1)
    stream.put(counter.status(), counter.count(7))
    async with bridge_at() as first:
        await stored(first, stream)
        second_store = rig.directory / "second.sqlite"
        async with bridge_at(ready=False, id="b2", database=second_store) as second:
            await until(lambda: "setting redis.group" in second.source.trouble)
            assert "bridge 'b1' reads in the consumer group 'zaehlwerk' already" in second.source.trouble
            stream.put(counter.count(5))
            await stored(first, stream)
            assert second.counts.events == 0
            # While it tries again it is seen for a moment.
            await until(
                lambda: [one["name"] for one in stream.client.xinfo_consumers(stream.key, GROUP)] == [b"b1"]
            )
        await platform.until(lambda: platform.sums() == {"station-1": 12})
        async with bridge_at(id="b2", database=second_store, prefix="other", redis_group="other") as second:
            await until(lambda: acknowledged(stream, "other"))
            await until(lambda: second.counts.events == 3)


async def test_an_event_that_comes_twice_counts_once(
    bridge_at: Callable[..., Any], stream: EventStream, subscribe: Callable[..., Subscriber]
) -> None:
    """ChirpStack writes it again under another id, and Redis forgets how far the group has read."""
    platform = subscribe()
    (counter,) = nodes(1)
    items = [counter.status(), counter.count(7), counter.count(5)]
    stream.put(*items)
    stream.put(*items)
    async with bridge_at() as bridge:
        await stored(bridge, stream)
    stream.client.xgroup_setid(stream.key, GROUP, "0")
    async with bridge_at() as bridge:
        stream.put(counter.count(2))
        await until(lambda: bridge.counts.events == 7)
        await bridge.published()
        assert bridge.counts.repeated == 6
        await platform.until(lambda: platform.sums() == {"station-1": 14})


async def test_a_redis_that_lost_everything_is_read_from_its_new_beginning(
    rig: Rig, bridge_at: Callable[..., Any], stream: EventStream, subscribe: Callable[..., Subscriber]
) -> None:
    platform = subscribe()
    (counter,) = nodes(1)
    stream.put(counter.status(), counter.count(7))
    async with bridge_at() as bridge:
        await stored(bridge, stream)
        stream.client.flushall()
        stream.put(counter.count(5), counter.count(1))
        await until(lambda: bridge.counts.events == 4)
        await bridge.published()
        await platform.until(lambda: platform.sums() == {"station-1": 13})
    assert "is gone; it is made anew" in rig.logged.getvalue()


async def test_while_the_broker_is_away_events_are_stored_and_while_the_store_is_behind_nothing_more_is_read(
    bridge_at: Callable[..., Any],
    broker: Mosquitto,
    stream: EventStream,
    subscribe: Callable[..., Subscriber],
) -> None:
    """Memory is bounded: what is not stored stays with Redis."""
    counters = nodes(4)
    for counter in counters:
        stream.put(counter.status(), *(counter.count(1) for _ in range(200)))
    broker.stop()
    nearly_full = {"store_low_water_mb": 1_000_000, "ledger_queue": 10}
    async with bridge_at(ready=False, **nearly_full) as bridge:
        await until(lambda: bridge.source.ready and bridge.source.lag == 804 - READ_MOST)
        assert bridge.counts.events == 0
        assert "no more events are read" in bridge.disk_trouble
    async with bridge_at(ready=False, ledger_queue=10, ledger_batch=10) as bridge:
        await until(lambda: acknowledged(stream), 30)
        assert await bridge.ask(Store.outbox_size) > 0
        broker.start()
        platform = subscribe()
        await bridge.published()
        await platform.until(lambda: sum(platform.sums().values()) == 800)
