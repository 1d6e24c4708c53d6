"""What `check-config` finds at each side, and what it advises."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from bridge.tests.service.chirpstack import ChirpStack
from bridge.tests.service.mosquitto import Mosquitto, free_port
from bridge.tests.service.node import Node
from bridge.tests.service.rig import Rig
from zaehlwerk_bridge.check import Finding, Verdict, check_broker, check_chirpstack
from zaehlwerk_bridge.redaction import Redactor

EUI = "70b3d57ed0000001"


@pytest.fixture(autouse=True)
def _short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in delivers its history at once."""
    monkeypatch.setattr("zaehlwerk_bridge.check.HISTORY_WAIT_S", 0.3)


def wrong(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.verdict is Verdict.WRONG]


async def test_everything_right_is_nothing_wrong(rig: Rig) -> None:
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), *(node.count(1) for _ in range(20)))
    findings = await check_chirpstack(rig.settings(), Redactor())
    assert wrong(findings) == []
    assert "history of 21 events" in findings[-1].text
    findings = await check_broker(rig.settings(), Redactor())
    assert wrong(findings) == []
    assert any("window of 20" in finding.text for finding in findings)


async def test_a_short_history_is_noted_with_the_setting_that_makes_it_longer(rig: Rig) -> None:
    node = Node(EUI, "one")
    await rig.server.put(EUI, *(node.count(1) for _ in range(10)))
    finding = (await check_chirpstack(rig.settings(), Redactor()))[-1]
    assert finding.verdict is Verdict.NOTE
    assert "per_device_event_log_max_history" in finding.remedy


async def test_a_history_that_is_switched_off_is_wrong(rig: Rig) -> None:
    """The device was heard, yet its stream says nothing: the bridge would wait for ever."""
    rig.server.add(EUI).last_seen_ms = 1
    (finding,) = wrong(await check_chirpstack(rig.settings(), Redactor()))
    assert "no history" in finding.text


async def test_a_device_that_was_never_heard_is_no_mistake(rig: Rig) -> None:
    rig.server.add(EUI)
    assert wrong(await check_chirpstack(rig.settings(), Redactor())) == []


async def test_a_wrong_key_tenant_or_address_is_told_apart(rig: Rig, server: ChirpStack) -> None:
    rig.server.add(EUI)
    server.keys = {"another"}
    (finding,) = wrong(await check_chirpstack(rig.settings(), Redactor()))
    assert "InvalidToken" in finding.text
    assert "api_key_file" in finding.remedy
    port = free_port()
    (finding,) = wrong(
        await check_chirpstack(rig.settings(chirpstack_server=f"127.0.0.1:{port}"), Redactor())
    )
    assert "UNAVAILABLE" in finding.text
    assert "insecure" in finding.remedy


async def test_a_stream_that_is_refused_is_wrong(rig: Rig) -> None:
    rig.server.add(EUI).refuse = (grpc.StatusCode.UNAUTHENTICATED, "")
    (finding,) = wrong(await check_chirpstack(rig.settings(), Redactor()))
    assert finding.tried == f"stream of {EUI}"


async def test_no_device_and_no_key_file_are_wrong(rig: Rig) -> None:
    (finding,) = wrong(await check_chirpstack(rig.settings(), Redactor()))
    assert (finding.tried, finding.text) == ("devices", "none")
    rig.key_file.unlink()
    (finding,) = wrong(await check_chirpstack(rig.settings(), Redactor()))
    assert "chirpstack.api_key_file: cannot read" in finding.text


async def test_rights_are_tried_topic_by_topic_and_nothing_is_left_behind(
    rig: Rig, start_broker: Callable[..., Mosquitto]
) -> None:
    rig.broker = start_broker(acl=["topic readwrite #", "topic deny zaehlwerk/v1/+/span"])
    (finding,) = wrong(await check_broker(rig.settings(), Redactor()))
    assert finding.tried == "publish zaehlwerk/v1/check/span"
    assert "135 Not authorized" in finding.text
    assert "topic write zaehlwerk/#" in finding.remedy


async def test_a_small_packet_size_is_noted(rig: Rig, start_broker: Callable[..., Mosquitto]) -> None:
    rig.broker = start_broker(options=["max_packet_size 2000"])
    findings = await check_broker(rig.settings(), Redactor())
    (note,) = [finding for finding in findings if finding.tried == "packet size"]
    assert note.verdict is Verdict.NOTE
    assert "2000" in note.text


async def test_nobody_who_listens_is_noted(rig: Rig) -> None:
    findings = await check_broker(rig.settings(), Redactor())
    notes = [finding.tried for finding in findings if finding.verdict is Verdict.NOTE]
    assert notes == ["publish zaehlwerk/v1/check/count", "publish zaehlwerk/v1/check/span"]


@pytest.fixture
def rude() -> Iterator[Callable[[bytes | None], int]]:
    """Starts servers that answer a connection with some bytes and close it, or (None) never answer."""
    listeners: list[socket.socket] = []
    kept: list[socket.socket] = []

    def start(answer: bytes | None) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                if answer is None:
                    kept.append(connection)
                    continue
                connection.sendall(answer)
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for sock in listeners + kept:
        sock.close()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"", "connection closed before any answer"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "connection closed before any answer"),
        (b"\x20\x03\x00\x87\x00", "135 Not authorized"),
        (None, "no answer to CONNECT in 0.5 s"),
    ],
    ids=["drops", "no broker", "refuses", "silent"],
)
async def test_a_bad_broker_is_one_finding(
    rig: Rig, rude: Callable[[bytes | None], int], answer: bytes | None, text: str
) -> None:
    settings = rig.settings(mqtt_port=rude(answer), mqtt_connect_timeout_s=0.5)
    (finding,) = await check_broker(settings, Redactor())
    assert finding.verdict is Verdict.WRONG
    assert text in finding.text
    assert "\n" not in finding.line()


async def test_a_closed_port_is_one_finding(rig: Rig) -> None:
    (finding,) = await check_broker(rig.settings(mqtt_port=free_port()), Redactor())
    assert "Connection refused" in finding.text
    assert "insecure" in finding.remedy


async def test_tls_against_a_plain_port_is_said_so(rig: Rig) -> None:
    settings = rig.settings(mqtt_insecure=False, mqtt_port=rig.broker.port)
    (finding,) = await check_broker(settings, Redactor())
    assert finding.verdict is Verdict.WRONG
    assert finding.remedy != ""


async def test_certificates_that_cannot_be_used_are_named(rig: Rig, tmp_path: Path) -> None:
    bad = tmp_path / "ca.pem"
    bad.write_text("no certificate")
    (finding,) = await check_broker(rig.settings(mqtt_insecure=False, mqtt_ca_file=bad), Redactor())
    assert "mqtt.ca_file: cannot use" in finding.text
    missing = tmp_path / "none.pem"
    settings = rig.settings(chirpstack_insecure=False, chirpstack_ca_file=missing)
    (finding,) = await check_chirpstack(settings, Redactor())
    assert "chirpstack.ca_file: cannot read" in finding.text
