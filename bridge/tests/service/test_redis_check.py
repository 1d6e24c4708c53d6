"""What `check-config` finds at ChirpStack's Redis, and what it advises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bridge.tests.service.mosquitto import free_port
from bridge.tests.service.node import Node
from bridge.tests.service.redis_server import STREAM, EventStream, RedisServer
from bridge.tests.service.rig import Rig
from bridge.tests.service.test_redis_source import GROUP, stored
from zaehlwerk_bridge.check import check
from zaehlwerk_bridge.check_finding import Finding, Verdict
from zaehlwerk_bridge.check_redis import check_redis
from zaehlwerk_bridge.redaction import Redactor


async def found(rig: Rig, redis: RedisServer, tried: str = "", **changes: Any) -> list[Finding]:
    """The findings about what was `tried`."""
    table = {"server": f"127.0.0.1:{redis.port}", "insecure": True, **changes}
    findings = await check_redis(rig.settings(source="redis", redis=table), Redactor())
    return [finding for finding in findings if finding.tried.startswith(tried)]


def counter() -> Node:
    return Node("70b3d57ed0000001", "Station 1")


async def test_another_source_is_not_asked_about_its_redis(rig: Rig) -> None:
    assert await check_redis(rig.settings(), Redactor()) == []


async def test_the_whole_check_has_the_redis_in_it_and_asks_no_device_stream(
    rig: Rig, redis: RedisServer
) -> None:
    node = counter()
    await rig.server.put(node.dev_eui, node.status())
    settings = rig.settings(source="redis", redis={"server": f"127.0.0.1:{redis.port}", "insecure": True})
    findings = await check(settings, Redactor())
    assert ("redis", Verdict.OK) in [(finding.side, finding.verdict) for finding in findings]
    assert not [finding for finding in findings if finding.tried.startswith("stream of")]


async def test_a_redis_that_is_not_there_refuses_or_has_no_password_file_is_wrong_with_a_remedy(
    rig: Rig, redis: RedisServer, stream: EventStream, tmp_path: Path
) -> None:
    (finding,) = await found(rig, redis, server=f"127.0.0.1:{free_port()}")
    assert (finding.verdict, "cannot be reached without TLS" in finding.text) == (Verdict.WRONG, True)
    (finding,) = await found(rig, redis, password_file=tmp_path / "nothing")
    assert "redis.password_file" in finding.text
    stream.client.config_set("requirepass", "secret of Redis")
    (finding,) = await found(rig, redis)
    assert "refuses the login" in finding.text
    assert finding.remedy == "check redis.username and redis.password_file"


async def test_a_stream_that_is_not_there_is_noted_and_nothing_is_made(
    rig: Rig, redis: RedisServer, stream: EventStream
) -> None:
    (finding,) = await found(rig, redis, "stream")
    assert finding.verdict is Verdict.NOTE
    assert "redis.key_prefix" in finding.remedy
    assert stream.client.keys() == []


async def test_chirpstacks_default_length_is_wrong_with_the_setting_that_makes_it_longer(
    rig: Rig, redis: RedisServer, stream: EventStream
) -> None:
    stream.most = 10
    node = counter()
    stream.put(*(node.count(1) for _ in range(11)))
    (finding,) = await found(rig, redis, "stream")
    assert finding.verdict is Verdict.WRONG
    assert "set [monitoring] device_event_log_max_history to 100000" in finding.remedy


async def test_a_stream_is_measured_by_how_far_it_reaches_back(
    rig: Rig, redis: RedisServer, stream: EventStream
) -> None:
    """Trimmed to 20 entries of this moment, it holds minutes; with a bound of seconds that is enough."""
    node = counter()
    stream.put(*(node.count(1) for _ in range(30)))
    (finding,) = await found(rig, redis, "stream")
    assert (finding.verdict, "its limit is not seen yet" in finding.text) == (Verdict.NOTE, True)
    stream.client.xtrim(STREAM, maxlen=20, approximate=False)
    (finding,) = await found(rig, redis, "stream")
    assert finding.verdict is Verdict.WRONG
    assert "an outage of 24.0 h is to be survived" in finding.text + finding.remedy
    (finding,) = await found(rig, redis, "stream", outage_h=0.000001)
    assert finding.verdict is Verdict.OK


async def test_the_group_tells_what_waits_what_was_lost_and_who_else_reads(
    rig: Rig, redis: RedisServer, stream: EventStream, bridge_at: Callable[..., Any]
) -> None:
    node = counter()
    stream.put(node.status(), node.count(1))
    (finding,) = await found(rig, redis, "consumer group")
    assert "is not there yet" in finding.text
    async with bridge_at() as bridge:
        await stored(bridge, stream)
        (finding,) = await found(rig, redis, "consumer group")
        assert (finding.verdict, finding.text) == (
            Verdict.OK,
            "0 entries not read yet, 0 read and not acknowledged",
        )
    stream.put(*(node.count(1) for _ in range(5)))
    (finding,) = await found(rig, redis, "consumer group")
    assert finding.text.startswith("5 entries not read yet")
    stream.client.xtrim(STREAM, maxlen=2, approximate=False)
    (finding,) = await found(rig, redis, "consumer group")
    assert finding.text == "3 entries were deleted before they were read"
    stream.client.xreadgroup(GROUP, "b2", {STREAM: ">"}, count=1)
    (finding,) = await found(rig, redis, "consumer group")
    assert (finding.verdict, finding.text) == (Verdict.WRONG, "bridge 'b2' reads in it")
