"""A broker with TLS: the city's own authority is trusted where it is named, and nobody else's."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tools.tests.gateway_backend.certificates import Files, issue
from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.broker_program import find_program
from zaehlwerk_tools.errors import BrokerError
from zaehlwerk_tools.gateway_backend.addresses import MqttAddress
from zaehlwerk_tools.gateway_backend.gateway_link import GatewayLink
from zaehlwerk_tools.gateway_backend.marshaler import Marshaler
from zaehlwerk_tools.gateway_backend.topics import Topics


@asynccontextmanager
async def encrypted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, files: Files
) -> AsyncIterator[BrokerProcess]:
    program = find_program()
    if not program.is_mosquitto:
        pytest.skip("this machine has no Mosquitto")
    conf = (
        "listener {port} {host}\nallow_anonymous true\nlog_dest stderr\n"
        f"certfile {files.certificate}\nkeyfile {files.key}\n"
    )
    monkeypatch.setattr("zaehlwerk_tools.broker.MOSQUITTO_CONF", conf)
    async with await BrokerProcess.start(folder, program=program) as broker:
        yield broker


def link_to(broker: BrokerProcess, *, tls: bool = True, ca_file: Path | None = None) -> GatewayLink:
    address = MqttAddress(broker.address.host, broker.address.port, tls=tls, ca_file=ca_file)
    return GatewayLink("025a57aaaaaaff01", address, Topics(), Marshaler.PROTOBUF, print)


async def test_the_authority_that_is_named_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = issue(tmp_path / "authority")
    async with encrypted(tmp_path, monkeypatch, files) as broker:
        link = link_to(broker, ca_file=files.authority)
        await link.connect()
        assert link.connected
        await link.close(forget=True)


# paho leaves the socket of a handshake that failed to the collector, who says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("named", [False, True])
async def test_another_authority_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool) -> None:
    files, other = issue(tmp_path / "authority"), issue(tmp_path / "another")
    async with encrypted(tmp_path, monkeypatch, files) as broker:
        with pytest.raises(BrokerError, match="--ca-file if the city has an authority of its own"):
            await link_to(broker, ca_file=other.authority if named else None).connect()
    gc.collect()


async def test_a_file_that_is_no_authority_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nonsense = tmp_path / "ca.pem"
    nonsense.write_text("no certificate", encoding="ascii")
    files = issue(tmp_path / "authority")
    async with encrypted(tmp_path, monkeypatch, files) as broker:
        with pytest.raises(BrokerError, match="no TLS with the gateways' broker"):
            await link_to(broker, ca_file=nonsense).connect()


async def test_plain_mqtt_on_a_port_with_tls_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = issue(tmp_path / "authority")
    async with encrypted(tmp_path, monkeypatch, files) as broker:
        with pytest.raises(BrokerError, match=r"does its port speak TLS \(mqtts://\)"):
            await link_to(broker, tls=False).connect()
