"""Each way in which Redis refuses is named with what to do about it, and passes by itself when it is mended."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.tests.service.certificates import Authority
from bridge.tests.service.mosquitto import free_port
from bridge.tests.service.node import Node
from bridge.tests.service.redis_server import STREAM, EventStream, RedisServer, event_bytes
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber
from bridge.tests.service.test_redis_source import stored
from bridge.tests.service.until import until
from zaehlwerk_bridge.rejected import Cause
from zaehlwerk_bridge.store import Store

ROOM = Path(__file__).parents[2]
PASSWORD = "a password that no log may show"


def node() -> Node:
    return Node("70b3d57ed0000001", "Station 1")


async def test_a_wrong_password_is_named_and_the_right_one_is_read_from_the_file_again(
    rig: Rig, bridge_at: Callable[..., Any], redis: RedisServer, stream: EventStream, tmp_path: Path
) -> None:
    stream.client.config_set("requirepass", PASSWORD)
    file = tmp_path / "redis.password"
    file.write_text("another one, and as secret\n")
    stream = EventStream(redis.client(password=PASSWORD))
    counter = node()
    stream.put(counter.status(), counter.count(7))
    async with bridge_at(ready=False, redis_password_file=file) as bridge:
        await until(lambda: "refuses the login" in bridge.source.trouble)
        assert "redis.password_file" in bridge.source.trouble
        file.write_text(PASSWORD + "\n")
        await bridge.ready(10)
        await stored(bridge, stream)
    assert PASSWORD not in rig.logged.getvalue()
    assert "another one" not in rig.logged.getvalue()


async def test_a_missing_password_is_named(bridge_at: Callable[..., Any], stream: EventStream) -> None:
    stream.client.config_set("requirepass", PASSWORD)
    async with bridge_at(ready=False) as bridge:
        await until(lambda: "refuses the login" in bridge.source.trouble)


async def test_a_user_with_the_rights_that_are_documented_is_enough_and_a_missing_one_is_named(
    bridge_at: Callable[..., Any], stream: EventStream, tmp_path: Path
) -> None:
    file = tmp_path / "redis.password"
    file.write_text(PASSWORD)
    (line,) = re.findall(r"^ACL SETUSER zaehlwerk (.*)$", (ROOM / "REDIS.md").read_text(), re.MULTILINE)
    rights = [f">{PASSWORD}" if word.startswith(">") else word for word in line.split()]
    stream.client.execute_command("ACL", "SETUSER", "bridge", *rights, "-xack")
    counter = node()
    stream.put(counter.status(), counter.count(7))
    async with bridge_at(redis_username="bridge", redis_password_file=file) as bridge:
        await until(lambda: bridge.counts.events == 2)
        await until(lambda: "forbids a command" in bridge.source._not_acknowledged)
        stream.client.execute_command("ACL", "SETUSER", "bridge", "+xack")
        await stored(bridge, stream)
        stream.client.execute_command("ACL", "SETUSER", "bridge", "-xreadgroup")
        await until(lambda: "its user needs +@stream +@transaction" in bridge.source.trouble)


async def test_a_replica_and_something_that_is_no_stream_are_named(
    bridge_at: Callable[..., Any], stream: EventStream
) -> None:
    counter = node()
    async with bridge_at() as bridge:
        stream.client.replicaof("127.0.0.1", free_port())
        await until(lambda: "is a replica" in bridge.source.trouble)
        stream.client.replicaof("NO", "ONE")
        await until(lambda: bridge.source.ready)
        stream.client.set(STREAM, "something else")
        await until(lambda: "something else than a stream" in bridge.source.trouble)
        stream.client.delete(STREAM)
        stream.put(counter.status())
        await until(lambda: bridge.counts.events == 1)


async def test_a_redis_that_loads_its_data_is_waited_for(
    bridge_at: Callable[..., Any], redis: RedisServer, stream: EventStream
) -> None:
    counter = node()
    stream.put(counter.status(), counter.count(7))
    with stream.client.pipeline() as filling:
        for number in range(4000):
            filling.set(f"filling {number}", "x")
        filling.execute()
    redis.kill()
    # A millisecond a command; after each thousand of them it looks who has connected.
    redis.options += ["key-load-delay 1000", "aof-use-rdb-preamble no"]
    redis.start()
    async with bridge_at(ready=False) as bridge:
        await until(lambda: "loading" in bridge.source.trouble)
        await bridge.ready(30)
        await until(lambda: bridge.counts.events == 2)


async def test_tls_with_client_certificates_is_spoken_and_a_server_of_another_authority_is_named(
    bridge_at: Callable[..., Any], redis: RedisServer, tmp_path: Path
) -> None:
    """Both are read from their files again with every connection."""
    if not redis.client().config_get("tls-port"):
        pytest.skip("this Redis was built without TLS, as the one of the wheel is")
    authority, other = Authority(tmp_path / "authority"), Authority(tmp_path / "other")
    server, client = authority.issue("server"), authority.issue("client")
    redis.stop()
    redis.options += [
        "port 0",
        f"tls-port {redis.port}",
        f'tls-cert-file "{server[0]}"',
        f'tls-key-file "{server[1]}"',
        f'tls-ca-cert-file "{authority.ca_file}"',
    ]
    redis.start()
    files = {"ssl_ca_certs": authority.ca_file, "ssl_certfile": client[0], "ssl_keyfile": client[1]}
    writer = redis.client(ssl=True, **{name: str(path) for name, path in files.items()})
    counter = node()
    EventStream(writer).put(counter.status(), counter.count(7))
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(other.ca_file.read_bytes())
    tls = {"redis_insecure": False, "redis_ca_file": trusted}
    async with bridge_at(ready=False, **tls, redis_cert_file=client[0], redis_key_file=client[1]) as bridge:
        await until(lambda: "fails in TLS" in bridge.source.trouble)
        assert "check redis.ca_file" in bridge.source.trouble
        trusted.write_bytes(authority.ca_file.read_bytes())
        await until(lambda: bridge.counts.events == 2)
    async with bridge_at(ready=False, redis_insecure=False, redis_ca_file=authority.ca_file) as bridge:
        await until(lambda: "Redis at" in bridge.source.trouble)
        assert bridge.counts.events == 0
    async with bridge_at(ready=False) as bridge:
        await until(lambda: "cannot be reached without TLS" in bridge.source.trouble)


async def test_a_password_files_absence_is_named(bridge_at: Callable[..., Any], tmp_path: Path) -> None:
    async with bridge_at(ready=False, redis_password_file=tmp_path / "nothing") as bridge:
        await until(lambda: "redis.password_file" in bridge.source.trouble)


def _up(**changes: Any) -> bytes:
    body = json.loads(node().status().body)
    info = {**body["deviceInfo"], **changes.pop("deviceInfo", {})}
    return event_bytes("up", {**body, "deduplicationId": "hostile", **changes, "deviceInfo": info})


HOSTILE: list[tuple[str, dict[str, bytes], str, str]] = [
    ("no protobuf", {"up": b"\xff\xff\xff"}, "", "value is no protobuf of an 'up' event"),
    ("of no device", {"up": b""}, "", "DevEUI is '', not 16 hexadecimal digits"),
    ("of a device with a wildcard", {"up": _up(deviceInfo={"devEui": "70b3d57ed000000#"})}, "", "DevEUI is"),
    ("two fields", {"up": b"", "join": b""}, "", "entry has 2 fields, not 1"),
    ("huge", {"up": _up(object={"x": "y" * 3_000_000})}, "70b3d57ed0000001", "bytes, more than 65536"),
    ("huge and unreadable", {"up": b"\x00" * 5_000_000}, "", "bytes, more than 65536"),
    ("a port beyond the last", {"up": _up(fPort=300)}, "70b3d57ed0000001", "fPort is not"),
    ("a payload beyond LoRaWAN", {"up": _up(data="AAAA" * 100)}, "70b3d57ed0000001", "data has 300 bytes"),
    (
        "a name beyond measure",
        {"up": _up(deviceInfo={"deviceName": "n" * 2000})},
        "70b3d57ed0000001",
        "deviceName",
    ),
    (
        "tags without end",
        {"up": _up(deviceInfo={"tags": {str(n): "x" for n in range(65)}})},
        "70b3d57ed0000001",
        "65 tags",
    ),
    (
        "a tag's wildcards",
        {"up": _up(deviceInfo={"tags": {"station": "#/+"}})},
        "70b3d57ed0000001",
        "station",
    ),
]


@pytest.mark.parametrize(
    ("fields", "dev_eui", "reason"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE]
)
async def test_a_hostile_entry_is_rejected_with_its_reason_and_its_device_and_the_next_one_is_taken(
    bridge_at: Callable[..., Any],
    stream: EventStream,
    subscribe: Callable[..., Subscriber],
    fields: dict[str, bytes],
    dev_eui: str,
    reason: str,
) -> None:
    platform = subscribe()
    counter = node()
    stream.put(counter.status())
    stream.raw(fields)
    stream.put(counter.count(7))
    async with bridge_at() as bridge:
        await stored(bridge, stream)
        rows = await bridge.ask(Store.rejected)
        assert len(rows) == 1
        assert rows[0].cause in (Cause.UNREADABLE, Cause.NO_STATION)
        assert reason in rows[0].reason
        assert rows[0].event is not None
        assert rows[0].event.dev_eui == dev_eui
        await platform.until(lambda: platform.sums() == {"station-1": 7})
        assert len(platform.of("b1/rejected")) == 1


async def test_an_entry_of_a_time_that_no_clock_shows_is_rejected_and_the_bridge_goes_on(
    bridge_at: Callable[..., Any], stream: EventStream
) -> None:
    """Nothing comes behind the largest id that there can be: that is for whoever wrote it to mend."""
    stream.raw({"up": _up()}, f"{2**63}-0")
    async with bridge_at() as bridge:
        await stored(bridge, stream)
        (row,) = await bridge.ask(Store.rejected)
        assert "which is no time" in row.reason


def _nan() -> bytes:
    """An uplink whose signal-to-noise ratio is not a number."""
    return _up(rxInfo=[{"gatewayId": "0102030405060708", "snr": 1.0}]).replace(
        struct.pack("<f", 1.0), struct.pack("<f", float("nan"))
    )


async def test_a_measurement_that_is_not_a_number_is_rejected(
    bridge_at: Callable[..., Any], stream: EventStream
) -> None:
    stream.raw({"up": _nan()})
    async with bridge_at() as bridge:
        await stored(bridge, stream)
        (row,) = await bridge.ask(Store.rejected)
        assert "snr is not a number that a radio could have measured" in row.reason
