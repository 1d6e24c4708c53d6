"""Virtual gateways between a scripted air and a network server, with a real broker in the middle, in real time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from chirpstack_api import api, gw
from grpc import aio

from tools.tests.gateway_backend.listener import listening
from tools.tests.gateway_backend.stand_in_server import StandIn, stand_in
from tools.tests.network_server.virtual_device import VirtualDevice
from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.gateway_backend.addresses import MqttAddress
from zaehlwerk_tools.gateway_backend.downlinks import Transmission
from zaehlwerk_tools.gateway_backend.gateway_time import NS
from zaehlwerk_tools.gateway_backend.marshaler import Marshaler
from zaehlwerk_tools.gateway_backend.topics import Topics
from zaehlwerk_tools.gateway_backend.virtual_gateways import VirtualGateways
from zaehlwerk_tools.gateway_backend.wall_clock import WallClock
from zaehlwerk_tools.provisioning import Node, Plan, provision
from zaehlwerk_tools.simulator.air_frames import Heard

NEAR, FAR = "025a57aaaaaaff01", "025a57aaaaaaff02"
TOPICS = Topics("eu868")
WAIT_S = 15


@dataclass
class ScriptedAir:
    """Takes or refuses what it is told to, and remembers what it was offered."""

    refusals: list[str | None] = field(default_factory=list)
    sent: list[Transmission] = field(default_factory=list)
    offered: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, planned: Transmission) -> str | None:
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal is None:
            self.sent.append(planned)
        self.offered.set()
        return refusal


@dataclass
class Scene:
    """Two gateways, an air, a server that knows the first gateway and a device."""

    clock: WallClock
    gateways: VirtualGateways
    air: ScriptedAir
    server: StandIn
    failures: list[BaseException]
    device: VirtualDevice = field(default_factory=VirtualDevice)

    async def hear(self, phy: bytes, *by: str) -> int:
        """A frame ends now; what came back is with the air. Returns its end."""
        self.air.offered.clear()
        end_ns = self.clock.now_ns()
        for gateway in by or (NEAR,):
            self.gateways.heard(end_ns, phy, Heard(gateway, 868_100_000, 9, 125_000, -110, -20.0, 0))
        async with asyncio.timeout(WAIT_S):
            await self.air.offered.wait()
        return end_ns

    async def join(self) -> Transmission:
        end_ns = await self.hear(self.device.join_request())
        accept = self.air.sent.pop()
        assert accept.start_ns == end_ns + 5 * NS
        self.device.take_join_accept(accept.phy)
        return accept


@asynccontextmanager
async def scene(
    broker: BrokerProcess, folder: Path, form: Marshaler = Marshaler.PROTOBUF
) -> AsyncIterator[Scene]:
    clock = WallClock()
    device = VirtualDevice()
    air = ScriptedAir()
    async with stand_in(broker.address, folder, clock) as server:
        async with aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            plan = Plan("Counters", [Node(device.dev_eui, "one", device.key)], tenant="City")
            registered = await provision(channel, server.server.admin_key, plan)
            stub = api.GatewayServiceStub(channel)
            gateway = api.Gateway(
                gateway_id=NEAR, name="near", tenant_id=registered.tenant_id, stats_interval=30
            )
            await stub.Create(
                api.CreateGatewayRequest(gateway=gateway),
                metadata=(("authorization", f"Bearer {server.server.admin_key}"),),
            )
        address = MqttAddress(broker.address.host, broker.address.port)
        gateways = VirtualGateways((NEAR, FAR), address, TOPICS, form, clock.now_ns)
        failures: list[BaseException] = []
        gateways.attach(air, clock.now_ns, failures.append)
        await gateways.connect()
        try:
            yield Scene(clock, gateways, air, server, failures)
        finally:
            await gateways.close(forget=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - it is another client's doing
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("form", list(Marshaler))
async def test_a_device_joins_through_the_broker_and_is_answered(
    broker: BrokerProcess, tmp_path: Path, form: Marshaler
) -> None:
    async with scene(broker, tmp_path, form) as it:
        await it.join()
        end_ns = await it.hear(it.device.uplink(b"hello", confirmed=True))
        (answer,) = it.air.sent
        assert answer.start_ns == end_ns + NS
        assert (answer.gateway_id, answer.frequency, answer.sf) == (NEAR, 868_100_000, 9)
        assert it.device.take_downlink(answer.phy).ack
        exchange = it.gateways.exchange
        await until(lambda: exchange.commands == 2)
        assert (exchange.frames, exchange.join_requests, exchange.join_accepts) == (2, 1, 1)
        assert exchange.least_margin_ns is not None
        assert 0 < exchange.least_margin_ns < NS
        assert it.server.topics.unreadable == 0


async def test_the_server_hears_which_window_was_taken(broker: BrokerProcess, tmp_path: Path) -> None:
    async with scene(broker, tmp_path) as it, listening(broker.address) as listener:
        await it.join()
        it.air.refusals = ["COLLISION_PACKET", None]
        end_ns = await it.hear(it.device.uplink(b"x", confirmed=True))
        (answer,) = it.air.sent
        assert (answer.start_ns, answer.frequency) == (end_ns + 2 * NS, 869_525_000)
        acks = [payload for topic, payload in listener.heard if topic == TOPICS.ack(NEAR)]
        await listener.until(
            lambda: len([1 for topic, _ in listener.heard if topic == TOPICS.ack(NEAR)]) == 2
        )
        acks = [payload for topic, payload in listener.heard if topic == TOPICS.ack(NEAR)]
        told = gw.DownlinkTxAck.FromString(acks[1])
        assert [item.status for item in told.items] == [gw.COLLISION_PACKET, gw.OK]


async def test_what_comes_too_late_is_counted_and_the_server_uses_its_counter_again(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    async with scene(broker, tmp_path) as it:
        await it.join()
        it.air.refusals = ["TOO_LATE", "TOO_LATE"]
        await it.hear(it.device.uplink(b"x", confirmed=True))
        exchange = it.gateways.exchange
        assert (exchange.too_late, exchange.statuses["OK"]) == (1, 1)
        await it.hear(it.device.uplink(b"x", confirmed=True))
        assert it.device.take_downlink(it.air.sent[0].phy).f_cnt == 0
        assert any("1 came too late" in line for line in exchange.lines())
        assert exchange.numbers()["refused"] == 1


async def test_a_frame_that_two_gateways_heard_is_one_frame_in_two_messages(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    async with scene(broker, tmp_path) as it:
        await it.hear(it.device.join_request(), NEAR, FAR)
        assert (it.gateways.exchange.frames, it.gateways.exchange.receptions) == (1, 2)
        assert it.server.topics.unknown == 1, "the second one is not registered"
        assert [planned.gateway_id for planned in it.air.sent] == [NEAR]


async def test_statistics_say_what_passed_and_begin_anew(broker: BrokerProcess, tmp_path: Path) -> None:
    async with scene(broker, tmp_path) as it, listening(broker.address) as listener:
        await it.join()
        assert await it.gateways.send_stats() == {NEAR: 0, FAR: 0}
        await it.gateways.send_stats()
        await listener.until(lambda: sum(topic == TOPICS.stats(NEAR) for topic, _ in listener.heard) == 2)
        first, second = [
            gw.GatewayStats.FromString(payload)
            for topic, payload in listener.heard
            if topic == TOPICS.stats(NEAR)
        ]
        assert (first.rx_packets_received_ok, first.tx_packets_received, first.tx_packets_emitted) == (
            1,
            1,
            1,
        )
        assert (
            dict(first.rx_packets_per_frequency) == dict(first.tx_packets_per_frequency) == {868_100_000: 1}
        )
        assert dict(first.tx_packets_per_status) == {"OK": 1}
        (sent,) = first.tx_packets_per_modulation
        lora = sent.modulation.lora
        assert (sent.count, lora.spreading_factor, lora.polarization_inversion) == (1, 9, True)
        assert abs(first.time.ToNanoseconds() - it.clock.now_ns()) < 60 * NS
        assert (second.rx_packets_received, second.tx_packets_received) == (0, 0)


@pytest.mark.parametrize("payload", [b"\xff", gw.DownlinkFrame(gateway_id=FAR).SerializeToString()])
async def test_a_command_that_is_none_of_ours_is_counted_and_not_answered(
    broker: BrokerProcess, tmp_path: Path, payload: bytes
) -> None:
    async with scene(broker, tmp_path) as it, listening(broker.address) as listener:
        listener.say(TOPICS.down(NEAR), payload)
        await until(lambda: it.gateways.exchange.unreadable == 1)
        await listener.drained()
        assert not [topic for topic, _ in listener.heard if topic.endswith("/ack")]
        await it.join()


async def test_what_breaks_on_the_air_is_not_lost_in_the_event_loop(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    def broken(_: Transmission) -> str | None:
        raise RuntimeError("no such gateway on this air")

    async with scene(broker, tmp_path) as it:
        it.gateways.attach(broken, it.clock.now_ns, it.failures.append)
        it.gateways.heard(
            it.clock.now_ns(), it.device.join_request(), Heard(NEAR, 868_100_000, 9, 125_000, -110, -20.0, 0)
        )
        await until(lambda: bool(it.failures))
        assert str(it.failures[0]) == "no such gateway on this air"


async def test_before_there_is_an_air_a_command_is_refused(broker: BrokerProcess) -> None:
    address = MqttAddress(broker.address.host, broker.address.port)
    gateways = VirtualGateways((NEAR,), address, TOPICS, Marshaler.PROTOBUF, WallClock().now_ns)
    await gateways.connect()
    async with listening(broker.address) as server:
        item = gw.DownlinkFrameItem(phy_payload=b"x")
        item.tx_info.frequency = 868_100_000
        item.tx_info.modulation.lora.spreading_factor = 9
        item.tx_info.modulation.lora.polarization_inversion = True
        item.tx_info.timing.immediately.SetInParent()
        frame = gw.DownlinkFrame(gateway_id=NEAR, items=[item])
        server.say(TOPICS.down(NEAR), frame.SerializeToString())
        await until(lambda: gateways.exchange.statuses["INTERNAL_ERROR"] == 1)
    await gateways.close(forget=True)
