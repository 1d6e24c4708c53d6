"""A virtual gateway at a real broker: what it says there, what it does when the broker refuses, and when it goes away."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from chirpstack_api import gw

from tools.tests.gateway_backend.listener import Listener, listening
from tools.tests.gateway_backend.mosquitto import deaf_server, guarded
from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.errors import BrokerError
from zaehlwerk_tools.gateway_backend import gateway_link
from zaehlwerk_tools.gateway_backend.addresses import MqttAddress
from zaehlwerk_tools.gateway_backend.diagnosis import stats_trouble
from zaehlwerk_tools.gateway_backend.gateway_link import GatewayLink
from zaehlwerk_tools.gateway_backend.marshaler import Marshaler, decode
from zaehlwerk_tools.gateway_backend.topics import Topics

GATEWAY = "025a57aaaaaaff01"
TOPICS = Topics("eu868")


def address_of(broker: BrokerProcess, **more: Any) -> MqttAddress:
    return MqttAddress(broker.address.host, broker.address.port, **more)


@asynccontextmanager
async def linked(
    address: MqttAddress, *, form: Marshaler = Marshaler.PROTOBUF, commands: list[bytes] | None = None
) -> AsyncIterator[GatewayLink]:
    link = GatewayLink(GATEWAY, address, TOPICS, form, (commands if commands is not None else []).append)
    await link.connect()
    try:
        yield link
    finally:
        await link.close(forget=True)


def states(listener: Listener) -> list[str]:
    """What was said of the gateway's connection, in order; empty for a cleared one."""
    said = [payload for topic, payload in listener.heard if topic == TOPICS.state(GATEWAY)]
    return [gw.ConnState.State.Name(decode(p, gw.ConnState).state) if p else "" for p in said]


@pytest.mark.parametrize("form", list(Marshaler))
async def test_what_a_gateway_says_arrives_on_its_topics_in_its_form(
    broker: BrokerProcess, form: Marshaler
) -> None:
    up = gw.UplinkFrame(phy_payload=b"x", rx_info=gw.UplinkRxInfo(gateway_id=GATEWAY))
    ack = gw.DownlinkTxAck(gateway_id=GATEWAY, downlink_id=3, items=[gw.DownlinkTxAckItem(status=gw.OK)])
    stats = gw.GatewayStats(gateway_id=GATEWAY, rx_packets_received=4)
    async with listening(broker.address) as listener, linked(address_of(broker), form=form) as link:
        assert link.uplink(up)
        assert link.acknowledge(ack)
        assert await link.stats(stats) == 0
        await listener.until(lambda: len(listener.heard) >= 4)
        heard = dict(listener.heard)
        assert decode(heard[TOPICS.up(GATEWAY)], gw.UplinkFrame) == up
        assert decode(heard[TOPICS.ack(GATEWAY)], gw.DownlinkTxAck) == ack
        assert decode(heard[TOPICS.stats(GATEWAY)], gw.GatewayStats) == stats
        assert {payload[:1] == b"{" for payload in heard.values()} == {form is Marshaler.JSON}


async def test_a_command_comes_in_and_those_of_other_gateways_do_not(broker: BrokerProcess) -> None:
    commands: list[bytes] = []
    async with listening(broker.address) as server, linked(address_of(broker), commands=commands):
        server.say(TOPICS.down("025a57aaaaaaff02"), b"for another")
        server.say(TOPICS.down(GATEWAY), b"for us")
        await server.until(lambda: bool(commands))
        assert commands == [b"for us"]


async def test_the_state_is_retained_and_cleared_when_the_gateway_will_not_come_back(
    broker: BrokerProcess,
) -> None:
    async with listening(broker.address) as listener:
        async with linked(address_of(broker)):
            await listener.until(lambda: states(listener) == ["ONLINE"])
            async with listening(broker.address) as latecomer:
                await latecomer.until(lambda: states(latecomer) == ["ONLINE"])
        await listener.until(lambda: states(listener) == ["ONLINE", ""])
        async with listening(broker.address) as latecomer:
            await latecomer.drained()
            assert states(latecomer) == []


async def test_a_gateway_that_stays_registered_is_left_offline(broker: BrokerProcess) -> None:
    link = GatewayLink(GATEWAY, address_of(broker), TOPICS, Marshaler.PROTOBUF, print)
    await link.connect()
    await link.close(forget=False)
    async with listening(broker.address) as listener:
        await listener.until(lambda: states(listener) == ["OFFLINE"])


async def test_a_lost_connection_is_told_by_the_broker_and_made_anew(
    broker: BrokerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(broker.address) as listener, linked(address_of(broker)) as link:
        await listener.until(lambda: states(listener) == ["ONLINE"])
        inner = link._client.socket()
        assert isinstance(inner, socket.socket)
        inner.shutdown(socket.SHUT_RDWR)
        # The first may come once more: its acknowledgement may have been lost with the connection.
        await listener.until(lambda: states(listener)[:3] == ["ONLINE", "OFFLINE", "ONLINE"])
        assert set(states(listener)[3:]) <= {"ONLINE"}
        assert link.connects == 2


async def test_a_gateway_that_vanishes_stands_as_offline_for_whoever_comes_later(
    broker: BrokerProcess,
) -> None:
    async with listening(broker.address) as listener, linked(address_of(broker)) as link:
        link._client.reconnect_delay_set(60, 60)
        inner = link._client.socket()
        assert isinstance(inner, socket.socket)
        inner.shutdown(socket.SHUT_RDWR)
        await listener.until(lambda: states(listener) == ["ONLINE", "OFFLINE"])
        async with listening(broker.address) as latecomer:
            await latecomer.until(lambda: states(latecomer) == ["OFFLINE"])


async def test_without_a_connection_nothing_is_kept_for_later(tmp_path: Path) -> None:
    async with await BrokerProcess.start(tmp_path) as broker:
        link = GatewayLink(GATEWAY, address_of(broker), TOPICS, Marshaler.PROTOBUF, print)
        await link.connect()
    async with asyncio.timeout(10):
        while link.connected:  # noqa: ASYNC110 - it is paho's thread that finds out
            await asyncio.sleep(0.01)
    assert not link.uplink(gw.UplinkFrame(phy_payload=b"late frames are worth nothing"))
    assert await link.stats(gw.GatewayStats()) is None
    assert link.dropped == 1
    await link.close(forget=True)


async def refusal(address: MqttAddress) -> str:
    with pytest.raises(BrokerError) as refused:
        async with linked(address):
            pass
    return str(refused.value)


async def test_a_broker_that_is_not_there_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        told = await refusal(MqttAddress("127.0.0.1", port))
    assert (
        told
        == f"the gateways' broker 127.0.0.1:{port} cannot be reached: Connection refused; check --mqtt-url"
    )


async def test_a_server_that_says_nothing_is_no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_link, "CONNECT_S", 0.2)
    async with deaf_server() as port:
        assert "is it an MQTT broker" in await refusal(MqttAddress("127.0.0.1", port))


# paho leaves the socket of a handshake that failed to the collector, who says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_tls_on_a_port_that_has_none_is_told(broker: BrokerProcess) -> None:
    told = await refusal(address_of(broker, tls=True))
    gc.collect()
    assert "speak TLS? check --mqtt-url" in told or told.startswith("no TLS with the gateways' broker")


@pytest.mark.parametrize(("user", "password"), [("gateway", "wrong"), ("stranger", "secret"), (None, None)])
async def test_a_wrong_user_or_password_is_told_without_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str | None, password: str | None
) -> None:
    async with guarded(tmp_path / "broker", monkeypatch, {"gateway": "secret"}) as broker:
        told = await refusal(address_of(broker, username=user, password=password))
    assert "refused the connection: Not authorized; check the user in --mqtt-url and its password" in told
    assert "secret" not in told


async def test_the_right_user_gets_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        guarded(tmp_path / "broker", monkeypatch, {"gateway": "secret"}) as broker,
        linked(address_of(broker, username="gateway", password="secret")) as link,
    ):
        assert link.connected


async def test_a_user_who_may_not_send_is_told_by_the_topic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rights = "user gateway\ntopic read eu868/gateway/+/command/down\ntopic write eu868/gateway/+/state/conn\n"
    async with guarded(tmp_path / "broker", monkeypatch, {"gateway": "secret"}, rights) as broker:
        address = address_of(broker, username="gateway", password="secret")
        async with linked(address) as link:
            code = await link.stats(gw.GatewayStats(gateway_id=GATEWAY))
        told = stats_trouble(code, TOPICS.stats(GATEWAY), address)
    assert told is not None
    assert f"does not let us send to eu868/gateway/{GATEWAY}/event/stats" in told


async def test_where_nobody_listens_the_prefix_is_suspected(broker: BrokerProcess) -> None:
    address = address_of(broker)
    async with linked(address) as link:
        code = await link.stats(gw.GatewayStats(gateway_id=GATEWAY))
    told = stats_trouble(code, TOPICS.stats(GATEWAY), address)
    assert told is not None
    assert "nobody at" in told
    assert "another topic_prefix than --mqtt-topic-prefix says" in told
