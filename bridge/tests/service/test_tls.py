"""TLS on both sides, with an authority of one's own and with client certificates."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import grpc.aio
import pytest
from chirpstack_api import api

from bridge.tests.service.certificates import Authority
from bridge.tests.service.chirpstack import ChirpStack
from bridge.tests.service.mosquitto import Mosquitto
from bridge.tests.service.node import Node
from bridge.tests.service.rig import Rig
from zaehlwerk_bridge.mqtt_packet import PublishProperties
from zaehlwerk_bridge.mqtt_session import MqttSession
from zaehlwerk_bridge.settings import MqttSettings
from zaehlwerk_bridge.store import Store

EUI = "70b3d57ed0000001"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def tls_broker(start_broker: Callable[..., Mosquitto], authority: Authority, *options: str) -> Mosquitto:
    cert_file, key_file = authority.issue("broker")
    return start_broker(
        options=[f"certfile {cert_file}", f"keyfile {key_file}", f"cafile {authority.ca_file}", *options]
    )


async def test_messages_go_over_tls_with_a_client_certificate(
    rig: Rig, start_broker: Callable[..., Mosquitto], authority: Authority
) -> None:
    """200 messages, so that answers come in packs and the decrypted rest of one is not left lying."""
    rig.broker = tls_broker(start_broker, authority, "require_certificate true")
    cert_file, key_file = authority.issue("bridge")
    for number in range(20):
        node = Node(f"70b3d57ed{number:07x}", f"station {number}")
        await rig.server.put(node.dev_eui, node.status(), *(node.count(1) for _ in range(10)))
    async with rig.bridge(
        mqtt_insecure=False,
        mqtt_ca_file=authority.ca_file,
        mqtt_cert_file=cert_file,
        mqtt_key_file=key_file,
        mqtt_hold_without_subscriber=False,
    ) as bridge:
        for dev_eui, device in rig.server.devices.items():
            await bridge.committed(dev_eui, device.items[-1].id)
        await bridge.published()
        assert bridge.publisher.counts.acknowledged >= 200
        assert await bridge.ask(Store.outbox_size) == 0


async def test_a_broker_whose_certificate_nobody_trusts_is_refused(
    rig: Rig, start_broker: Callable[..., Mosquitto], authority: Authority, tmp_path: Path
) -> None:
    rig.broker = tls_broker(start_broker, authority)
    other = Authority(tmp_path / "other")
    async with rig.bridge(ready=False, mqtt_insecure=False, mqtt_ca_file=other.ca_file) as bridge:
        with pytest.raises(Exception, match="TLS failed: CERTIFICATE_VERIFY_FAILED"):
            await bridge.ready(1)


async def test_answers_that_come_in_one_tls_record_are_all_read(authority: Authority) -> None:
    """The socket tells of the record once; what it holds beyond the first packets must not be left lying."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("broker"))
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(bytes.fromhex("2003000000"))  # CONNACK
        got = b""
        while got.count(b"topic") < 2:
            got += await reader.read(1000)
        writer.write(
            bytes.fromhex("40020001 40020002 e0018b")
        )  # PUBACK, PUBACK, DISCONNECT: server shutting down
        await done.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    settings = MqttSettings(host="127.0.0.1", port=port, ca_file=authority.ca_file)
    acknowledged: list[tuple[int, int]] = []
    session = MqttSession(settings, "x", None, None, lambda mid, code: acknowledged.append((mid, code)))
    await session.connect()
    for _ in range(2):
        session.publish("topic", b"", False, PublishProperties("", {}))
    session.flush()
    end = await asyncio.wait_for(asyncio.shield(session.ended), 5)
    assert acknowledged == [(1, 0), (2, 0)]
    assert end.code == 0x8B
    done.set()
    session.close()
    server.close()
    await server.wait_closed()


async def test_events_come_over_tls(rig: Rig, authority: Authority, server: ChirpStack) -> None:
    cert_file, key_file = authority.issue("server")
    secure = grpc.aio.server()
    api.add_ApplicationServiceServicer_to_server(server, secure)
    api.add_InternalServiceServicer_to_server(server, secure)
    api.add_DeviceServiceServicer_to_server(server.device_service, secure)
    credentials = grpc.ssl_server_credentials([(key_file.read_bytes(), cert_file.read_bytes())])
    port = secure.add_secure_port("127.0.0.1:0", credentials)
    await secure.start()
    node = Node(EUI, "one")
    await server.put(EUI, node.status())
    changes = {"chirpstack_server": f"127.0.0.1:{port}", "chirpstack_insecure": False}
    async with rig.bridge(**changes, chirpstack_ca_file=authority.ca_file) as bridge:
        await bridge.committed(EUI, server.devices[EUI].items[-1].id)
    async with rig.bridge(ready=False, **changes) as bridge:
        with pytest.raises(Exception, match="UNAVAILABLE"):
            await bridge.ready(2)
    await secure.stop(None)
