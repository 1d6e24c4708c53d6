"""A real ChirpStack behind a city's air: through its gateway topics and its API, in real time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from zaehlwerk_bridge.clock import Clock
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.settings import ChirpStackSettings
from zaehlwerk_tools.city_network import PLACES
from zaehlwerk_tools.city_node import CityNode
from zaehlwerk_tools.errors import BrokerError
from zaehlwerk_tools.gateway_backend.addresses import read_secret
from zaehlwerk_tools.gateway_backend.diagnosis import is_silent, silence
from zaehlwerk_tools.gateway_backend.downlinks import Transmission
from zaehlwerk_tools.gateway_backend.gateway_stats import INTERVAL_S
from zaehlwerk_tools.gateway_backend.marshaler import Marshaler
from zaehlwerk_tools.gateway_backend.nodes import board_of, nodes_of
from zaehlwerk_tools.gateway_backend.played_day import STAGGER_S
from zaehlwerk_tools.gateway_backend.preflight import preflight
from zaehlwerk_tools.gateway_backend.registration import Registration
from zaehlwerk_tools.gateway_backend.server_api import NetworkServerError, ServerApi
from zaehlwerk_tools.gateway_backend.virtual_gateways import VirtualGateways
from zaehlwerk_tools.plan import Plan
from zaehlwerk_tools.simulator.air import Air
from zaehlwerk_tools.simulator.air_frames import Heard
from zaehlwerk_tools.simulator.board_spec import BoardSpec
from zaehlwerk_tools.simulator.propagation import Place
from zaehlwerk_tools.simulator.scheduler import NS, Scheduler

LEAST_LEAD_S = 90
"""Seconds that the last board must have to join and to know the time; with less a run would begin badly."""
LOOK_S, SETTLE_LOOK_S = 15.0, 20.0
AWAY_S = 60.0
"""So long the gateways' broker may be away: then so much is lost that the run shows nothing."""
LEAVE_S = 30.0
"""Real seconds for disconnecting and for removing what was registered."""
TOLD_DRIFT_S = 1.0


class ChirpStackNetwork:
    """The network server that `plan.server` names. A CityNetwork."""

    scheduler: Scheduler

    def __init__(self, plan: Plan) -> None:
        assert plan.server is not None
        server = self._server = plan.server
        identity = server.identity
        self.nodes: Sequence[CityNode] = nodes_of(plan.stations, identity)
        self.gateways: Mapping[str, Place] = {
            identity.gateway_id(number): place for number, place in enumerate(PLACES, 1)
        }
        self.clock: Clock = server.clock
        self.begin_ns = server.clock.now_ns()
        self.step_s, self.settle_step_s = LOOK_S, SETTLE_LOOK_S
        self._plan = plan
        marshaler = Marshaler.JSON if server.in_json else Marshaler.PROTOBUF
        self._virtual = VirtualGateways(
            self.gateways, server.mqtt, server.topics, marshaler, server.clock.now_ns
        )
        self._registration: Registration | None = None
        self._statistics: asyncio.Task[None] | None = None
        self._away_since_ns: int | None = None
        self._remarks: list[str] = []
        self._left = False
        self._bridge: Bridge | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[ChirpStackSettings]:
        """Gateways connected, gateways and nodes registered, and the server has seen the gateways.

        What was registered is removed at the end, unless it shall be kept. Raises BrokerError or NetworkServerError.
        """
        server = self._server
        token = read_secret(server.api_key_file, "--api-key-file")
        async with ServerApi(server.api, token) as api:
            nodes = [node.registration() for node in self.nodes]
            self._registration = Registration(
                api, server.identity, list(self.gateways), nodes, server.tenant_id
            )
            try:
                await self._virtual.connect()
                await self._registration.register()
                skew = await preflight(
                    self._virtual,
                    self._registration,
                    server.topics,
                    server.mqtt,
                    server.api,
                    server.clock.now_ns,
                )
                self._remarks += [skew] if skew else []
                yield ChirpStackSettings(
                    server=str(server.api),
                    tenants=[self._registration.tenant_id],
                    api_key_file=server.api_key_file,
                    insecure=not server.api.tls,
                    ca_file=server.api.ca_file,
                )
            except BaseException:
                await self.leave()
                # Nobody tells the remarks of a run that fails.
                sys.stderr.writelines(f"zaehlwerk: {remark}\n" for remark in self._remarks)
                raise
            else:
                await self.leave()

    async def begin(self) -> None:
        """Time on the air begins now. Raises NetworkServerError if too little of it is left."""
        now = self._server.clock.now_ns()
        left_s = (self._plan.start_ns - now) / NS - STAGGER_S * len(self.nodes)
        if left_s < LEAST_LEAD_S:
            raise NetworkServerError(
                f"setting up took too long: the last node would have {max(0.0, left_s):.0f} s before the first "
                "quarter-hour to join and to know the time; try again"
            )
        self.begin_ns = now + NS
        self.scheduler = Scheduler(now, pace=self._server.clock.pace)
        await self.scheduler.run(now)  # from now on its time goes with the clock
        self._statistics = asyncio.create_task(self._tell_statistics(), name="gateway statistics")

    def board(self, node: CityNode) -> BoardSpec:
        """The node's board, switched on in its turn."""
        return board_of(node, self._plan, self.begin_ns)

    def attach(self, air: Air) -> None:
        """Downlinks go to `air` from now on."""

        def transmit(planned: Transmission) -> str | None:
            return air.downlink(
                planned.gateway_id,
                planned.start_ns,
                planned.frequency,
                planned.sf,
                planned.bandwidth,
                planned.power,
                planned.phy,
            )

        self._virtual.attach(transmit, lambda: self.scheduler.now_ns, self.scheduler.fail)

    def heard(self, end_ns: int, phy: bytes, heard: Heard) -> None:
        """A gateway heard a frame."""
        self._virtual.heard(end_ns, phy, heard)

    def follow(self, bridge: Bridge, log: Path) -> None:
        """The bridge lives in the same real time: nobody waits for it, but it is asked at the end what it got."""
        self._bridge = bridge

    def check(self) -> None:
        """Raises BrokerError if the broker stays away, NetworkServerError if the server does not answer the nodes."""
        now = self._server.clock.now_ns()
        if all(link.connected for link in self._virtual.links.values()):
            self._away_since_ns = None
        elif self._away_since_ns is None:
            self._away_since_ns = now
        elif now - self._away_since_ns >= AWAY_S * NS:
            raise BrokerError(
                f"the gateways' broker {self._server.mqtt} has been away for {AWAY_S:.0f} s: nothing reaches the "
                "network server"
            )
        if is_silent(self._virtual.exchange, now):
            server = self._server
            first = next(iter(self.gateways))
            raise NetworkServerError(
                silence(self._virtual.exchange, server.topics, first, server.mqtt, server.identity.name)
            )

    async def leave(self) -> None:
        """Disconnects, and removes what the run registered unless it shall be kept. Harmless twice."""
        if self._left:
            return
        self._left = True
        if self._statistics is not None:
            self._statistics.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._statistics
        keep, name = self._server.keep, self._server.identity.name
        left: list[str] = []
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._virtual.close(forget=not keep)
                if self._registration is not None and not keep:
                    left = await self._registration.remove()
        except TimeoutError:
            left.append(f"some or all of it, after {LEAVE_S:.0f} s")
        if keep:
            self._remarks.append(f"kept at the network server: all that is named {name}")
        self._remarks += [f"not removed from the network server: {what}" for what in left]

    def notes(self) -> Sequence[str]:
        """What passed, and what was remarkable."""
        virtual, server = self._virtual, self._server
        lines = [
            f"network server: ChirpStack at {server.api}, gateways at {server.mqtt} as {server.identity.name}"
        ]
        if server.table_start is not None:
            lines.append(
                f"the table was played from {server.table_start:%Y-%m-%d %H:%M} on, as if it were now"
            )
        lines += virtual.exchange.lines()
        if virtual.dropped or virtual.reconnects:
            lines.append(
                f"the gateways' broker went away: {virtual.reconnects:,} connections made anew, {virtual.dropped:,} "
                "messages could not be sent"
            )
        if virtual.exchange.commands and self._bridge is not None and not self._bridge.counts.events:
            lines.append(
                "the server answers the nodes but gave the bridge no event: is its [monitoring] setting "
                "per_device_event_log_max_history 0?"
            )
        drift_s = server.clock.drift_ns() / NS
        if server.clock.pace == 1 and abs(drift_s) > TOLD_DRIFT_S:
            lines.append(f"this machine's clock was moved by {drift_s:.1f} s while the run went on")
        return [*lines, *self._remarks]

    def artifacts(self) -> Mapping[str, str]:
        """The counts as JSON."""
        virtual = self._virtual
        told = {
            "name": self._server.identity.name,
            "gateways": list(self.gateways),
            **virtual.exchange.numbers(),
            "dropped": virtual.dropped,
            "reconnects": virtual.reconnects,
        }
        return {"network.json": json.dumps(told, indent=1) + "\n"}

    async def _tell_statistics(self) -> None:
        while True:
            await self.clock.sleep(INTERVAL_S)
            await self._virtual.send_stats()
