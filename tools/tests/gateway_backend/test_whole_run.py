"""A whole run in front of a network server that is reached as ChirpStack is: real broker, real topics, real API.

Both sides share a clock that goes faster than the world, so that a quarter-hour takes half a minute.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from chirpstack_api import api
from grpc import aio

from tools.tests.gateway_backend.stand_in_server import StandIn, stand_in
from zaehlwerk_tools import city
from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.comparison import compare
from zaehlwerk_tools.gateway_backend.played_day import lead_s
from zaehlwerk_tools.gateway_backend.real_server import ServerOptions, real_server
from zaehlwerk_tools.gateway_backend.wall_clock import NS, WallClock
from zaehlwerk_tools.plan import Plan
from zaehlwerk_tools.request import Request, make_plan

MUENSTER = Path(__file__).resolve().parents[2] / "zaehlwerk_tools" / "data" / "muenster"
PACE = 30
BESIDE = 3
"""Pulses that may stand in the interval beside theirs: a tenth of a second for which the machine has others to serve while
the node learns the time is three seconds there."""
NOON_NS = 1_792_404_000 * NS  # 19 October 2026, 10:00 UTC, noon in Münster


async def count(server: StandIn, request: object, method: str) -> int:
    """How many things a list call of the server's API tells of."""
    async with aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        service, name = method.split("/")
        stub = getattr(api, f"{service}Stub")(channel)
        metadata = (("authorization", f"Bearer {server.server.admin_key}"),)
        return int((await getattr(stub, name)(request, metadata=metadata)).total_count)


def plan_of(workdir: Path, gateways: BrokerProcess, server: StandIn, clock: WallClock) -> Plan:
    options = ServerOptions(
        network="chirpstack",
        mqtt_url=f"mqtt://{gateways.address.host}:{gateways.address.port}",
        api_url=server.api_url,
        api_key_file=server.key_file(),
        minutes=15,
    )
    real = real_server(options)
    assert real is not None
    workdir.mkdir()
    request = Request(data=MUENSTER, day="2026-06-18", stations="neutor", loss=0.0, server=options)
    plan = make_plan(request, workdir, dataclasses.replace(real, clock=clock))
    assert plan.server is not None
    return plan


async def test_a_quarter_hour_is_counted_exactly_through_topics_and_api(tmp_path: Path) -> None:
    (tmp_path / "gateways").mkdir()
    async with await BrokerProcess.start(tmp_path / "gateways") as gateways:
        clock = WallClock(NOON_NS - (lead_s(1) + 5 * PACE) * NS, PACE)
        async with stand_in(gateways.address, tmp_path, clock) as server:
            plan = plan_of(tmp_path / "run", gateways, server, clock)
            assert plan.start_ns == NOON_NS
            result = await city.run_city(plan, lambda _: None)
            left = [
                await count(server, api.ListTenantsRequest(), "TenantService/List"),
                await count(server, api.ListGatewaysRequest(), "GatewayService/List"),
            ]
    comparison = compare(plan, result.records)
    assert comparison.total("published") == comparison.total("pulses") > 50
    assert (comparison.total("lost"), comparison.total("duplicated")) == (0, 0)
    assert (comparison.spans, comparison.strangers) == (0, ())
    assert comparison.total("misplaced") <= BESIDE
    assert result.settled
    told = json.loads(result.artifacts["network.json"])
    assert told["join_accepts"] >= 1
    assert told["time_answers"] >= 1
    assert told["frames"] > told["join_requests"]
    assert told["receptions"] > told["frames"], "more than one gateway hears a frame"
    assert told["unreadable"] == told["dropped"] == 0
    assert left == [1, 0], "of the run nothing is left but ChirpStack's own tenant"
