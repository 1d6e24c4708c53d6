"""What stands behind a city's air: a network server, its time, and the nodes that are registered there.

`EmbeddedNetwork` is the stand-in in virtual time. A real network server is in `gateway_backend`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

from grpc import aio

from zaehlwerk_bridge.clock import Clock
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.settings import ChirpStackSettings
from zaehlwerk_tools.city_bridge import embedded_server
from zaehlwerk_tools.city_node import CityNode, first_boot_ns
from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.local_time import NS, SLOT_S
from zaehlwerk_tools.network_server import reception
from zaehlwerk_tools.network_server.server import NetworkServer
from zaehlwerk_tools.network_server.settings import Settings as NetworkSettings
from zaehlwerk_tools.plan import OutageKind, Plan
from zaehlwerk_tools.provisioning import Plan as Registration
from zaehlwerk_tools.provisioning import provision
from zaehlwerk_tools.simulator.air import Air
from zaehlwerk_tools.simulator.air_frames import Heard
from zaehlwerk_tools.simulator.board_spec import BoardSpec
from zaehlwerk_tools.simulator.clock import VirtualClock
from zaehlwerk_tools.simulator.propagation import Place
from zaehlwerk_tools.simulator.scheduler import Scheduler

PLACES = (Place(0.0, 0.0), Place(900.0, -500.0), Place(-700.0, 800.0))
"""Of the gateways, in metres: three of them, so that most frames are heard more than once."""
GATEWAYS = dict(zip(("0102030405060708", "0102030405060709", "010203040506070a"), PLACES, strict=True))
HISTORY = 100
"""Events that the network server keeps per device, as operators are told to set it."""
STEP_S = SLOT_S // 3
"""Virtual seconds between two looks at how far the run is."""


class CityNetwork(Protocol):
    """A network server as a city's run needs it."""

    scheduler: Scheduler
    nodes: Sequence[CityNode]
    gateways: Mapping[str, Place]
    """EUI and place."""
    clock: Clock
    """For the bridge."""
    begin_ns: int
    """When the run begins, UTC Unix nanoseconds."""
    step_s: float
    """Seconds of the run between two looks at how far it is; `settle_step_s` after the last quarter-hour."""
    settle_step_s: float

    def opened(self) -> AbstractAsyncContextManager[ChirpStackSettings]:
        """The server, serving, with gateways and nodes registered: where the bridge finds it."""
        ...

    def board(self, node: CityNode) -> BoardSpec:
        """The node's board."""
        ...

    async def begin(self) -> None:
        """The bridge is up, the boards are about to be made: `scheduler` and `begin_ns` hold from now on."""
        ...

    def attach(self, air: Air) -> None:
        """Downlinks go to `air` from now on."""
        ...

    def heard(self, end_ns: int, phy: bytes, heard: Heard) -> None:
        """A gateway heard a frame; called by the air."""
        ...

    def follow(self, bridge: Bridge, log: Path) -> None:
        """The bridge, which writes to `log`, is up."""
        ...

    def check(self) -> None:
        """Raises ZaehlwerkError if the run cannot come to a good end any more."""
        ...

    async def leave(self) -> None:
        """The boards are off and the bridge is done: nothing more is wanted. Called once, before the results are told."""
        ...

    def notes(self) -> Sequence[str]:
        """What a person should know of this side of the run, in words."""
        ...

    def artifacts(self) -> Mapping[str, str]:
        """File name to text, to be kept with the results."""
        ...


class EmbeddedNetwork:
    """The stand-in for ChirpStack, in the city's own virtual time. `patience_s`: real seconds that a bridge may take."""

    def __init__(self, plan: Plan, patience_s: float) -> None:
        self.nodes: Sequence[CityNode] = [
            CityNode.of(number, station, plan.seed) for number, station in enumerate(plan.stations, 1)
        ]
        self.gateways: Mapping[str, Place] = GATEWAYS
        self.begin_ns = first_boot_ns(plan)
        self.step_s: float = STEP_S
        self.settle_step_s: float = SLOT_S
        self.scheduler = Scheduler(self.begin_ns - NS, pace=plan.real_time)
        self._virtual = VirtualClock(self.scheduler, grace_s=patience_s)
        self.clock: Clock = self._virtual
        self._plan = plan
        self._patience_s = patience_s
        self._air: Air | None = None
        self._server = NetworkServer(self.scheduler, self._send, plan.seed, NetworkSettings(history=HISTORY))
        self._outages = [outage for outage in plan.outages if outage.kind is OutageKind.SERVER]

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[ChirpStackSettings]:
        """The stand-in, serving on loopback."""
        port = await self._server.start()
        try:
            async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                nodes = [node.registration() for node in self.nodes]
                registration = Registration("Zählstellen", nodes, tenant=self._plan.city.title)
                registered = await provision(channel, self._server.admin_key, registration)
            yield embedded_server(self._plan.workdir, port, registered.tenant_id, self._server.admin_key)
        finally:
            await self._server.stop()

    def board(self, node: CityNode) -> BoardSpec:
        """The node's board, hours ahead."""
        return node.board(self._plan)

    async def begin(self) -> None:
        """Virtual time begins when it is made to."""

    def attach(self, air: Air) -> None:
        """Downlinks go to `air` from now on."""
        self._air = air
        for outage in self._outages:
            self.scheduler.at(outage.end_ns, self._server.forget_sessions)

    def heard(self, end_ns: int, phy: bytes, heard: Heard) -> None:
        """A gateway heard a frame."""
        if any(outage.start_ns <= end_ns < outage.end_ns for outage in self._outages):
            return
        self._server.uplink(
            end_ns,
            phy,
            reception.Reception(
                heard.gateway_id,
                heard.frequency,
                heard.sf,
                heard.bandwidth,
                heard.rssi,
                heard.snr,
                heard.channel,
            ),
        )

    def follow(self, bridge: Bridge, log: Path) -> None:
        """From now on time stands until the bridge has stored what was delivered to it."""
        self._server.on_delivered = lambda dev_eui, item: self.scheduler.hold(
            _stored(bridge, dev_eui, item, log, self._patience_s)
        )

    def check(self) -> None:
        """The stand-in is part of us: what goes wrong there is raised there."""

    async def leave(self) -> None:
        """Nothing is left anywhere."""

    def notes(self) -> Sequence[str]:
        """Whether the run can be repeated."""
        if not self._virtual.overdue:
            return []
        return [
            f"time went on without the bridge {self._virtual.overdue} times: this run need not repeat exactly"
        ]

    def artifacts(self) -> Mapping[str, str]:
        """None."""
        return {}

    def _send(self, down: reception.Downlink) -> str | None:
        assert self._air is not None, "a downlink before there is an air"
        return self._air.downlink(
            down.gateway_id, down.start_ns, down.frequency, down.sf, down.bandwidth, down.power, down.phy
        )


async def _stored(bridge: Bridge, dev_eui: str, item: str, log: Path, patience_s: float) -> None:
    try:
        async with asyncio.timeout(patience_s):
            await bridge.committed(dev_eui, item)
    except TimeoutError:
        raise ZaehlwerkError(
            f"the bridge has stored nothing for {patience_s:.0f} s{_last_line(log)}"
        ) from None


def _last_line(log: Path) -> str:
    last = log.read_text(encoding="utf-8").strip().splitlines()[-1:]
    return f"; it says: {last[0]}" if last else ""
