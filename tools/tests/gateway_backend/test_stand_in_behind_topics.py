"""The stand-in behind gateway topics says to gateways what the real server said, and reads what they say."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from chirpstack_api import api, gw
from grpc import aio

from tools.tests.gateway_backend.recorded import Recorded, recorded
from tools.tests.network_server.manual_scheduler import ManualScheduler
from tools.tests.network_server.replay import HANDLING_NS, Player, RecordedIdentities
from tools.tests.network_server.rig import FAR, NEAR, Rig
from zaehlwerk_tools.gateway_backend.gateway_time import context
from zaehlwerk_tools.gateway_backend.marshaler import Marshaler, decode
from zaehlwerk_tools.gateway_backend.topics import Topics
from zaehlwerk_tools.gateway_backend.uplinks import uplink_frame
from zaehlwerk_tools.network_server import NetworkServer, Settings, gateway_topics
from zaehlwerk_tools.network_server.gateway_topics import GatewayTopics
from zaehlwerk_tools.network_server.reception import Reception
from zaehlwerk_tools.simulator.air_frames import Heard

TOPICS = Topics("eu868")


class TopicPlayer(Player):
    """Plays the recorded hour over gateway topics: the gateways are the recorded ones, payload by payload."""

    def __init__(self) -> None:
        super().__init__(refuse_rx1=False)
        self.published: list[tuple[str, bytes]] = []
        self.front = GatewayTopics(self._publish, allow_unknown_gateways=True)
        settings = Settings(history=18, gateway_time=False, handling_ns=HANDLING_NS)
        self._server = _FedByTopics(self._scheduler, self.front, 1, settings, RecordedIdentities())
        self._server.recorded = iter(recorded("event/up"))
        self._server.front = self.front
        self.front.serve(self._server)

    def _publish(self, topic: str, payload: bytes) -> None:
        self.published.append((topic, payload))
        frame = decode(payload, gw.DownlinkFrame)
        ack = gw.DownlinkTxAck(gateway_id=frame.gateway_id, downlink_id=frame.downlink_id)
        ack.items.add(status=gw.OK)
        ack.items.add()
        self._scheduler.at(
            self._scheduler.now_ns,
            lambda: self.front.received(TOPICS.ack(frame.gateway_id), ack.SerializeToString()),
        )


class _FedByTopics(NetworkServer):
    """Takes each uplink that the player has for it from the recorded payload instead."""

    recorded: Any
    front: GatewayTopics
    _inside = False

    def uplink(self, at_ns: int, phy: bytes, reception: Reception) -> None:
        if self._inside:
            super().uplink(at_ns, phy, reception)
            return
        message = next(self.recorded)
        self._inside = True
        self.front.received(message.topic, message.payload)
        self._inside = False


def without_id(frame: gw.DownlinkFrame) -> gw.DownlinkFrame:
    frame.ClearField("downlink_id")
    return frame


async def test_the_commands_of_the_recorded_hour_are_the_recorded_ones() -> None:
    player = TopicPlayer()
    await player.play()
    theirs: list[Recorded] = recorded("command/down")
    assert [topic for topic, _ in player.published] == [message.topic for message in theirs]
    ours = [decode(payload, gw.DownlinkFrame) for _, payload in player.published]
    # The join accept's number is drawn anew; it stands in no event.
    assert [frame.downlink_id for frame in ours[1:]] == [m.message.downlink_id for m in theirs[1:]]
    assert [without_id(frame) for frame in ours] == [without_id(m.message) for m in theirs]
    assert player.front.unreadable == player.front.unknown == 0


@dataclass
class Behind:
    """A server behind topics with a registered gateway and a device, and what it published."""

    rig: Rig
    front: GatewayTopics
    sent: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def commands(self) -> list[gw.DownlinkFrame]:
        return [decode(payload, gw.DownlinkFrame) for _, payload in self.sent]

    def hear(self, phy: bytes, gateway_id: str = NEAR, form: Marshaler = Marshaler.PROTOBUF) -> None:
        now = self.rig.scheduler.now_ns
        heard = Heard(gateway_id, 868_100_000, 9, 125_000, -110, -20.0, 0)
        frame = uplink_frame(heard, phy, uplink_id=1, context=context(now), end_ns=now)
        self.front.received(TOPICS.up(gateway_id), form.payload(frame))
        self.rig.scheduler.run_for(1)

    def answer(self, command: gw.DownlinkFrame, *statuses: str) -> None:
        items = [gw.DownlinkTxAckItem(status=gw.TxAckStatus.Value(status)) for status in statuses]
        ack = gw.DownlinkTxAck(gateway_id=NEAR, downlink_id=command.downlink_id, items=items)
        self.front.received(TOPICS.ack(NEAR), ack.SerializeToString())

    def join(self) -> None:
        self.hear(self.rig.device.join_request())
        (accept,) = self.commands
        self.answer(accept, "OK", "IGNORED")
        self.rig.device.take_join_accept(accept.items[0].phy_payload)
        self.sent.clear()


@asynccontextmanager
async def behind(**options: Any) -> AsyncIterator[Behind]:
    scheduler = ManualScheduler()
    sent: list[tuple[str, bytes]] = []
    front = GatewayTopics(lambda topic, payload: sent.append((topic, payload)), **options)
    server = NetworkServer(scheduler, front, 1, Settings(history=1000))
    front.serve(server)
    port = await server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            rig = Rig(scheduler, server, channel, channel_port=port)
            registered = await rig.provision()
            gateway = api.Gateway(
                gateway_id=NEAR, name="near", tenant_id=registered.tenant_id, stats_interval=30
            )
            await rig.call("GatewayService/Create", api.CreateGatewayRequest(gateway=gateway))
            yield Behind(rig, front, sent)
    finally:
        await server.stop()


async def test_a_device_joins_and_is_answered_over_topics() -> None:
    async with behind() as it:
        it.join()
        it.hear(it.rig.device.uplink(b"hello", confirmed=True))
        (command,) = it.commands
        assert it.sent[0][0] == TOPICS.down(NEAR)
        assert it.rig.device.take_downlink(command.items[0].phy_payload).ack
        assert [one.description for one in await it.rig.events()] == ["join", "up"]
        (up,) = await it.rig.bodies("up")
        assert up["rxInfo"][0]["uplinkId"] == 1


async def test_the_frame_counter_and_the_queue_go_on_only_when_the_gateway_says_ok() -> None:
    async with behind() as it:
        it.join()
        await it.rig.enqueue(b"one")
        for told in ("unanswered", "refused", "taken"):
            it.sent.clear()
            it.hear(it.rig.device.uplink(told.encode()))
            (command,) = it.commands
            down = it.rig.device.take_downlink(command.items[0].phy_payload)
            assert (down.f_cnt, down.data) == (0, b"one")
            if told == "refused":
                it.answer(command, "TOO_LATE", "COLLISION_PACKET")
            elif told == "taken":
                it.answer(command, "TOO_LATE", "OK")
        assert await it.rig.queue() == []
        (refused,) = await it.rig.bodies("log")
        assert (refused["code"], refused["description"]) == ("DOWNLINK_GATEWAY", "COLLISION_PACKET")
        (taken,) = await it.rig.bodies("txack")
        assert taken["downlinkId"] == command.downlink_id
        assert taken["txInfo"]["timing"]["delay"]["delay"] == "2s", "the second item was taken"


async def test_a_gateway_that_speaks_json_is_spoken_to_in_json() -> None:
    async with behind() as it:
        it.hear(it.rig.device.join_request(), form=Marshaler.JSON)
        assert json.loads(it.sent[0][1])["gatewayId"] == NEAR
        ack = gw.DownlinkTxAck(gateway_id=NEAR, downlink_id=it.commands[0].downlink_id)
        ack.items.add(status=gw.OK)
        it.front.received(TOPICS.ack(NEAR), ack.SerializeToString())
        it.rig.device.dev_nonce += 1
        it.hear(it.rig.device.join_request())
        assert not it.sent[1][1].startswith(b"{")


@pytest.mark.parametrize("allowed", [False, True])
async def test_an_unregistered_gateway_hears_for_nobody_unless_that_is_allowed(allowed: bool) -> None:
    async with behind(allow_unknown_gateways=allowed) as it:
        it.hear(it.rig.device.join_request(), gateway_id=FAR)
        assert len(it.sent) == (1 if allowed else 0)
        assert it.front.unknown == (0 if allowed else 1)


async def test_statistics_are_a_sign_of_life() -> None:
    async with behind() as it:
        request = api.GetGatewayRequest(gateway_id=NEAR)
        assert not (await it.rig.call("GatewayService/Get", request)).HasField("last_seen_at")
        stats = gw.GatewayStats(gateway_id=NEAR, metadata={"region": "eu868"})
        it.front.received(TOPICS.stats(NEAR), stats.SerializeToString())
        seen = await it.rig.call("GatewayService/Get", request)
        assert seen.last_seen_at.ToNanoseconds() == it.rig.scheduler.now_ns
        assert dict(seen.gateway.metadata) == {"region": "eu868"}


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (TOPICS.up(NEAR), b"\xff\xff"),
        (TOPICS.up(NEAR), b'{"gatewayId": '),
        (TOPICS.up(NEAR), gw.UplinkFrame(phy_payload=b"x", rx_info={"gateway_id": NEAR}).SerializeToString()),
        (f"eu868/gateway/{NEAR}/event/novelty", b""),
    ],
)
async def test_what_cannot_be_read_is_counted_and_disturbs_nobody(topic: str, payload: bytes) -> None:
    async with behind() as it:
        it.front.received(topic, payload)
        assert it.front.unreadable == 1
        it.join()


async def test_an_answer_to_nothing_or_with_too_many_items_changes_nothing() -> None:
    async with behind() as it:
        it.join()
        it.hear(it.rig.device.uplink(b"x", confirmed=True))
        (command,) = it.commands
        it.answer(command, "TOO_LATE", "OK", "OK")
        assert it.front.unreadable == 1
        it.answer(gw.DownlinkFrame(downlink_id=command.downlink_id ^ 1), "OK")
        it.sent.clear()
        it.hear(it.rig.device.uplink(b"x", confirmed=True))
        assert it.rig.device.take_downlink(it.commands[0].items[0].phy_payload).f_cnt == 0


async def test_commands_that_are_never_answered_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_topics, "MOST_WAITING", 2)
    async with behind() as it:
        it.join()
        for _ in range(3):
            it.hear(it.rig.device.uplink(b"x", confirmed=True))
        first, _, last = it.commands
        counters = [it.rig.device.take_downlink(first.items[0].phy_payload).f_cnt]
        for command in (first, last):
            it.answer(command, "OK", "IGNORED")
            it.sent.clear()
            it.hear(it.rig.device.uplink(b"x", confirmed=True))
            counters.append(it.rig.device.take_downlink(it.commands[0].items[0].phy_payload).f_cnt)
        assert counters == [0, 0, 1]


def test_the_subscription_is_shared_as_chirpstacks_is() -> None:
    assert GatewayTopics(print).subscription == "$share/chirpstack/eu868/gateway/+/event/+"
    assert GatewayTopics(print, prefix="").subscription == "$share/chirpstack/gateway/+/event/+"
