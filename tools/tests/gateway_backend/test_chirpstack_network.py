"""A network server as a run uses it: opened and left in good order, whatever happens between; watched while it goes on."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from chirpstack_api import api, gw
from grpc import aio

from tools.tests.city.conftest import DAY, local_times, table_text
from tools.tests.gateway_backend.listener import listening
from tools.tests.gateway_backend.stand_in_server import StandIn, stand_in
from tools.tests.network_server.virtual_device import VirtualDevice
from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.city_table import read_city
from zaehlwerk_tools.errors import BrokerError
from zaehlwerk_tools.gateway_backend import chirpstack_network
from zaehlwerk_tools.gateway_backend.addresses import ApiAddress, MqttAddress
from zaehlwerk_tools.gateway_backend.chirpstack_network import ChirpStackNetwork
from zaehlwerk_tools.gateway_backend.diagnosis import SILENCE_S
from zaehlwerk_tools.gateway_backend.played_day import lead_s, play_now
from zaehlwerk_tools.gateway_backend.real_server import RealServer
from zaehlwerk_tools.gateway_backend.server_api import NetworkServerError
from zaehlwerk_tools.gateway_backend.wall_clock import NS, WallClock
from zaehlwerk_tools.plan import Plan
from zaehlwerk_tools.simulator.air_frames import Heard

NOON_NS = 1_792_404_000 * NS  # 19 October 2026, 10:00 UTC, noon in the tables


def plan_of(folder: Path, broker: BrokerProcess, server: StandIn, **more: Any) -> Plan:
    """A plan for one station, whose first quarter-hour begins as late as it may."""
    tables = folder / "tables"
    tables.mkdir(exist_ok=True)
    (tables / "teststrasse.csv").write_text(table_text(local_times(DAY)), encoding="utf-8")
    city = read_city(tables)
    clock = WallClock(NOON_NS - lead_s(1) * NS)
    played = play_now(city, city.stations, NOON_NS - lead_s(1) * NS, 15, DAY)
    real = RealServer(
        mqtt=MqttAddress(broker.address.host, broker.address.port),
        api=ApiAddress("127.0.0.1", server.port),
        api_key_file=server.key_file(),
        clock=clock,
        table_start=played.table_start,
        **more,
    )
    return Plan(city, played.stations, DAY, 1, played.slots, folder, server=real)


@asynccontextmanager
async def served(broker: BrokerProcess, folder: Path) -> AsyncIterator[StandIn]:
    clock = WallClock(NOON_NS - lead_s(1) * NS)
    async with stand_in(broker.address, folder, clock) as server:
        yield server


async def names(server: StandIn) -> dict[str, list[str]]:
    """What is at the server, by name."""
    async with aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        metadata = (("authorization", f"Bearer {server.server.admin_key}"),)
        tenants = await api.TenantServiceStub(channel).List(
            api.ListTenantsRequest(limit=100), metadata=metadata
        )
        gateways = await api.GatewayServiceStub(channel).List(
            api.ListGatewaysRequest(limit=100), metadata=metadata
        )
    return {
        "tenants": [tenant.name for tenant in tenants.result],
        "gateways": [gateway.name for gateway in gateways.result],
    }


OWN = {"tenants": ["ChirpStack"], "gateways": []}


class ScriptedAir:
    """Sends everything."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []
        self.offered = asyncio.Event()

    def downlink(self, *what: Any) -> None:
        self.sent.append(what)
        self.offered.set()


async def test_the_bridge_is_told_where_the_server_is_and_afterwards_nothing_is_left(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    async with served(broker, tmp_path) as server, listening(broker.address) as listener:
        plan = plan_of(tmp_path, broker, server)
        assert plan.server is not None
        network = ChirpStackNetwork(plan)
        async with network.opened() as settings:
            assert settings.server == f"127.0.0.1:{server.port}"
            assert settings.insecure
            assert settings.api_key_file.read_text("ascii").strip() == server.server.admin_key
            there = await names(server)
            assert plan.server.identity.name in there["tenants"]
            assert len(there["gateways"]) == len(network.gateways) == 3
        assert await names(server) == OWN
        await listener.drained()
        last = {topic: payload for topic, payload in listener.heard if topic.endswith("/state/conn")}
        assert len(last) == 3
        assert set(last.values()) == {b""}, "no retained state of a gateway that is gone"
        assert not any("not removed" in note for note in network.notes())


async def test_what_shall_be_kept_is_kept_and_named(broker: BrokerProcess, tmp_path: Path) -> None:
    async with served(broker, tmp_path) as server:
        plan = plan_of(tmp_path, broker, server, keep=True)
        assert plan.server is not None
        network = ChirpStackNetwork(plan)
        async with network.opened():
            pass
        assert plan.server.identity.name in (await names(server))["tenants"]
        assert f"kept at the network server: all that is named {plan.server.identity.name}" in network.notes()


async def test_a_run_that_fails_leaves_nothing_behind_either(broker: BrokerProcess, tmp_path: Path) -> None:
    async with served(broker, tmp_path) as server:
        network = ChirpStackNetwork(plan_of(tmp_path, broker, server))
        with pytest.raises(RuntimeError, match="in the middle"):
            async with network.opened():
                raise RuntimeError("in the middle")
        assert await names(server) == OWN


async def test_a_run_that_is_interrupted_leaves_nothing_behind_either(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    async with served(broker, tmp_path) as server:
        network = ChirpStackNetwork(plan_of(tmp_path, broker, server))
        inside = asyncio.Event()

        async def run() -> None:
            async with network.opened():
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(run())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await names(server) == OWN


async def test_what_a_failing_run_could_not_remove_is_said_on_stderr(
    broker: BrokerProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with served(broker, tmp_path) as server:
        network = ChirpStackNetwork(plan_of(tmp_path, broker, server))

        async def run() -> None:
            async with network.opened():
                server.server.outage(True)
                raise RuntimeError("the server went away")

        with pytest.raises(RuntimeError):
            await run()
    assert (
        "zaehlwerk: not removed from the network server: tenant zaehlwerk-simulation-"
        in capsys.readouterr().err
    )


async def test_a_broker_that_is_not_there_is_told_before_anything_is_registered(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    async with served(broker, tmp_path) as server:
        plan = plan_of(tmp_path, broker, server)
        assert plan.server is not None
        nowhere = dataclasses.replace(plan.server, mqtt=MqttAddress("127.0.0.1", 1))
        network = ChirpStackNetwork(dataclasses.replace(plan, server=nowhere))
        with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1 cannot be reached"):
            async with network.opened():
                pytest.fail("it cannot be opened")
        assert await names(server) == OWN


async def test_time_begins_with_the_boards_and_downlinks_reach_their_air(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    async with served(broker, tmp_path) as server:
        plan = plan_of(tmp_path, broker, server)
        network = ChirpStackNetwork(plan)
        async with network.opened():
            await network.begin()
            assert plan.server is not None
            clock = plan.server.clock
            assert 0 < network.begin_ns - clock.now_ns() < NS
            air = ScriptedAir()
            network.attach(air)  # type: ignore[arg-type]
            (node,) = network.nodes
            device = VirtualDevice(node.dev_eui, node.app_key)
            end_ns = clock.now_ns()
            await network.scheduler.run(end_ns)
            gateway = next(iter(network.gateways))
            network.heard(
                end_ns, device.join_request(), Heard(gateway, 868_100_000, 9, 125_000, -110, -20.0, 0)
            )
            async with asyncio.timeout(15):
                await air.offered.wait()
            gateway_id, start_ns, frequency, sf, bandwidth, power, phy = air.sent[0]
            assert (gateway_id, start_ns - end_ns) == (gateway, 5 * NS)
            assert (frequency, sf, bandwidth, power) == (868_100_000, 9, 125_000, 16)
            device.take_join_accept(phy)
            network.check()
            board = network.board(node)
            assert board.boot_ns == network.begin_ns
        notes = "\n".join(network.notes())
        assert "1 of them join accepts" in notes
        assert "the table was played from 2026-06-18 12:00 on" in notes
        assert '"join_accepts": 1' in network.artifacts()["network.json"]


@pytest.mark.parametrize("events", [0, 1])
async def test_a_server_that_shows_the_bridge_nothing_is_told(
    broker: BrokerProcess, tmp_path: Path, events: int
) -> None:
    async with served(broker, tmp_path) as server:
        network = ChirpStackNetwork(plan_of(tmp_path, broker, server))
        bridge = SimpleNamespace(counts=SimpleNamespace(events=events))
        network.follow(bridge, tmp_path)  # type: ignore[arg-type]
        async with network.opened(), listening(broker.address) as listener:
            gateway = next(iter(network.gateways))
            frame = gw.DownlinkFrame(gateway_id=gateway, items=[gw.DownlinkFrameItem(phy_payload=b"x")])
            listener.say(f"eu868/gateway/{gateway}/command/down", frame.SerializeToString())
            await listener.until(lambda: any(topic.endswith("/ack") for topic, _ in listener.heard))
        told = [note for note in network.notes() if "per_device_event_log_max_history" in note]
        assert len(told) == (0 if events else 1)


async def test_a_setting_up_that_took_too_long_is_told(broker: BrokerProcess, tmp_path: Path) -> None:
    async with served(broker, tmp_path) as server:
        plan = plan_of(tmp_path, broker, server)
        assert plan.server is not None
        late = WallClock(NOON_NS - (chirpstack_network.LEAST_LEAD_S - 1) * NS)
        network = ChirpStackNetwork(
            dataclasses.replace(plan, server=dataclasses.replace(plan.server, clock=late))
        )
        with pytest.raises(NetworkServerError, match=r"setting up took too long.*try again"):
            await network.begin()


async def test_a_server_that_never_answers_ends_the_run(broker: BrokerProcess, tmp_path: Path) -> None:
    async with served(broker, tmp_path) as server:
        plan = plan_of(tmp_path, broker, server)
        assert plan.server is not None
        network = ChirpStackNetwork(plan)
        async with network.opened():
            gateway = next(iter(network.gateways))
            heard = Heard(gateway, 868_100_000, 9, 125_000, -110, -20.0, 0)
            now = plan.server.clock.now_ns()
            for number in range(3):
                stranger = VirtualDevice("ff" * 8, dev_nonce=number)
                network.heard(now - round(SILENCE_S * NS) + number, stranger.join_request(), heard)
            with pytest.raises(NetworkServerError, match="3 join requests went to the network server"):
                network.check()


async def test_a_broker_that_stays_away_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chirpstack_network, "AWAY_S", 0.2)
    (tmp_path / "gateways").mkdir()
    async with await BrokerProcess.start(tmp_path / "gateways") as broker, served(broker, tmp_path) as server:
        plan = plan_of(tmp_path, broker, server)
        network = ChirpStackNetwork(plan)

        async def run() -> None:
            async with network.opened():
                network.check()
                await broker.stop()
                async with asyncio.timeout(15):
                    while True:
                        network.check()
                        await asyncio.sleep(0.05)

        with pytest.raises(BrokerError, match="has been away"):
            await run()
        assert await names(server) == OWN
