"""What `check-config` finds at each side, and what it advises."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from bridge.tests.service.chirpstack import ChirpStack
from bridge.tests.service.mosquitto import Mosquitto, free_port
from bridge.tests.service.node import Node
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber
from bridge.tests.service.until import until
from zaehlwerk_bridge.check_broker import check_broker
from zaehlwerk_bridge.check_chirpstack import check_chirpstack
from zaehlwerk_bridge.check_finding import Finding, Verdict
from zaehlwerk_bridge.check_subscriptions import _Subscriber
from zaehlwerk_bridge.mqtt_session import MqttSession
from zaehlwerk_bridge.redaction import Redactor

EUI = "70b3d57ed0000001"


@pytest.fixture(autouse=True)
def _short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in delivers its history at once."""
    monkeypatch.setattr("zaehlwerk_bridge.check_chirpstack.HISTORY_WAIT_S", 0.3)


def wrong(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.verdict is Verdict.WRONG]


async def test_everything_right_is_nothing_wrong(rig: Rig) -> None:
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), *(node.count(1) for _ in range(20)))
    findings = await check_chirpstack(rig.settings(), Redactor())
    assert wrong(findings) == []
    assert [finding.text for finding in findings[-3::2]] == ["history of 21 events", "allowed"]
    assert rig.server.devices[EUI].queue == []
    findings = await check_broker(rig.settings(), Redactor())
    assert wrong(findings) == []
    assert any("window of 20" in finding.text for finding in findings)


async def history(rig: Rig, **settings: float) -> Finding:
    """What is found of how far the histories reach back."""
    findings = await check_chirpstack(rig.settings(**settings), Redactor())
    (finding,) = [finding for finding in findings if finding.tried.startswith("history")]
    return finding


async def test_a_history_that_was_never_cut_says_nothing_of_the_limit_so_the_setting_is_named(
    rig: Rig,
) -> None:
    node = Node(EUI, "one")
    await rig.server.put(EUI, *(node.count(1) for _ in range(10)))
    finding = await history(rig)
    assert finding.verdict is Verdict.NOTE
    assert "per_device_event_log_max_history" in finding.remedy


async def test_a_history_that_is_too_short_for_the_outage_is_wrong_and_says_how_long_it_should_be(
    rig: Rig,
) -> None:
    node = Node(EUI, "one", f_cnt=500)
    await rig.server.put(EUI, *(node.count(1) for _ in range(10)))
    finding = await history(rig, chirpstack_outage_h=24)
    assert finding.verdict is Verdict.WRONG
    assert "reaches back 2.5 h" in finding.text
    assert finding.remedy == "set [monitoring] per_device_event_log_max_history to 200 in ChirpStack"


async def test_a_history_that_reaches_back_as_far_as_is_wanted_is_right(rig: Rig) -> None:
    node = Node(EUI, "one", f_cnt=500)
    await rig.server.put(EUI, *(node.count(1) for _ in range(10)))
    finding = await history(rig, chirpstack_outage_h=2)
    assert finding.verdict is Verdict.OK
    assert "2.5 h" in finding.text


async def test_the_device_with_the_shortest_history_decides(rig: Rig) -> None:
    for number, dev_eui in enumerate((EUI, "70b3d57ed0000002", "70b3d57ed0000003")):
        node = Node(dev_eui, "one", f_cnt=500)
        await rig.server.put(dev_eui, *(node.count(1) for _ in range(20 - 5 * number)))
    finding = await history(rig, chirpstack_outage_h=4)
    assert "70b3d57ed0000003" in finding.text
    assert "2 devices" in finding.text


async def test_a_device_whose_history_has_only_begun_says_nothing_of_the_limit(rig: Rig) -> None:
    """Its events were kept since the server's Redis was new, as it seems: another one has more."""
    young, old = Node(EUI, "one", f_cnt=500), Node("70b3d57ed0000002", "two", f_cnt=500)
    await rig.server.put(EUI, *(young.count(1) for _ in range(8)))
    await rig.server.put(old.dev_eui, *(old.count(1) for _ in range(40)))
    finding = await history(rig, chirpstack_outage_h=9)
    assert finding.verdict is Verdict.OK
    assert "10.0 h" in finding.text


async def test_a_history_too_long_to_be_waited_for_is_reckoned_from_its_beginning(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ChirpStack sends ten events a second; the device was heard just now, so it goes on like that."""
    monkeypatch.setattr("zaehlwerk_bridge.check_chirpstack.HISTORY_WAIT_S", 60.0)
    monkeypatch.setattr("zaehlwerk_bridge.check_chirpstack.HISTORY_MOST_S", 1.0)
    node = Node(EUI, "one", f_cnt=500)
    await rig.server.put(EUI, *(node.count(1) for _ in range(100)))
    device = rig.server.devices[EUI]
    device.sends, device.last_seen_ms = 11, node.now_s * 1000
    finding = await history(rig, chirpstack_outage_h=24)
    assert finding.verdict is Verdict.OK
    assert "25.0 h" in finding.text
    finding = await history(rig, chirpstack_outage_h=48)
    assert "100 events, reaches back 25.0 h" in finding.text


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


async def test_a_key_that_may_not_enqueue_is_noted_and_no_downlink_is_left_behind(rig: Rig) -> None:
    rig.server.add(EUI)
    rig.server.writable = False
    findings = await check_chirpstack(rig.settings(), Redactor())
    (finding,) = [finding for finding in findings if finding.tried.startswith("downlinks")]
    assert finding.verdict is Verdict.NOTE
    assert "chirpstack.write_key_file" in finding.remedy
    assert rig.server.devices[EUI].queue == []
    findings = await check_chirpstack(rig.settings(healing_enabled=False), Redactor())
    assert not [finding for finding in findings if finding.tried.startswith("downlinks")]


async def test_rights_are_tried_topic_by_topic_and_nothing_is_left_behind(
    rig: Rig, start_broker: Callable[..., Mosquitto], subscribe: Callable[..., Subscriber]
) -> None:
    rig.broker = start_broker(acl=["topic readwrite #", "topic deny zaehlwerk/v1/+/span"])
    (finding,) = wrong(await check_broker(rig.settings(), Redactor()))
    assert finding.tried == "publish zaehlwerk/v1/_check/span"
    assert "135 Not authorized" in finding.text
    assert "topic write zaehlwerk/v1/+/span" in finding.remedy
    after = subscribe(port=rig.broker.port)
    await check_broker(
        rig.settings(), Redactor()
    )  # whatever was retained would come before this one's messages
    await after.until(lambda: after.topics().count("zaehlwerk/v1/_check/count") == 1)
    assert not any(message.retain for message in after.messages)


async def test_checks_at_the_same_time_do_not_disturb_each_other(rig: Rig) -> None:
    """With a client id in common each would end the other's connection; at one topic each would read the other's."""
    settings = rig.settings(commands_enabled=True)
    checks = await asyncio.gather(*(check_broker(settings, Redactor(), queued=20) for _ in range(5)))
    assert [wrong(findings) for findings in checks] == [[]] * 5


async def test_a_missing_right_to_read_checkpoints_is_told_apart_from_one_to_write_them(
    rig: Rig, start_broker: Callable[..., Mosquitto]
) -> None:
    rig.broker = start_broker(acl=["topic write #"])
    settings = rig.settings(mqtt_connect_timeout_s=0.3)
    (finding,) = wrong(await check_broker(settings, Redactor()))
    assert finding.tried == "retain and read zaehlwerk/v1/+/checkpoint"
    assert "topic readwrite zaehlwerk/v1/+/checkpoint" in finding.remedy
    rig.broker.allow(["topic read #", "topic write zaehlwerk/v1/+/count"])
    await until(lambda: "Reloading config" in (rig.broker.directory / "mosquitto.log").read_text())
    tried = [finding.tried for finding in wrong(await check_broker(settings, Redactor()))]
    assert "publish zaehlwerk/v1/_check/checkpoint" in tried
    assert "publish zaehlwerk/v1/_check/count" not in tried


async def test_a_broker_that_retains_nothing_is_wrong(
    rig: Rig, start_broker: Callable[..., Mosquitto]
) -> None:
    rig.broker = start_broker(options=["retain_available false"])
    found = {finding.tried for finding in wrong(await check_broker(rig.settings(), Redactor()))}
    assert "retain" in found


async def test_a_broker_that_takes_retained_messages_and_forgets_them_is_wrong(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = MqttSession.publish
    monkeypatch.setattr(
        MqttSession,
        "publish",
        lambda session, topic, payload, _retain, properties: publish(
            session, topic, payload, False, properties
        ),
    )
    (finding,) = wrong(await check_broker(rig.settings(), Redactor()))
    assert finding.text == "the broker did not retain it"


async def test_a_receive_maximum_that_makes_everything_slow_is_noted(
    rig: Rig, start_broker: Callable[..., Mosquitto]
) -> None:
    rig.broker = start_broker(options=["max_inflight_messages 3"])
    (note,) = [f for f in await check_broker(rig.settings(), Redactor()) if f.tried == "receive maximum"]
    assert (note.verdict, note.text) == (Verdict.NOTE, "window of 3 (Receive Maximum 3)")


async def test_a_broker_that_has_lost_what_it_retained_is_wrong(rig: Rig) -> None:
    """It was started again without persistence: the checkpoints that the bridge had published are not there."""
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), node.count(3))

    async def persistence() -> Finding:
        findings = await check_broker(rig.settings(), Redactor())
        (finding,) = [finding for finding in findings if finding.tried == "persistence"]
        return finding

    assert (await persistence()).verdict is Verdict.NOTE
    async with rig.bridge(mqtt_hold_without_subscriber=False) as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        await bridge.published()
        assert (await persistence()).verdict is Verdict.OK
    rig.broker.stop()
    rig.broker.start()
    finding = await persistence()
    assert finding.verdict is Verdict.WRONG
    assert "of one;" in finding.text


async def test_a_small_packet_size_is_noted(rig: Rig, start_broker: Callable[..., Mosquitto]) -> None:
    rig.broker = start_broker(options=["max_packet_size 2000"])
    findings = await check_broker(rig.settings(), Redactor())
    (note,) = [finding for finding in findings if finding.tried == "packet size"]
    assert note.verdict is Verdict.NOTE
    assert "2000" in note.text


async def test_nobody_who_listens_is_noted(rig: Rig) -> None:
    findings = await check_broker(rig.settings(), Redactor())
    notes = [finding.tried for finding in findings if finding.verdict is Verdict.NOTE]
    assert [tried for tried in notes if tried.startswith("publish")] == [
        "publish zaehlwerk/v1/_check/count",
        "publish zaehlwerk/v1/_check/span",
    ]


async def test_a_broker_that_does_not_let_commands_be_read_is_wrong(
    rig: Rig, rude: Callable[[bytes | None], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mosquitto grants every subscription and delivers nothing; others say what they think of it."""
    tried = "subscribe zaehlwerk/v1/+/command"
    settings = rig.settings(commands_enabled=True)
    (finding,) = [f for f in await check_broker(settings, Redactor()) if f.tried == tried]
    assert finding.verdict is Verdict.OK
    assert not [f for f in await check_broker(rig.settings(), Redactor()) if f.tried == tried]
    subscribed = _Subscriber._subscribed
    monkeypatch.setattr(_Subscriber, "_subscribed", lambda own, _code: subscribed(own, 0x87))
    (finding,) = wrong(await check_broker(settings, Redactor()))
    assert finding.tried == tried
    assert "topic read zaehlwerk/v1/+/command" in finding.remedy


@pytest.mark.parametrize(
    ("most", "verdict", "text"),
    [
        (1000, Verdict.OK, "all of them waited"),
        (50, Verdict.WRONG, "50 waited for a subscriber that was away, 250 were acknowledged and lost"),
    ],
)
async def test_how_many_messages_the_broker_keeps_is_tried_when_it_is_asked_for(
    rig: Rig,
    start_broker: Callable[..., Mosquitto],
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    verdict: Verdict,
    text: str,
) -> None:
    """Mosquitto acknowledges what it throws away. Nothing of the trial is left afterwards."""
    monkeypatch.setattr("zaehlwerk_bridge.check_subscriptions.QUIET_S", 0.3)
    rig.broker = start_broker(options=[f"max_queued_messages {most}", "max_inflight_messages 20"])
    (finding,) = [
        f for f in await check_broker(rig.settings(), Redactor(), 300) if f.tried.startswith("queue")
    ]
    assert finding.verdict is verdict
    assert finding.text.startswith(text)
    assert not [f for f in await check_broker(rig.settings(), Redactor()) if f.tried.startswith("queue")]
    assert not await asyncio.to_thread(has_session, rig.broker, "zaehlwerk-bridge-b1-check-queue")


def has_session(broker: Mosquitto, client_id: str) -> bool:
    """Whether the broker kept a session of that name."""
    present: list[bool] = []
    connected = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5)

    def on_connect(_client: object, _data: object, flags: paho.ConnectFlags, *_more: object) -> None:
        present.append(flags.session_present)
        connected.set()

    client.on_connect = on_connect
    client.connect("127.0.0.1", broker.port, clean_start=False)
    client.loop_start()
    assert connected.wait(10)
    client.disconnect()
    client.loop_stop()
    return present[0]


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
