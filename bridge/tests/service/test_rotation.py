"""Keys, passwords and certificates are replaced while the bridge runs; and nothing secret is said to who is not trusted."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest
from chirpstack_api import api

from bridge.tests.service.certificates import Authority, password_line
from bridge.tests.service.chirpstack import KEY, ChirpStack
from bridge.tests.service.mosquitto import Mosquitto
from bridge.tests.service.node import Node
from bridge.tests.service.rig import Rig
from bridge.tests.service.until import until
from zaehlwerk_bridge.commands.queue_calls import CallFailed, QueueCalls
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.secret_file import SecretFile
from zaehlwerk_bridge.sources.connection import Connection

EUI = "70b3d57ed0000001"
TLS_HANDSHAKE = 0x16  # RFC 8446, 5.1: the content type of the first record


@pytest.fixture
def authorities(tmp_path: Path) -> tuple[Authority, Authority]:
    """The old one and the new one."""
    return Authority(tmp_path / "old"), Authority(tmp_path / "new")


class Files:
    """Where the bridge's certificates lie, replaced as an operator does it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        self.ca, self.cert, self.key = (directory / name for name in ("ca.pem", "cert.pem", "key.pem"))

    def take(self, authority: Authority, *, key: bool = True) -> None:
        cert_file, key_file = authority.issue("bridge")
        shutil.copy(authority.ca_file, self.ca)
        shutil.copy(cert_file, self.cert)
        if key:
            shutil.copy(key_file, self.key)


def server_certificates(broker: Mosquitto, authority: Authority) -> None:
    """The broker's own certificates, and whom it believes, in files that can be replaced."""
    cert_file, key_file = authority.issue("broker")
    for path, name in ((cert_file, "cert"), (key_file, "key"), (authority.ca_file, "ca")):
        shutil.copy(path, broker.directory / f"{name}.pem")


@pytest.fixture
def tls_broker(tmp_path: Path, authorities: tuple[Authority, Authority], rig: Rig) -> Mosquitto:
    directory = tmp_path / "tls"
    broker = Mosquitto(
        directory,
        options=[
            *(f"{name}file {directory / name}.pem" for name in ("cert", "key", "ca")),
            "require_certificate true",
        ],
    )
    server_certificates(broker, authorities[0])
    broker.start()
    rig.broker = broker
    return broker


async def test_an_authority_and_a_client_certificate_are_replaced_while_the_bridge_runs(
    rig: Rig, tls_broker: Mosquitto, authorities: tuple[Authority, Authority], tmp_path: Path
) -> None:
    """The bridge says what does not fit as long as it does not, and needs no restart when it does."""
    old, new = authorities
    files = Files(tmp_path / "bridge")
    files.take(old)
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status())
    tls = {"mqtt_ca_file": files.ca, "mqtt_cert_file": files.cert, "mqtt_key_file": files.key}
    async with rig.bridge(mqtt_insecure=False, mqtt_hold_without_subscriber=False, **tls) as bridge:
        await bridge.published()
        server_certificates(tls_broker, new)
        tls_broker.stop()
        tls_broker.start()
        await until(lambda: "CERTIFICATE_VERIFY_FAILED" in bridge.publisher.trouble)
        files.take(new, key=False)
        await until(lambda: "mqtt.cert_file: cannot use" in bridge.publisher.trouble)
        assert "KEY_VALUES_MISMATCH" in bridge.publisher.trouble
        files.key.unlink()
        await until(lambda: "No such file" in bridge.publisher.trouble)
        files.take(new)
        await bridge.ready(10)
        await rig.server.put(EUI, node.count(3))
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        await bridge.published()
    tls_broker.stop()


async def test_a_password_is_replaced_while_the_bridge_runs(
    rig: Rig, start_broker: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    passwords = tmp_path / "passwords"
    passwords.touch(0o600)
    passwords.write_text(password_line("bridge", "summer-2026"))
    rig.broker = start_broker(options=["allow_anonymous false", f"password_file {passwords}"])
    mine = tmp_path / "password"
    mine.write_text("summer-2026\n")
    await rig.server.put(EUI, Node(EUI, "one").status())
    async with rig.bridge(mqtt_username="bridge", mqtt_password_file=mine) as bridge:
        passwords.write_text(password_line("bridge", "winter-2026"))
        rig.broker.stop()
        rig.broker.start()
        await until(lambda: "135 Not authorized" in bridge.publisher.trouble)
        mine.write_text("winter-2026\n")
        await bridge.ready(10)
    assert "summer-2026" not in rig.logged.getvalue()
    assert "winter-2026" not in rig.logged.getvalue()


@asynccontextmanager
async def proxied(server: ChirpStack, authority: Authority, port: int = 0) -> AsyncIterator[int]:
    """The server's API behind TLS that asks for client certificates, as a proxy in front of ChirpStack does."""
    cert_file, key_file = authority.issue("server")
    secure = grpc.aio.server()
    api.add_ApplicationServiceServicer_to_server(server, secure)
    api.add_InternalServiceServicer_to_server(server, secure)
    api.add_DeviceServiceServicer_to_server(server.device_service, secure)
    credentials = grpc.ssl_server_credentials(
        [(key_file.read_bytes(), cert_file.read_bytes())],
        root_certificates=authority.ca_file.read_bytes(),
        require_client_auth=True,
    )
    bound = secure.add_secure_port(f"127.0.0.1:{port}", credentials)
    await secure.start()
    try:
        yield bound
    finally:
        await secure.stop(None)


async def test_certificates_towards_chirpstack_are_replaced_while_the_bridge_runs(
    rig: Rig, server: ChirpStack, authorities: tuple[Authority, Authority], tmp_path: Path
) -> None:
    """gRPC keeps for ever what a channel was made with: the bridge makes channels anew."""
    old, new = authorities
    files = Files(tmp_path / "bridge")
    files.take(old)
    node = Node(EUI, "one")
    await server.put(EUI, node.status())
    changes = {
        "chirpstack_insecure": False,
        "chirpstack_ca_file": files.ca,
        "chirpstack_cert_file": files.cert,
        "chirpstack_key_file": files.key,
        "chirpstack_relist_s": 1,
        "mqtt_hold_without_subscriber": False,
    }
    async with proxied(server, old) as port:
        bridging = rig.bridge(chirpstack_server=f"127.0.0.1:{port}", **changes)
        bridge = await bridging.__aenter__()
        await bridge.committed(EUI, server.devices[EUI].items[-1].id)
    async with proxied(server, new, port):
        await until(lambda: not bridge.source.ready)
        files.take(new)
        await until(lambda: server.devices[EUI].open == 1)
        await server.put(EUI, node.count(3))
        await bridge.committed(EUI, server.devices[EUI].items[-1].id)
        await bridge.published()
        assert bridge.counts.rejected == 0
        await bridging.__aexit__(None, None, None)


async def test_certificates_for_downlinks_are_replaced_as_well(
    rig: Rig, server: ChirpStack, authorities: tuple[Authority, Authority], tmp_path: Path
) -> None:
    old, new = authorities
    files = Files(tmp_path / "bridge")
    files.take(old)
    server.add(EUI)
    async with proxied(server, old) as port:
        settings = rig.settings(
            chirpstack_server=f"127.0.0.1:{port}",
            chirpstack_insecure=False,
            chirpstack_ca_file=files.ca,
            chirpstack_cert_file=files.cert,
            chirpstack_key_file=files.key,
        ).chirpstack
        calls = QueueCalls(
            Connection(settings, SecretFile(rig.key_file, "chirpstack.api_key_file", Redactor()))
        )
        assert await calls.items(EUI) == []
    async with proxied(server, new, port):
        with pytest.raises(CallFailed):
            await calls.items(EUI)
        files.take(new)
        assert await calls.items(EUI) == []
        await calls.close()


async def test_without_a_client_certificate_a_server_that_asks_for_one_is_not_ready(
    rig: Rig, server: ChirpStack, authorities: tuple[Authority, Authority]
) -> None:
    await server.put(EUI, Node(EUI, "one").status())
    async with proxied(server, authorities[0]) as port:
        changes = {"chirpstack_insecure": False, "chirpstack_ca_file": authorities[0].ca_file}
        async with rig.bridge(ready=False, chirpstack_server=f"127.0.0.1:{port}", **changes) as bridge:
            with pytest.raises(Exception, match="UNAVAILABLE"):
                await bridge.ready(2)


async def test_nothing_is_said_in_plain_text_unless_the_settings_say_so(rig: Rig, tmp_path: Path) -> None:
    """To a server without TLS the bridge sends the beginning of a handshake, and neither key nor password, ever."""
    heard = {"chirpstack": b"", "mqtt": b""}

    async def listen(side: str) -> asyncio.Server:
        async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard[side] += await reader.read(4096)
            writer.write(b"\x20\x03\x00\x00\x00" if side == "mqtt" else b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await asyncio.sleep(0)
            writer.close()

        return await asyncio.start_server(hear, "127.0.0.1", 0)

    servers = {side: await listen(side) for side in heard}
    ports = {side: server.sockets[0].getsockname()[1] for side, server in servers.items()}
    password = tmp_path / "password"
    password.write_text("summer-2026")
    changes = {
        "chirpstack_server": f"127.0.0.1:{ports['chirpstack']}",
        "chirpstack_insecure": False,
        "mqtt_port": ports["mqtt"],
        "mqtt_insecure": False,
        "mqtt_username": "bridge",
        "mqtt_password_file": password,
    }
    async with rig.bridge(ready=False, **changes) as bridge:
        await until(lambda: heard["chirpstack"] != b"" and "TLS failed" in bridge.publisher.trouble)
        assert not bridge.source.ready
    for server in servers.values():
        server.close()
    for said in heard.values():
        assert said[0] == TLS_HANDSHAKE
        for secret in (KEY.encode(), b"summer-2026", b"MQTT", b"PRI * HTTP/2"):
            assert secret not in said
