"""The proxy example: it has the time-outs that streams need; and where there is an nginx, a bridge works through it."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bridge.tests.service.certificates import Authority
from bridge.tests.service.chirpstack import ChirpStack
from bridge.tests.service.mosquitto import Mosquitto, free_port
from bridge.tests.service.node import Node
from bridge.tests.service.rig import Rig
from bridge.tests.service.until import until
from zaehlwerk_bridge.settings import ChirpStackSettings

CONFIGURATION = Path(__file__).parents[2] / "operations" / "nginx" / "nginx.conf"
TEXT = CONFIGURATION.read_text(encoding="utf-8")
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin") or shutil.which("nginx")
SECONDS = {"s": 1, "m": 60, "h": 3600}
NIGHT_S = 12 * 3600
"""So long a counter in a forest may have nothing to say."""
DEVICES = 150


def value(name: str) -> str:
    """What a directive of the part for gRPC says."""
    part = TEXT[: TEXT.index("listen 443")]
    (found,) = re.findall(rf"^\s*{name} ([^;]+);", part, re.MULTILINE)
    return str(found)


def seconds(name: str) -> int:
    text = value(name)
    return int(text[:-1]) * SECONDS[text[-1]]


def test_a_stream_may_be_silent_for_a_night() -> None:
    for name in ("grpc_read_timeout", "client_body_timeout", "keepalive_time"):
        assert seconds(name) > NIGHT_S


def test_as_many_streams_pass_on_one_connection_as_the_bridge_opens_there() -> None:
    defaults = ChirpStackSettings.model_fields
    assert int(value("http2_max_concurrent_streams")) >= defaults["streams_per_channel"].default
    assert int(value("worker_connections")) >= 2 * 2000  # what the source grpc is made for, there and on
    assert int(value("worker_rlimit_nofile")) >= int(value("worker_connections"))


def test_nothing_is_said_without_tls() -> None:
    listeners = re.findall(r"^\s*listen ([^;]+);", TEXT, re.MULTILINE)
    assert listeners
    assert all("ssl" in listener.split() for listener in listeners)


@pytest.fixture
async def server() -> AsyncIterator[ChirpStack]:
    server = ChirpStack()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path / "broker")
    broker.start()
    yield broker
    broker.stop()


@pytest.mark.skipif(NGINX is None, reason="no nginx")
async def test_a_bridge_reads_all_its_streams_through_it(
    server: ChirpStack, broker: Mosquitto, tmp_path: Path
) -> None:
    """More streams than one connection takes, over TLS, from a server that speaks none."""
    assert NGINX is not None
    authority = Authority(tmp_path / "authority")
    cert_file, key_file = authority.issue("proxy")
    port = free_port()
    text = TEXT
    for old, new in {
        "/etc/nginx/certificates/proxy.pem": str(cert_file),
        "/etc/nginx/certificates/proxy.key": str(key_file),
        "chirpstack:8080": f"127.0.0.1:{server.port}",
        "listen 8443": f"listen 127.0.0.1:{port}",
        "listen 443": f"listen 127.0.0.1:{free_port()}",
        "worker_processes auto;": f"worker_processes 1; pid {tmp_path}/pid; daemon off;",
        "access_log off;": "access_log off; "
        + " ".join(
            f"{name}_temp_path {tmp_path}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        ),
    }.items():
        assert old in text
        text = text.replace(old, new)
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(text, encoding="utf-8")
    tried = await asyncio.to_thread(
        subprocess.run, [NGINX, "-t", "-e", "stderr", "-c", configuration], capture_output=True, text=True
    )
    assert tried.returncode == 0, tried.stderr
    nginx = await asyncio.create_subprocess_exec(
        NGINX, "-e", str(tmp_path / "error.log"), "-c", configuration
    )
    try:
        nodes = [Node(f"70b3d57ed{number:07x}", f"station {number}") for number in range(DEVICES)]
        for node in nodes:
            await server.put(node.dev_eui, node.status())
        rig = Rig(tmp_path, server, broker)
        changes = {
            "chirpstack_server": f"127.0.0.1:{port}",
            "chirpstack_insecure": False,
            "chirpstack_ca_file": authority.ca_file,
        }
        async with rig.bridge(**changes) as bridge:
            assert bridge.source.states()["open"] == DEVICES
            await until(lambda: all(server.devices[node.dev_eui].open == 1 for node in nodes))
            for node in (nodes[0], nodes[-1]):
                await server.put(node.dev_eui, node.count(3))
                await bridge.committed(node.dev_eui, server.devices[node.dev_eui].items[-1].id)
    finally:
        nginx.terminate()
        await nginx.wait()
