"""What ChirpStack deletes of its stream before it was stored is counted to the entry and told, never passed over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bridge.tests.service.node import Node
from bridge.tests.service.redis_server import EventStream
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber
from bridge.tests.service.test_redis_source import GROUP, stored
from bridge.tests.service.until import until
from zaehlwerk_bridge.sources import redis as redis_source

EUI = "70b3d57ed0000001"


def node() -> Node:
    return Node(EUI, "Station 1")


async def test_what_was_trimmed_while_the_bridge_was_away_is_counted_and_the_sum_is_healed_by_the_next_total(
    rig: Rig, bridge_at: Callable[..., Any], stream: EventStream, subscribe: Callable[..., Subscriber]
) -> None:
    platform = subscribe()
    counter = node()
    stream.put(counter.status(), counter.count(7), in_their_time=True)
    async with bridge_at() as bridge:
        await stored(bridge, stream)
    stream.most = 4
    stream.put(*(counter.count(1) for _ in range(10)), in_their_time=True)
    async with bridge_at() as bridge:
        await stored(bridge, stream)
        assert bridge.source.counts.trimmed == 6
        assert bridge.counts.events == 4
        await platform.until(lambda: platform.sums() == {"station-1": 17})
    assert '"events": 6' in rig.logged.getvalue()
    assert "device_event_log_max_history" in rig.logged.getvalue()
    async with bridge_at() as bridge:
        stream.put(counter.count(1), in_their_time=True)
        await stored(bridge, stream)
        assert bridge.source.counts.trimmed == 0


async def test_a_stream_that_was_emptied_behind_the_reader_is_noticed(
    bridge_at: Callable[..., Any], stream: EventStream
) -> None:
    counter = node()
    stream.put(counter.status(), counter.count(7))
    async with bridge_at() as bridge:
        await stored(bridge, stream)
    stream.put(*(counter.count(1) for _ in range(5)))
    stream.client.xtrim(stream.key, maxlen=0, approximate=False)
    async with bridge_at() as bridge:
        await until(lambda: bridge.source.counts.trimmed == 5)
        stream.put(counter.count(1))
        await stored(bridge, stream)
        assert bridge.source.counts.trimmed == 5


async def test_what_redis_did_not_count_is_told_as_perhaps_lost_and_counted_from_then_on(
    rig: Rig, bridge_at: Callable[..., Any], stream: EventStream
) -> None:
    """Somebody moved the group to where it was: Redis forgets with that how many entries it was given."""
    counter = node()
    stream.put(counter.status(), counter.count(7))
    async with bridge_at() as bridge:
        await stored(bridge, stream)
    (group,) = stream.client.xinfo_groups(stream.key)
    stream.client.xgroup_setid(stream.key, GROUP, group["last-delivered-id"])
    stream.put(*(counter.count(1) for _ in range(5)))
    stream.client.xtrim(stream.key, maxlen=2, approximate=False)
    async with bridge_at() as bridge:
        await stored(bridge, stream)
        assert bridge.source.counts.trimmed == 1
    assert "may have deleted events" in rig.logged.getvalue()
    stream.put(*(counter.count(1) for _ in range(5)))
    stream.client.xtrim(stream.key, maxlen=2, approximate=False)
    async with bridge_at() as bridge:
        await stored(bridge, stream)
        assert bridge.source.counts.trimmed == 3


async def test_an_entry_that_was_deleted_in_the_middle_is_no_loss_of_others(
    bridge_at: Callable[..., Any], stream: EventStream
) -> None:
    counter = node()
    stream.put(counter.status(), *(counter.count(1) for _ in range(6)))
    async with bridge_at() as bridge:
        await stored(bridge, stream)
    stream.client.xdel(stream.key, stream.client.xrange(stream.key)[3][0])
    async with bridge_at() as bridge:
        stream.put(counter.count(1))
        await until(lambda: bridge.counts.events == 1)
        assert bridge.source.counts.trimmed == 0


async def test_entries_that_were_trimmed_after_they_had_been_read_are_noticed_and_forgotten(
    bridge_at: Callable[..., Any], stream: EventStream
) -> None:
    """They were given to a bridge that died before it had stored them."""
    counter = node()
    stream.put(counter.status(), counter.count(7), counter.count(5))
    stream.client.xgroup_create(stream.key, GROUP, "0", entries_read=0)
    stream.client.xreadgroup(GROUP, "b1", {stream.key: ">"}, count=3)
    stream.client.xtrim(stream.key, maxlen=1, approximate=False)
    async with bridge_at() as bridge:
        await stored(bridge, stream)
        assert bridge.source.counts.trimmed == 2
        assert bridge.counts.events == 1


async def test_trimmed_entries_of_a_dead_reader_are_noticed_too(
    bridge_at: Callable[..., Any], stream: EventStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = node()
    stream.put(counter.status(), counter.count(7), counter.count(5))
    stream.client.xgroup_create(stream.key, GROUP, "0", entries_read=0)
    stream.client.xreadgroup(GROUP, "dead", {stream.key: ">"}, count=3)
    held = [one["message_id"] for one in stream.client.xpending_range(stream.key, GROUP, "-", "+", 10)]
    stream.client.xclaim(stream.key, GROUP, "dead", 0, held, idle=3_600_000, justid=True)
    stream.client.xtrim(stream.key, maxlen=1, approximate=False)
    monkeypatch.setattr(redis_source, "ALIVE_MS", 0)
    async with bridge_at() as bridge:
        await stored(bridge, stream)
        assert (bridge.source.counts.trimmed, bridge.source.counts.claimed) == (2, 1)


async def test_what_was_trimmed_before_the_first_bridge_came_was_promised_to_nobody(
    bridge_at: Callable[..., Any], stream: EventStream
) -> None:
    counter = node()
    stream.most = 3
    stream.put(counter.status(), *(counter.count(1) for _ in range(8)))
    async with bridge_at() as bridge:
        await stored(bridge, stream)
        assert bridge.source.counts.trimmed == 0
        assert bridge.counts.events == 3


async def test_a_stream_that_is_too_short_for_the_outage_that_shall_be_survived_is_warned_of(
    rig: Rig, bridge_at: Callable[..., Any], stream: EventStream
) -> None:
    counter = node()
    stream.most = 10
    stream.put(counter.status(), *(counter.count(1) for _ in range(20)))
    async with bridge_at() as bridge:
        await stored(bridge, stream)
    assert "a long outage would lose events" in rig.logged.getvalue()
    assert "keeps 10 entries of all devices" in rig.logged.getvalue()
