"""Before a run it is known whether the server hears the gateways, and what to check if not; the same of its silence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from chirpstack_api import gw

from tools.tests.gateway_backend.listener import listening
from tools.tests.gateway_backend.stand_in_server import StandIn, stand_in
from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.errors import BrokerError
from zaehlwerk_tools.gateway_backend.addresses import ApiAddress, MqttAddress
from zaehlwerk_tools.gateway_backend.diagnosis import (
    SILENCE_S,
    is_silent,
    silence,
    skew_ns,
    skew_told,
    stats_trouble,
)
from zaehlwerk_tools.gateway_backend.exchange import Exchange
from zaehlwerk_tools.gateway_backend.gateway_time import NS
from zaehlwerk_tools.gateway_backend.identity import RunIdentity
from zaehlwerk_tools.gateway_backend.marshaler import Marshaler
from zaehlwerk_tools.gateway_backend.preflight import preflight
from zaehlwerk_tools.gateway_backend.registration import Registration
from zaehlwerk_tools.gateway_backend.server_api import NetworkServerError, ServerApi
from zaehlwerk_tools.gateway_backend.topics import Topics
from zaehlwerk_tools.gateway_backend.virtual_gateways import VirtualGateways
from zaehlwerk_tools.gateway_backend.wall_clock import WallClock

IDENTITY = RunIdentity("3fa9c1")
GATEWAYS = [IDENTITY.gateway_id(1), IDENTITY.gateway_id(2)]
BROKER, API = MqttAddress("broker", 1883), ApiAddress("server", 8080)
NOW_NS = 1_792_404_000 * NS


@asynccontextmanager
async def registered(
    broker: BrokerProcess, server: StandIn, *, prefix: str = "eu868"
) -> AsyncIterator[tuple[VirtualGateways, Registration, Topics]]:
    """Gateways that are registered and connected."""
    topics = Topics(prefix)
    address = MqttAddress(broker.address.host, broker.address.port)
    gateways = VirtualGateways(GATEWAYS, address, topics, Marshaler.PROTOBUF, WallClock().now_ns)
    async with ServerApi(ApiAddress("127.0.0.1", server.port), server.server.admin_key) as calls:
        registration = Registration(calls, IDENTITY, GATEWAYS, [])
        await registration.register()
        await gateways.connect()
        try:
            yield gateways, registration, topics
        finally:
            await gateways.close(forget=True)


async def checked(
    broker: BrokerProcess, server: StandIn, *, prefix: str = "eu868", ours: WallClock | None = None
) -> str | None:
    async with registered(broker, server, prefix=prefix) as (gateways, registration, topics):
        address = MqttAddress(broker.address.host, broker.address.port)
        clock = ours or WallClock()
        return await preflight(gateways, registration, topics, address, API, clock.now_ns, seen_s=1.0)


async def test_gateways_that_are_heard_pass_in_silence(broker: BrokerProcess, tmp_path: Path) -> None:
    async with stand_in(broker.address, tmp_path) as server:
        assert await checked(broker, server) is None


async def test_another_prefix_is_told_before_anything_is_sent_in_vain(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    async with stand_in(broker.address, tmp_path, prefix="us915_0") as server:
        with pytest.raises(BrokerError) as told:
            await checked(broker, server)
    assert f"has subscribed to eu868/gateway/{GATEWAYS[0]}/event/stats" in str(told.value)
    assert "its region has another topic_prefix than --mqtt-topic-prefix says" in str(told.value)


async def test_a_server_that_does_not_see_the_gateways_is_told_although_somebody_listens(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    async with stand_in(broker.address, tmp_path, prefix="us915_0") as server, listening(broker.address):
        with pytest.raises(NetworkServerError) as told:
            await checked(broker, server)
    assert f"the network server at {API} has not seen the gateway {GATEWAYS[0]} within 1 s" in str(told.value)
    assert "check that the server reads this very broker" in str(told.value)


@pytest.mark.parametrize(
    ("ahead_s", "says"), [(30, "s ahead of this machine's"), (-30, "s behind this machine's")]
)
async def test_clocks_that_differ_are_told(
    broker: BrokerProcess, tmp_path: Path, ahead_s: int, says: str
) -> None:
    ours = WallClock()
    theirs = WallClock(ours.now_ns() + ahead_s * NS)
    async with stand_in(broker.address, tmp_path, theirs) as server:
        told = await checked(broker, server, ours=ours)
    assert told is not None
    assert says in told
    assert "check NTP on both" in told


async def test_clocks_that_differ_by_minutes_end_it(broker: BrokerProcess, tmp_path: Path) -> None:
    ours = WallClock()
    theirs = WallClock(ours.now_ns() + 300 * NS)
    async with stand_in(broker.address, tmp_path, theirs) as server:
        with pytest.raises(NetworkServerError, match="within 60 s of each other"):
            await checked(broker, server, ours=ours)


@pytest.mark.parametrize(("server_s", "skew_s"), [(100, 0), (105, 0), (110, 0), (95, -5), (112, 2)])
def test_only_what_the_way_cannot_explain_is_skew(server_s: int, skew_s: int) -> None:
    assert skew_ns(100 * NS, server_s * NS, 110 * NS) == skew_s * NS


def test_a_small_skew_is_not_worth_telling() -> None:
    assert skew_told(NS - 1, API) is None
    assert (
        skew_told(-NS, API)
        == "the clock of the network server at server:8080 is 1.0 s behind this machine's: check NTP on both"
    )


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (None, "does not acknowledge"),
        (0x10, "nobody"),
        (0x87, "does not let us send"),
        (0x97, "reason code 151"),
    ],
)
def test_every_reason_code_but_success_is_told(code: int | None, says: str) -> None:
    told = stats_trouble(code, "topic", BROKER)
    assert told is not None
    assert says in told
    assert stats_trouble(0, "topic", BROKER) is None


JOIN, DATA = b"\x00" + bytes(22), b"\x40" + bytes(12)


def exchange(*frames: bytes) -> Exchange:
    """An exchange in which these frames were heard, one a second."""
    made = Exchange()
    for second, phy in enumerate(frames):
        end_ns = NOW_NS + second * NS
        made.heard(end_ns, phy + bytes([second]), end_ns)
    return made


def test_a_server_is_silent_when_joins_go_unanswered_for_two_minutes() -> None:
    late = NOW_NS + round(SILENCE_S * NS)
    assert is_silent(exchange(JOIN, JOIN, JOIN), late)
    assert not is_silent(exchange(JOIN, JOIN, JOIN), late - 1), "too soon to say"
    assert not is_silent(exchange(JOIN, JOIN), late), "two requests can be lost"
    assert not is_silent(exchange(JOIN, DATA, DATA), late), "data need no answer"
    assert not is_silent(Exchange(), late)


def test_one_downlink_shows_that_the_way_is_open() -> None:
    answered = exchange(JOIN, JOIN, JOIN)
    command = gw.DownlinkFrame(items=[gw.DownlinkFrameItem(phy_payload=b"\x20" + bytes(32))])
    answered.commanded(command, gw.DownlinkTxAck(items=[gw.DownlinkTxAckItem(status=gw.TOO_LATE)]))
    assert not is_silent(answered, NOW_NS + 3600 * NS)
    assert (answered.join_accepts, answered.too_late) == (1, 1)


def test_silence_is_told_with_the_places_to_look_at() -> None:
    told = silence(exchange(JOIN, JOIN, JOIN), Topics("eu868"), GATEWAYS[0], BROKER, IDENTITY.name)
    assert told.startswith("3 join requests went to the network server and no downlink came back")
    for place in (IDENTITY.name, "UPLINK_MIC", f"eu868/gateway/{GATEWAYS[0]}/command/down", "broker:1883"):
        assert place in told


def test_the_exchange_is_told_in_words_and_numbers() -> None:
    made = exchange(JOIN, DATA)
    made.heard(NOW_NS + NS, DATA + b"\x01", NOW_NS + NS + 40_000_000)  # a second gateway, 40 ms late
    phy = bytes.fromhex("60c15990018e01000214010dc0332e581d0351ff0001d1935dfc")
    command = gw.DownlinkFrame(items=[gw.DownlinkFrameItem(phy_payload=phy)])
    for status in (gw.OK, gw.TOO_LATE, gw.COLLISION_PACKET):
        made.commanded(command, gw.DownlinkTxAck(items=[gw.DownlinkTxAckItem(status=status)]))
    for margin in (700, 650, 680):
        made.sent(NOW_NS + margin * 1_000_000, NOW_NS)
    made.unreadable = 1
    assert made.numbers() == {
        "receptions": 3,
        "frames": 2,
        "join_requests": 1,
        "commands": 3,
        "join_accepts": 0,
        "adr_requests": 3,
        "time_answers": 3,
        "too_late": 1,
        "refused": 2,
        "unreadable": 1,
        "least_margin_ms": 650,
        "late_ms": 40,
    }
    assert list(made.lines()) == [
        "uplinks to the network server: 2 frames in 3 messages, 1 of them join requests",
        (
            "downlinks from it: 3, 0 of them join accepts, 3 with LinkADRReq, 3 with DeviceTimeAns; 1 came too late; "
            "tightest 650 ms ahead"
        ),
        "downlinks that no gateway could send: 1 COLLISION_PACKET",
        "commands that could not be read: 1; is the server's gw.proto another one?",
    ]


async def test_the_clock_of_a_run_goes_on_at_its_pace() -> None:
    clock = WallClock(NOW_NS, pace=1000)
    await clock.sleep(5)
    passed = clock.now_ns() - NOW_NS
    assert passed >= 5 * NS
    await clock.sleep(-1)
    clock.away()
    with pytest.raises(ValueError, match="must be positive"):
        WallClock(pace=0)
